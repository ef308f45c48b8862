/**
 * Parses a certificate and its private key: from the bytes of a file or a value to the options of
 * `ClientCredential.certificate`, in plain functions over `node:crypto`.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type KeyObject, X509Certificate } from "node:crypto"
import type { CredentialError } from "../../../EntraError.ts"
import { clockTolerance } from "../../../internal/credential/certificate.ts"
import { type Fault, faultOf, type Pem, readPem } from "../../../internal/credential/pem.ts"
import { withRemedy } from "../../../internal/shared/text.ts"
import { type Place, placeError, textOf } from "../files/files.ts"
import { isPkcs12, pkcs12Blocks } from "./pkcs12.ts"
import { keysOf, page, type Password, unsupportedKey } from "./privateKeys.ts"

export interface Content {
  readonly bytes: Uint8Array
  readonly place: Place
}

/** `key` is the content with the private key; absent when the key is in the content of the certificate. */
export interface CertificateContents {
  readonly certificate: Content
  readonly key?: Content | undefined
  readonly password: Password
}

export interface CertificateParts {
  /** PEM: the certificate of the key, followed by its issuers. */
  readonly certificate: string
  /** PEM: PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted<string>
  /** Milliseconds since the epoch: the expiry of the certificate, after which another one in the content may be needed. */
  readonly until: number
}

/** Parses the content; `now` in milliseconds. Only PKCS#12 is asynchronous, because its library is loaded on demand. */
export const certificateParts = (
  { certificate, key, password }: CertificateContents,
  now: number
): Effect.Effect<CertificateParts, CredentialError> =>
  Effect.gen(function*() {
    const blocks = yield* blocksIn(certificate, password)
    const keyBlocks = key === undefined ? blocks : yield* blocksIn(key, password)
    const places = { certificate: certificate.place, key: (key ?? certificate).place }
    return yield* Effect.fromResult(partsOf(blocks, keyBlocks.blocks, places, password, now))
  })

interface Places {
  readonly certificate: Place
  readonly key: Place
}

const partsOf = (
  pem: Pem,
  keyBlocks: Pem["blocks"],
  places: Places,
  password: Password,
  now: number
): Result.Result<CertificateParts, CredentialError> =>
  Result.gen(function*() {
    const { certificates, damaged } = yield* certificatesOf(pem, places.certificate)
    const { failures, keys } = yield* keysOf(keyBlocks, places.key, password)
    const pairs = certificates.flatMap((certificate) => {
      const key = keys.find((key) => attempt(() => certificate.checkPrivateKey(key)) === true)
      return key === undefined ? [] : [{ certificate, key }]
    })
    const [first] = pairs
    if (first === undefined) return yield* Result.fail(noMatchingPair(keys, failures, damaged, places))
    const { certificate, key } = yield* usableNow(first, pairs, places, now)
    return {
      certificate: chainOf(certificate, certificates, now).map((certificate) => certificate.toString()).join(""),
      privateKey: Redacted.make(key.export({ format: "pem", type: "pkcs8" }).toString(), { label: "private_key" }),
      until: validTo(certificate)
    }
  })

// -----------------------------------------------------------------------------
// contents
// -----------------------------------------------------------------------------

/** Recognizes the format by the content, because a file name may be wrong. */
const blocksIn = (
  { bytes, place }: Content,
  password: Password
): Effect.Effect<Pem, CredentialError> => {
  const pkcs12 = (bytes: Uint8Array) => Effect.map(pkcs12Blocks(bytes, place, password), (blocks) => ({ blocks }))
  if (isPkcs12(bytes)) return pkcs12(bytes)
  const text = textOf(bytes)
  if (text.trim() === "") return Effect.fail(empty(place))
  const pem = readPem(text)
  // A vault returns PKCS#12 in base64.
  if (pem.bytes !== undefined && isPkcs12(pem.bytes)) return pkcs12(pem.bytes)
  return Effect.succeed(pem.blocks.length > 0 ? pem : { ...pem, fault: binaryFault(bytes, pem) })
}

/** Returns the fault of content that is no PEM. PKCS#7 may be in base64. */
const binaryFault = (bytes: Uint8Array, { bytes: decoded = bytes, fault }: Pem): Fault | undefined => {
  if (decoded[0] === 0x30 && Buffer.from(decoded.subarray(0, 40)).includes(signedData)) return pkcs7
  return bytes[0] !== 0x30 || attempt(() => new X509Certificate(bytes)) === undefined ? fault : {
    what: "holds a certificate in DER, without its private key",
    remedy: "To convert it: openssl x509 -inform DER -in <file>."
  }
}

/** The object identifier of PKCS#7 signedData (RFC 2315 section 14). */
const signedData = Buffer.from("06092a864886f70d010702", "hex")

const pkcs7: Fault = {
  what: "holds PKCS#7 (P7B): certificates without a private key",
  remedy: "Export the certificate again together with its private key."
}

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const certificatesOf = ({ blocks, fault }: Pem, place: Place) => {
  const certificates = new Map<string, X509Certificate>()
  let damaged: CredentialError | undefined
  for (const block of blocks) {
    if (block.label !== "CERTIFICATE") continue
    const certificate = attempt(() => new X509Certificate(block.pem))
    if (certificate === undefined) damaged ??= unreadable(place, faultOf(block))
    else certificates.set(certificate.fingerprint256, certificate)
  }
  if (certificates.size > 0) return Result.succeed({ certificates: [...certificates.values()], damaged })
  return Result.fail(
    damaged ?? (blocks.length === 0
      ? unknownFormat(place, fault)
      : blocks.some(({ label }) => label === "PKCS7" || label === "CMS")
      ? faulty(place, pkcs7)
      : noCertificate(place))
  )
}

