import { Redacted, Result } from "effect"
import { assert, describe, it } from "vitest"
import { objectIdOf } from "../../src/node/internal/passwords/objectId.ts"
import { assertToldInFull } from "../support/shown.ts"

const jwt = (claims: string) => `eyJhbGciOiJub25lIn0.${Buffer.from(claims).toString("base64url")}.c2lnbmF0dXJl`

describe("the object id of a token", () => {
  it.each([
    { name: "of a service principal", token: jwt(`{"oid":"0b1c","appid":"x"}`), oid: "0b1c" },
    { name: "beside text that is not ASCII", token: jwt(`{"name":"Ünal 🔑","oid":"0b1c"}`), oid: "0b1c" },
    { name: "no claim oid", token: jwt(`{"sub":"0b1c"}`), oid: undefined },
    { name: "an empty oid", token: jwt(`{"oid":""}`), oid: undefined },
    { name: "an oid that is a number", token: jwt(`{"oid":1}`), oid: undefined },
    { name: "claims that are a list", token: jwt(`["oid"]`), oid: undefined },
    { name: "claims that are not JSON", token: jwt(`oid=0b1c`), oid: undefined },
    { name: "a payload that is not base64url", token: "a.!!!.c", oid: undefined },
    { name: "an empty payload", token: "a..c", oid: undefined },
    { name: "an opaque token", token: "opaque", oid: undefined },
    { name: "two parts", token: jwt(`{"oid":"0b1c"}`).split(".").slice(0, 2).join("."), oid: undefined },
    { name: "an encrypted token", token: `${jwt(`{"oid":"0b1c"}`)}.d.e`, oid: undefined }
  ])("$name: $oid", ({ oid, token }) => {
    const read = objectIdOf(Redacted.make(token))
    assert.strictEqual(Result.getOrUndefined(read), oid)
    if (Result.isSuccess(read)) return
    assert.strictEqual(read.failure.code, "response_without_oid")
    assert.notInclude(JSON.stringify(read.failure) + read.failure.message, token)
  })

  it("its error", () => {
    const read = objectIdOf(Redacted.make("opaque"))
    if (Result.isSuccess(read)) assert.fail("an opaque token has no object id")
    assertToldInFull(read.failure)
  })
})
