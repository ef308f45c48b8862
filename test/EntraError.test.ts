import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { EntraError } from "effect-entra"
import fc from "fast-check"
import { printed, problem } from "./internal/support.ts"

const input = { ...problem, origin: "local", field: "field" } as const
const later = Duration.seconds(3)

const errors = [
  {
    error: new EntraError.InvalidAuthorityError({ ...input, code: "tenant_unknown" }),
    tag: "EntraInvalidAuthorityError",
    code: "tenant_unknown",
    retryable: false
  },
  {
    error: new EntraError.InvalidScopeError({ ...input, code: "scope_malformed" }),
    tag: "EntraInvalidScopeError",
    code: "scope_malformed",
    retryable: false
  },
  {
    error: new EntraError.InvalidRequestError({ ...input, code: "field_malformed" }),
    tag: "EntraInvalidRequestError",
    code: "field_malformed",
    retryable: false
  },
  {
    error: new EntraError.CredentialError({ ...input, code: "credential_missing" }),
    tag: "EntraCredentialError",
    code: "credential_missing",
    retryable: false
  },
  {
    error: new EntraError.InvalidClientError({ ...problem, code: "client_refused" }),
    tag: "EntraInvalidClientError",
    code: "client_refused",
    retryable: false
  },
  {
    error: new EntraError.ThrottledError({
      ...problem,
      code: "throttled",
      retryAfter: later,
      loopDetected: false,
      source: "server"
    }),
    tag: "EntraThrottledError",
    code: "throttled",
    retryable: true
  },
  {
    error: new EntraError.ClaimsChallengeError({ ...problem, code: "claims_required", claims: "{}" }),
    tag: "EntraClaimsChallengeError",
    code: "claims_required",
    retryable: false
  },
  {
    error: new EntraError.TokenRequestError({ ...problem, code: "request_refused" }),
    tag: "EntraTokenRequestError",
    code: "request_refused",
    retryable: false
  },
  {
    error: new EntraError.ServiceUnavailableError({ ...problem, code: "service_unavailable" }),
    tag: "EntraServiceUnavailableError",
    code: "service_unavailable",
    retryable: true
  },
  {
    error: new EntraError.NetworkError({
      ...problem,
      code: "network",
      method: "POST",
      endpoint: "https://h",
      reason: "ECONNRESET"
    }),
    tag: "EntraNetworkError",
    code: "network",
    retryable: true
  },
  {
    error: new EntraError.InvalidResponseError({ ...problem, code: "response_malformed" }),
    tag: "EntraInvalidResponseError",
    code: "response_malformed",
    retryable: false
  }
] satisfies ReadonlyArray<{ error: EntraError.AcquireTokenError; tag: string; code: string; retryable: boolean }>

describe("a network error", () => {
  const reasons = [
    ["ECONNREFUSED", true],
    ["UND_ERR_SOCKET", true],
    ["PROXY_RESPONSE_502", true],
    ["PROXY_RESPONSE_407", false],
    ["SELF_SIGNED_CERT_IN_CHAIN", false],
    ["PROXY_CERT_HAS_EXPIRED", false],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", false]
  ] as const
  it.each(reasons)("%s is worth another try: %s", (reason, retryable) => {
    const error = new EntraError.NetworkError({
      ...problem,
      code: "network",
      method: "POST",
      endpoint: "https://x",
      reason
    })
    assert.strictEqual(EntraError.isRetryable(error), retryable)
  })
})

describe("errors", () => {
  it.each(errors)("$tag", ({ code, error, retryable, tag }) => {
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.name, tag)
    assert.instanceOf(error, Error)
    assert.strictEqual(error.message, "message")
    assert.strictEqual(error.code, code)
    assert.strictEqual(error.remedy, "remedy")
    assert.strictEqual(error.isRetryable, retryable)
    assert.strictEqual(EntraError.isRetryable(error), retryable)
    assert.isTrue(EntraError.isEntraError(error))
    assert.include(printed(error), "remedy")
    assert.strictEqual(JSON.parse(JSON.stringify(error))["message"], "message")
  })

  it("each has its own tag", () => {
    assert.strictEqual(new Set(errors.map(({ error }) => error._tag)).size, 11)
  })

  it.effect("catchTag finds them by name", () =>
    Effect.gen(function*() {
      const acquire: Effect.Effect<string, EntraError.AcquireTokenError> = Effect.fail(
        new EntraError.ThrottledError({
          ...problem,
          code: "throttled",
          retryAfter: later,
          loopDetected: true,
          source: "fleet"
        })
      )
      const found = yield* Effect.catchTag(acquire, "EntraThrottledError", ({ loopDetected, retryAfter, source }) =>
        Effect.succeed(`${loopDetected} ${Duration.toSeconds(retryAfter)} ${source}`))
      assert.strictEqual(found, "true 3 fleet")
    }))
})

describe("guards", () => {
  it("refuse everything else", () => {
    fc.assert(fc.property(fc.anything(), (value) => {
      assert.isFalse(EntraError.isEntraError(value))
      assert.isFalse(EntraError.isRetryable(value))
    }))
  })

  it.each([
    { name: "another error", value: new Error("x") },
    { name: "the shape without the class", value: { ...problem, _tag: "EntraThrottledError", isRetryable: true } },
    { name: "a proxy that knows every property", value: new Proxy({}, { get: () => true }) },
    { name: "nothing", value: undefined }
  ])("refuse $name", ({ value }) => {
    assert.isFalse(EntraError.isEntraError(value))
    assert.isFalse(EntraError.isRetryable(value))
  })
})
