import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import * as jose from "jose"
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto"
import { loadCertificate, validityProblem } from "../../../src/internal/credential/certificate.ts"
import { type Algorithm, assertionClaims, assertionHeader } from "../../../src/internal/credential/clientAssertion.ts"
import { x509 } from "../../../src/testing/internal/world/x509.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { printed } from "../support.ts"

const [rsa, otherRsa, ec, otherEc, chain] = await Effect.runPromise(Effect.all([
  TestCertificate.make(),
  TestCertificate.make(),
  TestCertificate.make({ algorithm: "EC" }),
  TestCertificate.make({ algorithm: "EC" }),
  TestCertificate.makeChain()
], { concurrency: "unbounded" }))

const rsaKey = Redacted.value(rsa.privateKey)
const ecKey = Redacted.value(ec.privateKey)

const pkcs8 = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString()
const generated = (curve: string) => pkcs8(generateKeyPairSync("ec", { namedCurve: curve }).privateKey)

/** BoringSSL, which Bun and Workers have, does not generate such a key. */
const secp256k1 = `-----BEGIN PRIVATE KEY-----
MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgwJhec+Aa2inh5hOFVKzO
NgB5unoDdiqlnSEu8lb8+iuhRANCAARi/XawfDsZUsjwdEZw4Qp/r3Zvbv+uswNq
MTjZieZgUIRupQtN0MHbl7U9yj3sfu878nx3BtvISuPh0zpLwsZK
-----END PRIVATE KEY-----
`

/** A certificate over any pair of keys, for those that `TestCertificate` does not make. */
const selfSigned = (algorithm: RsaHashedKeyGenParams | EcKeyGenParams, hash: string) =>
  Effect.flatMap(x509, ({ X509CertificateGenerator }) =>
    Effect.promise(async () => {
      const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
      const made = await X509CertificateGenerator.createSelfSigned({
        name: "CN=test",
        keys,
        signingAlgorithm: { name: algorithm.name, hash },
        notBefore: new Date(0),
        notAfter: new Date(Date.UTC(2040, 0, 1))
      })
      return { certificate: made.toString("pem"), privateKey: await jose.exportPKCS8(keys.privateKey) }
    }))

const load = (certificate: string, privateKey: string) =>
  loadCertificate({ certificate, privateKey: Redacted.make(privateKey) })

const refused = (certificate: string, privateKey: string) => Effect.flip(load(certificate, privateKey))

const half = (pem: string, by = 0) => {
  const lines = pem.trim().split("\n")
  const body = lines.slice(1, -1).join("")
  return [lines[0], body.slice(0, Math.floor(body.length / 8) * 4 + by), lines.at(-1)].join("\n")
}

