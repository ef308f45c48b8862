/** Several credentials: which is used, what moves on, and what is said when none works. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Layer, Redacted } from "effect"
import { ClientCredential, ConfidentialClient, EntraError } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { problem } from "./internal/support.ts"
import { attempt, authenticate, revisionOf, wrapped } from "./support/credentials.ts"
import { assertToldInFull } from "./support/shown.ts"
import { graph, tokenRequests, World } from "./support/world.ts"

const acquire = ConfidentialClient.ConfidentialClient.use((client) =>
  client.acquireToken({ scopes: [graph], forceRefresh: true })
)

const good = ClientCredential.secret(EntraSimulator.daemonSecret)
const wrong = ClientCredential.secret(Redacted.make("never-registered~value"))
const empty = ClientCredential.secret(Redacted.make(""))
const failing = ClientCredential.assertion(() => Effect.fail({ _tag: "NoPlatform" }))
const malformed = ClientCredential.assertion("s3cret-nonsense")

const worldOf = (...members: Parameters<typeof ClientCredential.firstOf<never>>[0]) =>
  World({ credential: ClientCredential.layerFirstOf(members) })

const failureOf = (name: string) =>
  name === "a" ? "signing_failed" : name === "bb" ? "assertion_failed" : "source_failed"

/** A member that notes each attempt, and works while it is told to. */
const member = (name: string, state: { works: boolean; attempts: Array<string> }) =>
  Effect.map(ClientCredential.assertion(() => Effect.succeed("a.b.c")), (base) => ({
    ...wrapped(base, ({ authenticate }) => ({
      revision: () => name,
      authenticate: (attempt) =>
        Effect.suspend(() => {
          state.attempts.push(name)
          return state.works
            ? authenticate(attempt)
            : Effect.fail(
              new EntraError.CredentialError({ ...problem, origin: "local", field: name, code: failureOf(name) })
            )
        })
    })),
    expiresOn: () => DateTime.makeUnsafe(name.length),
    binding: () => ({ tokenType: "pop", keyId: name })
  }))

