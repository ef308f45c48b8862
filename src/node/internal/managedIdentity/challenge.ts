/** The challenge of Azure Arc: the agent names a key file that only some users of the machine may read. */
import * as Result from "effect/Result"
import { posix, win32 } from "node:path"
import { type CredentialError } from "../../../EntraError.ts"
import { credentialError } from "../../../internal/shared/errors.ts"

/** The directory of the agent's key files, and the rules for its paths. */
export interface Keys {
  readonly directory: string
  readonly windows: boolean
}

/** The size limit of a key in bytes. */
export const keyLimit = 4096

/**
 * Returns the path of the key file from the `WWW-Authenticate` header. Any process may listen on the agent's port and name any
 * file, so only key files in the agent's own directory are accepted.
 */
export const keyFileOf = (challenge: string | undefined, keys: Keys): Result.Result<string, CredentialError> => {
  const realm = /^Basic +realm="?([^"]+)"?$/i.exec((challenge ?? "").trim())?.[1]
  if (realm === undefined) {
    return Result.fail(badChallenge("has no WWW-Authenticate header with the path of a key file"))
  }
  const { basename, dirname, normalize } = keys.windows ? win32 : posix
  const fold = (text: string) => keys.windows ? text.toLowerCase() : text
  const file = normalize(realm)
  if (fold(dirname(file)) !== fold(normalize(keys.directory))) {
    return Result.fail(keyElsewhere(keys))
  }
  return /^[\w.-]+\.key$/.test(basename(file))
    ? Result.succeed(file)
    : Result.fail(badChallenge("names a file without the extension .key"))
}

/** Returns whether a file is in the directory; both paths have their symbolic links resolved. */
export const isIn = (realFile: string, realDirectory: string, { windows }: Keys): boolean => {
  const { dirname, relative } = windows ? win32 : posix
  return relative(realDirectory, dirname(realFile)) === ""
}

export const keyElsewhere = ({ directory }: Keys) => badChallenge(`names a file that is not in ${directory}`)

/** Returns the key from the content of its file. */
export const keyOf = (bytes: Uint8Array): Result.Result<string, CredentialError> => {
  if (bytes.byteLength > keyLimit) return Result.fail(badChallenge(`names a file of more than ${keyLimit} bytes`))
  const key = new TextDecoder().decode(bytes).trim()
  return isHeader(key) ? Result.succeed(key) : Result.fail(badChallenge("names a file that holds no key"))
}

export const keyRefused = () => badChallenge("names a key file whose key was then refused")

/** Returns whether a value can be sent as a header; the error of a transport would show any other value. */
export const isHeader = (value: string): boolean => /^[\x21-\x7e]+$/.test(value)

const badChallenge = (fault: string) =>
  credentialError(
    "managed_identity_challenge",
    "IDENTITY_ENDPOINT",
    `The 401 response of IDENTITY_ENDPOINT ${fault}`,
    "Check that IDENTITY_ENDPOINT is the URL of the Azure Arc agent on this machine. Check that the agent is up to date."
  )
