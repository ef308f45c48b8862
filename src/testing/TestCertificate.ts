/**
 * Certificates and keys for tests, made on the spot with WebCrypto.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { exportPKCS8 } from "jose"
import { x509 } from "./internal/x509.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A certificate and its private key.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestCertificate {
  /** PEM; of a chain, the leaf first. */
  readonly certificate: string
  /** PEM, PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted
}

/**
 * A certificate that a test authority issued, with its chain.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestCertificateChain extends TestCertificate {
  /** PEM of the authority's certificate alone: what a client has to trust. */
  readonly authority: string
}

/**
 * Options of a certificate.
 *
 * **Details**
 *
 * RSA keys have 2048 bits, EC keys are on P-256. A certificate is valid from an hour ago to a year from now, by Effect's
 * `Clock`. Alternative names that are IP addresses become such.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly commonName?: string | undefined
  readonly algorithm?: "RSA" | "EC" | undefined
  readonly notBefore?: Date | undefined
  readonly notAfter?: Date | undefined
  readonly subjectAltNames?: ReadonlyArray<string> | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a self-signed certificate, as an app registers one.
 *
 * **Example** (Making a certificate)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { TestCertificate } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const made = await Effect.runPromise(TestCertificate.make({ commonName: "daemon", algorithm: "EC" }))
 * assert.match(made.certificate, /^-----BEGIN CERTIFICATE-----/)
 * assert.match(Redacted.value(made.privateKey), /^-----BEGIN PRIVATE KEY-----/)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<TestCertificate> {
  const { X509CertificateGenerator } = yield* x509
  const fields = yield* fieldsOf(options)
  return yield* Effect.promise(async () => {
    const keys = await generateKeys(options.algorithm)
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: fields.subject,
      notBefore: fields.notBefore,
      notAfter: fields.notAfter,
      extensions: fields.extensions,
      keys,
      signingAlgorithm: signingAlgorithm(options.algorithm)
    })
    return { certificate: `${certificate.toString("pem")}\n`, privateKey: await privateKeyOf(keys) }
  })
})

/**
 * Makes a certificate that a test authority issued. `certificate` holds the leaf first, then the authority.
 *
 * **Example** (Making a chain)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestCertificate } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const chain = await Effect.runPromise(TestCertificate.makeChain({ subjectAltNames: ["localhost", "127.0.0.1"] }))
 * assert.equal(chain.certificate.match(/BEGIN CERTIFICATE/g)?.length, 2)
 * assert.ok(chain.certificate.endsWith(chain.authority))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeChain = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<TestCertificateChain> {
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, X509CertificateGenerator } = yield* x509
  const fields = yield* fieldsOf(options)
  return yield* Effect.promise(async () => {
    const [authorityKeys, keys] = await Promise.all([generateKeys("EC"), generateKeys(options.algorithm)])
    const validity = { notBefore: fields.notBefore, notAfter: fields.notAfter }
    const authority = await X509CertificateGenerator.createSelfSigned({
      ...validity,
      name: "CN=effect-entra test authority",
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
      ],
      keys: authorityKeys,
      signingAlgorithm: signingAlgorithm("EC")
    })
    const leaf = await X509CertificateGenerator.create({
      ...validity,
      subject: fields.subject,
      issuer: authority.subject,
      extensions: fields.extensions,
      publicKey: keys.publicKey,
      signingKey: authorityKeys.privateKey,
      signingAlgorithm: signingAlgorithm("EC")
    })
    const authorityPem = `${authority.toString("pem")}\n`
    return {
      certificate: `${leaf.toString("pem")}\n${authorityPem}`,
      privateKey: await privateKeyOf(keys),
      authority: authorityPem
    }
  })
})

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const hour = 3_600_000
const year = 365 * 24 * hour

const fieldsOf = (options: Options) =>
  Effect.gen(function*() {
    const { BasicConstraintsExtension, SubjectAlternativeNameExtension } = yield* x509
    const now = yield* Clock.currentTimeMillis
    const names = options.subjectAltNames ?? []
    return {
      subject: `CN=${options.commonName ?? "effect-entra test"}`,
      notBefore: options.notBefore ?? new Date(now - hour),
      notAfter: options.notAfter ?? new Date(now + year),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names.map(generalName))])
      ]
    }
  })

const generalName = (value: string): { readonly type: "dns" | "ip"; readonly value: string } => ({
  type: /^[\d.]+$/.test(value) || value.includes(":") ? "ip" : "dns",
  value
})

const generateKeys = (algorithm: "RSA" | "EC" = "RSA"): Promise<CryptoKeyPair> =>
  globalThis.crypto.subtle.generateKey(
    algorithm === "EC"
      ? { name: "ECDSA", namedCurve: "P-256" }
      : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
    true,
    ["sign", "verify"]
  )

const signingAlgorithm = (algorithm: "RSA" | "EC" = "RSA") => ({
  name: algorithm === "EC" ? "ECDSA" : "RSASSA-PKCS1-v1_5",
  hash: "SHA-256"
})

const privateKeyOf = async (keys: CryptoKeyPair): Promise<Redacted.Redacted> =>
  Redacted.make(await exportPKCS8(keys.privateKey))
