/** Reads the private keys of a PEM file, and creates the errors for keys that cannot be read or used. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createPrivateKey, type KeyObject } from "node:crypto"
import { type CredentialError } from "../../../EntraError.ts"
import { keyFault, usableKeys } from "../../../internal/credential/keyFault.ts"
import { type Block, faultOf } from "../../../internal/credential/pem.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { type Place, placeError } from "../files/files.ts"

export interface Password {
  readonly value: Redacted.Redacted<string> | undefined
  /** The name of the option or variable that holds the password. */
  readonly name: string
}

/** Returns each private key once, even if the file holds it in several formats, and the errors of the unreadable keys. */
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
    failure ?? placeError(
      "key_missing",
      place,
      "holds no private key",
      `Put the certificate and its private key into one file, or name the key's own file (keyPath). ${page}`
    )
  )
}

const keyOf = (block: Block, place: Place, password: Password): Result.Result<KeyObject, CredentialError> => {
  const { pem } = block
  const encrypted = /^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem)
  if (encrypted && password.value === undefined) {
    return Result.fail(
      credentialError(
        "key_password_missing",
        password.name,
        `${password.name} is not set, but the private key is encrypted`,
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
    return Result.fail(unreadableKey(error, block, encrypted, place, password))
  }
}

/** The limit for the rounds of key derivation of one file: they block the whole process, for about a second. */
export const roundLimit = 2_000_000

/**
 * Returns the rounds of key derivation of an encrypted PKCS#8 key (RFC 8018 appendix A): the largest INTEGER in the DER,
 * whatever its position. One pass enters constructed values and skips the others.
 */
const roundsOf = ({ base64, label }: Block): number => {
  if (label !== "ENCRYPTED PRIVATE KEY") return 0
  const der = Buffer.from(base64, "base64")
  // A key that is not a SEQUENCE is damaged, and its numbers have no meaning.
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

/** Uses the error code only: a wrong password leads to many OpenSSL messages, because its padding may be valid by chance. */
const unreadableKey = (
  error: unknown,
  block: Block,
  encrypted: boolean,
  place: Place,
  password: Password
): CredentialError => {
  const fault = faultOf(block)
  if (fault !== undefined) return placeError("key_unreadable", place, fault.what, `${fault.remedy} ${newKey}`)
  if (!encrypted) {
    return placeError("key_unreadable", place, "holds a private key that is damaged or of an unknown type", newKey)
  }
  return error instanceof Error && "code" in error && error.code === "ERR_OSSL_EVP_UNSUPPORTED"
    ? placeError(
      "key_unsupported",
      place,
      "holds a private key with an encryption that this version of Node does not support",
      "Encrypt the key again: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem. For an old key, add -provider legacy "
        + "-provider default."
    )
    : credentialError(
      "key_password_wrong",
      password.name,
      `${password.name} does not open the private key`,
      `Set ${password.name} to the password of that key. Look for quotes and line breaks that do not belong to it.`
    )
}

/** Returns the error for a key that cannot sign assertions; undefined when it can. */
export const unsupportedKey = (key: KeyObject, place: Place): CredentialError | undefined => {
  const reason = keyFault(key)
  return reason === undefined
    ? undefined
    : placeError("key_unsupported", place, `holds a private key that ${reason}`, newKey)
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

export const page = "See docs/registering.md#a-certificate of effect-entra."

const tooManyRounds = (place: Place): CredentialError =>
  placeError(
    "key_unsupported",
    place,
    `holds a private key that needs more than ${roundLimit} rounds of key derivation`,
    "Encrypt the key again with fewer rounds: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in key.pem."
  )

const newKey = `${usableKeys} ${page}`
