/** Reading what a path names, over whichever `FileSystem` the user brings: bounded, and with no error that shows a content. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as PlatformError from "effect/PlatformError"
import * as Stream from "effect/Stream"
import { type CredentialCode, CredentialError } from "../../../EntraError.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { quote } from "../../../internal/shared/text.ts"
import { isText } from "../../../internal/shared/validate.ts"

/** The service that users provide. */
export type Files = FileSystem.FileSystem

/** Where something comes from: a file, or a value; `name` is what the caller calls it. */
export interface Place {
  readonly name: string
  readonly path?: string | undefined
}

/** A file, and what the caller calls its path: an option of a function, or a variable of the environment. */
export interface Named extends Place {
  readonly path: string
}

/** Bytes of the largest file that is read; certificates and tokens have a few thousand. */
export const fileLimit = 1_048_576

/** Who may be slow and how slow: a pipe that nobody writes to keeps a thread of this process for each attempt. */
export interface Patience {
  readonly pipes: boolean
  readonly seconds: number
}

export const read = (file: Named, { pipes, seconds }: Patience): Effect.Effect<Uint8Array, CredentialError, Files> => {
  const what = pathProblem(file.path)
  return what !== undefined ? Effect.fail(malformedPath(file.name, what)) : Effect.flatMap(
    FileSystem.FileSystem,
    (files) =>
      Effect.gen(function*() {
        const { size, type } = yield* files.stat(file.path)
        if (type === "Directory") return yield* unreadable(file, "is a directory")
        if (devices.has(type)) return yield* unreadable(file, "is a device or a socket")
        if (type === "FIFO" && !pipes) return yield* unreadable(file, "is a pipe, and is to be read more than once")
        if (size > fileLimit) return yield* tooLarge(file)
        // A pipe cannot be read from a position, as streams of `FileSystem` do.
        const bytes = yield* (type === "FIFO" ? files.readFile(file.path) : start(files, file))
        return bytes.byteLength > fileLimit ? yield* tooLarge(file) : bytes
      }).pipe(
        Effect.timeoutOrElse({
          duration: seconds * 1000,
          orElse: () => Effect.fail(unreadable(file, `could not be read within ${seconds} s`))
        }),
        // The file system is somebody else's: what it fails with or dies of may hold what is in the file.
        Effect.catchCause((cause) => Effect.fail(problemOf(file, Option.getOrUndefined(Cause.findErrorOption(cause)))))
      )
  )
}

/** Where a path leads in the end. */
export const realPath = (file: Named): Effect.Effect<string, CredentialError, Files> =>
  FileSystem.FileSystem.use((files) => files.realPath(file.path)).pipe(
    Effect.catchCause((cause) => Effect.fail(problemOf(file, Option.getOrUndefined(Cause.findErrorOption(cause)))))
  )

/**
 * What is in the file now, and an effect that reads it again. A pipe can be read once, and stays as it was; a file that
 * becomes one is not waited for.
 */
export const reread = (
  file: Named,
  patience: Patience
): Effect.Effect<
  { readonly first: Uint8Array; readonly again: Effect.Effect<Uint8Array, CredentialError> },
  CredentialError,
  Files
> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Files>()
    const first = yield* read(file, patience)
    const isPipe = yield* FileSystem.FileSystem.use((files) => files.stat(file.path)).pipe(
      Effect.map(({ type }) => type === "FIFO"),
      Effect.catchCause(() => Effect.succeed(false))
    )
    return {
      first,
      again: isPipe ? Effect.succeed(first) : Effect.provideContext(read(file, { ...patience, pipes: false }), context)
    }
  })

/** A text as editors and shells write it; PowerShell writes UTF-16. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder(encodingOf(bytes)).decode(bytes)

/** Undefined for what is no text: replaced characters would be sent, and refused without a reason. */
export const exactTextOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const encodingOf = (bytes: Uint8Array) => bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8"

const devices: ReadonlySet<string> = new Set(["BlockDevice", "CharacterDevice", "Socket"])

