/** The engine alone: what is loaded when, what is tried next, what is said. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { EntraError } from "effect-entra"
import { TestClock } from "effect/testing"
import * as Rotation from "../../../src/internal/credential/rotation.ts"
import { WaitUntil } from "../../../src/internal/shared/requestContext.ts"
import { attempt as anAttempt, sessions } from "../../support/credentials.ts"
import { record, warnings } from "../../support/log.ts"
import { problem } from "../support.ts"

const attempt = (correlationId: string) => ({ ...anAttempt, correlationId })

const refusal = (correlationId: string, code = 7000215) =>
  new EntraError.InvalidClientError({
    ...problem,
    code: "secret_wrong",
    error: "invalid_client",
    errorCodes: [code],
    correlationId
  })

const failure = new EntraError.CredentialError({ ...problem, origin: "local", field: "secret", code: "source_failed" })

/** A store whose content a test changes, and that counts how often it is read. */
const store = (first: ReadonlyArray<string>, options: Partial<Rotation.Source<string>> = {}) => {
  const content: Effect.Effect<ReadonlyArray<string>, EntraError.CredentialError> = Effect.succeed(first)
  const state = { content, loads: 0 }
  const source: Rotation.Source<string> = {
    load: Effect.suspend(() => {
      state.loads++
      return state.content
    }),
    same: (one, other) => one === other,
    reloadEvery: Infinity,
    prove: (material) => Effect.succeed({ form: { material } }),
    ...options
  }
  return Effect.map(Effect.map(Rotation.make(source), sessions), (credential) => ({
    state,
    credential,
    set: (...content: ReadonlyArray<string>) => {
      state.content = Effect.succeed(content)
    },
    use: (id: string) => Effect.map(credential.authenticate(attempt(id)), ({ form }) => form["material"]),
    refuse: (id: string, code?: number) => credential.refused(refusal(id, code))
  }))
}

describe("loading", () => {
  it.effect("is when it is first needed, and once", () =>
    Effect.gen(function*() {
      const { credential, state, use } = yield* store(["a"])
      assert.strictEqual(state.loads, 0)
      assert.strictEqual(credential.revision(), "")
      assert.strictEqual(yield* use("1"), "a")
      assert.strictEqual(yield* use("2"), "a")
      assert.strictEqual(state.loads, 1)
      assert.notStrictEqual(credential.revision(), "")
    }))

  it.effect("what has been loaded already is not loaded again", () =>
    Effect.gen(function*() {
      const { credential, state, use } = yield* store(["b"], { initial: ["a"] })
      assert.notStrictEqual(credential.revision(), "")
      assert.strictEqual(yield* use("1"), "a")
      assert.strictEqual(state.loads, 0)
    }))

  it.effect("one serves all who wait for it", () =>
    Effect.gen(function*() {
      const { state, use } = yield* store([])
      const gate = yield* Deferred.make<ReadonlyArray<string>>()
      state.content = Deferred.await(gate)
      const waiting = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }, (_, index) => `${index}`), use, { concurrency: "unbounded" })
      )
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, ["a"])
      assert.deepStrictEqual(new Set(yield* Fiber.join(waiting)), new Set(["a"]))
      assert.strictEqual(state.loads, 1)
    }))

  it.effect("whoever leaves takes nobody along", () =>
    Effect.gen(function*() {
      const { state, use } = yield* store([])
      const gate = yield* Deferred.make<ReadonlyArray<string>>()
      state.content = Deferred.await(gate)
      const first = yield* Effect.forkChild(use("1"))
      const second = yield* Effect.forkChild(use("2"))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, ["a"])
      assert.strictEqual(yield* Fiber.join(second), "a")
    }))

  it.effect("a first load that fails is that attempt's error, and is tried again", () =>
    Effect.gen(function*() {
      const { set, state, use } = yield* store([])
      state.content = Effect.fail(failure)
      assert.strictEqual((yield* Effect.flip(use("1"))).code, "source_failed")
      set("a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* use("3"), "a")
    }))

  it.effect("what dies, and what brings nothing, is a CredentialError", () =>
    Effect.gen(function*() {
      const { set, state, use } = yield* store([])
      assert.strictEqual((yield* Effect.flip(use("1"))).code, "credential_missing")
      yield* TestClock.adjust("1 second")
      state.content = Effect.die("s3cret")
      const died = yield* Effect.flip(use("2"))
      assert.strictEqual(died.code, "credential_defect")
      assert.notInclude(JSON.stringify(died), "s3cret")
      yield* TestClock.adjust("1 second")
      state.content = Effect.interrupt
      assert.strictEqual((yield* Effect.flip(use("3"))).code, "credential_defect")
      yield* TestClock.adjust("1 second")
      set("a")
      assert.strictEqual(yield* use("4"), "a")
    }))

  it.effect("is repeated every reloadEvery; the revision changes with the content and with nothing else", () =>
    Effect.gen(function*() {
      const { credential, set, state, use } = yield* store(["a"], { reloadEvery: 60_000 })
      yield* use("1")
      const first = credential.revision()
      yield* TestClock.adjust(59_999)
      yield* use("2")
      assert.strictEqual(state.loads, 1)
      yield* TestClock.adjust(1)
      yield* use("3")
      assert.strictEqual(state.loads, 2)
      assert.strictEqual(credential.revision(), first)
      set("b", "a")
      yield* TestClock.adjust(60_000)
      assert.strictEqual(yield* use("4"), "b")
      assert.notStrictEqual(credential.revision(), first)
    }))

  it.effect("a reload that fails or hangs keeps what there is, with one warning until it works again", () => {
    const recorded = record()
    return Effect.gen(function*() {
      const { set, state, use } = yield* store(["a"], { reloadEvery: 10_000 })
      yield* use("1")
      state.content = Effect.fail(failure)
      for (const id of ["2", "3", "4"]) {
        yield* TestClock.adjust(10_000)
        assert.strictEqual(yield* use(id), "a")
      }
      assert.strictEqual(warnings(recorded).length, 1)
      set("a")
      yield* TestClock.adjust(10_000)
      yield* use("5")
      state.content = Effect.never
      yield* TestClock.adjust(10_000)
      const waiting = yield* Effect.forkChild(use("6"))
      yield* TestClock.adjust(Rotation.reloadWait)
      assert.strictEqual(yield* Fiber.join(waiting), "a")
      assert.strictEqual(yield* use("7"), "a")
      assert.strictEqual(warnings(recorded).length, 2)
      assert.include(warnings(recorded)[0] ?? "", "source_failed")
    }).pipe(Effect.provide(recorded.layer))
  })
})

