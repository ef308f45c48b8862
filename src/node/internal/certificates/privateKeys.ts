/** The private keys of a PEM file, and what is wrong with those that cannot be read or used. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey, type KeyObject } from "node:crypto"
import { type CredentialCode, type CredentialError } from "../../../EntraError.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { type Place, placeProblem } from "../files/files.ts"
import type { Block } from "./pem.ts"

export interface Password {
  readonly value: Redacted.Redacted<string> | undefined
  /** What the caller calls it. */
  readonly name: string
}

/** Each key once, in whatever forms the file has it, and why others could not be read. */
export const keysOf = (blocks: ReadonlyArray<Block>, place: Place, password: Password) => {
  const keys: Array<KeyObject> = []
  const failures: Array<CredentialError> = []
  let rounds = 0
  for (const block of blocks) {
    if (!block.label.endsWith("PRIVATE KEY")) continue
    rounds += roundsOf(block)
    const key = rounds > roundLimit ? Result.fail(tooManyRounds(place)) : keyOf(block, place, password)
    if (Result.isFailure(key)) failures.push(key.failure)
    else if (!keys.some((other) => other.equals(key.success))) keys.push(key.success)
  }
  const [failure] = failures
  if (keys.length > 0) return Result.succeed({ keys, failures })
  return Result.fail(
    failure ?? placeProblem(
      "key_missing",
      place,
      "holds no private key",
      `Put the certificate and its key into one, or name the key's own file (keyPath). ${page}`
    )
  )
}

const keyOf = ({ pem }: Block, place: Place, password: Password): Result.Result<KeyObject, CredentialError> => {
  const encrypted = /^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem)
  if (encrypted && password.value === undefined) {
    return Result.fail(
      passwordProblem(
        "key_password_missing",
        password.name,
        `${password.name} is not set, and the private key is encrypted`,
        `Set ${password.name} to the password of the key.`
      )
    )
  }
  try {
    return Result.succeed(createPrivateKey({
      key: pem,
      ...(encrypted && password.value !== undefined ? { passphrase: Redacted.value(password.value) } : {})
    }))
  } catch (error) {
    return Result.fail(keyProblem(error, encrypted && isWhole(pem), place, password))
  }
}

/** Rounds of key derivation that one file may ask for: they stop the whole process, for a second or so. */
export const roundLimit = 2_000_000

/**
 * The rounds that an encrypted PKCS#8 asks for: the largest INTEGER that shows, wherever it stands (RFC 8018 appendix A).
 * What holds others is entered, and the rest passed over, so it is one pass.
 */
const roundsOf = ({ label, pem }: Block): number => {
  if (label !== "ENCRYPTED PRIVATE KEY") return 0
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64")
  // What is no SEQUENCE is damaged, and has no numbers that mean anything.
  if (der.at(0) !== 0x30) return 0
  let rounds = 0
  for (let at = 0; at + 1 < der.length;) {
    const tag = der.readUInt8(at)
    const length = der.readUInt8(at + 1)
    const content = at + 2 + (length > 0x80 ? length - 0x80 : 0)
    const size = numberOf(length > 0x80 ? der.subarray(at + 2, content) : der.subarray(at + 1, at + 2))
    if (tag === 0x02) rounds = Math.max(rounds, numberOf(der.subarray(content, content + size)))
    at = (tag & 0x20) === 0 ? content + size : content
  }
  return rounds
}

const numberOf = (bytes: Uint8Array): number => Number.parseInt(`0${Buffer.from(bytes).toString("hex")}`, 16)

/** Whether what can be seen of an encrypted key is in order: PKCS#8 is a SEQUENCE, the traditional form shows nothing. */
const isWhole = (pem: string): boolean =>
  pem.includes("-----END ") && (!pem.startsWith("-----BEGIN ENCRYPTED") || /^[^\n]+\s+M/.test(pem))

/** By the code alone: what OpenSSL says besides is of no use, and a wrong password has many (its padding may be right). */
const keyProblem = (error: unknown, locked: boolean, place: Place, password: Password): CredentialError => {
  if (!locked) {
    return placeProblem("key_unreadable", place, "holds a private key that is damaged or of no known kind", newKey)
  }
  return error instanceof Error && "code" in error && error.code === "ERR_OSSL_EVP_UNSUPPORTED"
    ? placeProblem(
      "key_unsupported",
      place,
      "holds a private key that is encrypted in a way that this Node does not know",
      "Encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem (with -provider legacy -provider default if it was made long ago)."
    )
    : passwordProblem(
      "key_password_wrong",
      password.name,
      `${password.name} does not open the private key`,
      `Set ${password.name} to the password of that key; look for quotes and line breaks that do not belong to it.`
    )
}

/** Why a key cannot sign assertions; undefined: it can. */
export const unsupported = (key: KeyObject, place: Place): CredentialError | undefined => {
  const { modulusLength = 0, namedCurve } = { ...key.asymmetricKeyDetails }
  const what = key.asymmetricKeyType === "rsa"
    ? modulusLength < 2048 ? `has only ${modulusLength} bits` : undefined
    : key.asymmetricKeyType === "ec" && namedCurve === "prime256v1"
    ? undefined
    : key.asymmetricKeyType === "rsa-pss"
    ? "is for RSA-PSS alone, and is to be plain RSA"
    : "is neither RSA nor EC on the curve P-256"
  return what === undefined
    ? undefined
    : placeProblem("key_unsupported", place, `holds a private key that ${what}`, newKey)
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

export const page = "See docs/registering.md#a-certificate of effect-entra."

const tooManyRounds = (place: Place): CredentialError =>
  placeProblem(
    "key_unsupported",
    place,
    `asks for more than ${roundLimit} rounds of key derivation to open a private key`,
    "Encrypt it anew, with fewer rounds: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in key.pem."
  )

const newKey = `Use an RSA key of 2048 bits or more, or an EC key on P-256. ${page}`

export const passwordProblem = (
  code: CredentialCode,
  field: string,
  message: string,
  remedy: string
): CredentialError => credentialError(code, field, message, remedy)
