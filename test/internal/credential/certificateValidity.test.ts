import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestCertificate } from "effect-entra/testing"
import fc from "fast-check"
import { X509Certificate } from "node:crypto"
import { notAfter } from "../../../src/internal/credential/certificateValidity.ts"

describe("notAfter", () => {
  const times = ["2026-11-22T19:13:57Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
  it.live.each(times)("reads %s as the generator wrote it and as node reads it", (time) =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make({ notBefore: new Date(0), notAfter: new Date(time) })
      const { raw, validToDate } = new X509Certificate(certificate)
      assert.strictEqual(notAfter(raw), Date.parse(time))
      assert.strictEqual(notAfter(raw), validToDate.getTime())
    }))

  it.each([
    ["a validity that is empty", ""],
    ["a month that no year has", "170d3939313339393030303030305a170d3939313339393030303030305a"]
  ])("knows nothing of %s", (_, times) => {
    const stated = (...parts: ReadonlyArray<string>) => {
      const value = Buffer.from(parts.join(""), "hex")
      return Buffer.concat([Buffer.from([0x30, value.length]), value]).toString("hex")
    }
    const [serial, algorithm, issuer] = ["020101", stated(), stated()]
    assert.isUndefined(notAfter(Buffer.from(stated(stated(serial, algorithm, issuer, stated(times))), "hex")))
  })

  it.live("knows nothing of what is no certificate: every prefix, and anything else", () =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make()
      const { raw } = new X509Certificate(certificate)
      for (let length = 0; length < raw.length; length++) assert.isUndefined(notAfter(raw.subarray(0, length)))
      fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const found = notAfter(bytes)
        return found === undefined || Number.isInteger(found)
      }))
      fc.assert(fc.property(fc.nat(raw.length - 1), fc.nat(255), (at, byte) => {
        const damaged = new Uint8Array(raw)
        damaged[at] = byte
        const found = notAfter(damaged)
        return found === undefined || Number.isInteger(found)
      }))
    }))
})