describe("loadCertificate", () => {
  it.live.each<
    { name: string; made: TestCertificate.TestCertificate; isRsa: boolean; algorithms: ReadonlyArray<Algorithm> }
  >([
    { name: "RSA", made: rsa, isRsa: true, algorithms: ["PS256", "RS256"] },
    { name: "EC on P-256", made: ec, isRsa: false, algorithms: ["ES256"] },
    { name: "a chain", made: chain, isRsa: true, algorithms: ["PS256"] }
  ])("$name: signs what the certificate verifies", ({ algorithms, isRsa, made }) =>
    Effect.gen(function*() {
      const loaded = yield* loadCertificate(made)
      const leaf = new X509Certificate(made.certificate)
      const digestOf = (fingerprint: string) =>
        Buffer.from(fingerprint.replaceAll(":", ""), "hex").toString("base64url")
      assert.strictEqual(loaded.rsa, isRsa)
      assert.strictEqual(loaded.thumbprints.x5t, digestOf(leaf.fingerprint))
      assert.strictEqual(loaded.thumbprints["x5t#S256"], digestOf(leaf.fingerprint256))
      assert.strictEqual(loaded.chain[0], leaf.raw.toString("base64"))
      for (const algorithm of algorithms) {
        const header = assertionHeader({
          algorithm,
          thumbprint: "x5t#S256",
          thumbprints: loaded.thumbprints,
          chain: loaded.chain
        })
        const claims = assertionClaims({ audience: "https://h/token", clientId: "id", now: Date.now(), id: "jti" })
        const jwt = yield* loaded.sign(header, claims)
        assert.notInclude(printed(jwt), Redacted.value(jwt))
        const verified = yield* Effect.promise(() =>
          jose.jwtVerify(Redacted.value(jwt), leaf.publicKey, { audience: "https://h/token", algorithms: [algorithm] })
        )
        assert.deepStrictEqual<unknown>(verified.protectedHeader, header)
        assert.deepStrictEqual<unknown>(verified.payload, claims)
      }
    }))

  it.live("of a chain, all certificates are read, leaf first", () =>
    Effect.gen(function*() {
      const { chain: found } = yield* loadCertificate(chain)
      const authority = new X509Certificate(chain.authority).raw.toString("base64")
      assert.deepStrictEqual(found, [new X509Certificate(chain.certificate).raw.toString("base64"), authority])
    }))

  it.live.each([
    {
      name: "Windows line ends",
      certificate: rsa.certificate.replaceAll("\n", "\r\n"),
      key: rsaKey.replaceAll("\n", "\r\n")
    },
    { name: "text around the certificate", certificate: `Bag Attributes\n  a: b\n${rsa.certificate}end`, key: rsaKey },
    { name: "the key in the certificate's file", certificate: `${rsaKey}\n${rsa.certificate}`, key: rsaKey },
    { name: "no line end at the end", certificate: rsa.certificate.trim(), key: rsaKey.trim() },
    { name: "line ends at the end", certificate: `${rsa.certificate}\n\n`, key: `${rsaKey}\n\n` }
  ])("accepts $name", ({ certificate, key }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* load(certificate, key)).chain.length, 1)
    }))

  it.live.each([
    { name: "a line end before the key", key: `\n${rsaKey}` },
    { name: "white space before the key", key: `  ${rsaKey}` },
    {
      name: "attributes before the key, as openssl pkcs12 writes them",
      key: `Bag Attributes\n  a: b\nKey Attributes: <No Attributes>\n${rsaKey}`
    },
    { name: "a certificate after the key", key: `${rsaKey}\n${rsa.certificate}` }
  ])("accepts $name", ({ key }) =>
    Effect.gen(function*() {
      assert.isTrue((yield* load(rsa.certificate, key)).rsa)
    }))

  const pkcs1 = createPrivateKey(rsaKey).export({ type: "pkcs1", format: "pem" }).toString()
  const sec1 = createPrivateKey(ecKey).export({ type: "sec1", format: "pem" }).toString()
  const encrypted = createPrivateKey(rsaKey)
    .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }).toString()
  const encryptedPkcs1 = createPrivateKey(rsaKey)
    .export({ type: "pkcs1", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }).toString()

  it.live.each([
    { name: "no certificate", certificate: "", key: rsaKey, code: "certificate_unreadable", field: "certificate" },
    {
      name: "a certificate that is no PEM",
      certificate: "nonsense",
      key: rsaKey,
      code: "certificate_unreadable",
      field: "certificate"
    },
    {
      name: "a certificate in bare base64",
      certificate: new X509Certificate(rsa.certificate).raw.toString("base64"),
      key: rsaKey,
      code: "certificate_unreadable",
      field: "certificate"
    },
    {
      name: "a key in the certificate's place",
      certificate: rsaKey,
      key: rsaKey,
      code: "certificate_unreadable",
      field: "certificate"
    },
    {
      name: "a certificate without its end",
      certificate: rsa.certificate.slice(0, 500),
      key: rsaKey,
      code: "certificate_unreadable",
      field: "certificate"
    },
    {
      name: "a certificate that is no base64",
      certificate: "-----BEGIN CERTIFICATE-----\nabc=d\n-----END CERTIFICATE-----",
      key: rsaKey,
      code: "certificate_unreadable",
      field: "certificate"
    },
    { name: "no key", certificate: rsa.certificate, key: "", code: "key_unreadable", field: "privateKey" },
    {
      name: "a key that is no PEM",
      certificate: rsa.certificate,
      key: "s3cret-nonsense",
      code: "key_unreadable",
      field: "privateKey"
    },
    { name: "a key in PKCS#1", certificate: rsa.certificate, key: pkcs1, code: "key_format", field: "privateKey" },
    {
      name: "a key in PKCS#1, encrypted",
      certificate: rsa.certificate,
      key: encryptedPkcs1,
      code: "key_format",
      field: "privateKey"
    },
    { name: "a key in SEC1", certificate: ec.certificate, key: sec1, code: "key_format", field: "privateKey" },
    {
      name: "a key in PKCS#8, encrypted",
      certificate: rsa.certificate,
      key: encrypted,
      code: "key_format",
      field: "privateKey"
    },
    {
      name: "a certificate in the key's place",
      certificate: rsa.certificate,
      key: rsa.certificate,
      code: "key_format",
      field: "privateKey"
    },
    {
      name: "a key that is cut",
      certificate: rsa.certificate,
      key: half(rsaKey),
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "a key that is cut within a byte",
      certificate: rsa.certificate,
      key: half(rsaKey, 1),
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "a key without its end",
      certificate: rsa.certificate,
      key: rsaKey.slice(0, 500),
      code: "key_unreadable",
      field: "privateKey"
    },
    {
      name: "an empty key",
      certificate: rsa.certificate,
      key: "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "an EC key on P-384",
      certificate: ec.certificate,
      key: generated("P-384"),
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "an EC key on P-521",
      certificate: ec.certificate,
      key: generated("P-521"),
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "an EC key on secp256k1",
      certificate: ec.certificate,
      key: secp256k1,
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "an Ed25519 key",
      certificate: ec.certificate,
      key: pkcs8(generateKeyPairSync("ed25519").privateKey),
      code: "key_unsupported",
      field: "privateKey"
    },
    {
      name: "the RSA key of another certificate",
      certificate: rsa.certificate,
      key: Redacted.value(otherRsa.privateKey),
      code: "key_mismatch",
      field: "privateKey"
    },
    {
      name: "the EC key of another certificate",
      certificate: ec.certificate,
      key: Redacted.value(otherEc.privateKey),
      code: "key_mismatch",
      field: "privateKey"
    },
    {
      name: "the issuer's certificate first",
      certificate: `${chain.authority}${chain.certificate}`,
      key: Redacted.value(chain.privateKey),
      code: "key_mismatch",
      field: "certificate"
    },
    {
      name: "an RSA certificate with an EC key",
      certificate: rsa.certificate,
      key: ecKey,
      code: "key_mismatch",
      field: "certificate"
    },
    {
      name: "an EC certificate with an RSA key",
      certificate: ec.certificate,
      key: rsaKey,
      code: "key_mismatch",
      field: "certificate"
    }
  ])("refuses $name", ({ certificate, code, field, key }) =>
    Effect.gen(function*() {
      const error = yield* refused(certificate, key)
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, field)
      assert.strictEqual(error.origin, "local")
      assert.isNotEmpty(error.remedy)
      const shown = printed(error)
      for (const line of key.split("\n").filter((line) => line.length > 10 && !line.startsWith("-----"))) {
        assert.notInclude(shown, line)
      }
    }))

  it.live("refuses an EC certificate on P-384, with its key and with another", () =>
    Effect.gen(function*() {
      const algorithm = { name: "ECDSA", namedCurve: "P-384" }
      const made = yield* selfSigned(algorithm, "SHA-384")
      assert.strictEqual((yield* refused(made.certificate, made.privateKey)).code, "key_unsupported")
      assert.strictEqual((yield* refused(made.certificate, ecKey)).code, "key_mismatch")
    }))

  it.live("refuses an RSA key of 1024 bits for its length", () =>
    Effect.gen(function*() {
      const algorithm = {
        name: "RSASSA-PKCS1-v1_5",
        hash: "SHA-256",
        modulusLength: 1024,
        publicExponent: new Uint8Array([1, 0, 1])
      }
      const made = yield* selfSigned(algorithm, "SHA-256")
      assert.strictEqual((yield* refused(made.certificate, made.privateKey)).code, "key_unsupported")
    }))

  it.live.each([{ by: 0 }, { by: 1 }, { by: 2 }, { by: 3 }])(
    "a certificate that is cut is unreadable, wherever the cut ($by characters into a group)",
    ({ by }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* refused(half(rsa.certificate, by), rsaKey)).code, "certificate_unreadable")
      })
  )

  it.live("a header with an algorithm the key is not for fails to sign, with a typed error", () =>
    Effect.gen(function*() {
      const loaded = yield* loadCertificate(ec)
      const header = assertionHeader({
        algorithm: "RS256",
        thumbprint: "x5t",
        thumbprints: loaded.thumbprints,
        chain: undefined
      })
      const claims = assertionClaims({ audience: "a", clientId: "c", now: 0, id: "i" })
      assert.strictEqual((yield* Effect.flip(loaded.sign(header, claims))).code, "signing_failed")
    }))
})

