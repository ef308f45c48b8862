/**
 * Writes new files, some of them private. If one of the files exists, no file is written, unless files may be replaced:
 * then all of them are replaced, or none.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import { randomUUID } from "node:crypto"
import { CommandError } from "../commandError.ts"
import { directoryReason, reasonOf } from "../platformReason.ts"

/** A file to write. */
export interface NewFile {
  readonly path: string
  readonly content: Uint8Array | string
  /** Only the owner may read the file. */
  readonly isPrivate: boolean
}

/** Writes the files. With `isForced` they may replace existing files. */
export const writeNewFiles = Effect.fnUntraced(function*(
  files: ReadonlyArray<NewFile>,
  isForced: boolean
): Effect.fn.Return<void, CommandError, FileSystem.FileSystem> {
  const fileSystem = yield* FileSystem.FileSystem
  if (!isForced) {
    const present = yield* Effect.filter(
      files,
      ({ path }) => Effect.orElseSucceed(fileSystem.exists(path), () => false)
    )
    const [first] = present
    if (first !== undefined) return yield* exists(first.path)
  }
  // Permissions are set when a file is created. An existing file may have other permissions, and may be a link.
  const suffix = isForced ? `.${randomUUID()}` : ""
  const targetOf = (path: string) => path + suffix
  const written: Array<string> = []
  const write = Effect.forEach(files, (file) =>
    Effect.gen(function*() {
      const target = targetOf(file.path)
      yield* fileSystem.writeFile(target, bytesOf(file), { flag: "wx", mode: file.isPrivate ? 0o600 : 0o644 })
      written.push(target)
    }).pipe(Effect.mapError((error) => writeError(file.path, error))), { discard: true })
  // The private files come last: an old key is replaced only if everything else is in its place.
  const replace = Effect.gen(function*() {
    for (const { path } of files) {
      if (yield* isDirectory(fileSystem, path)) return yield* directory(path)
    }
    const restorers: Array<Effect.Effect<void, PlatformError.PlatformError>> = []
    const copies: Array<string> = []
    yield* Effect.forEach(
      files.toSorted((one, other) => Number(one.isPrivate) - Number(other.isPrivate)),
      ({ isPrivate, path }) =>
        Effect.gen(function*() {
          const copy = `${targetOf(path)}.old`
          // No copy of a key is made: nothing is replaced after it that could fail.
          const had = !isPrivate && (yield* fileSystem.exists(path))
          if (had) {
            copies.push(copy)
            yield* fileSystem.copyFile(path, copy)
          }
          yield* fileSystem.rename(targetOf(path), path)
          restorers.push(had ? fileSystem.rename(copy, path) : fileSystem.remove(path))
        }).pipe(Effect.mapError((error) => writeError(path, error))),
      { discard: true }
    ).pipe(
      Effect.onError(() => Effect.forEach(restorers, (restore) => Effect.ignore(restore))),
      Effect.ensuring(Effect.forEach(copies, (path) => Effect.ignore(fileSystem.remove(path))))
    )
  })
  yield* Effect.andThen(write, isForced ? Effect.uninterruptible(replace) : Effect.void).pipe(
    // No key stays without its certificate.
    Effect.onError(() => Effect.forEach(written, (path) => Effect.ignore(fileSystem.remove(path))))
  )
})

const bytesOf = ({ content }: NewFile): Uint8Array =>
  typeof content === "string" ? new TextEncoder().encode(content) : content

const exists = (path: string) =>
  new CommandError({
    message: `${path} exists. A replaced key cannot be restored.`,
    remedy: "Name other files with --out, or replace these with --force."
  })

const isDirectory = (fileSystem: FileSystem.FileSystem, path: string): Effect.Effect<boolean> =>
  fileSystem.stat(path).pipe(
    Effect.map(({ type }) => type === "Directory"),
    Effect.orElseSucceed(() => false)
  )

const directory = (path: string) =>
  new CommandError({
    message: `${path} cannot be written: ${directoryReason}.`,
    remedy: "Remove that directory, or name other files with --out."
  })

const writeError = (path: string, error: PlatformError.PlatformError) => {
  if (error.reason._tag === "AlreadyExists") return exists(path)
  const reason = reasonOf(error)
  return reason === directoryReason ? directory(path) : new CommandError({
    message: `${path} cannot be written: ${reason}.`,
    remedy: "Name files in a folder that you may write to, with --out."
  })
}
