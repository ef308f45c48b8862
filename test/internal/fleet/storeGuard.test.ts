import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import { TokenStore } from "effect-entra"
import { TestClock } from "effect/testing"
import * as StoreGuard from "../../../src/internal/fleet/storeGuard.ts"

const answers: Effect.Effect<unknown, unknown> = Effect.void

const setUp = Effect.gen(function*() {
  const changes: Array<boolean> = []
  const reasons: Array<string> = []
  const store = { answer: answers, probes: 0 }
  const guard = yield* StoreGuard.make({
    onChange: (isDown) =>
      Effect.sync(() => {
        changes.push(isDown)
      }),
    onRefused: (reason) => void reasons.push(reason),
    probe: () => Effect.suspend(() => (store.probes++, store.answer))
  })
  return { guard, changes, reasons, store }
})

const refused = Effect.fail(new TokenStore.RefusedByStoreError({ message: "OOM no memory" }))
const lost = Effect.fail(new Error("the connection was closed"))

/** Runs a command, and lets time pass until it ends. Returns its answer and how long it took. */
const timed = <A>(command: Effect.Effect<A>) =>
  Effect.gen(function*() {
    const since = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(command, { startImmediately: true })
    for (let turn = 0; turn < 40 && fiber.pollUnsafe() === undefined; turn++) yield* TestClock.adjust(StoreGuard.turn)
    return { answer: yield* Fiber.join(fiber), took: (yield* Clock.currentTimeMillis) - since }
  })

const budget = StoreGuard.turn * (StoreGuard.wholeBudget + 1)

describe("a command", () => {
  it.effect("is answered, refused or not answered", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      assert.deepStrictEqual(yield* guard.run("read", "name", Effect.succeed(5)), { _tag: "Answered", value: 5 })
      assert.deepStrictEqual(yield* guard.run("read", "name", refused), { _tag: "Refused" })
      assert.deepStrictEqual(yield* guard.run("read", "name", lost), { _tag: "Silent" })
    }))

  it.effect("that dies or interrupts itself was not answered", () =>
    Effect.gen(function*() {
      for (const command of [Effect.die("a bug"), Effect.interrupt]) {
        const { guard } = yield* setUp
        assert.deepStrictEqual(yield* guard.run("read", "name", command), { _tag: "Silent" })
      }
    }))

  it.effect("without an answer ends with its budget, and is interrupted", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      let isInterrupted = false
      const { answer, took } = yield* timed(guard.run(
        "read",
        "name",
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            isInterrupted = true
          }))
      ))
      assert.deepStrictEqual(answer, { _tag: "Silent" })
      assert.isAtLeast(took, StoreGuard.turn * StoreGuard.wholeBudget)
      assert.isAtMost(took, budget)
      assert.isTrue(isInterrupted)
    }))

  it.effect("within its budget is waited for", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      const slow = Effect.delay(Effect.succeed("late"), StoreGuard.turn * StoreGuard.wholeBudget - 1)
      assert.deepStrictEqual((yield* timed(guard.run("read", "name", slow))).answer, {
        _tag: "Answered",
        value: "late"
      })
    }))

  it.effect("is one of 24 at most; the others wait, apart from urgent ones", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      let running = 0
      let most = 0
      const command = Effect.suspend(() => {
        most = Math.max(most, ++running)
        return Effect.ensuring(Effect.sleep(10), Effect.sync(() => running--))
      })
      const fibers = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.forkChild(guard.run("read", "name", command), { startImmediately: true })
      )
      assert.strictEqual(most, StoreGuard.maxInFlight.read)
      yield* Effect.forkChild(guard.run("urgent", "name", command), { startImmediately: true })
      assert.strictEqual(most, StoreGuard.maxInFlight.read + 1)
      yield* TestClock.adjust("100 millis")
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Answered")
    }))

  it.effect("that waits for others has its whole budget when it is sent, and may be given up", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      let sent = 0
      const blockers = yield* Effect.forEach(
        Array.from({ length: StoreGuard.maxInFlight.read }),
        () => Effect.forkChild(guard.run("read", "name", Effect.sleep(150)), { startImmediately: true })
      )
      const command = Effect.suspend(() => {
        sent++
        return Effect.delay(Effect.succeed("late"), 150)
      })
      const one = yield* Effect.forkChild(guard.run("read", "name", command), { startImmediately: true })
      const other = yield* Effect.forkChild(guard.run("read", "name", command), { startImmediately: true })
      yield* Fiber.interrupt(other)
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(yield* Fiber.join(one), { _tag: "Answered", value: "late" })
      assert.strictEqual(sent, 1)
      for (const blocker of blockers) assert.strictEqual((yield* Fiber.join(blocker))._tag, "Answered")
    }))

  it.effect("whose caller gave up says nothing about the store", () =>
    Effect.gen(function*() {
      const { changes, guard } = yield* setUp
      for (let at = 0; at < 5; at++) {
        const fiber = yield* Effect.forkChild(guard.run("read", "name", Effect.never), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }
      assert.isFalse(guard.isDown())
      assert.deepStrictEqual(changes, [])
    }))
})

