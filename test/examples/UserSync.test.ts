/** The parts of examples/user-sync without a browser: the state of a sync, the answers of Graph, the job, the sessions. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Layer, References, Scope } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import * as Graph from "../../examples/user-sync/graph.ts"
import { html } from "../../examples/user-sync/html.ts"
import * as Sessions from "../../examples/user-sync/sessions.ts"
import { readSettings } from "../../examples/user-sync/settings.ts"
import * as Sqlite from "../../examples/user-sync/sqlite.ts"
import * as Store from "../../examples/user-sync/store.ts"
import * as Sync from "../../examples/user-sync/sync.ts"
import {
  endsFullRound,
  initial,
  type Pace,
  type SyncEvent,
  type SyncState,
  transition
} from "../../examples/user-sync/syncState.ts"
import { temporaryFile } from "../support/child.ts"

const { Fault, contosoTenantId: contoso, daemonClientId, fabrikamTenantId: fabrikam } = EntraSimulator

const pace: Pace = { interval: 300_000, firstDelay: 15_000, longestDelay: 1_800_000 }

describe("the state of a sync", () => {
  const now = 1_000_000
  const first = initial(0)
  const changes = { at: "changes", link: "d1" } as const
  const page = { at: "page", link: "p1" } as const
  const problem = { code: "c", message: "m", remedy: "r" }
  const failed = (isRetryable: boolean): SyncEvent => ({ _tag: "Failed", problem, isRetryable })
  const throttled = (retryAfter: number): SyncEvent => ({ _tag: "Throttled", by: "Microsoft Graph", retryAfter })
  const read = (next: typeof changes | typeof page): SyncEvent => ({ _tag: "PageRead", changed: 7, next })
  const started = transition(first, { _tag: "Started" }, now, pace)

  it.each<readonly [name: string, before: Partial<SyncState>, event: SyncEvent, after: Partial<SyncState>]>([
    ["begins with all users", {}, { _tag: "Started" }, { phase: "syncing", kind: "full", fullRounds: 1 }],
    ["goes on with a page", { cursor: page, pages: 4, fullRounds: 1 }, { _tag: "Started" }, {
      phase: "syncing",
      pages: 4
    }],
    ["begins with the changes", { cursor: changes, pages: 4, changed: 9, fullRounds: 1 }, { _tag: "Started" }, {
      phase: "syncing",
      kind: "changes",
      pages: 0,
      changed: 0
    }],
    ["reads a page", { phase: "syncing", problem: { ...problem, at: 1 } }, read(page), {
      cursor: page,
      pages: 1,
      changed: 7,
      problem: null
    }],
    ["reads the last page", { phase: "syncing", failures: 3 }, read(changes), {
      phase: "upToDate",
      cursor: changes,
      pages: 1,
      changed: 7,
      failures: 0,
      syncedAt: now,
      dueAt: now + 300_000
    }],
    ["waits as long as Graph says", { cursor: page }, throttled(7000), { phase: "waiting", dueAt: now + 7000 }],
    ["waits at least a second", {}, throttled(0), { phase: "waiting", dueAt: now + 1000 }],
    ["waits an hour at most", {}, throttled(1e12), { phase: "waiting", dueAt: now + 3_600_000 }],
    ["fails", {}, failed(true), {
      phase: "failed",
      failures: 1,
      dueAt: now + 15_000,
      problem: { ...problem, at: now }
    }],
    ["fails again", { failures: 2 }, failed(true), { phase: "failed", failures: 3, dueAt: now + 60_000 }],
    ["fails for the thousandth time", { failures: 999 }, failed(true), { failures: 1000, dueAt: now + 1_800_000 }],
    ["fails and needs help", {}, failed(false), { phase: "failed", failures: 1, dueAt: now + 1_800_000 }],
    ["begins anew at once", { cursor: changes }, { _tag: "LinkExpired" }, {
      phase: "queued",
      cursor: { at: "start" },
      failures: 1,
      dueAt: now
    }],
    ["begins anew, but not in a loop", { failures: 1 }, { _tag: "LinkExpired" }, { failures: 2, dueAt: now + 30_000 }],
    ["is wanted", { phase: "upToDate", dueAt: now + 9 }, { _tag: "Wanted" }, { phase: "queued", dueAt: now }],
    ["is wanted after a failure", { phase: "failed", failures: 2 }, { _tag: "Wanted" }, {
      phase: "queued",
      failures: 2
    }],
    ["is wanted too early", { phase: "waiting", dueAt: now + 9 }, { _tag: "Wanted" }, {
      phase: "waiting",
      dueAt: now + 9
    }],
    ["is wanted while it runs", { phase: "syncing" }, { _tag: "Wanted" }, { phase: "syncing" }]
  ])("%s", (_, before, event, after) => {
    const state = { ...first, ...before }
    const { problem: told, ...next } = transition(state, event, now, pace)
    const { problem: expected, ...rest } = after
    assert.deepInclude(next, rest)
    if (expected !== undefined) assert.deepStrictEqual(told, expected)
  })

  it("drops users at the end of a full round only", () => {
    assert.isTrue(endsFullRound(started, read(changes)))
    assert.isFalse(endsFullRound(started, read(page)))
    assert.isFalse(endsFullRound({ ...started, kind: "changes" }, read(changes)))
    assert.isFalse(endsFullRound(started, failed(true)))
  })
})

describe("an answer of Graph", () => {
  const origin = "https://graph.microsoft.com"
  const outcome = (status: number, body: unknown, headers: Record<string, string> = {}) =>
    Graph.outcomeOf(
      { status, headers, origin, body: typeof body === "string" ? body : JSON.stringify(body) },
      Date.parse("2026-11-30T12:00:00Z")
    )
  const error = (code: string) => ({ error: { code, message: "A message." } })
  const link = `${origin}/v1.0/users/delta?$deltatoken=a`

  it("is a page: names may be absent, null, or of people who are gone", () => {
    assert.deepStrictEqual(
      outcome(200, {
        value: [
          { id: "1", displayName: "One", userPrincipalName: "one@x" },
          { id: "2", displayName: null },
          { id: "3", "@removed": { reason: "changed" } }
        ],
        "@odata.nextLink": link
      }),
      {
        _tag: "Page",
        next: { at: "page", link },
        users: [
          { id: "1", name: "One", principalName: "one@x" },
          { id: "2", name: "", principalName: undefined },
          { id: "3", isRemoved: true }
        ]
      }
    )
    assert.deepInclude(outcome(200, { value: [], "@odata.deltaLink": link }), { next: { at: "changes", link } })
  })

  it.each<readonly [status: number, body: unknown, headers: Record<string, string>, expected: Partial<Graph.NoPage>]>([
    [410, error("whatever"), {}, { _tag: "LinkExpired" }],
    [400, error("syncStateNotFound"), {}, { _tag: "LinkExpired" }],
    [400, error("Directory_ExpiredPageToken"), {}, { _tag: "LinkExpired" }],
    [429, error("TooManyRequests"), { "retry-after": "12" }, { _tag: "Throttled", retryAfter: 12_000 }],
    [429, "", { "retry-after": "Mon, 30 Nov 2026 12:00:20 GMT" }, { _tag: "Throttled", retryAfter: 20_000 }],
    [429, "", { "retry-after": "Mon, 30 Nov 2026 11:00:00 GMT" }, { _tag: "Throttled", retryAfter: 0 }],
    [429, "<html>", { "retry-after": "soon" }, { _tag: "Throttled", retryAfter: 30_000 }],
    [503, error("serviceNotAvailable"), { "retry-after": "3" }, { _tag: "Throttled", retryAfter: 3000 }],
    [503, error("serviceNotAvailable"), {}, { _tag: "Failed", isRetryable: true }],
    [500, "", {}, { _tag: "Failed", isRetryable: true }],
    [403, error("Authorization_RequestDenied"), {}, { _tag: "Failed", isRetryable: false }],
    [400, error("BadRequest"), {}, { _tag: "Failed", isRetryable: false }],
    [302, "", {}, { _tag: "Failed", isRetryable: false }],
    [200, "not JSON", {}, { _tag: "Failed", isRetryable: true }],
    [200, { value: [] }, {}, { _tag: "Failed", isRetryable: true }],
    [200, { value: [{ id: "" }], "@odata.deltaLink": link }, {}, { _tag: "Failed", isRetryable: true }],
    [200, { value: [], "@odata.nextLink": "https://evil.example/" }, {}, { _tag: "Failed", isRetryable: true }],
    [200, { value: [], "@odata.nextLink": "/v1.0/users" }, {}, { _tag: "Failed", isRetryable: true }]
  ])("%d %j %j", (status, body, headers, expected) => {
    const found = outcome(status, body, headers)
    assert.deepInclude(found, expected)
    if (found._tag === "Failed") {
      assert.match(found.problem.message, /^[A-Z].*\.$/)
      assert.match(found.problem.remedy, /^[A-Z].*\.$/)
    }
  })
})

describe("the background job", () => {
  /** The job over a database, with a simulator and a clock of the test. */
  const startJob = Effect.fnUntraced(function*(
    options: {
      readonly database?: string
      readonly concurrency?: number
      readonly tenants?: EntraSimulator.Options["tenants"]
      readonly allowedTenants?: ReadonlyArray<string>
      readonly store?: (store: Store.Store["Service"]) => Store.Store["Service"]
    } = {}
  ) {
    const simulator = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake, tenants: options.tenants })
    const Job = Sync.layer({ pace, concurrency: options.concurrency ?? 4 }).pipe(
      Layer.provideMerge(
        Layer.effect(Store.Store, Effect.map(Store.Store, options.store ?? ((store) => store))).pipe(
          Layer.provide(Store.layer)
        )
      ),
      Layer.provideMerge(Graph.layer("https://graph.microsoft.com")),
      Layer.provideMerge(ConfidentialClient.layerDefault({
        clientId: daemonClientId,
        allowedTenants: options.allowedTenants
      })),
      Layer.provideMerge(ClientCredential.layerSecret(EntraSimulator.daemonSecret)),
      Layer.provideMerge(simulator),
      Layer.provideMerge(Sqlite.layer(options.database ?? ":memory:"))
    )
    const services = yield* Effect.provideService(Layer.build(Job), References.MinimumLogLevel, "None")
    const store = Context.get(services, Store.Store)
    const stateOf = (tenantId: string) =>
      Effect.map(store.find(tenantId), (tenant) => ({ users: tenant?.users, ...tenant?.state }))
    return {
      store,
      stateOf,
      sync: Context.get(services, Sync.Sync),
      client: Context.get(services, ConfidentialClient.ConfidentialClient),
      simulator: Context.get(services, EntraSimulator.EntraSimulator)
    }
  })
  const connect = (tenantId: string) => ({ tenantId, customer: tenantId })
  const namesOf = (store: Store.Store["Service"], tenantId: string) =>
    Effect.map(store.search({ tenantId, text: "", page: 1 }), ({ users }) => users.map(({ name }) => name))
  const settle = TestClock.adjust("10 millis")
  const fabrikamUser = "fab00000-0000-4000-8000-000000000001"

  it.effect("reads all users once, and then their changes", () =>
    Effect.gen(function*() {
      const { client, simulator, stateOf, store, sync } = yield* startJob()
      yield* sync.connect(connect(fabrikam))
      yield* sync.connect(connect(contoso))
      yield* settle
      assert.deepInclude(yield* stateOf(contoso), {
        users: 120,
        phase: "upToDate",
        kind: "full",
        pages: 2,
        changed: 120
      })
      yield* simulator.removeUser(fabrikam, fabrikamUser)
      yield* simulator.putUser(fabrikam, { id: "new", displayName: "Zoë", userPrincipalName: "zoe@fabrikam.com" })
      yield* TestClock.adjust("5 minutes")
      assert.deepInclude(yield* stateOf(fabrikam), {
        users: 3,
        phase: "upToDate",
        kind: "changes",
        pages: 1,
        changed: 2
      })
      assert.deepStrictEqual(yield* namesOf(store, fabrikam), ["Bo Berg", "Chidi Costa", "Zoë"])
      const { graphRequests, tokenRequests } = yield* simulator.counters
      assert.deepStrictEqual([graphRequests, tokenRequests], [5, 2])
      assert.strictEqual((yield* client.stats).entries, 2)
    }))

  it.effect("reads all users again after a link has expired, and drops those who are gone", () =>
    Effect.gen(function*() {
      const { simulator, stateOf, store, sync } = yield* startJob()
      yield* sync.connect(connect(fabrikam))
      yield* settle
      yield* simulator.removeUser(fabrikam, fabrikamUser)
      yield* simulator.expireDeltaLinks(fabrikam)
      yield* sync.syncNow(fabrikam)
      yield* settle
      assert.deepInclude(yield* stateOf(fabrikam), {
        phase: "upToDate",
        kind: "full",
        fullRounds: 2,
        users: 2,
        failures: 0,
        problem: null
      })
      assert.deepStrictEqual(yield* namesOf(store, fabrikam), ["Bo Berg", "Chidi Costa"])
    }))

  it.effect("comes back when Graph says, not earlier, with the page that is next", () =>
    Effect.gen(function*() {
      const { simulator, stateOf, sync } = yield* startJob()
      yield* simulator.fail(Fault.delay("1 second"), { endpoint: "graph" })
      yield* sync.connect(connect(contoso))
      yield* settle
      yield* simulator.fail(Fault.throttled({ retryAfter: "40 seconds" }), { endpoint: "graph" })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* stateOf(contoso), { phase: "waiting", pages: 1, users: 100 })
      yield* sync.syncNow(contoso)
      yield* TestClock.adjust("39 seconds")
      assert.strictEqual((yield* simulator.counters).graphRequests, 1)
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* stateOf(contoso), { phase: "upToDate", pages: 2, users: 120, fullRounds: 1 })
    }))

  it.effect("one broken tenant does not hold up the others", () =>
    Effect.gen(function*() {
      const { simulator, stateOf, sync } = yield* startJob({ concurrency: 1 })
      yield* simulator.fail(Fault.delay("1 hour"), { endpoint: "graph", tenant: fabrikam, times: Infinity })
      yield* sync.connect(connect(fabrikam))
      yield* settle
      yield* sync.connect(connect(contoso))
      yield* TestClock.adjust("31 seconds")
      assert.deepInclude(yield* stateOf(contoso), { phase: "upToDate", users: 120 })
      assert.deepInclude(yield* stateOf(fabrikam), { phase: "failed", failures: 1 })
      yield* simulator.clearFaults
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* stateOf(fabrikam), { phase: "upToDate", users: 3 })
    }))

  it.effect("goes on after a database that fails again and again", () =>
    Effect.gen(function*() {
      let isBroken = false
      const { simulator, stateOf, sync } = yield* startJob({
        store: (store) => ({
          ...store,
          find: (tenantId) => Effect.suspend(() => isBroken ? Effect.die("disk I/O error") : store.find(tenantId)),
          change: (tenantId, next) =>
            Effect.suspend(() => isBroken ? Effect.die("disk I/O error") : store.change(tenantId, next))
        })
      })
      yield* sync.connect(connect(fabrikam))
      yield* settle
      yield* simulator.removeUser(fabrikam, fabrikamUser)
      isBroken = true
      yield* TestClock.adjust("10 minutes")
      isBroken = false
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* stateOf(fabrikam), { phase: "upToDate", users: 2 })
    }))

  it.effect("does not wait for a time that a wrong clock has set", () =>
    Effect.gen(function*() {
      const database = yield* temporaryFile("")
      const year = 365 * 86_400_000
      yield* Effect.scoped(Effect.gen(function*() {
        const services = yield* Layer.build(Layer.provide(Store.layer, Sqlite.layer(database)))
        const state = { ...initial(year), phase: "waiting", dueAt: year } as const
        yield* Context.get(services, Store.Store).add({ ...connect(fabrikam), state })
      }))
      const { stateOf } = yield* startJob({ database })
      yield* settle
      assert.deepInclude(yield* stateOf(fabrikam), { phase: "upToDate", users: 3 })
    }))

  it.effect("at most so many tenants read at a time", () =>
    Effect.gen(function*() {
      const tenants = Array.from({ length: 7 }, (_, index) => ({ id: `0f2d6c5b-1e8a-4b7c-9d3e-5a4f6b7c8d9${index}` }))
      const { simulator, sync } = yield* startJob({ concurrency: 3, tenants })
      yield* simulator.fail(Fault.delay("10 seconds"), { endpoint: "graph", times: Infinity })
      for (const { id } of tenants) yield* sync.connect(connect(id))
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* simulator.counters).faults, 3)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* simulator.counters).faults, 6)
    }))

  it.effect("goes on after a restart with the page that is next, and then with the changes", () =>
    Effect.gen(function*() {
      const database = yield* temporaryFile("")
      const users = Array.from({ length: 150 }, (_, index) => ({
        id: `u${index}`,
        displayName: `User ${index}`,
        userPrincipalName: `u${index}@x`
      }))
      const tenants = [{ id: contoso, users }]
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(startJob({ database, tenants }), scope)
      yield* before.simulator.fail(Fault.delay("1 second"), { endpoint: "graph" })
      yield* before.sync.connect(connect(contoso))
      yield* settle
      yield* before.simulator.fail(Fault.delay("1 hour"), { endpoint: "graph" })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* before.stateOf(contoso), { phase: "syncing", pages: 1, users: 100 })
      yield* Scope.close(scope, Effect.runSyncExit(Effect.void))

      const { simulator, stateOf } = yield* startJob({ database, tenants })
      yield* settle
      assert.deepInclude(yield* stateOf(contoso), {
        phase: "upToDate",
        kind: "full",
        fullRounds: 1,
        pages: 2,
        users: 150
      })
      assert.strictEqual((yield* simulator.counters).graphRequests, 1)
      yield* TestClock.adjust("5 minutes")
      assert.deepInclude(yield* stateOf(contoso), { phase: "upToDate", kind: "changes", pages: 1, changed: 0 })
    }))

  it.effect("a new consent counts although the old token is still valid", () =>
    Effect.gen(function*() {
      const { simulator, stateOf, sync } = yield* startJob()
      yield* simulator.revoke(daemonClientId, fabrikam)
      yield* sync.connect(connect(fabrikam))
      yield* settle
      const { problem } = yield* stateOf(fabrikam)
      assert.strictEqual(problem?.code, "Authorization_RequestDenied")
      yield* simulator.consent(daemonClientId, fabrikam)
      yield* sync.connect(connect(fabrikam))
      yield* settle
      assert.deepInclude(yield* stateOf(fabrikam), { phase: "upToDate", users: 3, problem: null })
    }))

  it.effect("a tenant that is not a customer any more fails with a remedy, and can be disconnected", () =>
    Effect.gen(function*() {
      const { simulator, stateOf, store, sync } = yield* startJob({ allowedTenants: [contoso] })
      yield* sync.connect(connect(fabrikam))
      yield* settle
      const { phase, problem } = yield* stateOf(fabrikam)
      assert.deepStrictEqual([phase, problem?.code], ["failed", "tenant_not_allowed"])
      assert.strictEqual((yield* simulator.counters).tokenRequests, 0)
      yield* sync.disconnect(fabrikam)
      assert.deepStrictEqual(yield* store.all, [])
    }))

  it.effect("a disconnection while a token is requested leaves no token", () =>
    Effect.gen(function*() {
      const { client, simulator, store, sync } = yield* startJob()
      yield* simulator.fail(Fault.delay("5 seconds"))
      yield* sync.connect(connect(contoso))
      yield* settle
      assert.strictEqual((yield* simulator.counters).faults, 1)
      yield* sync.disconnect(contoso)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual([yield* store.all, (yield* client.stats).entries], [[], 0])
      assert.strictEqual((yield* simulator.counters).graphRequests, 0)
    }))

  it.effect("a disconnection during a sync leaves nothing, and another connection begins anew", () =>
    Effect.gen(function*() {
      const { client, simulator, stateOf, store, sync } = yield* startJob()
      yield* simulator.fail(Fault.delay("20 seconds"), { endpoint: "graph" })
      yield* sync.connect(connect(contoso))
      yield* settle
      yield* simulator.fail(Fault.delay("20 seconds"), { endpoint: "graph" })
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* stateOf(contoso), { phase: "syncing", users: 100 })
      yield* sync.disconnect(contoso)
      yield* sync.disconnect(contoso)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual([yield* store.all, (yield* client.stats).entries], [[], 0])
      yield* sync.syncNow(contoso)
      yield* Effect.all([sync.connect(connect(contoso)), sync.connect(connect(contoso))], { concurrency: 2 })
      yield* settle
      assert.deepInclude(yield* stateOf(contoso), { phase: "upToDate", users: 120, fullRounds: 1 })
    }))
})

