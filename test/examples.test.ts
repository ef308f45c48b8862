/** The samples run as a user runs them: by node, in a process of their own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { EntraMetrics } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { readdirSync } from "node:fs"
import * as Vault from "./node/vault/server.ts"
import { runChild, temporaryFile } from "./support/child.ts"
import { ensureOpenssl } from "./support/openssl.ts"
import { proxyTo } from "./support/proxy.ts"

const sample = (name: string, environment: Record<string, string> = {}) =>
  runChild([`--conditions=@effect-entra/source`, `examples/${name}.ts`], environment)

const shown: Record<string, ReadonlyArray<string | RegExp>> = {
  "custom-store": [
    "the first client: IdentityProvider, cacheLevel None",
    "the second client: Cache, cacheLevel L2",
    "1 token request, 2 values in the store"
  ],
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
  consent: [
    "The consent page responded with \"access_denied\": \"The administrator declined.\"",
    "state in the consent response is not the state of this browser's session.",
    "This is not your tenant.",
    "Fabrikam has granted Organization.Read.All, User.Read.All",
    "1 customer"
  ],
  credentials: [
    /(?:^.+: a Bearer token\n){14}a key without a certificate, elsewhere: a Bearer token\n/m,
    "the first that works: a Bearer token"
  ],
  "managed-identity": [
    "a Bearer token for https://vault.azure.net/.default, tenant managed-identity",
    /a Bearer token for https:\/\/graph\.microsoft\.com\/\.default, tenant 3f6a2c1e/
  ],
  "many-apps": ["2 tokens in the cache"],
  observability: [
    "TokenAcquired fabrikam.onmicrosoft.com",
    "AcquisitionFailed contoso.onmicrosoft.com throttled",
    "5 events; hits cause no events",
    /entra_acquisitions_total\{client_id="\S+",source="Cache",reason="NotApplicable"\} 18\n/,
    ...Object.values(EntraMetrics).flatMap((metric) =>
      "id" in metric ? [`# TYPE ${metric.id} ${metric.type.toLowerCase()}`] : []
    ),
    /docs\/grafana\.json uses 22 metrics; missing: none\n/,
    /docs\/prometheus-rules\.yaml uses \d+ metrics; missing: none\n/
  ],
  "page-sample": [
    "the credential is a secret",
    /(?:a token for 3f6a2c1e\S+ from (?:IdentityProvider|Cache)\n){2}a token for fabrikam\S+ from IdentityProvider\n/,
    "EntraInvalidAuthorityError (tenant_not_tenanted)",
    "wrong scope: scopes contains \"User.Read\"",
    "1 of 3 tokens came from the cache"
  ],
  "serialized-cache": ["files", "a KeyValueStore"].flatMap((place) => [
    `${place}, first run: IdentityProvider, cacheLevel None; token requests so far: 1`,
    `${place}, second run: Cache, cacheLevel L2; token requests so far: 1`
  ]),
  testing: ["both tests passed"]
}

/** Programs for the real service, from its environment. */
const unchanged: Record<string, ReadonlyArray<string>> = {
  "first-program": ["displayName: 'Ada Abe'", "@odata.nextLink"],
  "graph-client": [
    "50 users, the first of them Ada Abe",
    "50 users, the first of them Chidi Eriksen",
    "20 users, the first of them Emre Ivanova",
    "calls: 3, cache hits: 2"
  ]
}

const microsoft = ["graph.microsoft.com", "login.microsoftonline.com"]