interface Pair {
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

/** Returns the first pair that can be used now, because other libraries use the first one too. */
const usableNow = (
  first: Pair,
  pairs: ReadonlyArray<Pair>,
  places: Places,
  now: number
): Result.Result<Pair, CredentialError> => {
  const supported = pairs.filter(({ key }) => unsupportedKey(key, places.key) === undefined)
  const current = supported.find(({ certificate }) => isValid(certificate, now)) ??
    supported.find(({ certificate }) => isValid(certificate, now + clockTolerance))
  if (current !== undefined) return Result.succeed(current)
  const isStarted = ({ certificate }: Pair) => Number(certificate.validFromDate.getTime() <= now)
  const [latest = first] = supported.toSorted((one, other) =>
    isStarted(other) - isStarted(one) || validTo(other.certificate) - validTo(one.certificate)
  )
  return Result.fail(unsupportedKey(latest.key, places.key) ?? invalidNow(latest.certificate, places.certificate, now))
}

const validTo = (certificate: X509Certificate): number => certificate.validToDate.getTime()

const isValid = (certificate: X509Certificate, now: number): boolean =>
  certificate.validFromDate.getTime() <= now && now < validTo(certificate)

const invalidNow = ({ validFromDate, validToDate }: X509Certificate, place: Place, now: number): CredentialError =>
  now < validFromDate.getTime()
    ? placeError(
      "certificate_not_yet_valid",
      place,
      `holds a certificate that is not valid before ${validFromDate.toISOString()}`,
      "Wait until then, or use another certificate. If the clock of this machine is wrong, set it."
    )
    : placeError(
      "certificate_expired",
      place,
      `holds a certificate that expired at ${validToDate.toISOString()}`,
      `Create a new certificate and register it with the app. ${page}`
    )

// -----------------------------------------------------------------------------
// chains
// -----------------------------------------------------------------------------

/**
 * Returns the chain from the app's certificate to a self-signed certificate, or to the last issuer in the content. Certificates
 * outside the chain are left out. If a certificate has several issuers, the order of preference is: valid now, continues the
 * chain, latest expiry.
 */
const chainOf = (
  leaf: X509Certificate,
  certificates: ReadonlyArray<X509Certificate>,
  now: number
): ReadonlyArray<X509Certificate> => {
  const chain = [leaf]
  for (let last: X509Certificate | undefined = leaf; last !== undefined && !isIssuer(last, last);) {
    const [issuer] = issuersOf(last, certificates)
      .filter((other) => !chain.includes(other))
      .map((other) => ({ other, valid: isValid(other, now), continues: continuesChain(other, certificates) }))
      .toSorted((a, b) =>
        Number(b.valid) - Number(a.valid) || Number(b.continues) - Number(a.continues) ||
        validTo(b.other) - validTo(a.other)
      )
    last = issuer?.other
    if (last !== undefined) chain.push(last)
  }
  return chain
}

const issuersOf = (issued: X509Certificate, certificates: ReadonlyArray<X509Certificate>) =>
  certificates.filter((other) => other !== issued && other.ca && isIssuer(other, issued))

/** Returns whether the certificate is self-signed or has an issuer in the content. */
const continuesChain = (certificate: X509Certificate, certificates: ReadonlyArray<X509Certificate>): boolean =>
  isIssuer(certificate, certificate) || issuersOf(certificate, certificates).length > 0

const isIssuer = (certificate: X509Certificate, issued: X509Certificate): boolean =>
  attempt(() => issued.checkIssued(certificate) && issued.verify(certificate.publicKey)) === true

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** Returns the likeliest reason why no private key matches a certificate. */
const noMatchingPair = (
  keys: ReadonlyArray<KeyObject>,
  failures: ReadonlyArray<CredentialError>,
  damaged: CredentialError | undefined,
  places: Places
): CredentialError =>
  failures[0] ?? keys.map((key) => unsupportedKey(key, places.key)).find((error) => error !== undefined) ??
    damaged ?? mismatch(places)

const mismatch = ({ certificate, key }: Places): CredentialError =>
  certificate === key
    ? placeError(
      "key_mismatch",
      certificate,
      "holds a private key that matches none of its certificates",
      `Use the certificate together with the private key that it was issued for. ${page}`
    )
    : placeError(
      "key_mismatch",
      key,
      `holds a private key that matches none of the certificates of ${certificate.name}`,
      `Use the certificate together with the private key that it was issued for. ${page}`
    )

const noCertificate = (place: Place): CredentialError =>
  placeError("certificate_missing", place, "holds no certificate", `Add the certificate to the private key. ${page}`)

const unreadable = (place: Place, fault: Fault | undefined): CredentialError =>
  faulty(place, fault ?? { what: "holds a certificate that cannot be read", remedy: "" })

const unknownFormat = (place: Place, fault: Fault | undefined): CredentialError =>
  faulty(place, fault ?? { what: "holds neither PEM nor PKCS#12 (PFX)", remedy: "" })

const faulty = (place: Place, { remedy, what }: Fault): CredentialError =>
  placeError("certificate_unreadable", place, what, withRemedy(remedy, formats))

const empty = (place: Place): CredentialError =>
  placeError(place.path === undefined ? "certificate_missing" : "file_empty", place, "is empty", formats)

const formats = `Use PEM from -----BEGIN CERTIFICATE----- on with the private key, or PKCS#12 (PFX). ${page}`

const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
