import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { claimsChallengeOf } from "../../../src/internal/http/wwwAuthenticate.ts"

const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
const base64 = (text: string) => Buffer.from(text).toString("base64")
const base64url = (text: string) => Buffer.from(text).toString("base64url")
const challenge = (encoded: string) => `Bearer realm="", error="insufficient_claims", claims="${encoded}"`

describe("claimsOf", () => {
  const accents = `{"naïve":"ÿÿÿ>>>???"}`
  it.each([
    { name: "base64", header: challenge(base64(claims)), found: claims },
    { name: "base64url", header: challenge(base64url(claims)), found: claims },
    { name: "base64 with + and /", header: challenge(base64(accents)), found: accents },
    { name: "base64url with - and _", header: challenge(base64url(accents)), found: accents },
    {
      name: "claims before the error",
      header: `Bearer claims="${base64(claims)}", error="insufficient_claims"`,
      found: claims
    },
    { name: "after another challenge", header: `Negotiate, ${challenge(base64(claims))}`, found: claims },
    {
      name: "the first Bearer challenge that has them",
      header: `Bearer error="invalid_token", PoP error="insufficient_claims", claims="${base64("{}")}", `
        + challenge(base64(claims)),
      found: claims
    },
    {
      name: "names and scheme in any case, blanks around =",
      header: `BEARER Error = "insufficient_claims" , CLAIMS ="${base64(claims)}"`,
      found: claims
    },
    {
      name: "without quotes",
      header: `Bearer error=insufficient_claims, claims=${base64url(claims)}`,
      found: claims
    },
    {
      name: "a quotation that holds another challenge",
      header: `Bearer realm="error=\\"insufficient_claims\\", claims=\\"${base64(claims)}\\""`,
      found: undefined
    },
    {
      name: "a parameter whose name only ends so, before the real one",
      header: `Bearer x-claims="${base64("{}")}", error="insufficient_claims", claims="${base64(claims)}"`,
      found: claims
    },
    {
      name: "a challenge of another scheme",
      header: `PoP error="insufficient_claims", claims="${base64(claims)}"`,
      found: undefined
    },
    ...[
      "authorization_uri=https://login.microsoftonline.com/x",
      "authorization_uri=https://login.microsoftonline.com/x resource_id=https://storage.azure.com",
      "realm=",
      "realm=my api",
      "error_codes=[50076]",
      "timestamp=2020-01-01 10:00:00Z"
    ].map((part) => ({
      name: `after ${part}`,
      header: `Bearer ${part}, error="insufficient_claims", claims="${base64(claims)}"`,
      found: claims
    })),
    {
      name: "with escaped characters",
      header: challenge(base64(claims).replaceAll("e", "\\e")).replace("_claims", "\\_claims"),
      found: claims
    },
    { name: "with blanks in it", header: challenge(` ${base64(claims)} `), found: claims },
    {
      name: "in the longest header that is read",
      header: challenge(base64(claims)).padStart(16_384, " "),
      found: claims
    },
    { name: "in a longer header", header: challenge(base64(claims)).padStart(16_385, " "), found: undefined },
    { name: "no header", header: undefined, found: undefined },
    { name: "an empty header", header: "", found: undefined },
    { name: "another error", header: `Bearer error="invalid_token", claims="${base64(claims)}"`, found: undefined },
    { name: "no claims", header: `Bearer error="insufficient_claims"`, found: undefined },
    { name: "empty claims", header: challenge(""), found: undefined },
    { name: "no base64", header: challenge("%%%"), found: undefined },
    { name: "no JSON", header: challenge(base64("x")), found: undefined },
    { name: "no object", header: challenge(base64("[1]")), found: undefined },
    { name: "JSON null", header: challenge(base64("null")), found: undefined },
    {
      name: "a parameter that only ends in claims",
      header: `Bearer error="insufficient_claims", xclaims="${base64(claims)}"`,
      found: undefined
    },
    { name: "a header without end", header: challenge("A".repeat(20_000)), found: undefined }
  ])("$name", ({ found, header }) => {
    assert.strictEqual(claimsChallengeOf(header), found)
  })

  it("gives a JSON object or nothing, and never throws", () => {
    const header = fc.oneof(fc.string(), fc.string().map(challenge), fc.json().map((json) => challenge(base64(json))))
    fc.assert(fc.property(header, (header) => {
      const found = claimsChallengeOf(header)
      assert.isTrue(found === undefined || /^\s*\{/.test(found))
    }))
  })
})
