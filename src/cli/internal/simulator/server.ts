/**
 * The simulator on a port of this machine, with its page.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import * as TestCertificate from "../../../testing/TestCertificate.ts"
import { CommandError } from "../commandError.ts"
import { certificatePackages } from "../packages.ts"
import { controlRoutes } from "./control.ts"
import { type Environment, environmentOf, notesOf } from "./environment.ts"
import { makeMonitor, type Monitor } from "./monitor.ts"
import { makePort, type Tls } from "./port.ts"
import type { Setup } from "./setup.ts"

/** A running simulator. */
export class RunningSimulator extends Context.Service<RunningSimulator, {
  readonly origin: string
  /** The address of the page, which needs no certificate. */
  readonly page: string
  readonly port: number
  readonly environment: Environment
  /** Comments before the environment. */
  readonly notes: ReadonlyArray<string>
  readonly monitor: Monitor
  /** The names to which a fault may be limited. */
  readonly tenants: ReadonlyArray<string>
}>()("effect-entra/cli/RunningSimulator") {}

export interface Options {
  readonly setup: Setup
  /** 0: a free port. */
  readonly port: number
  readonly isHttpOnly: boolean
  /** The names of the variables that the user has set. */
  readonly present: ReadonlySet<string>
}

/** Returns the hosts that the simulator serves as a proxy, so that programs need no change. */
const hostsOf = ({ options }: Setup): ReadonlyArray<string> => {
  const own = [options.aliases ?? [], ...options.tenants.map(({ hosts = [] }) => hosts)].flat()
  return [
    "login.microsoftonline.com",
    "graph.microsoft.com",
    ...own.map((host) => host.replace(/:\d+$/, "").toLowerCase())
  ]
}

const day = 86_400_000

/**
 * The authorities that the user trusts already, such as that of a company's proxy. The printed variable replaces the one
 * that names them. Empty if there are none, or if their file cannot be read, as Node ignores it too.
 */
const extraAuthorities = Effect.gen(function*() {
  const file = Option.flatten(yield* Effect.option(Config.option(Config.String("NODE_EXTRA_CA_CERTS"))))
  if (Option.isNone(file) || file.value === "") return ""
  const content = yield* Effect.option((yield* FileSystem.FileSystem).readFileString(file.value))
  return Option.isNone(content) ? "" : `${content.value.trimEnd()}\n`
})

/** Creates a certificate that only programs with the file of its authority trust. Its key stays in memory. */
const makeTls = Effect.fnUntraced(
  function*(hosts: ReadonlyArray<string>) {
    yield* certificatePackages
    const now = yield* Clock.currentTimeMillis
    const { authority, certificate, privateKey } = yield* TestCertificate.makeChain({
      commonName: "localhost",
      algorithm: "EC",
      subjectAltNames: ["localhost", "127.0.0.1", ...hosts],
      notBefore: new Date(now - day),
      notAfter: new Date(now + 30 * day)
    })
    const fileSystem = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const authorityFile = path.join(
      yield* fileSystem.makeTempDirectoryScoped({ prefix: "effect-entra-" }),
      "authority.pem"
    )
    yield* fileSystem.writeFileString(authorityFile, `${yield* extraAuthorities}${authority}`)
    const tls: Tls = { certificate, key: Redacted.value(privateKey), hosts: new Set(hosts) }
    return { tls, authorityFile }
  },
  Effect.catchTag("PlatformError", ({ message }) =>
    new CommandError({
      message: `The certificate cannot be written to a temporary file: ${message}`,
      remedy: "Set TMPDIR to a folder that you may write to."
    }))
)

const listenError = (port: number) => ({ cause }: { readonly cause: unknown }) => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return new CommandError({
    message: code === "EADDRINUSE"
      ? `Port ${port} of 127.0.0.1 is in use.`
      : code === "EACCES"
      ? `You do not have the permission to listen on port ${port}.`
      : `Port ${port} of 127.0.0.1 cannot be opened (${String(code)}).`,
    remedy: "Choose another port with --port, or a free port with --port 0."
  })
}

/** Serves the simulator until its scope closes, which closes every connection. */
export const layer = ({ isHttpOnly, port, present, setup }: Options) =>
  Layer.unwrap(Effect.gen(function*() {
    const secure = isHttpOnly ? undefined : yield* makeTls(hostsOf(setup))
    const { closeConnections, server } = makePort(secure?.tls)
    const running = Layer.effectContext(Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const bound = address._tag === "UnixPathAddress" ? port : address.port
      // The server would not close while a response is delayed or a page is connected.
      yield* Effect.addFinalizer(() => Effect.sync(closeConnections))
      const { identity, options } = setup
      const origin = `${isHttpOnly ? "http" : "https"}://localhost:${bound}`
      const names = new Map(options.tenants.map(({ displayName, domain, id }) => [id, displayName ?? domain ?? id]))
      const monitor = yield* makeMonitor(
        yield* EntraSimulator.make({ ...options, origin }),
        (id) => names.has(id) ? `${names.get(id)} (${id})` : id
      )
      const place = { port: bound, authorityFile: secure?.authorityFile }
      const environment = environmentOf(identity, place, present)
      const notes = notesOf(identity, place)
      const tenants = options.tenants.flatMap(({ domain, id }) => domain === undefined ? [id] : [domain, id])
        .concat((options.realms ?? []).map(({ name }) => name))
      return Context.make(EntraSimulator.EntraSimulator, monitor.simulator).pipe(
        Context.add(
          RunningSimulator,
          RunningSimulator.of({
            origin,
            page: `http://localhost:${bound}/`,
            port: bound,
            environment,
            notes,
            monitor,
            tenants
          })
        )
      )
    }))
    return HttpRouter.serve(Layer.merge(EntraSimulator.routes, controlRoutes(RunningSimulator)), {
      disableLogger: true,
      disableListenLog: true,
      middleware: (handler) =>
        Effect.provideService(handler, EntraSimulator.DropConnection, (dropped) =>
          // The closed connection interrupts the fiber.
          Effect.andThen(
            Effect.sync(() => NodeHttpServerRequest.toIncomingMessage(dropped).socket.destroy()),
            Effect.never
          ))
    }).pipe(
      Layer.provideMerge(running),
      Layer.provide(NodeHttpServer.layer(() => server, { port, host: "127.0.0.1", disablePreemptiveShutdown: true })),
      Layer.catchTag("ServeError", (error) => Layer.effectContext(Effect.fail(listenError(port)(error))))
    )
  }))
