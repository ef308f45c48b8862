/**
 * A certificate's file taken apart: from its bytes to what `ClientCredential.certificate` wants, in plain functions over
 * `node:crypto`.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type KeyObject, X509Certificate } from "node:crypto"
import type { CredentialError } from "../../EntraError.ts"
import { fileProblem, type Named } from "./files.ts"
import { type Block, blocksOf } from "./pem.ts"
import { keysOf, page, type Password, unsupported } from "./privateKeys.ts"

export interface CertificateParts {
  /** PEM: the certificate that the key is for, its issuers after it. */
  readonly certificate: string
  /** PEM: PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted<string>
}

/** `now` in milliseconds. */
export const certificateParts = (
  bytes: Uint8Array,
  file: Named,
  password: Password,
  now: number
): Result.Result<CertificateParts, CredentialError> =>
  Result.gen(function*() {
    const blocks = yield* pemOf(bytes, file)
    const { certificates, damaged } = yield* certificatesOf(blocks, file)
    const { failures, keys } = yield* keysOf(blocks, file, password)
    const pairs = certificates.flatMap((certificate) => {
      const key = keys.find((key) => attempt(() => certificate.checkPrivateKey(key)) === true)
      return key === undefined ? [] : [{ certificate, key }]
    })
    if (pairs.length === 0) return yield* Result.fail(noPair(keys, failures, damaged, file))
    const { certificate, key } = yield* bestOf(pairs, file, now)
    return {
      certificate: chainOf(certificate, certificates, now).map((certificate) => certificate.toString()).join(""),
      privateKey: Redacted.make(key.export({ format: "pem", type: "pkcs8" }).toString(), { label: "private_key" })
    }
  })

// -----------------------------------------------------------------------------
// PEM
// -----------------------------------------------------------------------------

const pemOf = (bytes: Uint8Array, file: Named): Result.Result<ReadonlyArray<Block>, CredentialError> => {
  const text = textOf(bytes)
  if (text.trim() === "") {
    return Result.fail(fileProblem("file_empty", file, "is empty", `Write certificate and key into the file. ${page}`))
  }
  const blocks = blocksOf(text)
  if (blocks.length > 0) return Result.succeed(blocks)
  // A vault hands PKCS#12 out in base64.
  const binary = /^[A-Za-z0-9+/=\s]+$/.test(text) ? Buffer.from(text, "base64") : bytes
  if (isPkcs12(binary) || /\.(?:pfx|p12)$/i.test(file.path)) return Result.fail(pkcs12(file))
  return Result.fail(noCertificate(file, "holds no PEM"))
}

/** PowerShell writes UTF-16. */
const textOf = (bytes: Uint8Array): string =>
  new TextDecoder(bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8").decode(bytes)

/** RFC 7292 section 4: a SEQUENCE that begins with the INTEGER 3; a certificate or a key begins otherwise. */
const isPkcs12 = (bytes: Uint8Array): boolean => {
  if (bytes[0] !== 0x30) return false
  const length = bytes[1] ?? 0
  const content = 2 + (length > 0x80 ? length - 0x80 : 0)
  return bytes[content] === 0x02 && bytes[content + 1] === 0x01 && bytes[content + 2] === 0x03
}

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const certificatesOf = (blocks: ReadonlyArray<Block>, file: Named) => {
  const certificates = new Map<string, X509Certificate>()
  let damaged = false
  for (const { label, pem } of blocks) {
    if (label !== "CERTIFICATE" && label !== "X509 CERTIFICATE") continue
    const certificate = attempt(() => new X509Certificate(pem))
    if (certificate === undefined) damaged = true
    else certificates.set(certificate.fingerprint256, certificate)
  }
  return certificates.size > 0
    ? Result.succeed({ certificates: [...certificates.values()], damaged })
    : Result.fail(noCertificate(file, damaged ? unreadable : "holds no certificate"))
}

const unreadable = "holds a certificate that cannot be read"

interface Pair {
  readonly certificate: X509Certificate
  readonly key: KeyObject
}

/** The first in the file that can be used now, as other libraries take the first. */
const bestOf = (pairs: ReadonlyArray<Pair>, file: Named, now: number): Result.Result<Pair, CredentialError> => {
  const usable = pairs.filter(({ key }) => unsupported(key, file) === undefined)
  const current = usable.find(({ certificate }) => isValid(certificate, now))
  if (current !== undefined) return Result.succeed(current)
  const begun = ({ certificate }: Pair) => Number(certificate.validFromDate.getTime() <= now)
  const [late] = usable.toSorted((one, other) =>
    begun(other) - begun(one) || validTo(other.certificate) - validTo(one.certificate)
  )
  const problem = late === undefined
    ? pairs.map(({ key }) => unsupported(key, file)).find((problem) => problem !== undefined)
    : untimely(late.certificate, file, now)
  return Result.fail(problem ?? mismatch(file))
}

const validTo = (certificate: X509Certificate): number => certificate.validToDate.getTime()

const isValid = (certificate: X509Certificate, now: number): boolean =>
  certificate.validFromDate.getTime() <= now && now < validTo(certificate)

const untimely = ({ validFromDate, validToDate }: X509Certificate, file: Named, now: number): CredentialError =>
  now < validFromDate.getTime()
    ? fileProblem(
      "certificate_not_yet_valid",
      file,
      `holds a certificate that is valid from ${validFromDate.toISOString()} only`,
      "Wait until then, use another certificate, or set this machine's clock if it is wrong."
    )
    : fileProblem(
      "certificate_expired",
      file,
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
  file: Named
): CredentialError =>
  failures[0] ?? keys.map((key) => unsupported(key, file)).find((problem) => problem !== undefined) ??
    (damaged ? noCertificate(file, unreadable) : mismatch(file))

const mismatch = (file: Named): CredentialError =>
  fileProblem(
    "key_mismatch",
    file,
    "holds a private key that is for none of its certificates",
    `Put the certificate and the key that it was made for into one file. ${page}`
  )

const noCertificate = (file: Named, what: string): CredentialError =>
  fileProblem(
    "certificate_unreadable",
    file,
    what,
    `Write PEM into the file: the text from -----BEGIN CERTIFICATE----- on, and the private key with it. ${page}`
  )

const pkcs12 = (file: Named): CredentialError =>
  fileProblem(
    "certificate_format",
    file,
    "is PKCS#12 (PFX), and PEM is needed",
    "Convert it: openssl pkcs12 -in app.pfx -out app.pem (add -legacy if it was made long ago, and -nodes for a key without "
      + "a password)."
  )

const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