describe("the database", () => {
  it.effect("keeps values that a change does not mention, and stores a page completely or not at all", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.provide(Store.layer, Sqlite.layer(":memory:")))
      const store = Context.get(services, Store.Store)
      yield* store.add({ tenantId: "t", customer: "T", state: initial(0) })
      const next = (state: SyncState) => ({ state: { ...state, pages: state.pages + 1 }, dropOthers: false })
      const put = (name: string | undefined, principalName: string | undefined) =>
        store.applyPage("t", [{ id: "1", name, principalName }], next)
      const found = (text: string) =>
        Effect.map(store.search({ tenantId: "t", text, page: 1 }), ({ total, users }) => ({ total, first: users[0] }))
      yield* put("Zoë", "zoe@x")
      yield* put(undefined, "z@x")
      assert.deepStrictEqual(yield* found("ZOE"), { total: 1, first: { id: "1", name: "Zoë", principalName: "z@x" } })
      yield* put("", undefined)
      assert.deepStrictEqual((yield* found("zoe")).total, 0)
      assert.deepStrictEqual((yield* found("z@")).first, { id: "1", name: "", principalName: "z@x" })
      // The state of this page cannot be stored.
      const exit = yield* Effect.exit(store.applyPage(
        "t",
        [{ id: "2", name: "Two", principalName: "two@x" }],
        (state) => ({ state: { ...state, pages: 0.5 }, dropOthers: false })
      ))
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual((yield* found("")).total, 1)
      assert.isUndefined(yield* store.applyPage("other", [{ id: "2", name: "Two", principalName: "" }], next))
      yield* store.remove("t")
      assert.strictEqual((yield* found("")).total, 0)
    }))
})

