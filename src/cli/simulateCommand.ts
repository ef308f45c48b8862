/**
 * `effect-entra simulate`: serves a simulated Entra ID until it is interrupted.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { checked, filled, notEmpty } from "./internal/checkedFlag.ts"
import { CommandError } from "./internal/commandError.ts"
import { Domain, Guid } from "./internal/names.ts"
import { certificatePackages } from "./internal/packages.ts"
import { reasonOf } from "./internal/platformReason.ts"
import { assignments, removal, type Shell } from "./internal/simulator/environment.ts"
import * as Server from "./internal/simulator/server.ts"
import { type Setup, setupOf } from "./internal/simulator/setup.ts"
import { loadWorld, readAppCertificate } from "./internal/simulator/world.ts"
import { style } from "./internal/style.ts"

const flags = {
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.withDescription("Port of 127.0.0.1 for http and https; default: 8443, 0: a free port"),
    checked(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
    Flag.withDefault(8443)
  ),
  httpOnly: Flag.Boolean("http-only").pipe(
    Flag.withDescription("Serve http only, without a certificate. A client of effect-entra needs https"),
    Flag.withDefault(false)
  ),
  world: Flag.String("world").pipe(
    Flag.withMetavar("file.json"),
    Flag.withDescription("Tenants, apps and APIs; default: Contoso, Fabrikam and a daemon"),
    filled,
    Flag.optional
  ),
  tenant: Flag.String("tenant").pipe(
    Flag.withMetavar("id|domain"),
    Flag.withDescription("Tenant of the printed environment, added if it is new. Can be repeated to add tenants"),
    checked(Schema.Union([Guid, Domain])),
    Flag.atLeast(0)
  ),
  clientId: Flag.String("client-id").pipe(
    Flag.withMetavar("id"),
    Flag.withDescription("App of the printed environment, added if it is new; default: the first app"),
    checked(Guid),
    Flag.optional
  ),
  clientSecret: Flag.Redacted("client-secret").pipe(
    Flag.withDescription("A further secret of the app. Do not pass a real secret"),
    Flag.filter((secret) => Redacted.value(secret) !== "", () => notEmpty),
    Flag.optional
  ),
  certificate: Flag.String("certificate").pipe(
    Flag.withMetavar("file.pem"),
    Flag.withDescription(
      "Certificate to register with the app. If the file has the key, the environment names the file"
    ),
    filled,
    Flag.optional
  ),
  // Node treats `--env-file` as its own option, even after the name of the program.
  saveEnv: Flag.String("save-env").pipe(
    Flag.withMetavar("file"),
    Flag.withDescription("File for the printed environment. It is removed when the simulator stops"),
    filled,
    Flag.optional
  ),
  shell: Flag.Literals("shell", ["posix", "powershell"]).pipe(
    Flag.withDescription("Shell of the printed environment; default: powershell on Windows, otherwise posix"),
    Flag.optional
  )
}

export const simulateCommand = Command.make(
  "simulate",
  flags,
  Effect.fn(function*({ certificate, clientId, clientSecret, saveEnv, httpOnly, port, shell, tenant, world }) {
    const path = yield* Path.Path
    const setup = setupOf(
      Option.isSome(world) ? yield* loadWorld(world.value) : {},
      {
        clientId: Option.getOrUndefined(clientId),
        clientSecret: Option.getOrUndefined(clientSecret),
        certificate: Option.isSome(certificate)
          ? { ...(yield* readAppCertificate(certificate.value)), path: path.resolve(certificate.value) }
          : undefined,
        tenants: tenant
      },
      tenantIdOf
    )
    if (hasCertificates(setup)) yield* certificatePackages
    const present = new Set(Object.keys(process.env))
    return yield* serve(Option.getOrUndefined(saveEnv), Option.getOrElse(shell, defaultShell)).pipe(
      Effect.provide(Server.layer({ setup, port, isHttpOnly: httpOnly, present })),
      Effect.scoped
    )
  })
).pipe(
  Command.withDescription(
    "Serve a simulated Entra ID and Microsoft Graph on this machine until it is interrupted. It prints the variables for "
      + "your program, and serves a page that shows the requests and switches faults on and off."
  ),
  Command.withShortDescription("Serve a simulated Entra ID and Microsoft Graph"),
  Command.withExamples([
    { command: "npx effect-entra simulate", description: "Serve two tenants and a daemon with a secret" },
    {
      command: "npx effect-entra simulate --port 0 --tenant woodgrove.com --certificate my-daemon.pem",
      description: "Serve on a free port, with a tenant and a certificate of your own"
    },
    { command: "npx effect-entra simulate --world world.json", description: "Serve the tenants and apps of a file" }
  ])
)

const defaultShell = (): Shell => process.platform === "win32" ? "powershell" : "posix"

/** Returns a tenant id that is the same for a domain in each run. */
const tenantIdOf = (domain: string): string => {
  const hex = createHash("sha256").update(domain.toLowerCase()).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const hasCertificates = ({ options }: Setup): boolean =>
  options.apps.some(({ certificates = [], trustedSubjects = [] }) => certificates.length + trustedSubjects.length > 0)

const serve = Effect.fnUntraced(function*(saveEnv: string | undefined, shell: Shell) {
  const { environment, notes, origin, page } = yield* Server.RunningSimulator
  const lines = [...notes, ...assignments(environment, shell)]
  if (saveEnv !== undefined) yield* writeEnvironment(saveEnv, lines)
  const { bold, dim } = yield* style
  yield* Console.log([
    // A shell that reads this output takes the lines for comments only if they begin with the mark.
    `# ${dim("The simulator serves")} ${origin} ${dim("until Ctrl+C. Its page:")} ${bold(page)}`,
    `# ${
      dim("The environment for your program, in another terminal. When the simulator has stopped, close it or enter:")
    }`,
    `# ${dim(removal(environment, shell))}`,
    ...lines
  ].join("\n"))
  return yield* Effect.never
})

const firstLine = "# Written by effect-entra simulate, which removes it when it stops."

/**
 * Writes the file, and removes it when the simulator stops. A file that this command did not write is not overwritten, and
 * a file that another simulator has written in the meantime is not removed.
 */
const writeEnvironment = Effect.fnUntraced(function*(file: string, lines: ReadonlyArray<string>) {
  const fileSystem = yield* FileSystem.FileSystem
  const content = [firstLine, ...lines, ""].join("\n")
  const writeError = (error: PlatformError.PlatformError) =>
    new CommandError({
      message: `${file} cannot be written: ${reasonOf(error)}.`,
      remedy: "Name a file in a folder that you may write to."
    })
  const present = yield* fileSystem.readFileString(file).pipe(
    Effect.catchReason("PlatformError", "NotFound", () => Effect.undefined),
    Effect.mapError(writeError)
  )
  if (present !== undefined && !present.startsWith(firstLine)) {
    return yield* new CommandError({
      message: `${file} exists, and was not written by this command.`,
      remedy: "Name another file with --save-env."
    })
  }
  yield* Effect.acquireRelease(
    fileSystem.remove(file, { force: true }).pipe(
      Effect.andThen(fileSystem.writeFileString(file, content, { flag: "wx", mode: 0o600 })),
      Effect.mapError(writeError)
    ),
    () =>
      fileSystem.readFileString(file).pipe(
        Effect.flatMap((present) => present === content ? fileSystem.remove(file, { force: true }) : Effect.void),
        Effect.ignore
      )
  )
})
