/**
 * The simulator in the place of Microsoft, for other processes: prints, as lines of a shell, the environment in which a
 * program's requests to Entra and Graph end here, and serves until its input ends. `.ci/consumer` runs it.
 */
import { Console, Effect, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { temporaryFile } from "./child.ts"
import { proxyTo } from "./proxy.ts"

const served = Effect.gen(function*() {
  const { certificate, origin } = yield* SimulatorServer.SimulatorServer
  const { url } = yield* proxyTo(Number(new URL(origin).port))
  const environment = {
    AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
    AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
    AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
    HTTPS_PROXY: url,
    NODE_EXTRA_CA_CERTS: yield* temporaryFile(certificate ?? ""),
    NODE_USE_ENV_PROXY: "1"
  }
  yield* Console.log(Object.entries(environment).map(([name, value]) => `export ${name}='${value}'`).join("\n"))
  yield* Effect.promise(async () => {
    for await (const _ of process.stdin);
  })
})

const hosts = ["login.microsoftonline.com", "graph.microsoft.com"]

await Effect.runPromise(Effect.scoped(served).pipe(Effect.provide(SimulatorServer.layerHttps({ hosts }))))