describe("a search", () => {
  it.effect("returns the last page for a page beyond it", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.provide(Store.layer, Sqlite.layer(":memory:")))
      const store = Context.get(services, Store.Store)
      yield* store.add({ tenantId: "t", customer: "T", state: initial(0) })
      const users = Array.from({ length: Store.pageSize + 1 }, (_, index) => {
        const name = String(index).padStart(3, "0")
        return { id: name, name, principalName: `${name}@x` }
      })
      yield* store.applyPage("t", users, (state) => ({ state, dropOthers: false }))
      const found = (page: number, text = "") =>
        Effect.map(store.search({ tenantId: "t", text, page }), (found) => [found.page, found.users.length])
      assert.deepStrictEqual(yield* Effect.all([found(1), found(2), found(3), found(999_999)]), [
        [1, Store.pageSize],
        [2, 1],
        [2, 1],
        [2, 1]
      ])
      assert.deepStrictEqual(yield* found(2, "nobody"), [1, 0])
    }))
})

describe("sessions", () => {
  const start = Effect.map(Layer.build(Sessions.layer), Context.get(Sessions.Sessions))
  const account = { kind: "customer", name: "Contoso", tenantId: contoso } as const

  it.effect("have another id after the sign-in, and expire", () =>
    Effect.gen(function*() {
      const sessions = yield* start
      const visitor = yield* sessions.get(undefined)
      assert.strictEqual((yield* sessions.get(visitor.id)).id, visitor.id)
      const session = yield* sessions.signIn(visitor, account)
      assert.notStrictEqual(session.id, visitor.id)
      assert.notStrictEqual(session.csrf, visitor.csrf)
      assert.isUndefined((yield* sessions.get(visitor.id)).account)
      assert.deepStrictEqual((yield* sessions.get(session.id)).account, account)
      assert.notStrictEqual((yield* sessions.get("made up")).id, "made up")
      yield* TestClock.adjust(Sessions.lifetimes.session)
      assert.isUndefined((yield* sessions.get(session.id)).account)
    }))

  it.effect("know their consent links: once, for ten minutes, and no other session's", () =>
    Effect.gen(function*() {
      const sessions = yield* start
      const mine = yield* sessions.signIn(yield* sessions.get(undefined), account)
      const other = yield* sessions.signIn(yield* sessions.get(undefined), account)
      const first = yield* sessions.beginConsent(mine)
      const second = yield* sessions.beginConsent(mine)
      assert.isFalse(yield* sessions.endConsent(other, first))
      assert.isFalse(yield* sessions.endConsent(mine, ""))
      assert.isTrue(yield* sessions.endConsent(mine, second))
      assert.isFalse(yield* sessions.endConsent(mine, second))
      yield* TestClock.adjust(Duration.subtract(Sessions.lifetimes.consent, Duration.millis(1)))
      assert.isTrue(yield* sessions.endConsent(mine, first))
      const late = yield* sessions.beginConsent(mine)
      yield* TestClock.adjust(Sessions.lifetimes.consent)
      assert.isFalse(yield* sessions.endConsent(mine, late))
      const left = yield* sessions.beginConsent(mine)
      yield* sessions.signOut(mine)
      assert.isFalse(yield* sessions.endConsent(mine, left))
    }))

  it.effect("of visitors do not push out those of customers", () =>
    Effect.gen(function*() {
      const sessions = yield* start
      const customer = yield* sessions.signIn(yield* sessions.get(undefined), account)
      for (let visits = 0; visits < Sessions.mostSessions + 10; visits++) yield* sessions.get(undefined)
      assert.deepStrictEqual((yield* sessions.get(customer.id)).account, account)
    }))
})