/** What a file says of its size need not be true, nor still true. */
const start = (files: FileSystem.FileSystem, file: Named) =>
  Effect.map(
    Stream.runFoldEffect(
      files.stream(file.path, { bytesToRead: fileLimit + 1 }),
      () => ({ chunks: Array<Uint8Array>(), total: 0 }),
      ({ chunks, total }, chunk) => {
        if (total + chunk.byteLength > fileLimit) return Effect.fail(tooLarge(file))
        chunks.push(chunk)
        return Effect.succeed({ chunks, total: total + chunk.byteLength })
      }
    ),
    ({ chunks }) => Buffer.concat(chunks)
  )

// -----------------------------------------------------------------------------
// paths
// -----------------------------------------------------------------------------

/** What cannot be a path; a value that only may be none is tried. */
const pathProblem = (path: string): string | undefined => {
  if (!isText(path)) return "is not set, or is no text"
  const bare = path.replace(/^[\r\n]+|[\r\n]+$/g, "")
  if (path.length > 1024 || /[\r\n\0]|-----BEGIN|eyJ[\w-]+\.[\w-]+\./.test(bare)) return content
  // Base64 of DER, which begins with a SEQUENCE.
  const der = /(?:^|[\s"':=])M[A-P][A-Za-z0-9+/]{38,}/.exec(bare)
  if (der !== null && isMixed(der[0])) return content
  return bare === path ? undefined : "begins or ends with a line break"
}

const content = "looks like what belongs into the file"

/** Secrets, and long runs of base64 or of digits, as no path has them: not to be shown when no file has that name. */
const isDoubtful = (path: string): boolean => {
  if (/^\s*["']?\{/.test(path) || secretForms.some((form) => form.test(path.trim()))) return true
  // Neither a folder nor an extension, and of too many kinds of characters for a name.
  if (/^[^/\\]{20,}$/.test(path) && !/\.\w{1,8}$/.test(path) && isMixed(path)) return true
  // What begins or ends like a path may have long names in it, which have no slashes.
  const isPath = /^(?:[/\\~.]|[A-Za-z]:[/\\])|\.\w{1,8}$/.test(path)
  const runs = path.match(isPath ? /[\w+=-]{60,}/g : /[A-Za-z0-9+/=]{60,}|[\w=-]{60,}/g) ?? []
  return runs.some((run) => isMixed(run) || (!isPath && !/[./\\]/.test(path)))
}

/** Entra's secrets, as they are made now and were made before (32 bytes in base64). */
const secretForms = [/^.{3}\d[Qq]~[\w.~-]{34}$/, /^[A-Za-z0-9+/]{43}=$/]

const isMixed = (run: string): boolean => /[a-z]/.test(run) && /[A-Z]/.test(run) && /\d/.test(run)

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** `what` goes on after "which", or after the name of a value. */
export const placeProblem = (
  code: CredentialCode,
  { name, path }: Place,
  what: string,
  remedy: string
): CredentialError =>
  credentialError(
    code,
    name,
    path === undefined ? `${name} ${what}` : `${name} names ${quote(path)}, which ${what}`,
    remedy
  )

const problemOf = (file: Named, error: unknown): CredentialError => {
  if (error instanceof CredentialError) return error
  if (isDoubtful(file.path)) return malformedPath(file.name, content)
  const reason = error instanceof PlatformError.PlatformError ? error.reason._tag : "the FileSystem died"
  switch (reason) {
    case "NotFound":
      return placeProblem(
        "file_missing",
        file,
        "does not exist",
        `Check ${file.name}, and that the file is there (mounted, copied into the image) before the program starts.`
      )
    case "PermissionDenied":
      return unreadable(file, "this process may not read")
    default:
      return unreadable(file, `cannot be read (${reason})`)
  }
}

const unreadable = (file: Named, what: string): CredentialError =>
  placeProblem(
    "file_unreadable",
    file,
    what,
    `Set ${file.name} to the path of a file that the user of this process may read.`
  )

const tooLarge = (file: Named): CredentialError => unreadable(file, "is larger than 1 MiB")

const malformedPath = (name: string, what: string): CredentialError =>
  credentialError(
    "path_malformed",
    name,
    `${name} is no path: it ${what}`,
    what === content
      ? `Write the content into a file that only this program may read, and set ${name} to the file's path.`
      : `Set ${name} to the path alone.`
  )