describe("samples", () => {
  for (const [name, expected] of Object.entries(shown)) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { status, stderr, stdout } = yield* sample(name)
        assert.strictEqual(status, 0, stderr)
        for (const text of expected) assert.match(stdout, typeof text === "string" ? new RegExp(escape(text)) : text)
      }))
  }

  it.live("page-sample, with the certificate", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* sample("page-sample", { USE_CERTIFICATE: "true" })
      assert.strictEqual(status, 0, stderr)
      assert.include(stdout, "the credential is a certificate")
      assert.include(stdout, "1 of 3 tokens came from the cache")
    }))

  /** A program for Microsoft's addresses, word for word: a proxy leads them to the simulator. */
  const led = Effect.fnUntraced(function*(
    name: string,
    environment: Record<string, string> = {},
    ports?: (asked: string) => number
  ) {
    const { certificate, origin } = yield* SimulatorServer.SimulatorServer
    const proxy = yield* proxyTo(ports ?? Number(new URL(origin).port))
    const ended = yield* sample(name, {
      AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
      AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
      AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
      HTTPS_PROXY: proxy.url,
      NODE_EXTRA_CA_CERTS: yield* temporaryFile(certificate ?? ""),
      NODE_USE_ENV_PROXY: "1",
      ...environment
    })
    return { ...ended, hosts: [...new Set(proxy.asked)].sort() }
  })
  const Microsoft = (options: SimulatorServer.Options = {}) =>
    SimulatorServer.layerHttps({ ...options, hosts: microsoft })

  for (const [name, expected] of Object.entries(unchanged)) {
    it.live(`${name}, at Microsoft's addresses`, () =>
      Effect.gen(function*() {
        const { hosts, status, stderr, stdout } = yield* led(name)
        assert.strictEqual(status, 0, stderr)
        for (const text of expected) assert.include(stdout, text)
        assert.deepStrictEqual(hosts, microsoft.map((host) => `${host}:443`))
        const { tokenRequests } = yield* (yield* EntraSimulator.EntraSimulator).counters
        assert.strictEqual(tokenRequests, 1)
      }).pipe(Effect.provide(Microsoft())))
  }

  const daemonId = "5d1f0c7a-93be-4a26-8c44-1e7b20d9f3a8"
  it.live("key-vault, at Microsoft's addresses", () =>
    Effect.gen(function*() {
      ensureOpenssl()
      const simulator = yield* EntraSimulator.EntraSimulator
      const { certificate = "", origin } = yield* SimulatorServer.SimulatorServer
      const vault = yield* Vault.make({
        tenant: EntraSimulator.contosoTenantId,
        readers: [EntraSimulator.daemonClientId]
      })
      const made = yield* TestCertificate.make()
      yield* simulator.addCertificate(daemonId, made.certificate)
      yield* vault.put("daemon", yield* Vault.pkcs12(made))
      const ports = (asked: string) => asked === `${Vault.host}:443` ? vault.port : Number(new URL(origin).port)
      const { hosts, status, stderr, stdout } = yield* led("key-vault", {
        DAEMON_CLIENT_ID: daemonId,
        KEY_VAULT_URL: `https://${Vault.host}`,
        NODE_EXTRA_CA_CERTS: yield* temporaryFile(certificate + vault.authority)
      }, ports)
      assert.strictEqual(status, 0, stderr)
      assert.include(stdout, "a Bearer token with the certificate of the vault")
      assert.deepStrictEqual(hosts, [`${Vault.host}:443`, "login.microsoftonline.com:443"])
      assert.deepStrictEqual(vault.reads.map((read) => read.status), [401, 200])
    }).pipe(Effect.provide(SimulatorServer.layerHttpClient.pipe(Layer.provideMerge(Microsoft({
      apps: [...EntraSimulator.defaultOptions.apps, { clientId: daemonId }],
      resources: [...EntraSimulator.defaultOptions.resources, Vault.resource]
    }))))))

  it.live("daemon, at Microsoft's addresses", () =>
    Effect.gen(function*() {
      const { hosts, status, stderr, stdout } = yield* led("daemon")
      assert.strictEqual(status, 0, stderr)
      assert.match(stdout, new RegExp(`${EntraSimulator.contosoTenantId} +120 +Ada Abe`))
      assert.deepStrictEqual(hosts, microsoft.map((host) => `${host}:443`))
    }).pipe(Effect.provide(Microsoft())))

  const withoutRoles = [{ clientId: EntraSimulator.daemonClientId, secrets: [EntraSimulator.daemonSecret], roles: {} }]
  it.live.each(["daemon", "first-program"])(
    "%s, without a permission: tells so, shows no token, and fails",
    (name) =>
      Effect.gen(function*() {
        const { status, stderr, stdout } = yield* led(name)
        assert.strictEqual(status, 1)
        assert.include(stdout + stderr, "403 GET https://graph.microsoft.com/v1.0/users")
        assert.notInclude(stdout + stderr, "eyJ")
        if (name === "daemon") assert.include(stdout, "docs/registering.md#a-token-without-roles-403-at-the-api")
      }).pipe(Effect.provide(Microsoft({ apps: withoutRoles })))
  )

  // test/fleet/Example.test.ts runs the example of a fleet.
  it("none is left out", () => {
    const names = readdirSync("examples").filter((name) => name.endsWith(".ts")).map((name) => name.slice(0, -3))
    assert.deepStrictEqual(
      names.sort(),
      [...Object.keys(shown), ...Object.keys(unchanged), "key-vault", "fleet"].sort()
    )
  })
})

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
