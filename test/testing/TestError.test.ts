import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { ConfidentialClient, EntraError } from "effect-entra"
import { TestError } from "effect-entra/testing"

const constructors = Object.entries(TestError)

/** The constructor of `InvalidScopeError` is `invalidScope`. */
const nameOf = (className: string) => className.replace(/Error$/, "").replace(/^./, (letter) => letter.toLowerCase())

const classes = Object.keys(EntraError).filter((name) => name.endsWith("Error") && !name.startsWith("is"))

describe("every error", () => {
  it("has a constructor of its name", () => {
    assert.lengthOf(classes, 11)
    assert.deepStrictEqual(constructors.map(([name]) => name).sort(), classes.map(nameOf).sort())
  })

  it.each(constructors)("%s needs no member, and says that a test created it", (name, make) => {
    const error = make()
    assert.strictEqual(nameOf(error._tag.replace(/^Entra/, "")), name)
    assert.isTrue(EntraError.isEntraError(error))
    assert.match(error.message, /test.*\.$/)
    assert.match(error.remedy, /\.$/)
    assert.isNotEmpty(error.code)
    // An absent member is absent, as in the errors of the library.
    assert.notInclude(Object.values(error), undefined)
  })

  it.each(constructors)("%s takes members over, and retryAfter in any form", (_name, make) => {
    const error = make({
      message: "Stop.",
      remedy: "Go.",
      origin: "local",
      correlationId: "id",
      retryAfter: "2 minutes"
    })
    assert.deepStrictEqual(
      [error.message, error.remedy, error.origin, error.correlationId],
      ["Stop.", "Go.", "local", "id"]
    )
    assert.isTrue(Duration.isDuration(error.retryAfter))
    assert.strictEqual(Duration.toMillis(error.retryAfter ?? 0), 120_000)
    assert.isTrue(Duration.isDuration(make({ retryAfter: Duration.seconds(1) }).retryAfter))
  })

  it("has the members that its class demands", () => {
    assert.strictEqual(Duration.toSeconds(TestError.throttled().retryAfter), 60)
    assert.strictEqual(TestError.throttled({ loopDetected: true }).loopDetected, true)
    assert.strictEqual(TestError.invalidAuthority({ field: "authority" }).field, "authority")
    assert.deepInclude(JSON.parse(TestError.claimsChallenge().claims), {})
    assert.isFalse(TestError.network({ reason: "CERT_HAS_EXPIRED" }).isRetryable)
    assert.isTrue(TestError.network().isRetryable)
    assert.deepStrictEqual(TestError.invalidClient({ errorCodes: [7000215] }).errorCodes, [7000215])
  })

  it("is typed", () => {
    expectTypeOf(TestError.throttled()).toEqualTypeOf<EntraError.ThrottledError>()
    expectTypeOf(TestError.invalidClient).parameter(0).exclude<undefined>().toHaveProperty("code")
      .toEqualTypeOf<EntraError.InvalidClientCode | undefined>()
  })
})

it.effect("a fake client fails with it", () =>
  Effect.gen(function*() {
    const thrown = TestError.serviceUnavailable({ code: "circuit_open", retryAfter: "5 seconds" })
    const program = ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
    const exit = yield* Effect.exit(
      Effect.provide(program, ConfidentialClient.layerTest(() => Effect.fail(thrown)))
    )
    assert.deepStrictEqual(exit, Exit.fail(thrown))
  }))
