/**
 * Certificates and keys for tests, created with WebCrypto.
 *
 * @since 0.1.0
 */
import type { Extension, X509Certificate } from "@peculiar/x509"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { exportPKCS8 } from "jose"
import { x509 } from "./internal/world/x509.ts"

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
  /** PEM; a chain begins with the leaf. */
  readonly certificate: string
  /** PEM, PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted
}

/**
 * A certificate that a test authority issued, its private key and its chain.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestCertificateChain extends TestCertificate {
  /** The certificate (PEM) of the root authority, which a client has to trust. */
  readonly authority: string
}

/**
 * A test authority.
 *
 * **Details**
 *
 * - `certificate`: the certificate of the authority (PEM).
 * - `issue`: issues a certificate.
 * - `intermediate`: issues an intermediate authority, whose certificates have a longer chain.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestAuthority {
  readonly certificate: string
  readonly issue: (options?: Options) => Effect.Effect<TestCertificateChain>
  readonly intermediate: (options?: Options) => Effect.Effect<TestAuthority>
}

/**
 * Options of a certificate.
 *
 * **Details**
 *
 * - `commonName`: the common name of the subject; default: `effect-entra test`.
 * - `subject`: the distinguished name of the subject; default: `CN=<commonName>`.
 * - `algorithm`: the type of the key; default: `"RSA"`, `"EC"` for authorities.
 * - `modulusLength`: the bits of an RSA key; default: 2048.
 * - `curve`: the curve of an EC key; default: `"P-256"`.
 * - `notBefore`, `notAfter`: the validity; default: from an hour ago to a year from now, by Effect's `Clock`.
 * - `subjectAltNames`: DNS names and IP addresses; default: none.
 *
 * **Example** (Creating certificates that a program must refuse)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestCertificate } from "effect-entra/testing"
 * import assert from "node:assert"
 * import { X509Certificate } from "node:crypto"
 *
 * const weak = await Effect.runPromise(TestCertificate.make({ modulusLength: 1024 }))
 * assert.equal(new X509Certificate(weak.certificate).publicKey.asymmetricKeyDetails?.modulusLength, 1024)
 *
 * export const expired = TestCertificate.make({ notBefore: new Date(0), notAfter: new Date(1_000_000_000_000) })
 * export const early = TestCertificate.make({ notBefore: new Date(Date.now() + 3_600_000) })
 * export const unknownCurve = TestCertificate.make({ algorithm: "EC", curve: "P-384" })
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly commonName?: string | undefined
  readonly subject?: string | undefined
  readonly algorithm?: "RSA" | "EC" | undefined
  readonly modulusLength?: number | undefined
  readonly curve?: "P-256" | "P-384" | undefined
  readonly notBefore?: Date | undefined
  readonly notAfter?: Date | undefined
  readonly subjectAltNames?: ReadonlyArray<string> | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a self-signed certificate for an app registration.
 *
 * **Example** (Creating a certificate)
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
    const keys = await generateKeys(options)
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: fields.subject,
      notBefore: fields.notBefore,
      notAfter: fields.notAfter,
      extensions: fields.extensions,
      keys,
      signingAlgorithm: signingAlgorithm(options)
    })
    return { certificate: `${certificate.toString("pem")}\n`, privateKey: await privateKeyOf(keys) }
  })
})

/**
 * Creates a test authority: a self-signed root that issues certificates and intermediate authorities.
 *
 * **When to use**
 *
 * Use for several certificates of one issuer, such as a renewed certificate of an app that trusts subject name and issuer, or
 * for a chain with intermediates.
 *
 * **Example** (Creating a chain of three certificates)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestCertificate } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const root = yield* TestCertificate.makeAuthority()
 *   const intermediate = yield* root.intermediate({ commonName: "issuing" })
 *   const { authority, certificate } = yield* intermediate.issue({ commonName: "daemon" })
 *   assert.equal(certificate.match(/BEGIN CERTIFICATE/g)?.length, 3)
 *   assert.equal(authority, root.certificate)
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeAuthority = (options: Options = {}): Effect.Effect<TestAuthority> =>
  authorityOf({ commonName: "effect-entra test authority", ...options }, undefined)

/**
 * Creates a certificate that a new test authority issues. `certificate` contains the leaf, then the authority.
 *
 * **Example** (Creating a chain)
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
export const makeChain = (options: Options = {}): Effect.Effect<TestCertificateChain> => {
  const { notAfter, notBefore } = options
  return Effect.flatMap(makeAuthority({ notAfter, notBefore }), (authority) => authority.issue(options))
}

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const hour = 3_600_000
const year = 365 * 24 * hour

/** A certificate with its keys; `chain` is the PEM of each certificate from this one to the root. */
interface Issued {
  readonly certificate: X509Certificate
  readonly keys: CryptoKeyPair
  readonly options: Options
  readonly chain: ReadonlyArray<string>
}

