/** Reads files through the `FileSystem` of the user, with limits, and with errors that never show the content of a file. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as PlatformError from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { isAbsolute } from "node:path"
import { type CredentialCode, CredentialError } from "../../../EntraError.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { type NonValue, nonValueOf } from "../../../internal/shared/nonValue.ts"
import { quote, withRemedy } from "../../../internal/shared/text.ts"
import { isText } from "../../../internal/shared/validate.ts"

/** The service that users provide. */
export type Files = FileSystem.FileSystem

/** The origin of a content, a file or a value; `name` is the option or variable that holds the path or the value. */
export interface Place {
  readonly name: string
  readonly path?: string | undefined
}

/** A file, and the name of the option or variable that holds its path. */
export interface NamedFile extends Place {
  readonly path: string
}

/** The size limit of a file in bytes; certificates and tokens have a few thousand. */
export const fileLimit = 1_048_576

/** Limits of one read. A pipe without a writer blocks a thread of this process for each attempt, so pipes are an option. */
export interface ReadLimits {
  readonly pipes: boolean
  readonly seconds: number
}

export const read = (
  file: NamedFile,
  { pipes, seconds }: ReadLimits
): Effect.Effect<Uint8Array, CredentialError, Files> => {
  const fault = pathFault(file.path)
  return fault !== undefined ?
    Effect.fail(malformedPath(file.name, fault, nonValueOf(`${file.path}`)?.remedy)) :
    Effect.flatMap(
      FileSystem.FileSystem,
      (files) =>
        Effect.gen(function*() {
          const { size, type } = yield* files.stat(file.path)
          if (type === "Directory") return yield* unreadable(file, "is a directory", wholePath(file))
          if (devices.has(type)) return yield* unreadable(file, "is a device or a socket", wholePath(file))
          if (type === "FIFO" && !pipes) {
            return yield* unreadable(file, "is a pipe, and a pipe cannot be read again", wholePath(file))
          }
          if (size > fileLimit) return yield* tooLarge(file)
          // Streams of `FileSystem` read from a position, which a pipe does not support.
          const bytes = yield* (type === "FIFO" ? readPipe(files, file) : readBounded(files, file))
          return bytes.byteLength > fileLimit ? yield* tooLarge(file) : bytes
        }).pipe(
          Effect.timeoutOrElse({
            duration: seconds * 1000,
            orElse: () =>
              Effect.fail(
                unreadable(
                  file,
                  `could not be read within ${seconds} s`,
                  "Check the volume or pipe that the file is on."
                )
              )
          }),
          // A failure or defect of a foreign file system may show the content of the file.
          Effect.catchCause((cause) =>
            Effect.fail(toCredentialError(file, Option.getOrUndefined(Cause.findErrorOption(cause))))
          )
        )
    )
}

/** Returns the path of a file with all symbolic links resolved. */
export const realPath = (file: NamedFile): Effect.Effect<string, CredentialError, Files> =>
  FileSystem.FileSystem.use((files) => files.realPath(file.path)).pipe(
    Effect.catchCause((cause) =>
      Effect.fail(toCredentialError(file, Option.getOrUndefined(Cause.findErrorOption(cause))))
    )
  )

/**
 * Reads a file, and returns its content with an effect that reads the file again. A pipe is read once and keeps its first
 * content. A file that is later replaced by a pipe is not read.
 */
export const reread = (
  file: NamedFile,
  limits: ReadLimits
): Effect.Effect<
  { readonly first: Uint8Array; readonly again: Effect.Effect<Uint8Array, CredentialError> },
  CredentialError,
  Files
> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Files>()
    const first = yield* read(file, limits)
    const isPipe = yield* FileSystem.FileSystem.use((files) => files.stat(file.path)).pipe(
      Effect.map(({ type }) => type === "FIFO"),
      Effect.catchCause(() => Effect.succeed(false))
    )
    return {
      first,
      again: isPipe ? Effect.succeed(first) : Effect.provideContext(read(file, { ...limits, pipes: false }), context)
    }
  })

