/** Reading what a path names, over whichever `FileSystem` the user brings: bounded, and with no error that shows a content. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import { CredentialError, quote } from "../../EntraError.ts"

/** The service that users provide. */
export type Files = FileSystem.FileSystem

/** A file, and what the caller calls its path: an option of a function, or a variable of the environment. */
export interface Named {
  readonly path: string
  readonly name: string
}

/** Bytes of the largest file that is read; certificates and tokens have a few thousand. */
export const fileLimit = 1_048_576

export const read = ({ name, path }: Named): Effect.Effect<Uint8Array, CredentialError, Files> =>
  isContent(path) ? Effect.fail(contentForPath(name)) : Effect.flatMap(
    FileSystem.FileSystem,
    (files) =>
      Effect.gen(function*() {
        const { size, type } = yield* files.stat(path)
        if (type === "Directory") return yield* unreadable({ name, path }, "is a directory")
        if (size > fileLimit) return yield* unreadable({ name, path }, "is larger than 1 MiB")
        return yield* files.readFile(path)
      }).pipe(
        Effect.catchTag("PlatformError", (error) => Effect.fail(problemOf({ name, path }, error)))
      )
  )

/** Somebody set the variable to what belongs into the file; none of that may be shown. */
const isContent = (path: string): boolean =>
  path.length > 1024 || /[\r\n\0]|-----BEGIN/.test(path) || /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(path)

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** `what` goes on after "which". */
export const fileProblem = (code: string, { name, path }: Named, what: string, remedy: string): CredentialError =>
  new CredentialError({
    code,
    field: name,
    origin: "local",
    message: `${name} names ${quote(path)}, which ${what}`,
    remedy
  })

const problemOf = (file: Named, { reason }: PlatformError.PlatformError): CredentialError => {
  switch (reason._tag) {
    case "NotFound":
      return fileProblem(
        "file_missing",
        file,
        "does not exist",
        `Check ${file.name}, and that the file is there (mounted, copied into the image) before the program starts.`
      )
    case "PermissionDenied":
      return unreadable(file, "this process may not read")
    default:
      return unreadable(file, `cannot be read (${reason._tag})`)
  }
}

const unreadable = (file: Named, what: string): CredentialError =>
  fileProblem(
    "file_unreadable",
    file,
    what,
    `Set ${file.name} to the path of a file that the user of this process may read.`
  )

const contentForPath = (name: string): CredentialError =>
  new CredentialError({
    code: "path_malformed",
    field: name,
    origin: "local",
    message: `${name} is no path: it looks like what belongs into the file`,
    remedy: `Write the content into a file that only this program may read, and set ${name} to the file's path.`
  })