/** Creates an authority. Its key is EC by default, because EC keys are generated faster. */
const authorityOf = (authorityOptions: Options, parent: Issued | undefined): Effect.Effect<TestAuthority> =>
  Effect.gen(function*() {
    const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension } = yield* x509
    const options: Options = { algorithm: "EC", ...authorityOptions }
    const issuer = yield* certify(options, parent, [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
    ])
    const [certificate = ""] = issuer.chain
    return {
      certificate,
      issue: Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<TestCertificateChain> {
        const fields = yield* fieldsOf(options)
        const { chain, keys } = yield* certify(options, issuer, fields.extensions)
        const privateKey = yield* Effect.promise(() => privateKeyOf(keys))
        return { certificate: chain.join(""), privateKey, authority: chain.at(-1) ?? "" }
      }),
      intermediate: (options = {}) => authorityOf({ commonName: "effect-entra test intermediate", ...options }, issuer)
    }
  })

/** Creates a key pair and its certificate, signed by `parent` or self-signed. */
const certify = Effect.fnUntraced(function*(
  options: Options,
  parent: Issued | undefined,
  extensions: Array<Extension>
): Effect.fn.Return<Issued> {
  const { X509CertificateGenerator } = yield* x509
  const { notAfter, notBefore, subject } = yield* fieldsOf(options)
  return yield* Effect.promise(async () => {
    const keys = await generateKeys(options)
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: parent?.certificate.subject ?? subject,
      notBefore,
      notAfter,
      extensions,
      publicKey: keys.publicKey,
      signingKey: (parent?.keys ?? keys).privateKey,
      signingAlgorithm: signingAlgorithm(parent?.options ?? options)
    })
    return { certificate, keys, options, chain: [`${certificate.toString("pem")}\n`, ...parent?.chain ?? []] }
  })
})

const fieldsOf = (options: Options) =>
  Effect.gen(function*() {
    const { BasicConstraintsExtension, SubjectAlternativeNameExtension } = yield* x509
    const now = yield* Clock.currentTimeMillis
    const names = options.subjectAltNames ?? []
    return {
      subject: options.subject ?? `CN=${options.commonName ?? "effect-entra test"}`,
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

const generateKeys = ({ algorithm, curve = "P-256", modulusLength = 2048 }: Options): Promise<CryptoKeyPair> =>
  globalThis.crypto.subtle.generateKey(
    algorithm === "EC"
      ? { name: "ECDSA", namedCurve: curve }
      : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength, publicExponent: new Uint8Array([1, 0, 1]) },
    true,
    ["sign", "verify"]
  )

const signingAlgorithm = ({ algorithm, curve }: Options) => ({
  name: algorithm === "EC" ? "ECDSA" : "RSASSA-PKCS1-v1_5",
  hash: curve === "P-384" ? "SHA-384" : "SHA-256"
})

const privateKeyOf = async (keys: CryptoKeyPair): Promise<Redacted.Redacted> =>
  Redacted.make(await exportPKCS8(keys.privateKey))
