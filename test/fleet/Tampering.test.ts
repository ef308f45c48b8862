/** What another writer of the store can do to a cache: never a wrong token, never an error. With the real encryption. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Redacted } from "effect"
import type { TokenCache, TokenRequest, TokenStore } from "effect-entra"
import fc from "fast-check"
import { rootKey, startProcess } from "../support/fleet.ts"
import { until } from "../support/until.ts"
import { fabrikam, graph, orders, Simulator, tokenRequests } from "../support/world.ts"

/** A store without leases whose values the test may change. */
const openStore = () => {
  const values = new Map<string, { readonly bytes: Uint8Array; readonly ttl: Duration.Duration }>()
  const store: TokenStore.TokenStore["Service"] = {
    get: (name) => Effect.sync(() => values.get(name)),
    set: (name, bytes, ttl) => Effect.sync(() => void values.set(name, { bytes: bytes.slice(), ttl })),
    remove: (name) => Effect.sync(() => void values.delete(name))
  }
  const tokens = () => [...values.keys()].filter((name) => !name.endsWith(".epochs"))
  return { store, values, tokens }
}

const requests: ReadonlyArray<TokenRequest.TokenRequest> = [
  { scopes: orders },
  { scopes: graph },
  { scopes: orders, tenantId: fabrikam },
  { scopes: orders, cachePartition: "a" }
]

type Keys = TokenCache.TieredOptions["keys"]

/** Acquires all tokens in a new process. */
const acquireAll = (store: TokenStore.TokenStore["Service"], keys: Keys) =>
  Effect.scoped(Effect.gen(function*() {
    const { cache, client } = yield* startProcess({ store, keys })
    const results = yield* Effect.forEach(requests, (request) => client.acquireToken(request))
    const { store: counts } = yield* cache.stats
    return {
      tokens: results.map(({ accessToken }) => Redacted.value(accessToken)),
      levels: results.map(({ metadata }) => metadata.cacheLevel),
      unreadable: counts?.unreadable ?? 0
    }
  }))

/** Fills a store with the tokens of all requests. */
const filled = (keys: Keys) =>
  Effect.gen(function*() {
    const opened = openStore()
    const { tokens } = yield* acquireAll(opened.store, keys)
    yield* until("all are stored", Effect.sync(() => opened.tokens().length === requests.length ? true : undefined))
    return { ...opened, tokens, names: opened.tokens() }
  })

const keys = [rootKey("root")]

type Tamper = (
  values: Map<string, { readonly bytes: Uint8Array; readonly ttl: Duration.Duration }>,
  names: ReadonlyArray<string>
) => void

const at = fc.nat({ max: requests.length - 1 })
const change = (name: string | undefined, to: (bytes: Uint8Array) => Uint8Array): Tamper => (values) => {
  const value = values.get(name ?? "")
  if (value !== undefined && name !== undefined) values.set(name, { ...value, bytes: to(value.bytes) })
}
const tamper = (title: string, run: Tamper) => ({ title, run })

/** Changes of a store, which all make values unreadable. */
const tampers: fc.Arbitrary<{ readonly title: string; readonly run: Tamper }> = fc.oneof(
  fc.tuple(at, fc.nat(), fc.nat({ max: 7 })).map(([at, place, bit]) =>
    tamper(
      "flip a bit",
      (values, names) =>
        change(names[at], (bytes) => bytes.map((byte, i) => i === place % bytes.length ? byte ^ (1 << bit) : byte))(
          values,
          names
        )
    )
  ),
  fc.tuple(at, fc.nat()).map(([at, length]) =>
    tamper(
      "truncate",
      (values, names) => change(names[at], (bytes) => bytes.slice(0, length % bytes.length))(values, names)
    )
  ),
  fc.tuple(at, fc.uint8Array({ maxLength: 200 })).map(([at, bytes]) =>
    tamper("replace", (values, names) => change(names[at], () => bytes)(values, names))
  ),
  fc.tuple(at, at).filter(([from, to]) => from !== to).map(([from, to]) =>
    tamper("move", (values, names) => {
      const moved = values.get(names[from] ?? "")
      if (moved !== undefined) change(names[to], () => moved.bytes)(values, names)
    })
  ),
  fc.tuple(at, at).filter(([one, other]) => one !== other).map(([one, other]) =>
    tamper("swap", (values, names) => {
      const [first, second] = [values.get(names[one] ?? ""), values.get(names[other] ?? "")]
      if (first !== undefined && second !== undefined) {
        change(names[one], () => second.bytes)(values, names)
        change(names[other], () => first.bytes)(values, names)
      }
    })
  )
)

