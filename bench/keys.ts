/**
 * The cost of a scope-aware key: ours and three others. See README.md.
 *
 * node --conditions=@effect-entra/source --expose-gc bench/keys.ts [--quick]
 */
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { hash } from "node:crypto"
import { batch, flat, type Key, type Scenario, scenario } from "./support/keys.ts"
import { type Contender, cycle, measure, type Measured, nanoseconds } from "./support/measure.ts"
import { clientId } from "./support/msal.ts"
import { type Service, transport } from "./support/ours.ts"
import type { Goal, Table, Watched } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 12
const budget = quick ? 8 : 60
const tenants = 10
const begun = performance.now()

// -----------------------------------------------------------------------------
// four keys, the same request
// -----------------------------------------------------------------------------

interface Cached {
  readonly token: string
}

interface Strategy {
  readonly name: string
  readonly make: (scenario: Scenario) => (tenantId: string, scopes: ReadonlyArray<string>) => Cached | undefined
}

const flatWith = (name: string, keyOf: (tenantId: string, scopes: ReadonlyArray<string>) => string): Strategy => ({
  name,
  make: (scenario) => {
    const map = new Map<string, Cached>()
    for (const { scope, tenantId } of scenario.keys()) {
      // Flattened, or a key would be a rope that is put together at its first comparison.
      map.set(flat(keyOf(tenantId, [scope])), { token: scope })
    }
    return (tenantId, scopes) => map.get(keyOf(tenantId, scopes))
  }
})

const nested: Strategy = {
  name: "ours: nested Maps, the caller's own strings",
  make: (scenario) => {
    const map = new Map<string, Map<string, Cached>>()
    for (const { scope, tenantId } of scenario.keys()) {
      const scopes = map.get(tenantId) ?? new Map<string, Cached>()
      map.set(tenantId, scopes.set(scope, { token: scope }))
    }
    return (tenantId, scopes) => {
      const [scope] = scopes
      return scope === undefined || scopes.length > 1 ? undefined : map.get(tenantId)?.get(scope)
    }
  }
}

const strategies: ReadonlyArray<Strategy> = [
  nested,
  flatWith("one string, concatenated", (tenantId, scopes) => `${tenantId} ${scopes.join(" ")}`),
  flatWith(
    "one string, scopes folded, sorted and joined per call",
    (tenantId, scopes) => `${tenantId} ${scopes.map((scope) => scope.toLowerCase()).toSorted().join(" ")}`
  ),
  flatWith("SHA-256 of tenant and scopes", (tenantId, scopes) => hash("sha256", `${tenantId} ${scopes.join(" ")}`))
]

const lookUps = (strategy: Strategy, scenario: Scenario): Contender => {
  const find = strategy.make(scenario)
  const next = cycle(scenario.visits)
  const run = (visits: ReadonlyArray<Key>): number => {
    const begun = nanoseconds()
    for (const { scope, tenantId } of visits) {
      if (find(tenantId, [scope])?.token !== scope) throw new Error("not a hit")
    }
    return nanoseconds() - begun
  }
  return { name: strategy.name, group: scenario.label, operations: batch, run: async () => run(next()) }
}

// -----------------------------------------------------------------------------
// the client itself
// -----------------------------------------------------------------------------

const answer = transport(() => JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token: "a-token" }))

const clientOf = async (authority: string) => {
  const runtime = ManagedRuntime.make(
    ConfidentialClient.layer({ clientId, authority }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(Redacted.make("a-secret")),
        AuthorityResolver.layerStatic({ token: "https://login.microsoftonline.com/token" }),
        TokenEndpoint.layer,
        TokenCache.layerMemory({ maxEntries: 200_000, maxBytes: 2 ** 30 })
      ]),
      Layer.provide(answer)
    )
  )
  return { client: await runtime.runPromise(ConfidentialClient.ConfidentialClient), close: () => runtime.dispose() }
}

const entra = await clientOf("https://login.microsoftonline.com/organizations")
const adfs = await clientOf("https://adfs.example.com/adfs")

type Request = Parameters<Service["acquireToken"]>[0]

const loop = Effect.fnUntraced(function*(client: Service, requestOf: () => Request) {
  const begun = nanoseconds()
  for (let at = 0; at < batch; at++) yield* client.acquireToken(requestOf())
  return nanoseconds() - begun
})

const spelling = async (
  { client }: { readonly client: Service },
  group: string,
  name: string,
  requestOf: () => Request
): Promise<Contender> => {
  await Effect.runPromise(client.acquireToken(requestOf()))
  return {
    name,
    group,
    operations: batch,
    run: async () => {
      const before = Effect.runSync(client.stats)
      const took = await Effect.runPromise(loop(client, requestOf))
      const after = Effect.runSync(client.stats)
      if (after.hits - before.hits !== batch || after.entries !== before.entries) throw new Error("not only hits")
      return took
    }
  }
}

const tenantId = "7d1f0c2a-5b3e-4f6a-8c9d-000000000001"
const graph = "https://graph.microsoft.com/.default"
const one = "one scope (Entra)"
const three = "three scopes (AD FS)"