/** Decodes UTF-8, or UTF-16 with a byte order mark, which PowerShell writes. */
export const textOf = (bytes: Uint8Array): string => new TextDecoder(encodingOf(bytes)).decode(bytes)

/** Decodes like {@link textOf}, but returns undefined for invalid bytes: the service would refuse replacement characters. */
export const exactTextOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const encodingOf = (bytes: Uint8Array) => bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8"

const devices: ReadonlySet<string> = new Set(["BlockDevice", "CharacterDevice", "Socket"])

/**
 * Reads a pipe. Without a writer, a thread of this process waits for one, also after an interruption, and the process
 * cannot end before that thread. Opening the pipe for writing ends the wait.
 */
const readPipe = (files: FileSystem.FileSystem, file: NamedFile) =>
  Effect.onInterrupt(
    files.readFile(file.path),
    () => Effect.ignore(Effect.scoped(files.open(file.path, { flag: "r+" })))
  )

/** Reads a file up to the limit, because the size that `stat` reports may be wrong or outdated. */
const readBounded = (files: FileSystem.FileSystem, file: NamedFile) =>
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

/** Returns the reason why a value is certainly not a path; doubtful values are tried. */
const pathFault = (path: string): string | undefined => {
  if (!isText(path)) return "is not set, or is not a string"
  const bare = path.replace(/^[\r\n]+|[\r\n]+$/g, "")
  if (path.length > 1024 || /[\r\n\0]|-----BEGIN|eyJ[\w-]+\.[\w-]+\./.test(bare)) return content
  // DER begins with a SEQUENCE, which is M in base64.
  const der = /(?:^|[\s"':=])M[A-P][A-Za-z0-9+/]{38,}/.exec(bare)
  if (der !== null && isMixed(der[0])) return content
  if (bare !== path) return "begins or ends with a line break"
  const defect = nonValueOf(path)
  return defect === undefined || possible.has(defect.kind) ? undefined : defect.what
}

/** Kinds of texts that may be names of files. JSON gets another message. */
const possible: ReadonlySet<NonValue["kind"]> = new Set(["space", "setting", "json"])

const content = "looks like the content of the file"

/** Returns whether a path may be a secret, which must not be shown: long runs of base64 or of digits are rare in paths. */
const mayBeSecret = (path: string): boolean => {
  if (/^\s*["']?\{/.test(path) || secretForms.some((form) => form.test(path.trim()))) return true
  // A name without folder and extension that mixes lower case, upper case and digits.
  if (/^[^/\\]{20,}$/.test(path) && !/\.\w{1,8}$/.test(path) && isMixed(path)) return true
  // A value that begins or ends like a path may contain long names, which have no slashes.
  const isPath = /^(?:[/\\~.]|[A-Za-z]:[/\\])|\.\w{1,8}$/.test(path)
  const runs = path.match(isPath ? /[\w+=-]{60,}/g : /[A-Za-z0-9+/=]{60,}|[\w=-]{60,}/g) ?? []
  return runs.some((run) => isMixed(run) || (!isPath && !/[./\\]/.test(path)))
}

/** The formats of Entra's client secrets: the current one, and the former one (32 bytes in base64). */
const secretForms = [/^.{3}\d[Qq]~[\w.~-]{34}$/, /^[A-Za-z0-9+/]{43}=$/]

const isMixed = (run: string): boolean => /[a-z]/.test(run) && /[A-Z]/.test(run) && /\d/.test(run)

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** Creates an error about a file or a value; `fault` is a predicate such as "is empty". */
export const placeError = (
  code: CredentialCode,
  { name, path }: Place,
  fault: string,
  remedy: string
): CredentialError =>
  credentialError(
    code,
    name,
    path === undefined ? `${name} ${fault}` : `${name} names ${quote(path)}, which ${fault}`,
    remedy
  )

const toCredentialError = (file: NamedFile, error: unknown): CredentialError => {
  if (error instanceof CredentialError) return error
  if (mayBeSecret(file.path)) return malformedPath(file.name, content)
  if (!(error instanceof PlatformError.PlatformError)) return unreadable(file, "cannot be read (the FileSystem died)")
  const { _tag: tag, cause } = error.reason
  if (tag === "NotFound") return missing(file)
  if (tag === "PermissionDenied") return unreadable(file, "this process may not read")
  const code = Predicate.hasProperty(cause, "code") && isText(cause.code) ? cause.code : ""
  const known = systemFaults.get(code || (Predicate.hasProperty(cause, "name") ? `${cause.name}` : ""))
  return known === undefined
    ? unreadable(file, `cannot be read (${tag === "Unknown" && /^[A-Z]{2,20}$/.test(code) ? code : tag})`)
    : unreadable(file, known.fault, `${known.remedy ?? `Check ${file.name}.`}`)
}

/** Errors of the system without a tag of their own, by their code or their name. */
const systemFaults: ReadonlyMap<string, { readonly fault: string; readonly remedy?: string }> = new Map([
  ["EISDIR", { fault: "is a directory" }],
  ["ENOTDIR", { fault: "has a part that is not a directory, or a slash after a file" }],
  ["ELOOP", { fault: "has symbolic links that form a circle" }],
  ["ENAMETOOLONG", { fault: "has a name that is too long" }],
  ["NotCapable", {
    fault: "Deno may not read",
    remedy: "Start Deno with the permission --allow-read for this path."
  }]
])

/** Returns the error of a file that does not exist, with the reason if the path itself shows it. */
const missing = (file: NamedFile): CredentialError => {
  const { fault, remedy } = pathMistakes.find(({ form }) => form.test(file.path)) ?? {
    fault: "does not exist",
    remedy: `Check ${file.name}${
      isAbsolute(file.path) ? "" : `, which is relative to the folder ${quote(currentFolder())}`
    }. Check also that the file is there before the program starts: mounted, or copied into the image.`
  }
  return placeError("file_missing", file, fault, remedy)
}

/** Paths that a shell or another program would have changed. */
const pathMistakes: ReadonlyArray<{ readonly form: RegExp; readonly fault: string; readonly remedy: string }> = [
  {
    form: /^~/,
    fault: "does not exist, because ~ was not expanded",
    remedy: "Write the home folder in the place of ~. Only a shell expands ~, and only outside of quotes."
  },
  {
    form: /\$\w|\$\{|%\w+%/,
    fault: "does not exist, because its variable was not expanded",
    remedy: "Write the value of the variable into the path. Only a shell expands variables, and not in single quotes."
  },
  {
    form: /^[a-z][a-z\d+.-]+:\/\//i,
    fault: "does not exist, because it is a URL and not a path",
    remedy: "Write the path alone, such as /run/secrets/daemon.pem."
  }
]

/** Deno needs a permission for the current folder. */
const currentFolder = (): string => {
  try {
    return process.cwd()
  } catch {
    return "."
  }
}

const unreadable = (
  file: NamedFile,
  fault: string,
  remedy = `Set ${file.name} to the path of a file that the user of this process may read.`
): CredentialError => placeError("file_unreadable", file, fault, remedy)

const wholePath = ({ name }: NamedFile): string => `Set ${name} to the whole path of a regular file.`

const tooLarge = (file: NamedFile): CredentialError =>
  unreadable(
    file,
    "is larger than 1 MiB",
    `Check that ${file.name} names the right file. The file of a credential has a few thousand bytes.`
  )

const malformedPath = (name: string, fault: string, remedy = ""): CredentialError =>
  credentialError(
    "path_malformed",
    name,
    `${name} is not a path: it ${fault}`,
    fault === content
      ? `Write the content into a file that only this program may read. Set ${name} to the path of that file.`
      : withRemedy(remedy, `Set ${name} to the path alone.`)
  )