describe("a store", () => {
  it.effect("is down after two commands without an answer, and no caller tries it again", () =>
    Effect.gen(function*() {
      const { changes, guard, store } = yield* setUp
      let sent = 0
      const command = (answer: Effect.Effect<unknown, unknown>) => Effect.suspend(() => (sent++, answer))
      yield* guard.run("read", "name", command(lost))
      assert.isFalse(guard.isDown())
      yield* guard.run("read", "name", command(lost))
      assert.isTrue(guard.isDown())
      store.answer = Effect.never
      for (let at = 1; at <= 3; at++) {
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(store.probes, at)
        assert.strictEqual((yield* timed(guard.run("read", "name", command(Effect.succeed(1))))).took, 0)
        yield* TestClock.adjust(budget)
      }
      assert.strictEqual(sent, 2)
      assert.isTrue(guard.isDown())
      assert.deepStrictEqual(changes, [true])
      store.answer = Effect.void
      yield* TestClock.adjust("500 millis")
      assert.isFalse(guard.isDown())
      assert.strictEqual((yield* guard.run("read", "name", command(Effect.succeed(1))))._tag, "Answered")
      assert.deepStrictEqual(changes, [true, false])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(store.probes, 4)
    }))

  it.effect("that refuses is not down", () =>
    Effect.gen(function*() {
      const { changes, guard } = yield* setUp
      for (let at = 0; at < 10; at++) assert.strictEqual((yield* guard.run("read", "name", refused))._tag, "Refused")
      assert.isFalse(guard.isDown())
      assert.deepStrictEqual(changes, [])
    }))

  it.effect("that refuses writes is asked for them rarely, and is read as before", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      let sent = 0
      const write = guard.run("write", "name", Effect.suspend(() => (sent++, refused)))
      for (let at = 0; at < 10; at++) {
        yield* write
        assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Answered")
        assert.strictEqual((yield* guard.run("urgent", "name", Effect.succeed(1)))._tag, "Answered")
      }
      assert.strictEqual(sent, 2)
      assert.isFalse(guard.isDown())
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* guard.run("write", "name", Effect.succeed(1)))._tag, "Answered")
      assert.strictEqual((yield* guard.run("write", "name", Effect.succeed(1)))._tag, "Answered")
    }))

  it.effect("is described by a word for its last failure, and never by a message", () =>
    Effect.gen(function*() {
      const withCode = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" })
      const failures: ReadonlyArray<readonly [unknown, string]> = [
        [withCode, "ECONNREFUSED"],
        [{ _tag: "RedisError", cause: withCode }, "ECONNREFUSED"],
        [{ _tag: "SqlError", message: "insert into tokens values ('a token')" }, "SqlError"],
        [new TypeError("a token"), "TypeError"],
        [Object.assign(new Error("HTTP error"), { code: "ECONNRESET" }), "ECONNRESET"],
        [new (class SocketClosedError extends Error {})("a token"), "SocketClosedError"],
        [{ _tag: "RedisError", cause: new (class OfflineError extends Error {})("a token") }, "OfflineError"],
        [new Error("a token"), "unknown"],
        [new Error("WRONGPASS invalid username-password pair"), "WRONGPASS"],
        ["a token", "unknown"]
      ]
      for (const [failure, reason] of failures) {
        const reasons: Array<string> = []
        const guard = yield* StoreGuard.make({
          onChange: (_isDown, reason) => Effect.sync(() => void reasons.push(reason)),
          onRefused: () => {},
          probe: () => lost
        })
        for (let at = 0; at < 2; at++) yield* guard.run("read", "name", Effect.fail(failure))
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(reasons, [reason])
      }
      const { guard, reasons } = yield* setUp
      yield* guard.run("read", "name", refused)
      assert.deepStrictEqual(reasons, ["OOM"])
    }))

  it.effect("that answers between failures is not down", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      for (let at = 0; at < 10; at++) {
        yield* guard.run("read", "name", lost)
        yield* guard.run("read", "name", Effect.succeed(1))
      }
      assert.isFalse(guard.isDown())
    }))
})

