/**
 * A certificate with its key taken apart: from the bytes of a file or of a value to what `ClientCredential.certificate`
 * wants, in plain functions over `node:crypto`.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type KeyObject, X509Certificate } from "node:crypto"
import type { CredentialError } from "../../../EntraError.ts"
import { type Place, placeProblem, textOf } from "../files/files.ts"
import { type Block, blocksOf } from "./pem.ts"
import { isPkcs12, pkcs12Blocks } from "./pkcs12.ts"
import { keysOf, page, type Password, unsupported } from "./privateKeys.ts"

export interface Content {
  readonly bytes: Uint8Array
  readonly place: Place
}

/** `key` is where the key is when it is not with the certificate. */
export interface CertificateContents {
  readonly certificate: Content
  readonly key?: Content | undefined
  readonly password: Password
}

export interface CertificateParts {
  /** PEM: the certificate that the key is for, its issuers after it. */
  readonly certificate: string
  /** PEM: PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted<string>
  /** Milliseconds: from then on another of the certificates may have to be taken. */
  readonly until: number
}

/** `now` in milliseconds. Only PKCS#12 takes it longer than a moment: its library is loaded then. */
export const certificateParts = (
  { certificate, key, password }: CertificateContents,
  now: number
): Effect.Effect<CertificateParts, CredentialError> =>
  Effect.gen(function*() {
    const blocks = yield* blocksIn(certificate, password)
    const keyBlocks = key === undefined ? blocks : yield* blocksIn(key, password)
    const places = { certificate: certificate.place, key: (key ?? certificate).place }
    return yield* Effect.fromResult(partsOf(blocks, keyBlocks, places, password, now))
  })

interface Places {
  readonly certificate: Place
  readonly key: Place
}

const partsOf = (
  blocks: ReadonlyArray<Block>,
  keyBlocks: ReadonlyArray<Block>,
  places: Places,
  password: Password,
  now: number
): Result.Result<CertificateParts, CredentialError> =>
  Result.gen(function*() {
    const { certificates, damaged } = yield* certificatesOf(blocks, places.certificate)
    const { failures, keys } = yield* keysOf(keyBlocks, places.key, password)
    const pairs = certificates.flatMap((certificate) => {
      const key = keys.find((key) => attempt(() => certificate.checkPrivateKey(key)) === true)
      return key === undefined ? [] : [{ certificate, key }]
    })
    const [first] = pairs
    if (first === undefined) return yield* Result.fail(noPair(keys, failures, damaged, places))
    const { certificate, key } = yield* bestOf(first, pairs, places, now)
    return {
      certificate: chainOf(certificate, certificates, now).map((certificate) => certificate.toString()).join(""),
      privateKey: Redacted.make(key.export({ format: "pem", type: "pkcs8" }).toString(), { label: "private_key" }),
      until: validTo(certificate)
    }
  })

// -----------------------------------------------------------------------------
// contents
// -----------------------------------------------------------------------------

/** What it is shows in its content; a name may be wrong. */
const blocksIn = (
  { bytes, place }: Content,
  password: Password
): Effect.Effect<ReadonlyArray<Block>, CredentialError> => {
  if (isPkcs12(bytes)) return pkcs12Blocks(bytes, place, password)
  const text = textOf(bytes)
  if (text.trim() === "") return Effect.fail(empty(place))
  const blocks = blocksOf(text)
  if (blocks.length > 0) return Effect.succeed(blocks)
  // A vault hands PKCS#12 out in base64.
  const binary = /^[A-Za-z0-9+/=\s]+$/.test(text) ? Buffer.from(text, "base64") : bytes
  return isPkcs12(binary) ? pkcs12Blocks(binary, place, password) : Effect.succeed([])
}

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const certificatesOf = (blocks: ReadonlyArray<Block>, place: Place) => {
  const certificates = new Map<string, X509Certificate>()
  let damaged = false
  for (const { label, pem } of blocks) {
    if (label !== "CERTIFICATE" && label !== "X509 CERTIFICATE") continue
    const certificate = attempt(() => new X509Certificate(pem))
    if (certificate === undefined) damaged = true
    else certificates.set(certificate.fingerprint256, certificate)
  }
  if (certificates.size > 0) return Result.succeed({ certificates: [...certificates.values()], damaged })
  return Result.fail(
    damaged ? unreadable(place) : blocks.length === 0 ? nothing(place) : noCertificate(place)
  )
}

