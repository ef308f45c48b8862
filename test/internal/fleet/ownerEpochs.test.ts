import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import type { TokenStore } from "effect-entra"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type CachePlace, type Selector, selects } from "../../../src/internal/cache/cacheKey.ts"
import * as OwnerEpochs from "../../../src/internal/fleet/ownerEpochs.ts"
import * as StoreGuard from "../../../src/internal/fleet/storeGuard.ts"
import * as FakeFleetStore from "../../support/fakeFleetStore.ts"
import { fakeSealer } from "../../support/fakeSealer.ts"

const owner = "5:owner"
const place = (tenant: string, scopes = "s"): CachePlace => ({ space: `${owner}space`, tenant, scopes })

interface Invalidated {
  readonly owner: string
  readonly concerns: (place: CachePlace, issuedAt: number) => boolean
}

/** The epochs of a process. Of its memory only what was told to it is known. */
const start = (
  store: TokenStore.TokenStore["Service"],
  { isUsed = true, roots = ["A"] }: { readonly isUsed?: boolean; readonly roots?: ReadonlyArray<string> } = {}
) =>
  Effect.gen(function*() {
    const invalidated: Array<Invalidated> = []
    let losses = 0
    let ids = 0
    let commands = 0
    const whole = yield* StoreGuard.make({ onChange: () => Effect.void, onRefused: () => {}, probe: () => Effect.void })
    const guard: StoreGuard.StoreGuard = {
      ...whole,
      run: (...parameters) =>
        Effect.suspend(() => {
          commands++
          return whole.run(...parameters)
        })
    }
    const sealer = fakeSealer(roots)
    const epochs = yield* OwnerEpochs.make({
      store,
      guard,
      sealer,
      newId: () => `${roots.join("")}${++ids}`,
      interval: 500,
      reactions: {
        invalidated: (owner, concerns) => void invalidated.push({ owner, concerns }),
        lost: () => Effect.sync(() => void losses++),
        isUsed: () => isUsed
      }
    })
    /** The names of a place in the store. */
    const namesOf = (place: CachePlace) =>
      Effect.gen(function*() {
        const all = yield* epochs.of(owner, place, StoreGuard.newBudget())
        const sealed = yield* sealer.of(place.space + place.tenant + place.scopes)
        return all?.map((epoch, at) => `${sealed[at]?.id}.${epoch}`)
      })
    return { epochs, invalidated, losses: () => losses, commands: () => commands, namesOf }
  })

const both = ["with leases", "of values alone"] as const
const storeOf = (fake: FakeFleetStore.Connection, which: (typeof both)[number]) =>
  which === "with leases" ? fake.store : fake.withoutFleet

describe("invalidations that the store does not note", () => {
  const refusing = Effect.gen(function*() {
    const fake = yield* FakeFleetStore.make
    const process = yield* start(fake.store)
    yield* process.namesOf(place("contoso"))
    fake.refusesWrites = true
    return { fake, ...process }
  })
  const isKnown = (epochs: OwnerEpochs.OwnerEpochs, tenant: string, scopes = "s") =>
    epochs.current(owner, place(tenant, scopes)) !== undefined

  it.effect("concern their places until it does, and no others, whatever the names", () =>
    Effect.gen(function*() {
      const { epochs, fake } = yield* refusing
      yield* epochs.invalidate({ owner, tenant: "contoso" })
      yield* epochs.invalidate({ owner, tenant: "fabrikam", scopes: "s" })
      yield* epochs.invalidate({ owner, tenant: "", scopes: "" })
      const known = () => [
        isKnown(epochs, "contoso"),
        isKnown(epochs, "fabrikam"),
        isKnown(epochs, "fabrikam", "t"),
        isKnown(epochs, "", ""),
        isKnown(epochs, "", "s"),
        isKnown(epochs, "tailwind")
      ]
      assert.deepStrictEqual(known(), [false, false, true, false, true, true])
      yield* epochs.invalidate({ owner })
      assert.deepStrictEqual(known(), [false, false, false, false, false, false])
      fake.refusesWrites = false
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(known(), [true, true, true, true, true, true])
    }))

  it.effect("become one of all tokens when they are more than 10,000", () =>
    Effect.gen(function*() {
      const { epochs, fake } = yield* refusing
      for (let n = 0; n < 10_000; n++) yield* epochs.invalidate({ owner, tenant: `t${n}` })
      assert.isTrue(isKnown(epochs, "contoso"))
      yield* epochs.invalidate({ owner, tenant: "one more" })
      assert.isFalse(isKnown(epochs, "contoso"))
      fake.refusesWrites = false
      fake.resetCounts()
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(isKnown(epochs, "contoso"))
      assert.strictEqual(fake.counts.invalidate, 1)
    }))
})