describe("a refusal", () => {
  it.effect("turns to the next of the list, for everybody, and each is tried once", () =>
    Effect.gen(function*() {
      const { credential, refuse, state, use } = yield* store(["a", "b", "c"])
      assert.strictEqual(yield* use("1"), "a")
      const first = credential.revision()
      assert.isTrue(yield* refuse("1"))
      assert.notStrictEqual(credential.revision(), first)
      assert.strictEqual(yield* use("1"), "b")
      assert.strictEqual(yield* use("2"), "b")
      assert.isTrue(yield* refuse("1"))
      assert.strictEqual(yield* use("1"), "c")
      assert.strictEqual(state.loads, 1)
      assert.isFalse(yield* refuse("1"))
      assert.strictEqual(state.loads, 2)
      // The next acquisition starts with the newest again.
      assert.strictEqual(yield* use("3"), "a")
    }))

  it.effect("of all there is reloads, and in vain once an acquisition", () =>
    Effect.gen(function*() {
      const { refuse, set, state, use } = yield* store(["a"])
      yield* use("1")
      set("b")
      assert.isTrue(yield* refuse("1"))
      assert.strictEqual(yield* use("1"), "b")
      assert.isFalse(yield* refuse("1"))
      set("c")
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* refuse("1"))
      assert.strictEqual(state.loads, 3)
    }))

  it.effect("in vain is not repeated within a second, however many are refused", () =>
    Effect.gen(function*() {
      const { refuse, set, state, use } = yield* store(["a"])
      const many = Array.from({ length: 100 }, (_, index) => `${index}`)
      yield* Effect.forEach(many, use)
      assert.deepStrictEqual(
        new Set(yield* Effect.forEach(many, (id) => refuse(id), { concurrency: "unbounded" })),
        new Set([false])
      )
      assert.strictEqual(state.loads, 2)
      yield* use("x")
      set("b")
      yield* TestClock.adjust(999)
      assert.isFalse(yield* refuse("x"))
      yield* use("y")
      yield* TestClock.adjust(1)
      assert.isTrue(yield* refuse("y"))
      assert.strictEqual(yield* use("y"), "b")
      assert.strictEqual(state.loads, 3)
    }))

  it.effect("a reload that began after the attempt counts as its own, one that began before does not", () =>
    Effect.gen(function*() {
      const { refuse, set, state, use } = yield* store(["a"], { reloadEvery: 1000 })
      yield* use("old")
      yield* TestClock.adjust(1000)
      set("b")
      yield* use("new")
      assert.strictEqual(state.loads, 2)
      assert.isTrue(yield* refuse("old"))
      assert.strictEqual(state.loads, 2)
      assert.strictEqual(yield* use("old"), "b")
      assert.isFalse(yield* refuse("new"))
      assert.strictEqual(state.loads, 3)
    }))

  it.effect("that other material does not mend changes nothing", () =>
    Effect.gen(function*() {
      const { credential, refuse, state, use } = yield* store(["a", "b"])
      yield* use("1")
      const revision = credential.revision()
      assert.isFalse(yield* refuse("1", 700016))
      assert.strictEqual(credential.revision(), revision)
      assert.strictEqual(state.loads, 1)
    }))

  it.effect("whose reload fails is final, and says so once", () => {
    const recorded = record()
    return Effect.gen(function*() {
      const { refuse, state, use } = yield* store(["a"])
      state.content = Effect.succeed(["a"])
      yield* use("1")
      state.content = Effect.fail(failure)
      assert.isFalse(yield* refuse("1"))
      assert.strictEqual(warnings(recorded).length, 1)
      assert.strictEqual(yield* use("2"), "a")
    }).pipe(Effect.provide(recorded.layer))
  })

  it.effect("of an attempt is known for what it was, however many acquisitions are under way", () =>
    Effect.gen(function*() {
      const { refuse, use } = yield* store(["dead", "good"])
      const names = Array.from({ length: 3000 }, (_, index) => `of many ${index}`)
      for (const name of names) assert.strictEqual(yield* use(name), "dead")
      for (const name of names) {
        assert.isTrue(yield* refuse(name))
        assert.strictEqual(yield* use(name), "good")
      }
    }))

  it.effect("is not forgotten by an attempt that repeats the request", () =>
    Effect.gen(function*() {
      const { refuse, use } = yield* store(["a", "b"])
      yield* use("repeats")
      assert.isTrue(yield* refuse("repeats"))
      assert.strictEqual(yield* use("repeats"), "b")
      assert.strictEqual(yield* use("repeats"), "b")
      assert.isFalse(yield* refuse("repeats"))
    }))

  it.effect("may come for each of several rotations that one acquisition lives through", () =>
    Effect.gen(function*() {
      const { refuse, set, use } = yield* store(["0"])
      for (const nth of ["0", "1", "2", "3"]) {
        assert.strictEqual(yield* use("long"), nth)
        set(`${Number(nth) + 1}`)
        assert.isTrue(yield* refuse("long"))
      }
      assert.strictEqual(yield* use("long"), "4")
      assert.isFalse(yield* refuse("long"))
    }))

  it.effect("while a load hangs: what is in hand is used, callers wait once, and after a minute another begins", () =>
    Effect.gen(function*() {
      const { set, state, use } = yield* store(["a"], { reloadEvery: 60_000 })
      yield* use("1")
      // A store that cannot be interrupted, as one that is connecting in `acquireRelease`.
      state.content = Effect.uninterruptible(Effect.never)
      yield* TestClock.adjust(60_000)
      const waiting = yield* Effect.forkChild(use("2"))
      yield* TestClock.adjust(Rotation.reloadWait)
      assert.strictEqual(yield* Fiber.join(waiting), "a")
      assert.strictEqual(yield* use("3"), "a")
      assert.strictEqual(state.loads, 2)
      set("b")
      yield* TestClock.adjust(60_000)
      assert.strictEqual(yield* use("4"), "b")
      assert.strictEqual(state.loads, 3)
    }))

  it.effect("a load that takes longer than callers wait for it takes effect all the same", () =>
    Effect.gen(function*() {
      const { state, use } = yield* store(["a"], { reloadEvery: 600_000 })
      yield* use("1")
      state.content = Effect.delay(Effect.succeed(["slow"]), "20 seconds")
      yield* TestClock.adjust("10 minutes")
      const waiting = yield* Effect.forkChild(use("2"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "a")
      assert.strictEqual(yield* use("3"), "slow")
      assert.strictEqual(state.loads, 2)
    }))

  it.effect("a source that fails at once is asked once a second, and everybody hears why", () =>
    Effect.gen(function*() {
      const { set, state, use } = yield* store([])
      state.content = Effect.fail(failure)
      for (let call = 0; call < 10; call++) assert.strictEqual(yield* Effect.flip(use(`failing ${call}`)), failure)
      assert.strictEqual(state.loads, 1)
      set("a")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* use("then"), "a")
    }))

  it.effect("what is the same is used as it was loaded last", () =>
    Effect.gen(function*() {
      const made: Array<{ readonly name: string; readonly nth: number }> = []
      const credential = sessions(
        yield* Rotation.make({
          load: Effect.sync(() => {
            const material = { name: "key", nth: made.length }
            made.push(material)
            return [material]
          }),
          same: (one, other) => one.name === other.name,
          reloadEvery: 0,
          prove: ({ nth }) => Effect.succeed({ form: { nth: `${nth}` } })
        })
      )
      const nth = (name: string) => Effect.map(credential.authenticate(attempt(name)), ({ form }) => form["nth"])
      assert.deepStrictEqual([yield* nth("x"), yield* nth("y"), yield* nth("z")], ["0", "1", "2"])
    }))

  it.effect("a warning is logged even if the next attempt begins another load at once", () => {
    const recorded = record()
    return Effect.gen(function*() {
      const { state, use } = yield* store(["a"], { reloadEvery: 0 })
      yield* use("first")
      state.content = Effect.andThen(Effect.yieldNow, Effect.fail(failure))
      for (let call = 0; call < 20; call++) assert.strictEqual(yield* use(`failing ${call}`), "a")
      assert.strictEqual(state.loads, 21)
      assert.strictEqual(warnings(recorded).length, 1)
    }).pipe(Effect.provide(recorded.layer))
  })

  it.effect("a comparison that dies is a failed load, and not the end of all loads", () =>
    Effect.gen(function*() {
      let dies = true
      const { set, use } = yield* store(["a"], {
        reloadEvery: 1000,
        same: (one, other) => {
          if (dies) throw new Error("wiped")
          return one === other
        }
      })
      yield* use("1")
      set("b")
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* use("2"), "a")
      dies = false
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* use("3"), "b")
    }))

  it.effect("with lookEvery, calls that ask for the revision have the source looked at behind them", () =>
    Effect.gen(function*() {
      const { credential, refuse, set, state, use } = yield* store(["a"], { lookEvery: 1000 })
      yield* use("1")
      assert.isFalse(yield* refuse("1"))
      const revision = credential.revision()
      set("b")
      yield* TestClock.adjust(999)
      assert.strictEqual(credential.revision(), revision)
      yield* TestClock.adjust(1)
      credential.revision()
      yield* Effect.yieldNow
      yield* TestClock.adjust(0)
      assert.notStrictEqual(credential.revision(), revision)
      assert.strictEqual(state.loads, 3)
    }))

  it.effect("with lookEvery, a standing refusal has the source looked at once in that time, again and again", () =>
    Effect.gen(function*() {
      const { credential, refuse, set, state, use } = yield* store(["a"], { lookEvery: 1000 })
      const look = Effect.andThen(Effect.sync(() => credential.revision()), TestClock.adjust(0))
      yield* TestClock.setTime(1_000_000)
      yield* use("1")
      yield* look
      assert.strictEqual(state.loads, 1)
      assert.isFalse(yield* refuse("1"))
      assert.strictEqual(state.loads, 2)
      yield* look
      yield* TestClock.adjust(999)
      yield* look
      assert.strictEqual(state.loads, 2)
      for (const loads of [3, 4, 5]) {
        yield* TestClock.adjust(loads === 3 ? 1 : 1000)
        yield* look
        yield* TestClock.adjust(0)
        yield* look
        assert.strictEqual(state.loads, loads)
      }
      set("b")
      yield* TestClock.adjust(1000)
      yield* look
      assert.strictEqual(state.loads, 6)
      // The new material has not been refused, so nothing is looked for.
      yield* TestClock.adjust(5000)
      yield* look
      assert.strictEqual(state.loads, 6)
    }))

  it.effect("a reload without a change does not return to the refused first of the list", () =>
    Effect.gen(function*() {
      const { refuse, state, use } = yield* store(["a", "b"], { reloadEvery: 1000 })
      assert.strictEqual(yield* use("1"), "a")
      assert.isTrue(yield* refuse("1"))
      assert.strictEqual(yield* use("1"), "b")
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* use("2"), "b")
      assert.strictEqual(state.loads, 2)
    }))

  it.effect("what such a look has to say goes to the logger that the credential was built under", () => {
    const recorded = record()
    return Effect.gen(function*() {
      const { credential, refuse, state, use } = yield* store(["a"], { lookEvery: 1000 })
      yield* use("1")
      assert.isFalse(yield* refuse("1"))
      state.content = Effect.fail(failure)
      yield* TestClock.adjust(1000)
      credential.revision()
      yield* Effect.yieldNow
      assert.lengthOf(warnings(recorded), 1)
    }).pipe(Effect.provide(recorded.layer))
  })

  it.effect("a load that never ends is ended when another begins", () =>
    Effect.gen(function*() {
      let [begun, ended] = [0, 0]
      const { use } = yield* store([], {
        load: Effect.suspend(() => {
          begun++
          return Effect.onExit(Effect.never, () => Effect.sync(() => void ended++))
        })
      })
      for (let n = 0; n < 5; n++) {
        const waiting = yield* Effect.forkChild(use(`${n}`))
        yield* TestClock.adjust("61 seconds")
        yield* Fiber.interrupt(waiting)
      }
      assert.deepStrictEqual([begun, ended], [5, 4])
    }))
})