describe("loadCertificate with a signer", () => {
  const sign = () => Effect.succeed(new Uint8Array(64))
  const p384 = Effect.map(
    selfSigned({ name: "ECDSA", namedCurve: "P-384" }, "SHA-384"),
    ({ certificate }) => certificate
  )

  it.live.each([
    { name: "neither key nor signer", options: {}, code: "key_missing", field: "privateKey" },
    { name: "both", options: { privateKey: rsa.privateKey, sign }, code: "key_missing", field: "privateKey" },
    {
      name: "a certificate that cannot be read",
      options: { sign, certificate: half(rsa.certificate) },
      code: "certificate_unreadable",
      field: "certificate"
    }
  ])("refuses $name", ({ code, field, options }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(loadCertificate({ certificate: rsa.certificate, ...options }))
      assert.deepStrictEqual([error.code, error.field], [code, field])
      assertToldInFull(error)
    }))

  it.live("refuses a certificate on P-384", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(loadCertificate({ certificate: yield* p384, sign }))
      assert.deepStrictEqual([error.code, error.field], ["key_unsupported", "certificate"])
      assertToldInFull(error)
    }))
})

describe("untimely", () => {
  it.each([
    { name: "before", now: 999, code: "certificate_not_yet_valid" },
    { name: "from the first moment", now: 1000, code: undefined },
    { name: "until the last", now: 1999, code: undefined },
    { name: "after", now: 2000, code: "certificate_expired" }
  ])("$name: $code", ({ code, now }) => {
    assert.strictEqual(validityProblem({ validFrom: 1000, expiresOn: 2000 }, now)?.code, code)
    assert.isUndefined(validityProblem({ validFrom: undefined, expiresOn: undefined }, now))
  })
})
