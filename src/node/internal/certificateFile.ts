/**
 * A certificate's file taken apart: from its bytes to what `ClientCredential.certificate` wants, in plain functions over
 * `node:crypto`.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { CredentialError } from "../../EntraError.ts"
import { fileProblem, type Named } from "./files.ts"

export interface CertificateParts {
  /** PEM: the certificate that the key is for, its issuers after it. */
  readonly certificate: string
  /** PEM: PKCS#8, not encrypted. */
  readonly privateKey: Redacted.Redacted<string>
}

export interface Password {
  readonly value: Redacted.Redacted<string> | undefined
  /** What the caller calls it. */
  readonly name: string
}

/** `now` in milliseconds. */
export const certificateParts = (
  bytes: Uint8Array,
  file: Named,
  password: Password,
  now: number
): Result.Result<CertificateParts, CredentialError> =>
  Result.gen(function*() {
    const blocks = yield* blocksOf(bytes, file)
    const certificates = yield* certificatesOf(blocks, file)
    const key = yield* keyOf(blocks, file, password)
    yield* supported(key, file)
    const leaf = yield* leafOf(certificates, key, file, now)
    yield* timely(leaf, file, now)
    return {
      certificate: chainOf(leaf, certificates).map((certificate) => certificate.toString()).join(""),
      privateKey: Redacted.make(key.export({ format: "pem", type: "pkcs8" }).toString(), { label: "private_key" })
    }
  })

// -----------------------------------------------------------------------------
// PEM
// -----------------------------------------------------------------------------

interface Block {
  readonly label: string
  readonly pem: string
}

/** What stands around the blocks (attributes, remarks) is left out. */
const blocksOf = (bytes: Uint8Array, file: Named): Result.Result<ReadonlyArray<Block>, CredentialError> => {
  const text = textOf(bytes)
  if (text.trim() === "") {
    return Result.fail(fileProblem("file_empty", file, "is empty", `Write certificate and key into the file. ${page}`))
  }
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^]*?-----END \1-----/g)].map(([pem, label = ""]) => ({
    label,
    pem
  }))
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

const certificatesOf = (
  blocks: ReadonlyArray<Block>,
  file: Named
): Result.Result<ReadonlyArray<X509Certificate>, CredentialError> => {
  const certificates = new Map<string, X509Certificate>()
  for (const { label, pem } of blocks) {
    if (label !== "CERTIFICATE" && label !== "X509 CERTIFICATE") continue
    const certificate = attempt(() => new X509Certificate(pem))
    if (certificate === undefined) return Result.fail(noCertificate(file, "holds a certificate that cannot be read"))
    certificates.set(certificate.fingerprint256, certificate)
  }
  return certificates.size > 0
    ? Result.succeed([...certificates.values()])
    : Result.fail(noCertificate(file, "holds no certificate"))
}

/** Of several certificates for one key, such as an old one beside its renewal, the one that is valid for longest. */
const leafOf = (
  certificates: ReadonlyArray<X509Certificate>,
  key: KeyObject,
  file: Named,
  now: number
): Result.Result<X509Certificate, CredentialError> => {
  const begun = (certificate: X509Certificate) => Number(certificate.validFromDate.getTime() <= now)
  const [leaf] = certificates
    .filter((certificate) => attempt(() => certificate.checkPrivateKey(key)) === true)
    .sort((one, other) => begun(other) - begun(one) || other.validToDate.getTime() - one.validToDate.getTime())
  return leaf === undefined
    ? Result.fail(fileProblem(
      "key_mismatch",
      file,
      "holds a private key that is for none of its certificates",
      `Put the certificate and the key that it was made for into one file. ${page}`
    ))
    : Result.succeed(leaf)
}

