/** A pipe without a writer: the read is given up, and frees the thread of this process that it blocked. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { read } from "../../src/node/internal/files/files.ts"

/** More than the threads of libuv's pool, which has four by default. */
const attempts = 6

it.live("does not use up the threads for files", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const path = join(yield* files.makeTempDirectoryScoped(), "pipe")
    execFileSync("mkfifo", [path])
    for (let attempt = 0; attempt < attempts; attempt++) {
      const error = yield* Effect.flip(read({ name: "path", path }, { pipes: true, seconds: 0.1 }))
      assert.match(error.message, /could not be read within 0\.1 s/)
    }
    assert.isTrue(yield* Effect.timeout(files.exists(path), "5 seconds"))
  }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