it("HTML escapes every value", () => {
  const hostile = `<a href="x" class='y'>&\``
  const { text } = html`<p title="${hostile}">${hostile}${html`<b>${1}</b>`}${[
    html`<i></i>`,
    html`&amp;`
  ]}${undefined}</p>`
  const escaped = "&#60;a href=&#34;x&#34; class=&#39;y&#39;&#62;&#38;&#96;"
  assert.strictEqual(text, `<p title="${escaped}">${escaped}<b>1</b><i></i>&amp;</p>`)
})

describe("settings", () => {
  const read = (env: Record<string, string>) =>
    readSettings.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env)))
  const id = "3F6A2C1E-8b4d-4e57-9a10-c5d2e7f48b36"

  it.effect("without any, the simulator", () =>
    Effect.gen(function*() {
      const simulated = { port: 3000, publicUrl: undefined, database: undefined, real: undefined }
      assert.deepStrictEqual(yield* read({}), simulated)
      assert.deepStrictEqual(yield* read({ AZURE_TENANT_ID: " ", USER_SYNC_URL: "" }), simulated)
    }))

  it.effect("of the real service", () =>
    Effect.gen(function*() {
      const operator = { kind: "operator", name: "Operator" } as const
      const own = yield* read({
        AZURE_CLIENT_ID: "c",
        AZURE_TENANT_ID: id,
        USER_SYNC_PORT: "0",
        USER_SYNC_DATABASE: "x.db"
      })
      assert.deepStrictEqual(own, {
        port: 0,
        publicUrl: undefined,
        database: "x.db",
        real: {
          clientId: "c",
          authorityHost: "https://login.microsoftonline.com",
          accounts: [{ kind: "customer", name: "My organization", tenantId: contoso }, operator]
        }
      })
      const list = yield* read({ AZURE_CLIENT_ID: "c", USER_SYNC_CUSTOMERS: `Contoso = ${id},Fabrikam=${fabrikam}` })
      assert.deepStrictEqual(list.real?.accounts.map(({ name }) => name), ["Contoso", "Fabrikam", "Operator"])
    }))

  it.effect.each<readonly [env: Record<string, string>, name: string]>([
    [{ USER_SYNC_PORT: "x" }, "USER_SYNC_PORT"],
    [{ USER_SYNC_PORT: "65536" }, "USER_SYNC_PORT"],
    [{ USER_SYNC_URL: "users.contoso.com" }, "USER_SYNC_URL"],
    [{ USER_SYNC_URL: "ftp://users.contoso.com" }, "USER_SYNC_URL"],
    [{ USER_SYNC_URL: "http://users.contoso.com" }, "USER_SYNC_URL"],
    [{ USER_SYNC_URL: "https://users.contoso.com/app" }, "USER_SYNC_URL"],
    [{ AZURE_TENANT_ID: id }, "AZURE_CLIENT_ID"],
    [{ AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: id, AZURE_AUTHORITY_HOST: "login.example" }, "AZURE_AUTHORITY_HOST"],
    [
      { AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: id, AZURE_AUTHORITY_HOST: "http://login.example" },
      "AZURE_AUTHORITY_HOST"
    ],
    [{ AZURE_CLIENT_ID: "c" }, "AZURE_TENANT_ID"],
    [{ AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: "contoso.com" }, "AZURE_TENANT_ID"],
    [{ AZURE_CLIENT_ID: "c", USER_SYNC_CUSTOMERS: "Contoso" }, "USER_SYNC_CUSTOMERS"],
    [{ AZURE_CLIENT_ID: "c", USER_SYNC_CUSTOMERS: `=${id}` }, "USER_SYNC_CUSTOMERS"],
    [{ AZURE_CLIENT_ID: "c", USER_SYNC_CUSTOMERS: `A=${id},` }, "USER_SYNC_CUSTOMERS"]
  ])("that cannot be used: %j", ([env, name]) =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(read(env))
      assert.include(message, name)
      assert.match(message, /^[A-Z].*\. ?(?:Set|List|Separate)[^.]*/)
    }))
})