for (const which of both) {
  describe(`epochs in a store ${which}`, () => {
    it.effect("are the same in each process, and change in all of them within an interval", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [one, other] = [yield* start(storeOf(fake, which)), yield* start(storeOf(fake, which))]
        const before = yield* one.namesOf(place("contoso"))
        assert.isDefined(before)
        assert.deepStrictEqual(yield* other.namesOf(place("contoso")), before)
        yield* one.epochs.invalidate({ owner, tenant: "contoso" })
        const after = yield* one.namesOf(place("contoso"))
        assert.notDeepEqual(after, before)
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(yield* other.namesOf(place("contoso")), after)
        // The process itself has dealt with its memory already.
        assert.strictEqual(one.invalidated.length, 0)
        assert.strictEqual(other.invalidated.length, 1)
        const concerns = other.invalidated[0]?.concerns
        assert.isTrue(concerns?.(place("contoso"), 0))
        assert.isFalse(concerns?.(place("fabrikam"), 0))
      }))

    it.effect("of a new process whose memory has tokens already: those from before an invalidation go", () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 day")
        const hour = 3_600_000
        const fake = yield* FakeFleetStore.make
        const one = yield* start(storeOf(fake, which))
        yield* one.namesOf(place("contoso"))
        const fresh = yield* start(storeOf(fake, which))
        yield* fresh.namesOf(place("contoso"))
        assert.strictEqual(fresh.invalidated.length, 0)
        yield* one.epochs.invalidate({ owner, tenant: "contoso" })
        const late = yield* start(storeOf(fake, which))
        yield* late.namesOf(place("contoso"))
        const concerns = late.invalidated[0]?.concerns
        const now = 24 * hour
        assert.deepStrictEqual(
          [-hour, 0, hour].map((since) => concerns?.(place("contoso"), now + since)),
          // Clocks may differ, so a token that seems to be a little younger goes too.
          [true, true, false]
        )
        assert.isFalse(concerns?.(place("fabrikam"), now - hour))
      }))

    it.effect("that the store has lost are new ones, and processes offer their tokens", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const one = yield* start(storeOf(fake, which))
        const before = yield* one.namesOf(place("contoso"))
        fake.flush()
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(one.losses(), 1)
        const after = yield* one.namesOf(place("contoso"))
        assert.notDeepEqual(after, before)
        assert.strictEqual(one.invalidated.length, 0)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(one.losses(), 1)
      }))

    it.effect("of 100 owners in a slow store change within a second", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [one, other] = [yield* start(storeOf(fake, which)), yield* start(storeOf(fake, which))]
        yield* Effect.forEach(
          Array.from({ length: 100 }, (_, n) => `owner ${n}`),
          (owner) => other.epochs.of(owner, place("contoso"), StoreGuard.newBudget())
        )
        yield* other.namesOf(place("contoso"))
        yield* one.epochs.invalidate({ owner, tenant: "contoso" })
        fake.delay = 20
        yield* TestClock.adjust("1 second")
        assert.strictEqual(other.invalidated.length, 1)
      }))

    it.effect("that are stamped many times while the store is away cost no more for each of them", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const one = yield* start(storeOf(fake, which))
        yield* one.namesOf(place("contoso"))
        fake.isSilent = true
        const many = Array.from({ length: 200 }, (_, n) => `tenant ${n}`)
        yield* Effect.forkChild(one.epochs.invalidate({ owner, tenant: "contoso" }), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        const before = one.commands()
        for (const tenant of many) yield* one.epochs.invalidate({ owner, tenant })
        assert.isAtMost(one.commands() - before, 3 * many.length)
        fake.isSilent = false
        yield* TestClock.adjust("2 seconds")
        for (const tenant of many) assert.isDefined(yield* one.namesOf(place(tenant)))
      }))

    it.effect("that are stamped while the store is away: no names until then, and the stamp is repeated", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [one, other] = [yield* start(storeOf(fake, which)), yield* start(storeOf(fake, which))]
        const before = yield* one.namesOf(place("contoso"))
        yield* other.namesOf(place("contoso"))
        fake.isSilent = true
        const fiber = yield* Effect.forkChild(one.epochs.invalidate({ owner, tenant: "contoso" }), {
          startImmediately: true
        })
        const early = yield* Effect.forkChild(one.namesOf(place("contoso")), { startImmediately: true })
        assert.isDefined(yield* one.namesOf(place("fabrikam")))
        assert.isUndefined(early.pollUnsafe(), "it waits for the invalidation")
        yield* TestClock.adjust(StoreGuard.turn * StoreGuard.wholeBudget)
        assert.isUndefined(yield* Fiber.join(early), "but not longer than for any command")
        yield* TestClock.adjust("10 seconds")
        assert.isDefined(fiber.pollUnsafe())
        const late = yield* Effect.forkChild(one.namesOf(place("contoso")), { startImmediately: true })
        yield* TestClock.adjust(StoreGuard.turn * StoreGuard.wholeBudget)
        assert.isUndefined(yield* Fiber.join(late))
        fake.isSilent = false
        yield* TestClock.adjust("1 second")
        const after = yield* one.namesOf(place("contoso"))
        assert.isDefined(after)
        assert.notDeepEqual(after, before)
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(yield* other.namesOf(place("contoso")), after)
        assert.strictEqual(other.invalidated.length, 1)
      }))

    it.effect("are not known while the store is silent from the start, and read once for all callers", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        fake.isSilent = true
        const one = yield* start(storeOf(fake, which))
        const fiber = yield* Effect.forkChild(one.namesOf(place("contoso")), { startImmediately: true })
        yield* TestClock.adjust("250 millis")
        assert.isUndefined(yield* fiber.pollUnsafe() ?? Effect.die("it goes on"))
        fake.isSilent = false
        yield* TestClock.adjust("1 second")
        fake.resetCounts()
        const all = yield* Effect.all(Array.from({ length: 50 }, () => one.namesOf(place("contoso"))), {
          concurrency: "unbounded"
        })
        assert.isDefined(all[0])
        assert.strictEqual(fake.counts.epochs + fake.counts.get, 0)
      }))

    it.effect("of an owner that is not used are no longer read", () =>
      Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const one = yield* start(storeOf(fake, which), { isUsed: false })
        yield* one.namesOf(place("contoso"))
        yield* TestClock.adjust("61 seconds")
        fake.resetCounts()
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(fake.counts.epochs + fake.counts.get, 0)
        assert.isDefined(yield* one.namesOf(place("contoso")))
      }))
  })
}

