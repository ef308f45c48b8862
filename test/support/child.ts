/** A Node process of its own, with a bound on its time, that gets PATH and what it is given of the environment. */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Run this very node with arguments; it is ended after `seconds`, which its `stderr` then says, or when nobody waits any
 * more.
 */
export const runChild = (
  parameters: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {},
  seconds = 25
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      parameters,
      {
        env: { PATH: process.env["PATH"], NO_COLOR: "1", ...environment },
        timeout: seconds * 1000,
        killSignal: "SIGKILL"
      },
      (error, stdout, stderr) => {
        const ended = child.signalCode === null
          ? ""
          : `[ended by ${child.signalCode}, ${seconds} seconds are its bound]`
        resume(Effect.succeed({ status: error === null ? 0 : child.exitCode ?? 1, stdout, stderr: stderr + ended }))
      }
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** A file for as long as the scope is open, such as the certificates that `NODE_EXTRA_CA_CERTS` names. */
export const temporaryFile = (content: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "effect-entra-"))
      const file = join(folder, "content.pem")
      await writeFile(file, content)
      return { folder, file }
    }),
    ({ folder }) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  ).pipe(Effect.map(({ file }) => file))