const timely = (leaf: X509Certificate, file: Named, now: number): Result.Result<void, CredentialError> => {
  const { validFromDate, validToDate } = leaf
  if (now < validFromDate.getTime()) {
    return Result.fail(fileProblem(
      "certificate_not_yet_valid",
      file,
      `holds a certificate that is valid from ${validFromDate.toISOString()} only`,
      "Wait until then, use another certificate, or set this machine's clock if it is wrong."
    ))
  }
  return now < validToDate.getTime() ? Result.succeed(undefined) : Result.fail(fileProblem(
    "certificate_expired",
    file,
    `holds a certificate that expired at ${validToDate.toISOString()}`,
    `Make a new one and register it with the app. ${page}`
  ))
}

/** From the app's own certificate up to the last issuer that the file holds; certificates of others are left out. */
const chainOf = (
  leaf: X509Certificate,
  certificates: ReadonlyArray<X509Certificate>
): ReadonlyArray<X509Certificate> => {
  const chain = [leaf]
  for (let last: X509Certificate | undefined = leaf; last !== undefined;) {
    const issued: X509Certificate = last
    last = certificates.find((other) => !chain.includes(other) && isIssuer(other, issued))
    if (last !== undefined) chain.push(last)
  }
  return chain
}

const isIssuer = (certificate: X509Certificate, issued: X509Certificate): boolean =>
  attempt(() => issued.checkIssued(certificate) && issued.verify(certificate.publicKey)) === true

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

const keyOf = (
  blocks: ReadonlyArray<Block>,
  file: Named,
  password: Password
): Result.Result<KeyObject, CredentialError> => {
  const [block, another] = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"))
  if (block === undefined) {
    return Result.fail(fileProblem(
      "key_missing",
      file,
      "holds no private key",
      `Append the key to the file: it is to hold certificate and key. ${page}`
    ))
  }
  if (another !== undefined) {
    return Result.fail(
      fileProblem(
        "key_unreadable",
        file,
        "holds several private keys",
        "Leave the certificate's own key alone in the file."
      )
    )
  }
  const encrypted = /^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(block.pem)
  if (encrypted && password.value === undefined) {
    return Result.fail(
      problem(
        "key_password_missing",
        password.name,
        `${password.name} is not set, and the private key in the certificate's file is encrypted`,
        `Set ${password.name} to the password of the key.`
      )
    )
  }
  try {
    return Result.succeed(createPrivateKey({
      key: block.pem,
      ...(encrypted && password.value !== undefined ? { passphrase: Redacted.value(password.value) } : {})
    }))
  } catch (error) {
    return Result.fail(keyProblem(error, encrypted, file, password))
  }
}

/** By the code alone: what OpenSSL says besides is of no use. */
const keyProblem = (error: unknown, encrypted: boolean, file: Named, password: Password): CredentialError => {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  if (!encrypted || code === "ERR_OSSL_UNSUPPORTED") {
    return fileProblem("key_unreadable", file, "holds a private key that is damaged or of no known kind", newKey)
  }
  return code === "ERR_OSSL_EVP_UNSUPPORTED"
    ? fileProblem(
      "key_unsupported",
      file,
      "holds a private key that is encrypted in a way that this Node does not know",
      "Encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem (with -provider legacy if it was made long ago)."
    )
    : problem(
      "key_password_wrong",
      password.name,
      `${password.name} does not open the private key in the certificate's file`,
      `Set ${password.name} to the password of that key; look for quotes and line breaks that do not belong to it.`
    )
}

const supported = (key: KeyObject, file: Named): Result.Result<void, CredentialError> => {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  const what = key.asymmetricKeyType === "rsa"
    ? modulusLength < 2048 ? `has only ${modulusLength} bits` : undefined
    : key.asymmetricKeyType === "ec" && namedCurve === "prime256v1"
    ? undefined
    : "is neither RSA nor EC on the curve P-256"
  return what === undefined
    ? Result.succeed(undefined)
    : Result.fail(fileProblem("key_unsupported", file, `holds a private key that ${what}`, newKey))
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const page = "See docs/registering.md#a-certificate of effect-entra."

const newKey = `Use an RSA key of 2048 bits or more, or an EC key on P-256. ${page}`

const problem = (code: string, field: string, message: string, remedy: string): CredentialError =>
  new CredentialError({ code, field, origin: "local", message, remedy })

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