describe("a store that others write to", () => {
  it.live("untouched, gives each process the tokens of the first", () =>
    Effect.gen(function*() {
      const { store, tokens } = yield* filled(keys)
      assert.deepStrictEqual(yield* acquireAll(store, keys), {
        tokens,
        levels: requests.map(() => "L2" as const),
        unreadable: 0
      })
      assert.strictEqual(yield* tokenRequests, requests.length)
    }).pipe(Effect.provide(Simulator())))

  it.live(
    "flipped, truncated, replaced, moved or swapped values: each is a miss that is counted, and is replaced",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(tampers, { minLength: 1, maxLength: 4 }), (all) =>
            Effect.runPromise(
              Effect.gen(function*() {
                const { names, store, tokens, values } = yield* filled(keys)
                const before = new Map(values)
                for (const { run } of all) run(values, names)
                const touched = names.filter((name) => {
                  const [one, other] = [before.get(name)?.bytes, values.get(name)?.bytes]
                  return one === undefined || other === undefined || Buffer.compare(one, other) !== 0
                }).length
                const after = yield* acquireAll(store, keys)
                assert.strictEqual(after.unreadable >= touched, true)
                after.tokens.forEach((token, at) => {
                  // Either the right one, or a new one of this very request.
                  assert.strictEqual(token === tokens[at], after.levels[at] === "L2")
                  assert.notInclude(tokens.filter((_, other) => other !== at), token)
                })
                assert.strictEqual(after.levels.filter((level) => level !== "L2").length, touched)
                yield* until(
                  "it heals",
                  Effect.gen(function*() {
                    const healed = yield* acquireAll(store, keys)
                    return healed.levels.every((level) => level === "L2") && healed.unreadable === 0
                      ? true
                      : undefined
                  })
                )
              }).pipe(Effect.provide(Simulator()))
            )),
          { numRuns: 30 }
        )
      ),
    60_000
  )

  it.live("an old value after an invalidation, under all names that there are: not served", () =>
    Effect.gen(function*() {
      const { names, store, tokens, values } = yield* filled(keys)
      const old = names.map((name) => values.get(name))
      yield* Effect.scoped(Effect.flatMap(startProcess({ store, keys }), ({ client }) => client.invalidate("all")))
      const fresh = yield* acquireAll(store, keys)
      assert.strictEqual(new Set([...fresh.tokens, ...tokens]).size, 2 * requests.length)
      yield* until("they are stored", Effect.sync(() => values.size > 2 * requests.length ? true : undefined))
      const current = [...values.keys()].filter((name) => !names.includes(name) && !name.endsWith(".epochs"))
      assert.strictEqual(current.length, requests.length)
      for (const value of old) {
        for (const name of current) if (value !== undefined) values.set(name, value)
        const after = yield* acquireAll(store, keys)
        for (const token of after.tokens) assert.notInclude(tokens, token)
        assert.isAtLeast(after.unreadable, requests.length)
        yield* Effect.sleep(20)
      }
    }).pipe(Effect.provide(Simulator())))

  it.live("values of another root key, and of no key, are not even found", () =>
    Effect.gen(function*() {
      const { store, tokens } = yield* filled(keys)
      const others = yield* acquireAll(store, [rootKey("another")])
      const plain = yield* acquireAll(store, "plaintext")
      for (const { levels } of [others, plain]) assert.deepStrictEqual(levels, requests.map(() => "None"))
      for (const token of [...others.tokens, ...plain.tokens]) assert.notInclude(tokens, token)
    }).pipe(Effect.provide(Simulator())))

  it.live("plain text in a sealed cache is no token", () =>
    Effect.gen(function*() {
      const plain = yield* filled("plaintext")
      const sealed = yield* filled(keys)
      for (const [at, name] of sealed.names.entries()) {
        const value = plain.values.get(plain.names[at] ?? "")
        if (value !== undefined) sealed.values.set(name, value)
      }
      const after = yield* acquireAll(sealed.store, keys)
      for (const token of after.tokens) assert.notInclude([...plain.tokens, ...sealed.tokens], token)
      assert.isAtLeast(after.unreadable, requests.length)
    }).pipe(Effect.provide(Simulator())))

  it.live("keys that rotate three times: no error, and a token is found while its key is listed", () =>
    Effect.gen(function*() {
      const opened = openStore()
      const [a, b, c, d] = ["a", "b", "c", "d"].map(rootKey)
      if (a === undefined || b === undefined || c === undefined || d === undefined) return yield* Effect.die("no keys")
      const lists = [[a], [a, b], [b, a], [b], [b, c], [c, b], [c], [c, d], [d, c], [d]]
      for (const keys of lists) {
        const exit = yield* Effect.exit(acquireAll(opened.store, keys))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(Exit.isSuccess(exit) ? exit.value.unreadable : 1, 0)
        yield* Effect.sleep(20)
      }
      // The first, and each time a key goes that no process has rewritten its tokens with.
      assert.isAtMost(yield* tokenRequests, 4 * requests.length)
    }).pipe(Effect.provide(Simulator())))

  it.live("contains no token, tenant, client or scope", () =>
    Effect.gen(function*() {
      const { tokens, values } = yield* filled(keys)
      const all = [...values].map(([name, { bytes }]) => name + Buffer.from(bytes).toString("latin1")).join("\n")
      for (const secret of [...tokens, orders, graph, "11111111-1111", fabrikam]) assert.notInclude(all, secret)
    }).pipe(Effect.provide(Simulator())))
})