describe("a load that lost its I/O", () => {
  const ofARequest = Effect.provideService(WaitUntil, () => {})
  const now = { startImmediately: true }

  it.effect("is given up by a caller that waits for the first material, and its late result is material too", () =>
    Effect.gen(function*() {
      const { state, use } = yield* store([])
      const late = yield* Deferred.make<ReadonlyArray<string>>()
      state.content = Deferred.await(late)
      const first = yield* Effect.forkChild(use("1"), now)
      const second = yield* Effect.forkChild(ofARequest(use("2")), now)
      yield* TestClock.adjust(Rotation.reloadWait - 1)
      assert.strictEqual(state.loads, 1)
      state.content = Effect.never
      yield* TestClock.adjust(1)
      assert.strictEqual(state.loads, 2)
      yield* Deferred.succeed(late, ["a"])
      assert.strictEqual(yield* Fiber.join(first), "a")
      assert.strictEqual(yield* use("3"), "a")
      yield* Fiber.interrupt(second)
    }))

  it.effect("a later caller gets the material of its own load", () =>
    Effect.gen(function*() {
      const { set, state, use } = yield* store([])
      state.content = Effect.never
      yield* Effect.forkChild(use("1"), now)
      set("b")
      const second = yield* Effect.forkChild(ofARequest(use("2")), now)
      yield* TestClock.adjust(Rotation.reloadWait)
      assert.strictEqual(yield* Fiber.join(second), "b")
      assert.strictEqual(state.loads, 2)
    }))

  it.effect("of a look is kept alive by the request that asked for the revision", () =>
    Effect.gen(function*() {
      const { credential, refuse, state, use } = yield* store(["a"], { lookEvery: 1000 })
      yield* use("1")
      assert.isFalse(yield* refuse("1"))
      yield* TestClock.adjust(1000)
      const promises: Array<Promise<unknown>> = []
      const asked = Effect.sync(() => credential.revision())
      yield* Effect.provideService(asked, WaitUntil, (promise) => void promises.push(promise))
      yield* TestClock.adjust(0)
      assert.strictEqual(state.loads, 3)
      assert.strictEqual(promises.length, 1)
      yield* Effect.promise(() => Promise.all(promises))
    }))

  it.effect("is kept alive by the request that started it", () =>
    Effect.gen(function*() {
      const { use } = yield* store(["a"])
      const promises: Array<Promise<unknown>> = []
      yield* Effect.provideService(use("1"), WaitUntil, (promise) => void promises.push(promise))
      assert.strictEqual(promises.length, 1)
      yield* Effect.promise(() => Promise.all(promises))
    }))
})
