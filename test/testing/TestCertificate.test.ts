/** Certificates for fault tables, read with Node's own parser. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { createPrivateKey, X509Certificate } from "node:crypto"

const blocks = (pem: string) =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []).map((block) =>
    new X509Certificate(block)
  )

const leafOf = (made: TestCertificate.TestCertificate) => {
  const leaf = new X509Certificate(made.certificate)
  assert.isTrue(leaf.checkPrivateKey(createPrivateKey(Redacted.value(made.privateKey))))
  return leaf
}

describe("a certificate", () => {
  it.live.each(
    [
      { options: {}, type: "rsa", details: { modulusLength: 2048, publicExponent: 65537n } },
      { options: { modulusLength: 1024 }, type: "rsa", details: { modulusLength: 1024, publicExponent: 65537n } },
      { options: { modulusLength: 3072 }, type: "rsa", details: { modulusLength: 3072, publicExponent: 65537n } },
      { options: { algorithm: "EC" }, type: "ec", details: { namedCurve: "prime256v1" } },
      { options: { algorithm: "EC", curve: "P-384" }, type: "ec", details: { namedCurve: "secp384r1" } }
    ] as const
  )("has the key that was asked for: $options", ({ details, options, type }) =>
    Effect.gen(function*() {
      const authority = yield* TestCertificate.makeAuthority()
      for (const made of [yield* TestCertificate.make(options), yield* authority.issue(options)]) {
        const { publicKey } = leafOf(made)
        assert.strictEqual(publicKey.asymmetricKeyType, type)
        assert.deepStrictEqual({ ...publicKey.asymmetricKeyDetails }, { ...details })
      }
      const self = leafOf(yield* TestCertificate.make(options))
      assert.isTrue(self.verify(self.publicKey))
      assert.isFalse(self.ca)
    }))

  it.effect("is valid from an hour ago to a year from now, or as told", () =>
    Effect.gen(function*() {
      const now = Date.UTC(2026, 0, 1)
      yield* TestClock.setTime(now)
      const usual = leafOf(yield* TestCertificate.make({ algorithm: "EC" }))
      assert.deepStrictEqual([usual.validFromDate.getTime(), usual.validToDate.getTime()], [
        now - 3_600_000,
        now + 365 * 86_400_000
      ])
      const [notBefore, notAfter] = [new Date(0), new Date(1e12)]
      const expired = leafOf(yield* TestCertificate.make({ algorithm: "EC", notBefore, notAfter }))
      assert.deepStrictEqual([expired.validFromDate, expired.validToDate], [notBefore, notAfter])
    }))

  it.live("has the subject that was asked for", () =>
    Effect.gen(function*() {
      const named = leafOf(yield* TestCertificate.make({ algorithm: "EC", subject: "CN=orders, O=Contoso, C=SE" }))
      assert.strictEqual(named.subject, "CN=orders\nO=Contoso\nC=SE")
      const common = leafOf(yield* TestCertificate.make({ algorithm: "EC", commonName: "daemon" }))
      assert.strictEqual(common.subject, "CN=daemon")
    }))
})

describe("an authority", () => {
  it.live.each([{}, { algorithm: "RSA" }, { curve: "P-384" }] as const)(
    "issues, and its intermediates do: leaf first, root last (%o)",
    (options) =>
      Effect.gen(function*() {
        const root = yield* TestCertificate.makeAuthority(options)
        const policy = yield* root.intermediate({ commonName: "policy" })
        const issuing = yield* policy.intermediate({ commonName: "issuing", ...options })
        const made = yield* issuing.issue({ commonName: "daemon" })
        const chain = blocks(made.certificate)
        assert.deepStrictEqual(chain.map(({ subject }) => subject), [
          "CN=daemon",
          "CN=issuing",
          "CN=policy",
          "CN=effect-entra test authority"
        ])
        assert.deepStrictEqual(chain.map(({ ca }) => ca), [false, true, true, true])
        for (const [index, certificate] of chain.entries()) {
          const issuer = chain[Math.min(index + 1, chain.length - 1)]
          assert.isDefined(issuer)
          assert.isTrue(issuer !== undefined && certificate.verify(issuer.publicKey))
          assert.isTrue(issuer !== undefined && certificate.checkIssued(issuer))
        }
        leafOf(made)
        assert.strictEqual(made.authority, root.certificate)
        assert.isTrue(made.certificate.endsWith(root.certificate))
      })
  )

  it.live("a chain of two, as TLS servers have one; its authority expires with it", () =>
    Effect.gen(function*() {
      const [notBefore, notAfter] = [new Date(0), new Date(1e12)]
      const made = yield* TestCertificate.makeChain({ commonName: "daemon", notBefore, notAfter })
      const [leaf, authority, ...rest] = blocks(made.certificate)
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(leaf?.subject, "CN=daemon")
      assert.strictEqual(authority?.subject, "CN=effect-entra test authority")
      assert.deepStrictEqual([leaf?.validToDate, authority?.validToDate], [notAfter, notAfter])
      leafOf(made)
    }))
})