describe("the nodes of a store", () => {
  it.effect("go down one by one", () =>
    Effect.gen(function*() {
      const changes: Array<boolean> = []
      let owner = "one"
      let probes = 0
      const guard = yield* StoreGuard.make({
        onChange: (isDown) => Effect.sync(() => void changes.push(isDown)),
        onRefused: () => {},
        probe: () => Effect.suspend(() => (probes++, lost)),
        nodeOf: (name) => name === "lost" ? owner : "other"
      })
      for (let at = 0; at < 3; at++) yield* guard.run("read", "lost", lost)
      assert.isTrue(guard.isDown())
      assert.strictEqual((yield* guard.run("read", "lost", Effect.succeed(1)))._tag, "Silent")
      assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Answered")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(changes, [true])
      // Another node takes over, and the former one never answers again.
      owner = "two"
      assert.strictEqual((yield* guard.run("read", "lost", Effect.succeed(1)))._tag, "Answered")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(changes, [true, false])
      assert.isFalse(guard.isDown())
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(probes, 1)
    }))

  it.effect("each get their own names, at most a number at once", () =>
    Effect.gen(function*() {
      const guard = yield* StoreGuard.make({
        onChange: () => Effect.void,
        onRefused: () => {},
        probe: () => Effect.void,
        nodeOf: (name) => name.slice(0, 1)
      })
      const names = ["a1", "b1", "a2", "a3", "b2"].map((name) => ({ name }))
      const groups = guard.byNode(names, 2).map((group) => group.map(({ name }) => name).join(" "))
      assert.deepStrictEqual(groups, ["a1 a2", "b1 b2", "a3"])
      assert.strictEqual(guard.byNode(names).length, 2)
    }))
})

describe("commands that no acquisition waits for", () => {
  it.effect("have a longer budget, and their silence does not keep tokens from being read", () =>
    Effect.gen(function*() {
      const { changes, guard } = yield* setUp
      for (const kind of ["write", "urgent"] as const) {
        const late = Effect.delay(Effect.succeed("late"), 2 * budget)
        assert.strictEqual((yield* timed(guard.run(kind, "name", late))).answer._tag, "Answered")
        for (let at = 0; at < 3; at++) yield* timed(guard.run(kind, "name", Effect.never))
        assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Answered")
      }
      assert.deepStrictEqual(changes, [])
    }))

  it.effect("do not try a store that is down, and are sent again with look-ups", () =>
    Effect.gen(function*() {
      const { guard, store } = yield* setUp
      store.answer = lost
      for (let at = 0; at < 2; at++) yield* guard.run("write", "name", lost)
      for (let at = 0; at < 2; at++) yield* guard.run("read", "name", lost)
      yield* TestClock.adjust("500 millis")
      const write = yield* timed(guard.run("write", "name", Effect.never))
      assert.deepStrictEqual(write, { answer: { _tag: "Silent" }, took: 0 })
      assert.strictEqual((yield* timed(guard.run("urgent", "name", Effect.never))).took, 0)
      store.answer = Effect.void
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Answered")
      assert.strictEqual((yield* guard.run("write", "name", Effect.succeed(1)))._tag, "Answered")
    }))

  it.effect("do not keep look-ups waiting", () =>
    Effect.gen(function*() {
      const { guard } = yield* setUp
      yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.forkChild(guard.run("write", "name", Effect.never), { startImmediately: true })
      )
      assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Answered")
    }))
})