interface Pair {
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

/** The first in the file that can be used now, as other libraries take the first. */
const bestOf = (
  first: Pair,
  pairs: ReadonlyArray<Pair>,
  places: Places,
  now: number
): Result.Result<Pair, CredentialError> => {
  const usable = pairs.filter(({ key }) => unsupported(key, places.key) === undefined)
  const current = usable.find(({ certificate }) => isValid(certificate, now))
  if (current !== undefined) return Result.succeed(current)
  const begun = ({ certificate }: Pair) => Number(certificate.validFromDate.getTime() <= now)
  const [late = first] = usable.toSorted((one, other) =>
    begun(other) - begun(one) || validTo(other.certificate) - validTo(one.certificate)
  )
  return Result.fail(unsupported(late.key, places.key) ?? untimely(late.certificate, places.certificate, now))
}

const validTo = (certificate: X509Certificate): number => certificate.validToDate.getTime()

const isValid = (certificate: X509Certificate, now: number): boolean =>
  certificate.validFromDate.getTime() <= now && now < validTo(certificate)

const untimely = ({ validFromDate, validToDate }: X509Certificate, place: Place, now: number): CredentialError =>
  now < validFromDate.getTime()
    ? placeProblem(
      "certificate_not_yet_valid",
      place,
      `holds a certificate that is valid from ${validFromDate.toISOString()} only`,
      "Wait until then, use another certificate, or set this machine's clock if it is wrong."
    )
    : placeProblem(
      "certificate_expired",
      place,
      `holds a certificate that expired at ${validToDate.toISOString()}`,
      `Make a new one and register it with the app. ${page}`
    )

// -----------------------------------------------------------------------------
// chains
// -----------------------------------------------------------------------------

/**
 * From the app's own certificate up to one that signs itself, or to the last issuer that the file holds; certificates of
 * others are left out. Of several issuers one that is valid now is taken, that leads on, that is valid for longest.
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
      .map((other) => ({ other, valid: isValid(other, now), leads: leadsOn(other, certificates) }))
      .toSorted((a, b) =>
        Number(b.valid) - Number(a.valid) || Number(b.leads) - Number(a.leads) || validTo(b.other) - validTo(a.other)
      )
    last = issuer?.other
    if (last !== undefined) chain.push(last)
  }
  return chain
}

const issuersOf = (issued: X509Certificate, certificates: ReadonlyArray<X509Certificate>) =>
  certificates.filter((other) => other !== issued && other.ca && isIssuer(other, issued))

/** Whether the chain ends well with it, or goes on. */
const leadsOn = (certificate: X509Certificate, certificates: ReadonlyArray<X509Certificate>): boolean =>
  isIssuer(certificate, certificate) || issuersOf(certificate, certificates).length > 0

const isIssuer = (certificate: X509Certificate, issued: X509Certificate): boolean =>
  attempt(() => issued.checkIssued(certificate) && issued.verify(certificate.publicKey)) === true

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** No key is for any certificate: the likeliest reason. */
const noPair = (
  keys: ReadonlyArray<KeyObject>,
  failures: ReadonlyArray<CredentialError>,
  damaged: boolean,
  places: Places
): CredentialError =>
  failures[0] ?? keys.map((key) => unsupported(key, places.key)).find((problem) => problem !== undefined) ??
    (damaged ? unreadable(places.certificate) : mismatch(places))

const mismatch = ({ certificate, key }: Places): CredentialError =>
  certificate === key
    ? placeProblem(
      "key_mismatch",
      certificate,
      "holds a private key that is for none of its certificates",
      `Put the certificate and the key that it was made for into one. ${page}`
    )
    : placeProblem(
      "key_mismatch",
      key,
      `holds a private key that is for none of the certificates of ${certificate.name}`,
      `Take the certificate and the key that it was made for. ${page}`
    )

const noCertificate = (place: Place): CredentialError =>
  placeProblem("certificate_missing", place, "holds no certificate", `Put the certificate beside the key. ${page}`)

const unreadable = (place: Place): CredentialError =>
  placeProblem("certificate_unreadable", place, "holds a certificate that cannot be read", pem)

const nothing = (place: Place): CredentialError =>
  placeProblem("certificate_unreadable", place, "holds neither PEM nor PKCS#12 (PFX)", pem)

const empty = (place: Place): CredentialError =>
  placeProblem(place.path === undefined ? "certificate_missing" : "file_empty", place, "is empty", pem)

const pem = `Take the text from -----BEGIN CERTIFICATE----- on, with the private key, or a PKCS#12 (PFX) file. ${page}`

const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