describe("firstOf", () => {
  it.effect("one that hangs, when it is made or when it is used, does not use up the time of those behind it", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.gen(function*() {
        const context = yield* Layer.build(worldOf(Effect.never, ClientCredential.assertion(() => Effect.never), good))
        return yield* Effect.provideContext(acquire, context)
      }))
      // To make the first, to use the second, to make the first once more.
      for (let waited = 0; waited < 3; waited++) yield* TestClock.adjust("4 seconds")
      const { metadata } = yield* Fiber.join(fiber)
      assert.strictEqual(metadata.tokenSource, "IdentityProvider")
    }).pipe(Effect.scoped))

  it.effect.each([
    { name: "the first that works", members: [good, wrong], requests: 1 },
    { name: "past one that cannot be made", members: [empty, good], requests: 1 },
    { name: "past one that fails", members: [failing, good], requests: 1 },
    { name: "past one that makes no assertion", members: [malformed, good], requests: 1 },
    { name: "past one that the service refuses", members: [wrong, good], requests: 2 },
    { name: "past all of these", members: [empty, failing, wrong, malformed, good], requests: 2 }
  ])("takes $name, and stays with it", ({ members, requests }) =>
    Effect.gen(function*() {
      yield* acquire
      assert.strictEqual(yield* tokenRequests, requests)
      yield* acquire
      assert.strictEqual(yield* tokenRequests, requests + 1)
    }).pipe(Effect.provide(worldOf(...members))))

  it.effect("a refusal that no other credential mends is final", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.refused({ code: 7000112, error: "invalid_client" }))
      assert.strictEqual((yield* Effect.flip(acquire)).code, "client_disabled")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(worldOf(good, wrong))))

  it.effect("all refused: the service's word on the last", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(acquire)).code, "secret_wrong")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(worldOf(wrong, wrong))))

  it.effect("none works: every reason, in the order of the list, and no secret", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquire)
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, "credentials_exhausted")
      assertToldInFull(error)
      assert.match(
        error.message,
        /^None of the 4 credentials works: \[0\] secret_empty: .*\. \[1\] assertion_failed: .*NoPlatform.*\. \[2\] The service refused it \(secret_wrong\): .*\. \[3\] assertion_malformed/
      )
      assert.notInclude(error.message, "s3cret-nonsense")
      assert.notInclude(error.message, "never-registered")
    }).pipe(Effect.provide(worldOf(empty, failing, wrong, malformed))))

  it.effect("none can be made: known when it is built", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ClientCredential.firstOf([empty, empty]))
      assert.strictEqual(error.code, "credentials_exhausted")
      assertToldInFull(error)
      assert.match(error.message, /\[0\] secret_empty.*\[1\] secret_empty/)
    }))

  it.effect("an empty list is called empty", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ClientCredential.firstOf([]))
      assert.strictEqual(error.code, "credentials_exhausted")
      assertToldInFull(error)
      assert.strictEqual(error.message, "The list of credentials is empty.")
      assert.include(error.remedy, "Pass at least one credential")
    }))

  it.effect("what it says of itself is said of the one in use; when that fails the list is tried from the top", () =>
    Effect.gen(function*() {
      const attempts: Array<string> = []
      const states = { a: { works: false, attempts }, bb: { works: true, attempts }, ccc: { works: true, attempts } }
      const credential = yield* ClientCredential.firstOf([
        member("a", states.a),
        member("bb", states.bb),
        member("ccc", states.ccc)
      ])
      const first = credential.begin(attempt)
      yield* first.authenticate(attempt)
      assert.deepStrictEqual(attempts.splice(0), ["a", "bb"])
      assert.strictEqual(credential.binding()?.keyId, "bb")
      assert.strictEqual(revisionOf(credential), first.revision())
      assert.strictEqual(credential.expiresOn?.()?.epochMilliseconds, 2)
      assert.strictEqual(credential.channel, "standard")
      yield* authenticate(credential, { ...attempt, correlationId: "2" })
      assert.deepStrictEqual(attempts.splice(0), ["bb"])
      states.bb.works = false
      yield* authenticate(credential, { ...attempt, correlationId: "3" })
      assert.deepStrictEqual(attempts.splice(0), ["bb", "a", "ccc"])
      assert.notStrictEqual(revisionOf(credential), first.revision())
      states.ccc.works = false
      const error = yield* Effect.flip(authenticate(credential, { ...attempt, correlationId: "4" }))
      assert.deepStrictEqual(attempts.splice(0), ["ccc", "a", "bb"])
      assert.match(error.message, /\[0\] signing_failed.*\[1\] assertion_failed.*\[2\] source_failed/)
      states.a.works = true
      yield* authenticate(credential, { ...attempt, correlationId: "5" })
      assert.deepStrictEqual(attempts.splice(0), ["a"])
    }))

  it.effect("one that dies or works over another channel is passed over", () =>
    Effect.gen(function*() {
      const dead = Effect.map(good, (base) => wrapped(base, () => ({ authenticate: () => Effect.die("s3cret") })))
      const mtls = Effect.map(good, (base) => ({ ...base, channel: "mtls" as const }))
      const credential = yield* ClientCredential.firstOf([Effect.die("s3cret"), dead, mtls])
      const error = yield* Effect.flip(authenticate(credential, attempt))
      assert.strictEqual(error.code, "credentials_exhausted")
      assertToldInFull(error)
      assert.match(error.message, /\[0\] It failed with a defect\. \[1\] It failed with a defect\. \[2\] .*mtls/)
      assert.notInclude(error.message, "s3cret")
    }))

  it.effect("a member is made once, and again when the request that makes it has lost its I/O", () =>
    Effect.gen(function*() {
      const ofARequest = Effect.provideService(ConfidentialClient.WaitUntil, () => {})
      const now = { startImmediately: true }
      const state = { works: true, attempts: [] }
      let made = 0
      const second = Effect.suspend(() => ++made === 1 ? Effect.never : good)
      const credential = yield* ClientCredential.firstOf([member("a", state), second])
      state.works = false
      yield* Effect.forkChild(authenticate(credential, attempt), now)
      const waiting = yield* Effect.forEach(
        [1, 2],
        () => Effect.forkChild(ofARequest(authenticate(credential, attempt)), now)
      )
      yield* TestClock.adjust(3999)
      assert.strictEqual(made, 1)
      yield* TestClock.adjust(1)
      assert.isTrue(waiting.every((fiber) => fiber.pollUnsafe() !== undefined))
      yield* Effect.forEach(waiting, Fiber.join)
      yield* authenticate(credential, attempt)
      assert.strictEqual(made, 2)
    }))

  it.effect("a member is made although the first caller that needs it leaves", () =>
    Effect.gen(function*() {
      const now = { startImmediately: true }
      const state = { works: true, attempts: [] }
      let made = 0
      const second = Effect.suspend(() => Effect.delay(++made === 1 ? good : Effect.die("made twice"), "2 seconds"))
      const credential = yield* ClientCredential.firstOf([member("a", state), second])
      state.works = false
      const leaver = yield* Effect.forkChild(authenticate(credential, attempt), now)
      const other = yield* Effect.forkChild(authenticate(credential, attempt), now)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(leaver)
      yield* TestClock.adjust("1 second")
      assert.isDefined(other.pollUnsafe())
      yield* Fiber.join(other)
      assert.strictEqual(made, 1)
    }))

  it.effect("a member's own rotation comes first", () => {
    let stored = Redacted.make("never-registered~value")
    const vault = ClientCredential.secret(Effect.sync(() => stored))
    return Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      stored = EntraSimulator.daemonSecret
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 1)
      const next = Redacted.make("the-next-secret~value")
      stored = next
      yield* simulator.addSecret(EntraSimulator.daemonClientId, next)
      yield* simulator.removeSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(worldOf(vault, wrong)))
  })

  it.effect("is a layer like any other", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.ClientCredential
      assert.strictEqual(credential.channel, "standard")
    }).pipe(Effect.provide(ClientCredential.layerFirstOf([good]))))
})
