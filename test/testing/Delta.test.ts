/** Delta queries for the users of a tenant at the Graph of the simulator. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { goodForm, post, readToken, tenant, tokenUrl } from "./wire.ts"

const { Fault, fabrikamTenantId } = EntraSimulator
const deltaUrl = "https://graph.microsoft.com/v1.0/users/delta"
const world = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })

const Page = Schema.Struct({
  value: Schema.Array(Schema.Struct({
    id: Schema.String,
    displayName: Schema.optionalKey(Schema.String),
    "@removed": Schema.optionalKey(Schema.Struct({ reason: Schema.String }))
  })),
  "@odata.nextLink": Schema.optionalKey(Schema.String),
  "@odata.deltaLink": Schema.optionalKey(Schema.String)
})

const GraphError = Schema.Struct({ error: Schema.Struct({ code: Schema.String, message: Schema.String }) })

const call = Effect.fnUntraced(
  function*(url: string, options: { readonly in?: string; readonly prefer?: string } = {}) {
    const { access_token: token } = yield* readToken(yield* post(goodForm, tokenUrl(options.in ?? tenant)))
    const headers = { authorization: `Bearer ${token}`, prefer: options.prefer ?? "odata.maxpagesize=50" }
    return yield* HttpClient.get(url, { headers })
  }
)

const read = Effect.fnUntraced(function*(...parameters: Parameters<typeof call>) {
  const response = yield* call(...parameters)
  assert.strictEqual(response.status, 200)
  return yield* Schema.decodeUnknownEffect(Page)(yield* response.json)
})

/** Reads pages up to the delta link. Runs `between` after the first page. */
const round = Effect.fnUntraced(function*(url: string, between: Effect.Effect<void> = Effect.void) {
  const sizes: Array<number> = []
  const seen: Array<string> = []
  let next: string | undefined = url
  let end = ""
  while (next !== undefined) {
    const page: typeof Page.Type = yield* read(next)
    sizes.push(page.value.length)
    for (const { id, ...user } of page.value) seen.push(user["@removed"] === undefined ? id : `-${id}`)
    if (sizes.length === 1) yield* between
    next = page["@odata.nextLink"]
    end = page["@odata.deltaLink"] ?? end
  }
  return { sizes, seen, end }
})

const idOf = (number: number) => `c0150000-0000-4000-8000-000000000${String(number).padStart(3, "0")}`
const newcomer = { id: "a-new-user", displayName: "<b>Zoë</b>", userPrincipalName: "zoe@contoso.com" }

