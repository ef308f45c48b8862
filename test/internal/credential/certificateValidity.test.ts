import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestCertificate } from "effect-entra/testing"
import fc from "fast-check"
import { X509Certificate } from "node:crypto"
import { notAfter, validity } from "../../../src/internal/credential/certificateValidity.ts"

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

  const tlv = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
    const value = Buffer.concat(parts)
    const size = value.length < 0x80
      ? [value.length]
      : value.length < 0x100
      ? [0x81, value.length]
      : [0x82, value.length >> 8, value.length & 0xff]
    return Buffer.concat([Buffer.from([tag, ...size]), value])
  }
  const sequence = (...parts: ReadonlyArray<Uint8Array>) => tlv(0x30, ...parts)
  const utc = (text: string) => tlv(0x17, Buffer.from(text))
  const general = (text: string) => tlv(0x18, Buffer.from(text))
  const serial = tlv(0x02, Buffer.from([1]))
  const version = tlv(0xa0, tlv(0x02, Buffer.from([2])))
  /** A certificate up to its validity, the first part that is read. */
  const certificate = (times: ReadonlyArray<Uint8Array>, { before = [version], issuer = sequence() } = {}) =>
    sequence(sequence(...before, serial, sequence(), issuer, sequence(...times)))
  const period = [utc("260101000000Z"), utc("270102030405Z")]
  const both = { notBefore: Date.UTC(2026, 0, 1), notAfter: Date.UTC(2027, 0, 2, 3, 4, 5) }

  it.each<readonly [name: string, der: Uint8Array, expected: ReturnType<typeof validity>]>([
    ["a certificate with its version", certificate(period), both],
    ["a certificate without its version", certificate(period, { before: [] }), both],
    ["an issuer of 127 bytes", certificate(period, { issuer: tlv(0x30, new Uint8Array(0x7f)) }), both],
    ["an issuer of 128 bytes", certificate(period, { issuer: tlv(0x30, new Uint8Array(0x80)) }), both],
    ["an issuer of 300 bytes", certificate(period, { issuer: tlv(0x30, new Uint8Array(300)) }), both],
    [
      "an issuer whose length has three bytes",
      certificate(period, { issuer: Buffer.from([0x30, 0x83, 0, 0, 1, 7]) }),
      both
    ],
    [
      "an issuer whose length has four bytes",
      certificate(period, { issuer: Buffer.from([0x30, 0x84, 0, 0, 0, 0]) }),
      undefined
    ],
    ["an issuer without a length", certificate(period, { issuer: Buffer.from([0x30, 0x80]) }), undefined],
    ["the year 2049", certificate([utc("260101000000Z"), utc("491231235959Z")]), {
      ...both,
      notAfter: Date.UTC(2049, 11, 31, 23, 59, 59)
    }],
    ["the year 1950", certificate([utc("500101000000Z"), utc("270102030405Z")]), {
      ...both,
      notBefore: Date.UTC(1950, 0, 1)
    }],
    ["four digits of a year", certificate([general("20260101000000Z"), general("20500102030405Z")]), {
      ...both,
      notAfter: Date.UTC(2050, 0, 2, 3, 4, 5)
    }],
    ["two digits where four belong", certificate([general("260101000000Z"), utc("270102030405Z")]), {
      ...both,
      notBefore: undefined
    }],
    ["four digits where two belong", certificate([utc("20260101000000Z"), utc("270102030405Z")]), {
      ...both,
      notBefore: undefined
    }],
    ["a time of another type", certificate([tlv(0x16, Buffer.from("260101000000Z")), utc("270102030405Z")]), {
      ...both,
      notBefore: undefined
    }],
    ["a time with more behind it", certificate([utc("260101000000ZZ"), utc("x270102030405Z")]), {
      notBefore: undefined,
      notAfter: undefined
    }],
    ["only one time", certificate([utc("260101000000Z")]), undefined],
    [
      "a second time beyond the validity",
      sequence(sequence(serial, sequence(), sequence(), sequence(utc("260101000000Z")), utc("270102030405Z"))),
      undefined
    ],
    ["a validity of another type", sequence(sequence(serial, sequence(), sequence(), tlv(0x31, ...period))), undefined],
    ["a body of another type", sequence(tlv(0x31, serial, sequence(), sequence(), sequence(...period))), undefined],
    [
      "a certificate of another type",
      tlv(0x31, sequence(serial, sequence(), sequence(), sequence(...period))),
      undefined
    ],
    ["nothing", new Uint8Array(), undefined],
    ["a tag alone", Buffer.from([0x30]), undefined],
    ["an empty sequence", sequence(), undefined]
  ])("of %s", (_name, der, expected) => assert.deepStrictEqual(validity(der), expected))

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