describe("a budget", () => {
  it.effect("is shared by the commands of one acquisition", () =>
    Effect.gen(function*() {
      const { changes, guard } = yield* setUp
      const slow = Effect.delay(Effect.succeed(1), 6 * StoreGuard.turn - 1)
      for (let at = 0; at < 4; at++) {
        const acquisition = StoreGuard.newBudget()
        const first = yield* timed(guard.run("read", "name", slow, acquisition))
        assert.strictEqual(first.answer._tag, "Answered")
        const second = yield* timed(guard.run("read", "name", slow, acquisition))
        assert.strictEqual(second.answer._tag, "Silent")
        assert.isAtMost(first.took + second.took, budget + 2 * StoreGuard.turn)
        assert.strictEqual((yield* timed(guard.run("read", "name", slow, acquisition))).took, 0)
      }
      assert.deepStrictEqual(changes, [])
    }))

  it.effect("of which a part is left proves nothing about the store", () =>
    Effect.gen(function*() {
      const { changes, guard } = yield* setUp
      const slow = Effect.delay(Effect.succeed(1), 6 * StoreGuard.turn - 1)
      const acquisitions = Array.from({ length: 4 }, () => StoreGuard.newBudget())
      const answers = (command: Effect.Effect<number>) =>
        Effect.forEach(
          acquisitions,
          (acquisition) =>
            Effect.map(timed(guard.run("read", "name", command, acquisition)), ({ answer }) => answer._tag)
        )
      assert.deepStrictEqual(yield* answers(slow), Array(4).fill("Answered"))
      assert.deepStrictEqual(yield* answers(Effect.never), Array(4).fill("Silent"))
      assert.deepStrictEqual([changes, guard.isDown()], [[], false])
    }))
})

describe("the end", () => {
  it.effect("gives up commands and those that wait, and lets no more through", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { changes, guard } = yield* Effect.provideService(setUp, Scope.Scope, scope)
      const fibers = yield* Effect.forEach(
        Array.from({ length: 2 * StoreGuard.maxInFlight.read }),
        () => Effect.forkChild(guard.run("read", "name", Effect.never), { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Silent")
      assert.strictEqual((yield* guard.run("read", "name", Effect.succeed(1)))._tag, "Silent")
      assert.deepStrictEqual(changes, [])
    }))
})

describe("thousands of commands that wait", () => {
  const many = 10_000

  /** They all wait for a store that does not answer. */
  const waitingIn = (scope: Scope.Scope) =>
    Effect.gen(function*() {
      const { guard } = yield* Scope.provide(setUp, scope)
      const fibers: Array<Fiber.Fiber<StoreGuard.Answer<unknown>>> = []
      for (let n = 0; n < many; n++) {
        fibers.push(yield* Effect.forkDetach(guard.run("read", `n${n}`, Effect.never), { startImmediately: true }))
      }
      return fibers
    })

  it.effect("end when the store stops answering", () =>
    Effect.gen(function*() {
      const fibers = yield* waitingIn(yield* Effect.scope)
      for (let turn = 0; turn < 40; turn++) yield* TestClock.adjust(StoreGuard.turn)
      assert.strictEqual(fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length, 0)
    }))

  it.effect("end when the scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const fibers = yield* waitingIn(scope)
      yield* Scope.close(scope, Exit.void)
      for (const fiber of fibers) assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Silent" })
    }))

  it.effect("leave in any order", () =>
    Effect.gen(function*() {
      const fibers = yield* waitingIn(yield* Effect.scope)
      yield* Fiber.interruptAll(fibers.toReversed())
      assert.strictEqual(fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length, 0)
    }))
})
