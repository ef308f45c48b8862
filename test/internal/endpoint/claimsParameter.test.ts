import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { claimsWith } from "../../../src/internal/endpoint/claimsParameter.ts"

const able = { access_token: { xms_cc: { values: ["cp1"] } } }

describe("claimsWith", () => {
  it("without capabilities the challenge is sent byte for byte", () => {
    const claims = `{ "access_token" : {"nbf":{"essential":true, "value":"1"}} }`
    assert.strictEqual(claimsWith([], claims), claims)
    assert.strictEqual(claimsWith([], ""), "")
  })

  it("capabilities alone", () => {
    assert.strictEqual(claimsWith(["cp1", "cp2"], ""), `{"access_token":{"xms_cc":{"values":["cp1","cp2"]}}}`)
  })

  it.each<{ name: string; claims: unknown; sent: unknown }>([
    {
      name: "objects are merged",
      claims: { access_token: { nbf: { value: "1" } }, userinfo: { a: 1 } },
      sent: { access_token: { ...able.access_token, nbf: { value: "1" } }, userinfo: { a: 1 } }
    },
    {
      name: "arrays are joined",
      claims: { access_token: { xms_cc: { values: ["cp2"] } } },
      sent: { access_token: { xms_cc: { values: ["cp1", "cp2"] } } }
    },
    {
      name: "of other values the challenge's is taken",
      claims: { access_token: { xms_cc: { values: "cp9" } } },
      sent: { access_token: { xms_cc: { values: "cp9" } } }
    },
    { name: "null leaves what there is", claims: { access_token: { xms_cc: null } }, sent: able },
    { name: "null where nothing is stays", claims: { id_token: null }, sent: { ...able, id_token: null } }
  ])("$name", ({ claims, sent }) => {
    assert.deepStrictEqual(JSON.parse(claimsWith(["cp1"], JSON.stringify(claims))), sent)
  })

  it("a name is only a name", () => {
    const sent = claimsWith(["cp1"], `{"__proto__":{"polluted":1},"access_token":{"__proto__":{"x":2}}}`)
    assert.include(sent, `"__proto__":{"polluted":1}`)
    assert.include(sent, `"__proto__":{"x":2}`)
    assert.strictEqual(Object.getOwnPropertyDescriptor(Object.prototype, "polluted"), undefined)
  })

  it("whatever the challenge, its own values are there, and so is the capability unless it says otherwise", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string().filter((name) => name !== "access_token"), fc.jsonValue()), (claims) => {
        const sent: unknown = JSON.parse(claimsWith(["cp1"], JSON.stringify(claims)))
        assert.deepStrictEqual(sent, JSON.parse(JSON.stringify({ ...claims, ...able })))
      })
    )
  })
})