const spellings = [
  await spelling(entra, one, "as it is filed, in an array", () => ({ scopes: [graph], tenantId })),
  await spelling(entra, one, "as it is filed, as a string", () => ({ scopes: graph, tenantId })),
  await spelling(entra, one, "in other case", () => ({ scopes: ["https://Graph.microsoft.com/.default"], tenantId })),
  await spelling(entra, one, "the tenant in other case", () => ({ scopes: [graph], tenantId: tenantId.toUpperCase() })),
  await spelling(entra, one, "twice in the array", () => ({ scopes: [graph, graph], tenantId })),
  await spelling(entra, one, "the tenant in an authority", () => ({
    scopes: [graph],
    authority: `https://login.microsoftonline.com/${tenantId}`
  })),
  await spelling(adfs, three, "as they are filed, as one string", () => ({ scopes: "api/one api/three api/two" })),
  await spelling(
    adfs,
    three,
    "as they are filed, in an array",
    () => ({ scopes: ["api/one", "api/three", "api/two"] })
  ),
  await spelling(adfs, three, "in other order, in an array", () => ({ scopes: ["api/two", "api/one", "api/three"] })),
  await spelling(adfs, three, "in other order, as one string", () => ({ scopes: "api/two api/one api/three" }))
]
const kept = [Effect.runSync(entra.client.stats).entries, Effect.runSync(adfs.client.stats).entries]
if (kept.some((entries) => entries !== 1)) throw new Error(`spelled otherwise and filed otherwise: ${kept.join(", ")}`)

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const scenarios = [1, 10, 1_000, 10_000].map((scopes) => scenario(tenants, scopes))
const measured = await measure([
  ...scenarios.flatMap((scenario) => strategies.map((strategy) => lookUps(strategy, scenario))),
  ...spellings
], { rounds, budget })
await Promise.all([entra.close(), adfs.close()])

const find = (group: string, name: string): Measured => {
  const found = measured.find((measured) => measured.group === group && measured.name === name)
  if (found === undefined) throw new Error(`not measured: ${name}, ${group}`)
  return found
}

const others = strategies.filter((strategy) => strategy !== nested)
const times = (label: string, name: string): number => find(label, name).best / find(label, nested.name).best

const goals: ReadonlyArray<Goal> = scenarios.flatMap(({ label, scopes }) =>
  others.map(({ name }) => ({
    goal: `a look-up by our key takes no longer than by another, ${tenants} tenants x ${
      scopes.toLocaleString("en")
    } scopes: ${name}`,
    measured: `${times(label, name).toFixed(2)} times ours`,
    passed: times(label, name) >= 1,
    timed: true
  }))
)

const first = scenarios[0]?.label ?? ""
const watched: ReadonlyArray<Watched> = [
  ...others.map(({ name }): Watched => ({
    name: `look-up by our key of that by: ${name}`,
    kind: "ratio",
    value: 1 / times(first, name)
  })),
  ...["in other case", "twice in the array"].map((name): Watched => ({
    name: `a hit as it is filed is the unit, ${name}`,
    kind: "ratio",
    value: find(one, name).best / find(one, "as it is filed, in an array").best
  }))
]

const spelled = (group: string): Table => {
  const rows = measured.filter((measured) => measured.group === group)
  const [unit] = rows
  return {
    title: `What a spelling costs, ${group}: \`client.acquireToken\` in a fiber`,
    columns: ["spelling", "ns per hit", "times the first"],
    rows: rows.map(({ best, name }) => [name, Math.round(best), unit === undefined ? "" : best / unit.best]),
    note: "All of them find one entry; nothing is filed twice, and nothing is remembered of a spelling."
  }
}

await finish({
  name: "keys",
  question: "What does a scope-aware key cost?",
  method: [
    `The first table is of look-ups alone, without the rest of a hit: ${tenants} tenants with 1 to 10,000 scopes each, every`,
    "request with one scope in a fresh array, each key visited once in a shuffled order before one is visited again. Our key",
    "takes the caller's strings as they are and falls back to parsing when it finds nothing. One concatenated string finds a",
    "set of scopes only in the order in which it was stored, and so does the hash; the sorted one finds all, at that price on",
    "every call. The other tables are of whole hits of the client, by the spelling of the request. Least of the rounds' medians."
  ].join(" "),
  quick,
  rounds,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect"]),
  tables: [
    {
      title: "ns per look-up",
      columns: ["key", ...scenarios.map(({ scopes }) => `${tenants} x ${scopes.toLocaleString("en")}`)],
      rows: strategies.map(({ name }) => [name, ...scenarios.map(({ label }) => find(label, name).best)])
    },
    spelled(one),
    spelled(three)
  ],
  goals,
  plots: [{
    file: "keys",
    title: "A look-up by its key",
    kind: "line",
    x: { label: `scopes of each of ${tenants} tenants`, logarithmic: true },
    y: { label: "ns per look-up", logarithmic: true },
    series: strategies.map(({ name }) => ({
      name,
      points: scenarios.map(({ label, scopes }) => [scopes, find(label, name).best] as const)
    }))
  }],
  watched
})
