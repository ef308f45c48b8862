/** Runs `doctor` against a simulator on a socket, with an environment of its own. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ConfigProvider, Effect, Option, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getCACertificates, setDefaultCACertificates } from "node:tls"
import { type ClientFlags, setupOf } from "../../src/cli/internal/clientFlags.ts"
import { diagnose, type Options } from "../../src/cli/internal/doctor/doctor.ts"
import { Report } from "../../src/cli/internal/doctor/finding.ts"
import { textOf } from "../../src/cli/internal/doctor/render.ts"
import { makeStyle } from "../../src/cli/internal/style.ts"
import { silent } from "../support/log.ts"
import { withWallClock } from "../support/wallClock.ts"

/** The settings of one run; an undefined variable is unset. */
export interface Settings {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly flags?: Partial<ClientFlags>
  readonly scopes?: ReadonlyArray<string>
  readonly project?: string
  readonly runtime?: Options["runtime"]
  /** Milliseconds by which the clock of this machine is ahead. */
  readonly clockAhead?: number
}

export interface Place {
  readonly simulator: EntraSimulator.EntraSimulator["Service"]
  readonly origin: string
  readonly port: number
  /** The certificate of the simulator's authority. */
  readonly certificate: string
  /** The variables of a valid setup. */
  readonly env: Readonly<Record<string, string>>
  /** Writes a file, and returns its path. */
  readonly write: (name: string, content: string | Uint8Array) => Effect.Effect<string>
  readonly folder: string
  readonly run: (settings: Settings) => Effect.Effect<Ran>
}

export interface Ran {
  readonly report: Report
  /** All output: the text, and the JSON. */
  readonly output: string
}

const noFlags: ClientFlags = {
  tenant: Option.none(),
  clientId: Option.none(),
  authority: Option.none(),
  askSecret: false,
  secretFile: Option.none(),
  certificate: Option.none(),
  askCertificatePassword: false,
  federatedTokenFile: Option.none(),
  secret: Option.none(),
  certificatePassword: Option.none()
}

export const secret = "simulated~secret.of-the_daemon"

/** The place of a simulator whose certificate this process trusts while the scope is open, unless it is `untrusted`. */
export const place = Effect.fnUntraced(function*(options: { readonly untrusted?: boolean } = {}) {
  const { certificate = "", origin } = yield* SimulatorServer.SimulatorServer
  if (options.untrusted !== true) yield* trusting(certificate)
  const folder = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "effect-entra-doctor-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  )
  yield* Effect.promise(() => writeFile(join(folder, "package.json"), "{}"))
  const env = {
    AZURE_AUTHORITY_HOST: origin,
    AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
    AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
    AZURE_CLIENT_SECRET: secret
  }
  const run = Effect.fnUntraced(function*(settings: Settings) {
    const lines: Array<string> = []
    const variables = Object.entries({ ...env, ...settings.env }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]]
    )
    const diagnosis = diagnose({
      setup: setupOf({ ...noFlags, ...settings.flags }, { secret: undefined, password: undefined }),
      scopes: settings.scopes ?? [],
      project: settings.project ?? folder,
      runtime: settings.runtime ?? { node: process.versions.node },
      onFinding: (finding) => Effect.sync(() => lines.push(textOf(finding, makeStyle(false))))
    }).pipe(
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env: Object.fromEntries(variables) })
      ),
      Effect.provide([NodeServices.layer, silent])
    )
    const report = yield* withWallClock((jump) => {
      jump(settings.clockAhead ?? 0)
      return diagnosis
    })
    const json = JSON.stringify(report)
    yield* Effect.orDie(Schema.decodeEffect(Schema.fromJsonString(Report))(json))
    return { report, output: `${lines.join("\n")}\n${json}` }
  })
  const result: Place = {
    simulator: yield* EntraSimulator.EntraSimulator,
    origin,
    port: Number(new URL(origin).port),
    certificate,
    env,
    folder,
    run,
    write: (name, content) =>
      Effect.promise(async () => {
        await writeFile(join(folder, name), content)
        return join(folder, name)
      })
  }
  return result
})

/** Trusts a certificate in this process, as `NODE_EXTRA_CA_CERTS` does from its start. */
export const trusting = (certificate: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = getCACertificates("default")
      setDefaultCACertificates([...before, certificate])
      return before
    }),
    (before) => Effect.sync(() => setDefaultCACertificates(before))
  )