describe("an invalidation whose write is under way", () => {
  it.effect("is not repeated by the look for invalidations", () =>
    Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const one = yield* start(fake.store)
      yield* one.namesOf(place("contoso"))
      yield* TestClock.adjust("450 millis")
      fake.delay = 150
      yield* Effect.forkChild(one.epochs.invalidate({ owner }), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(fake.counts.invalidate, 1)
    }))

  it.effect("does not stand for a later one of the same tokens", () =>
    Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const one = yield* start(fake.store)
      yield* one.namesOf(place("contoso"))
      fake.delay = 150
      yield* Effect.forkChild(one.epochs.invalidate({ owner }), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      yield* Effect.forkChild(one.epochs.invalidate({ owner }), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(fake.counts.invalidate, 2)
    }))
})

const rootLists = [["A"], ["A", "B"], ["B", "A"], ["B"]]

describe("root keys", () => {
  const tenants = ["contoso", "fabrikam"]
  const scopes = ["s", "t"]
  const places = tenants.flatMap((tenant) => scopes.map((scopes) => place(tenant, scopes)))
  const selector: fc.Arbitrary<Selector> = fc.constantFrom(
    { owner },
    ...tenants.map((tenant) => ({ owner, tenant })),
    ...places.map(({ scopes, tenant }) => ({ owner, tenant, scopes }))
  )
  const shares = (one: number, other: number) =>
    rootLists[one]?.some((root) => rootLists[other]?.includes(root) === true) === true
  const step = fc.oneof(
    fc.record({ kind: fc.constant("invalidate" as const), by: fc.nat({ max: 3 }), selector }),
    fc.record({ kind: fc.constant("store" as const), by: fc.nat({ max: 3 }) }),
    fc.record({ kind: fc.constant("wait" as const), by: fc.constantFrom(1, 7, 600) })
  )

  it(
    "in any mix of processes: no process reads a token from before an invalidation by one with which it shares a root",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.constantFrom(...both), (steps, which) =>
          Effect.runPromise(
            Effect.scoped(Effect.gen(function*() {
              const fake = yield* FakeFleetStore.make
              const processes = yield* Effect.forEach(rootLists, (roots) => start(storeOf(fake, which), { roots }))
              // What was stored under a name: the place, and the number of the step at which it was issued.
              const stored = new Map<string, { readonly place: CachePlace; readonly at: number }>()
              const invalidations: Array<{ readonly at: number; readonly by: number; readonly selector: Selector }> = []
              for (const [at, step] of steps.entries()) {
                if (step.kind === "wait") yield* TestClock.adjust(step.by)
                if (step.kind === "invalidate") {
                  yield* processes[step.by]?.epochs.invalidate(step.selector) ?? Effect.void
                  invalidations.push({ at, by: step.by, selector: step.selector })
                  // Other processes hear of it within an interval.
                  yield* TestClock.adjust("501 millis")
                }
                if (step.kind === "store") {
                  for (const place of places) {
                    const names = yield* processes[step.by]?.namesOf(place) ?? Effect.succeed(undefined)
                    if (names?.[0] !== undefined) stored.set(names[0], { place, at })
                  }
                }
                for (const [reader, { namesOf }] of processes.entries()) {
                  for (const place of places) {
                    for (const name of (yield* namesOf(place)) ?? []) {
                      const token = stored.get(name)
                      const earlier = invalidations.filter(({ at, by, selector }) =>
                        token !== undefined && token.at < at && shares(reader, by) && selects(selector, place)
                      )
                      assert.deepStrictEqual(earlier, [], `${rootLists[reader]} reads ${JSON.stringify(token)}`)
                    }
                  }
                }
              }
            })).pipe(Effect.provide(TestClock.layer()))
          )),
        { numRuns: 60 }
      ),
    60_000
  )

  it.effect("of values alone with a foreign base are lost ones: names have no other characters", () =>
    Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const one = yield* start(fake.withoutFleet)
      yield* one.namesOf(place("contoso"))
      const [record = ""] = fake.keys()
      const name = record.slice("v:".length)
      const text = JSON.stringify({ version: "v", base: "../../etc/passwd", stamps: {} })
      yield* fake.withoutFleet.set(name, new TextEncoder().encode(text), Duration.minutes(1))
      yield* TestClock.adjust("500 millis")
      for (const name of (yield* one.namesOf(place("contoso"))) ?? []) assert.match(name, /^[\w.-]{1,100}$/)
      assert.strictEqual(one.losses(), 1)
    }))

  it.effect("of several root keys are read until one of them is not answered", () =>
    Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const { commands, namesOf } = yield* start(fake.store, { roots: ["A", "B"] })
      yield* namesOf(place("contoso"))
      assert.strictEqual(commands(), 2)
      fake.isSilent = true
      yield* TestClock.adjust("1 second")
      assert.strictEqual(commands(), 3)
    }))

  it.effect("old and new together: processes that have both share tokens with those of each, also after invalidations", () =>
    Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [old, both, reversed] = yield* Effect.forEach(
        rootLists.slice(0, 3),
        (roots) => start(fake.store, { roots })
      )
      if (old === undefined || both === undefined || reversed === undefined) return yield* Effect.die("none")
      for (const by of [old, both, reversed, both]) {
        yield* TestClock.adjust("1 second")
        // Time passes between the two records, as it does on a server.
        fake.delay = 3
        yield* Effect.forkChild(by.epochs.invalidate({ owner }), { startImmediately: true })
        yield* TestClock.adjust("100 millis")
        fake.delay = 0
        yield* TestClock.adjust("1 second")
        const [name] = (yield* old.namesOf(place("contoso"))) ?? []
        assert.include((yield* both.namesOf(place("contoso"))) ?? [], name)
        assert.include((yield* reversed.namesOf(place("contoso"))) ?? [], name)
        assert.sameMembers([...(yield* both.namesOf(place("contoso"))) ?? []], [
          ...(yield* reversed.namesOf(place("contoso"))) ?? []
        ])
      }
    }))
})