describe("a delta query", () => {
  it.effect("reads all users, then the changes, then nothing", () =>
    Effect.gen(function*() {
      const { putUser, removeUser } = yield* EntraSimulator.EntraSimulator
      const first = yield* round(deltaUrl)
      assert.deepStrictEqual([first.sizes, new Set(first.seen).size], [[50, 50, 20], 120])
      assert.deepStrictEqual((yield* round(first.end)).seen, [])
      yield* putUser(tenant, newcomer)
      yield* removeUser(tenant, idOf(3))
      yield* putUser("contoso.onmicrosoft.com", { ...newcomer, displayName: "Zoë" })
      const second = yield* round(first.end)
      assert.deepStrictEqual(second.seen, [`-${idOf(3)}`, newcomer.id])
      assert.deepStrictEqual((yield* round(second.end)).seen, [])
      // The older link still works, and the list of users is the same directory.
      assert.deepStrictEqual((yield* round(first.end)).seen, second.seen)
      const list = yield* read("https://graph.microsoft.com/v1.0/users?$top=999")
      assert.deepStrictEqual([list.value.length, list.value.some(({ id }) => id === idOf(3))], [120, false])
    }).pipe(Effect.provide(world)))

  it.effect("does not report users that were removed before it began, but those that were removed since", () =>
    Effect.gen(function*() {
      const { putUser, removeUser } = yield* EntraSimulator.EntraSimulator
      yield* removeUser(tenant, idOf(1))
      const { seen } = yield* round(
        deltaUrl,
        Effect.gen(function*() {
          yield* removeUser(tenant, idOf(2))
          yield* removeUser(tenant, idOf(120))
          yield* putUser(tenant, { ...newcomer, id: idOf(4) })
          yield* putUser(tenant, newcomer)
        })
      )
      assert.notInclude(seen, `-${idOf(1)}`)
      assert.isBelow(seen.indexOf(idOf(2)), seen.indexOf(`-${idOf(2)}`))
      assert.notInclude(seen, idOf(120))
      assert.strictEqual(seen.at(-1), newcomer.id)
      assert.lengthOf(seen.filter((id) => id === idOf(4)), 2)
    }).pipe(Effect.provide(world)))

  it.effect("starts with the current state for the token latest", () =>
    Effect.gen(function*() {
      const { removeUser } = yield* EntraSimulator.EntraSimulator
      const latest = yield* round(`${deltaUrl}?$deltatoken=latest`)
      assert.deepStrictEqual(latest.seen, [])
      yield* removeUser(tenant, idOf(9))
      assert.deepStrictEqual((yield* round(latest.end)).seen, [`-${idOf(9)}`])
    }).pipe(Effect.provide(world)))

  it.effect("reads the tenant of the token only", () =>
    Effect.gen(function*() {
      assert.lengthOf((yield* read(deltaUrl, { in: fabrikamTenantId })).value, 3)
    }).pipe(Effect.provide(world)))

  it.effect.each(
    [
      ["odata.maxpagesize=2", 2],
      ["return=minimal, odata.maxpagesize=7", 7],
      ["respond-async; ODATA.MaxPageSize=9", 9],
      ["odata.maxpagesize=0", 100],
      ["odata.maxpagesize=1000", 100],
      ["odata.maxpagesize=x", 100],
      ["", 100]
    ] as const
  )("with the preference %j has %d users on a page", ([prefer, size]) =>
    Effect.gen(function*() {
      assert.lengthOf((yield* read(deltaUrl, { prefer })).value, size)
    }).pipe(Effect.provide(world)))

  it.effect("gets 410 for an expired link, and a place to begin anew", () =>
    Effect.gen(function*() {
      const { addTenant, expireDeltaLinks } = yield* EntraSimulator.EntraSimulator
      const begin = yield* read(deltaUrl)
      const { end } = yield* round(deltaUrl)
      yield* expireDeltaLinks(tenant)
      for (const link of [end, begin["@odata.nextLink"] ?? ""]) {
        const response = yield* call(link)
        const { error } = yield* Schema.decodeUnknownEffect(GraphError)(yield* response.json)
        assert.deepStrictEqual([response.status, error.code], [410, "syncStateNotFound"])
        assert.strictEqual(response.headers["location"], `${deltaUrl}?$deltatoken=`)
      }
      const again = yield* round(`${deltaUrl}?$deltatoken=`)
      assert.deepStrictEqual([again.seen.length, (yield* round(again.end)).seen], [120, []])
      yield* addTenant({ id: tenant })
      assert.strictEqual((yield* call(again.end)).status, 410)
      assert.deepStrictEqual((yield* round(deltaUrl)).seen, [])
    }).pipe(Effect.provide(world)))

  it.effect.each(["$skiptoken=x", "$skiptoken=1.2", "$skiptoken=1.2.3.4", "$deltatoken=1", "$deltatoken=1.2.x"])(
    "with %s is refused",
    (query) =>
      Effect.gen(function*() {
        const response = yield* call(`${deltaUrl}?${query}`)
        const { error } = yield* Schema.decodeUnknownEffect(GraphError)(yield* response.json)
        assert.deepStrictEqual([response.status, error.code], [400, "BadRequest"])
      }).pipe(Effect.provide(world))
  )

  it.effect("is throttled in the format of Graph, in one tenant", () =>
    Effect.gen(function*() {
      const { counters, fail } = yield* EntraSimulator.EntraSimulator
      yield* fail(Fault.throttled({ retryAfter: "7 seconds" }), {
        endpoint: "graph",
        tenant: "contoso.onmicrosoft.com"
      })
      assert.strictEqual((yield* call(deltaUrl, { in: fabrikamTenantId })).status, 200)
      const response = yield* call(deltaUrl)
      const { error } = yield* Schema.decodeUnknownEffect(GraphError)(yield* response.json)
      assert.deepStrictEqual([response.status, response.headers["retry-after"], error.code], [
        429,
        "7",
        "TooManyRequests"
      ])
      assert.strictEqual((yield* call(deltaUrl)).status, 200)
      yield* fail(Fault.refused({ code: 1, error: "unknownError", status: 500 }), { endpoint: "graph" })
      assert.include(yield* (yield* call(deltaUrl)).text, `"code":"unknownError"`)
      assert.strictEqual((yield* counters).faults, 2)
    }).pipe(Effect.provide(world)))

  it.effect("needs a user that exists for its removal", () =>
    Effect.gen(function*() {
      const { removeUser } = yield* EntraSimulator.EntraSimulator
      const exit = yield* Effect.exit(removeUser(tenant, "nobody"))
      assert.include(String(exit), "there is no user nobody in tenant")
    }).pipe(Effect.provide(world)))
})
