/** Azure Arc's proof that a caller may have tokens: the agent names a file that only some users of the machine can read. */
import * as Result from "effect/Result"
import { posix, win32 } from "node:path"
import { type CredentialError } from "../../../EntraError.ts"
import { credentialError } from "../../../internal/shared/errors.ts"

export interface Keys {
  readonly directory: string
  readonly windows: boolean
}

/** Bytes of the largest key that is believed. */
export const keyLimit = 4096

/**
 * The file that a caller must be able to read. Whoever answers at the agent's port names it, so it must be a key in the
 * agent's own directory: anything else would make this a way to read files.
 */
export const keyFileOf = (challenge: string | undefined, keys: Keys): Result.Result<string, CredentialError> => {
  const realm = /^Basic +realm="?([^"]+)"?$/i.exec((challenge ?? "").trim())?.[1]
  if (realm === undefined) return Result.fail(badChallenge("has no WWW-Authenticate with the path of a key"))
  const { basename, dirname, normalize } = keys.windows ? win32 : posix
  const fold = (text: string) => keys.windows ? text.toLowerCase() : text
  const file = normalize(realm)
  if (fold(dirname(file)) !== fold(normalize(keys.directory))) {
    return Result.fail(keyElsewhere(keys))
  }
  return /^[\w.-]+\.key$/.test(basename(file))
    ? Result.succeed(file)
    : Result.fail(badChallenge("names a file that is no .key"))
}

/** Where a link leads counts, not where it lies. */
export const isIn = (realFile: string, realDirectory: string, { windows }: Keys): boolean => {
  const { dirname, relative } = windows ? win32 : posix
  return relative(realDirectory, dirname(realFile)) === ""
}

export const keyElsewhere = ({ directory }: Keys) => badChallenge(`names a file that is not in ${directory}`)

export const keyOf = (bytes: Uint8Array): Result.Result<string, CredentialError> => {
  if (bytes.byteLength > keyLimit) return Result.fail(badChallenge(`names a file of more than ${keyLimit} bytes`))
  const key = new TextDecoder().decode(bytes).trim()
  return isHeader(key) ? Result.succeed(key) : Result.fail(badChallenge("names a file that holds no key"))
}

export const keyRefused = () => badChallenge("names a file whose content is then refused")

/** What can be sent as a header; a transport would quote anything else in its complaint. */
export const isHeader = (value: string): boolean => /^[\x21-\x7e]+$/.test(value)

const badChallenge = (what: string) =>
  credentialError(
    "managed_identity_challenge",
    "IDENTITY_ENDPOINT",
    `the answer 401 of IDENTITY_ENDPOINT ${what}`,
    "Check that IDENTITY_ENDPOINT leads to the agent of Azure Arc on this machine, and that the agent is up to date."
  )
