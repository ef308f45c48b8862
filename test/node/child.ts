/** Runs a script of `test/foreign` in a process that trusts a certificate. */
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

class ChildFailed extends Schema.TaggedError<ChildFailed>()("ChildFailed", { message: Schema.String }) {}

/** A scoped temporary file. */
const temporaryFile = (content: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "effect-entra-"))
      const file = join(folder, "ca.pem")
      await writeFile(file, content)
      return { folder, file }
    }),
    ({ folder }) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  ).pipe(Effect.map(({ file }) => file))

/** The line a script prints, decoded. The child gets 20 seconds, and nothing of our environment but PATH. */
export const runForeign = Effect.fnUntraced(function*<A>(options: {
  readonly script: "msal" | "identity"
  readonly parameters: unknown
  readonly certificate: string
  readonly output: Schema.Codec<A, unknown>
}) {
  const file = yield* temporaryFile(options.certificate)
  const script = fileURLToPath(new URL(`../foreign/${options.script}.ts`, import.meta.url))
  const text = yield* Effect.callback<string, ChildFailed>((resume) => {
    const child = execFile(
      process.execPath,
      [script],
      {
        env: {
          PATH: process.env["PATH"],
          NODE_EXTRA_CA_CERTS: file,
          PARAMETERS: JSON.stringify(options.parameters)
        },
        timeout: 20_000,
        killSignal: "SIGKILL"
      },
      (error, stdout, stderr) =>
        resume(
          error === null
            ? Effect.succeed(stdout)
            : Effect.fail(new ChildFailed({ message: `${options.script}: ${error.message}\n${stderr}` }))
        )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
  return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(options.output))(text)
}, Effect.scoped)
