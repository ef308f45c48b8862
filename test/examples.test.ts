/** The samples run as a user runs them: by node, in a process of their own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { readdirSync } from "node:fs"
import { runChild, temporaryFile } from "./support/child.ts"

const sample = (name: string, environment: Record<string, string> = {}) =>
  runChild([`--conditions=@effect-entra/source`, `examples/${name}.ts`], environment)

const shown: Record<string, ReadonlyArray<string | RegExp>> = {
  daemon: [
    /contoso\.onmicrosoft\.com +https:\/\/graph\.microsoft\.com\/\.default +IdentityProvider +NoCachedAccessToken/,
    /fabrikam\.onmicrosoft\.com +https:\/\/graph\.microsoft\.com\/\.default +Cache +NotApplicable/,
    "hit rate 50 % (2 of 4)",
    /contoso\.onmicrosoft\.com +120/,
    "tenant_not_tenanted",
    "secret_wrong",
    "resource_unknown",
    "EntraThrottledError",
    "The simulator saw 7 token requests and 8 requests to Graph"
  ],
  certificate: ["fabrikam.onmicrosoft.com issued a Bearer token for a certificate"],
  "many-apps": ["2 tokens in the cache"],
  testing: ["both tests passed"]
}

describe("samples", () => {
  for (const [name, expected] of Object.entries(shown)) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { status, stderr, stdout } = yield* sample(name)
        assert.strictEqual(status, 0, stderr)
        for (const text of expected) assert.match(stdout, typeof text === "string" ? new RegExp(escape(text)) : text)
      }))
  }

  it.live("first-program, from the environment, over https", () =>
    Effect.gen(function*() {
      const { certificate, origin } = yield* SimulatorServer.SimulatorServer
      const { status, stderr, stdout } = yield* sample("first-program", {
        AZURE_AUTHORITY_HOST: origin,
        AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
        AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
        AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
        NODE_EXTRA_CA_CERTS: yield* temporaryFile(certificate ?? "")
      })
      assert.strictEqual(status, 0, stderr)
      assert.include(stdout, `a Bearer token for ${EntraSimulator.contosoTenantId} until 2`)
    }).pipe(Effect.provide(SimulatorServer.layerHttps())))

  it("none is left out", () => {
    const names = readdirSync("examples").filter((name) => name.endsWith(".ts")).map((name) => name.slice(0, -3))
    assert.deepStrictEqual(names.sort(), [...Object.keys(shown), "first-program"].sort())
  })
})

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
