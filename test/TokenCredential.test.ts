/** A client over a `TokenCredential`: its tokens, its errors, and the options that it passes. */
import type { TokenCredential } from "@azure/core-auth"
import {
  AggregateAuthenticationError,
  AuthenticationError,
  AuthenticationRequiredError,
  type ClientSecretCredential,
  CredentialUnavailableError
} from "@azure/identity"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { AzureCredential, ConfidentialClient, type EntraError } from "effect-entra"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { silent } from "./support/log.ts"
import { contoso, fabrikam, graph, World } from "./support/world.ts"

const start = Date.UTC(2026, 0, 1)

interface Call {
  readonly scopes: string | Array<string>
  readonly options: AzureCredential.TokenCredentialOptions
}

/** A credential that returns numbered tokens of an hour, or what `answer` returns. */
const counting = (answer?: (call: Call, count: number) => unknown) => {
  const calls: Array<Call> = []
  const credential: AzureCredential.TokenCredential = {
    getToken: async (scopes, options = {}) => {
      const call = { scopes, options }
      calls.push(call)
      return answer === undefined
        ? { token: `token-${calls.length}`, expiresOnTimestamp: start + 3_600_000 * calls.length }
        : await answer(call, calls.length)
    }
  }
  return { calls, credential }
}

const run = <A, E>(
  credential: AzureCredential.TokenCredential,
  effect: Effect.Effect<A, E, ConfidentialClient.ConfidentialClient>,
  options: AzureCredential.LayerOptions = {}
) =>
  Effect.andThen(
    TestClock.setTime(start),
    Effect.provide(effect, Layer.provideMerge(AzureCredential.layer(credential, options), silent))
  )

const acquire = (request: object = {}) => ConfidentialClient.acquireToken({ scopes: graph, ...request })
const textOf = (result: { readonly accessToken: Redacted.Redacted<string> }) => Redacted.value(result.accessToken)

it("takes every TokenCredential of core-auth", () => {
  expectTypeOf<TokenCredential>().toExtend<AzureCredential.TokenCredential>()
  expectTypeOf<ClientSecretCredential>().toExtend<AzureCredential.TokenCredential>()
  expectTypeOf<AzureCredential.AzureCredential>().toExtend<AzureCredential.TokenCredential>()
})

describe("the tokens of a TokenCredential", () => {
  it.effect("are cached, seen by peek, counted, invalidated and refreshed like any others", () => {
    const { calls, credential } = counting()
    return run(
      credential,
      Effect.gen(function*() {
        assert.isUndefined(yield* ConfidentialClient.peek({ scopes: graph }))
        const first = yield* acquire()
        assert.strictEqual(textOf(first), "token-1")
        assert.strictEqual(first.metadata.tokenSource, "IdentityProvider")
        assert.strictEqual(first.tenantId, "token-credential")
        assert.strictEqual(first.expiresOn.epochMilliseconds, start + 3_600_000)
        assert.strictEqual((yield* acquire()).metadata.tokenSource, "Cache")
        const peeked = yield* ConfidentialClient.peek({ scopes: graph })
        assert.strictEqual(peeked === undefined ? "" : textOf(peeked), "token-1")
        assert.include(yield* ConfidentialClient.stats, { hits: 1, misses: 1, entries: 1 })
        yield* ConfidentialClient.invalidate("all")
        assert.strictEqual(textOf(yield* acquire()), "token-2")
        yield* TestClock.adjust("65 minutes")
        // Due: the token is returned at once, and refreshed in the background.
        assert.strictEqual(textOf(yield* acquire()), "token-2")
        yield* TestClock.adjust(0)
        assert.strictEqual(textOf(yield* acquire()), "token-3")
        assert.strictEqual(calls.length, 3)
      })
    )
  })

  it.effect("a hundred callers at once cause one call", () => {
    const { calls, credential } = counting()
    return run(
      credential,
      Effect.gen(function*() {
        const all = yield* Effect.all(Array.from({ length: 100 }, () => acquire()), { concurrency: "unbounded" })
        assert.deepStrictEqual(new Set(all.map(textOf)), new Set(["token-1"]))
        assert.strictEqual(calls.length, 1)
      })
    )
  })

  it.effect("the credential gets scope, tenant, claims and enableCae, and nothing that was not asked for", () => {
    const { calls, credential } = counting()
    const claims = `{"access_token":{"nbf":{"essential":true}}}`
    return run(
      credential,
      Effect.gen(function*() {
        yield* acquire()
        yield* acquire({ tenantId: fabrikam, claims })
        yield* acquire({ clientCapabilities: ["cp1"] })
        assert.deepStrictEqual(calls.map(({ options, scopes }) => [scopes, { ...options, abortSignal: 0 }]), [
          [[graph], { abortSignal: 0 }],
          [[graph], { abortSignal: 0, tenantId: fabrikam, claims }],
          [[graph], { abortSignal: 0, enableCae: true }]
        ])
        assert.isTrue(calls.every(({ options }) => options.abortSignal instanceof AbortSignal))
      })
    )
  })

  it.effect("the tenant of the layer is passed on, and allowedTenants hold", () => {
    const { calls, credential } = counting()
    return run(
      credential,
      Effect.gen(function*() {
        assert.strictEqual((yield* acquire()).tenantId, contoso)
        const refused = yield* Effect.flip(acquire({ tenantId: fabrikam }))
        assert.strictEqual(refused.code, "tenant_not_allowed")
        assert.deepStrictEqual(calls.map(({ options }) => options.tenantId), [contoso])
      }),
      { tenantId: contoso, allowedTenants: [contoso] }
    )
  })

  it.effect.each([[contoso], (tenant: string) => tenant !== fabrikam])(
    "allowedTenants without a tenant of the layer: each request names its tenant",
    (allowedTenants) => {
      const { calls, credential } = counting()
      return run(
        credential,
        Effect.gen(function*() {
          const refused = yield* Effect.flip(acquire())
          assert.include(refused, { code: "tenant_missing", field: "tenantId" })
          assert.match(refused.remedy, /^Pass tenantId in the request\. Or give the client a tenant, by tenantId/)
          assert.strictEqual((yield* acquire({ tenantId: contoso })).tenantId, contoso)
          assert.deepStrictEqual(calls.map(({ options }) => options.tenantId), [contoso])
        }),
        { allowedTenants }
      )
    }
  )

  it.effect("refreshAfterTimestamp says when a token is due", () => {
    const { calls, credential } = counting((_, count) => ({
      token: `token-${count}`,
      expiresOnTimestamp: start + 3_600_000,
      refreshAfterTimestamp: start + 600_000
    }))
    return run(
      credential,
      Effect.gen(function*() {
        yield* acquire()
        yield* TestClock.adjust("8 minutes")
        yield* acquire()
        assert.strictEqual(calls.length, 1)
        yield* TestClock.adjust("3 minutes")
        yield* acquire()
        yield* TestClock.adjust(0)
        assert.strictEqual(calls.length, 2)
      })
    )
  })

  it.effect("of our own client arrive unchanged, with its errors", () =>
    Effect.gen(function*() {
      const ours = yield* AzureCredential.make
      const both = yield* Effect.gen(function*() {
        const client = yield* ConfidentialClient.ConfidentialClient
        return [
          textOf(yield* client.acquireToken({ scopes: graph })),
          yield* Effect.flip(client.acquireToken({ scopes: graph, tenantId: "nobody.example" }))
        ] as const
      }).pipe(Effect.provide(AzureCredential.layer(ours)))
      assert.strictEqual(both[0], textOf(yield* acquire()))
      assert.strictEqual(both[1].code, "tenant_unknown")
    }).pipe(Effect.provide([World(), silent])))
})

describe("a call of getToken", () => {
  it.effect("goes on for the others when a caller is interrupted, and is aborted when the client closes", () =>
    Effect.gen(function*() {
      const started = Deferred.makeUnsafe<AbortSignal>()
      const credential: AzureCredential.TokenCredential = {
        getToken: (_, { abortSignal } = {}) => {
          if (abortSignal !== undefined) Deferred.doneUnsafe(started, Exit.succeed(abortSignal))
          return new Promise(() => {})
        }
      }
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(AzureCredential.layer(credential), scope)
      const one = yield* Effect.forkChild(Effect.provideContext(acquire(), context))
      const other = yield* Effect.forkChild(Effect.flip(Effect.provideContext(acquire(), context)))
      const signal = yield* Deferred.await(started)
      yield* Fiber.interrupt(one)
      assert.isFalse(signal.aborted)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(signal.aborted)
      assert.strictEqual((yield* Fiber.join(other)).code, "client_closed")
    }).pipe(Effect.provide(silent)))

  it.effect("that hangs is aborted after the timeout", () => {
    const { calls, credential } = counting(() => new Promise(() => {}))
    return run(
      credential,
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.flip(acquire()))
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(`${error._tag} ${error.code}`, "EntraServiceUnavailableError timeout")
        assert.isTrue(calls[0]?.options.abortSignal?.aborted)
      }),
      { timeout: "5 seconds" }
    )
  })
})

describe("an exception of a TokenCredential", () => {
  const jwt = `eyJ${"a".repeat(20)}.${"b".repeat(20)}.${"c".repeat(20)}`
  const errorBody = {
    error: "invalid_client",
    error_description: "AADSTS7000215: Invalid client secret provided.",
    error_codes: [7000215],
    trace_id: "a-trace",
    correlation_id: "an-id"
  }

  class Hostile extends Error {
    override get message(): string {
      throw new Error("no message")
    }
  }

  const thrown: ReadonlyArray<readonly [string, unknown, EntraError.AcquireTokenError["_tag"], string]> = [
    [
      "unavailable",
      new CredentialUnavailableError("Please run 'az login'."),
      "EntraCredentialError",
      "token_credential_unavailable"
    ],
    [
      "MSAL's refusal as a cause",
      new AuthenticationRequiredError({
        scopes: [graph],
        cause: { errorCode: "invalid_client", errorNo: 7000222, errorMessage: "AADSTS7000222: expired" }
      }),
      "EntraInvalidClientError",
      "secret_expired"
    ],
    [
      "a sign-in that is needed",
      new AuthenticationRequiredError({ scopes: [graph] }),
      "EntraCredentialError",
      "token_credential_unavailable"
    ],
    [
      "a chain",
      new AggregateAuthenticationError([new CredentialUnavailableError("a")], "b"),
      "EntraCredentialError",
      "token_credential_unavailable"
    ],
    ["a wrong secret", new AuthenticationError(401, errorBody), "EntraInvalidClientError", "secret_wrong"],
    [
      "missing consent",
      new AuthenticationError(400, { ...errorBody, error: "invalid_grant", error_codes: [65001] }),
      "EntraTokenRequestError",
      "consent_missing"
    ],
    [
      "an unknown tenant",
      new AuthenticationError(400, { ...errorBody, error: "invalid_request", error_codes: [90002] }),
      "EntraInvalidAuthorityError",
      "tenant_unknown"
    ],
    ["too many requests", new AuthenticationError(429, errorBody), "EntraThrottledError", "throttled"],
    ["an outage", new AuthenticationError(503, "down"), "EntraServiceUnavailableError", "service_unavailable"],
    [
      "a status alone",
      Object.assign(new Error("down"), { statusCode: 500 }),
      "EntraServiceUnavailableError",
      "service_unavailable"
    ],
    [
      "a refusal with the status of a success",
      new AuthenticationError(200, errorBody),
      "EntraInvalidClientError",
      "secret_wrong"
    ],
    [
      "no network",
      new Error("x", { cause: Object.assign(new Error("y"), { code: "ENOTFOUND" }) }),
      "EntraServiceUnavailableError",
      "service_unavailable"
    ],
    [
      "a missing program",
      Object.assign(new Error("spawn az ENOENT"), { code: "ENOENT" }),
      "EntraCredentialError",
      "token_credential_failed"
    ],
    ["any other error", new TypeError("x is not a function"), "EntraCredentialError", "token_credential_failed"],
    ["a text", "broken", "EntraCredentialError", "token_credential_failed"],
    ["nothing", undefined, "EntraCredentialError", "token_credential_failed"],
    ["an error that throws", new Hostile(), "EntraCredentialError", "token_credential_failed"]
  ]

  it.effect.each(thrown)("%s", ([, value, tag, code]) => {
    const { credential } = counting(() => Promise.reject(value))
    return run(
      credential,
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquire())
        assert.strictEqual(`${error._tag} ${error.code}`, `${tag} ${code}`)
        assert.notInclude(`${error.message} ${error.remedy}`, "token-credential")
        assert.notInclude(error.remedy, "Link:")
      })
    )
  })

  it.effect("keeps its message and the service's numbers, without secrets", () => {
    const secrets = [
      "s3cr3t~value",
      "opaque-token",
      "dXNlcjpwYXNz",
      jwt,
      "hunter2",
      "horse",
      "ba;ttery",
      "staple",
      "nested value"
    ]
    const message = `POST failed: client_secret=s3cr3t~value&grant_type=x {"accessToken": "opaque-token"} `
      + `authorization: Basic dXNlcjpwYXNz, sent ${jwt} {"password": "hunter2 horse\\" ba;ttery", 'pwd': 'x staple'} `
      + `"{\\"clientSecret\\":\\"nested value\\"}"`
    const { credential } = counting((_, count) =>
      Promise.reject(
        count === 1
          ? new Error(message)
          : count === 2
          ? new CredentialUnavailableError(message)
          : new AuthenticationError(401, { ...errorBody, error_description: `AADSTS7000215: ${message}` })
      )
    )
    return run(
      credential,
      Effect.gen(function*() {
        for (const request of [{}, {}, {}]) {
          const error = yield* Effect.flip(acquire(request))
          const shown = `${inspect(error, { depth: 20 })} ${JSON.stringify(error)} ${error.message}`
          assert.include(shown, "POST failed")
          for (const secret of secrets) assert.notInclude(shown, secret)
        }
      })
    )
  })

  it.effect.each([
    ["one word", "AzureCliError", "The TokenCredential failed. AzureCliError: no program."],
    ["more than a word", "client_secret=s3cr3t", "The TokenCredential failed. no program."],
    ["a word and a secret", "AzureCliError: s3cr3t", "The TokenCredential failed. no program."],
    ["as long as a name can be", "A".repeat(60), `The TokenCredential failed. ${"A".repeat(60)}: no program.`],
    ["longer than a name", "A".repeat(61), "The TokenCredential failed. no program."]
  ])("shows its name only if that is a word: %s", ([, name, message]) => {
    const { credential } = counting(() => Promise.reject(Object.assign(new Error("no program"), { name })))
    return run(
      credential,
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(acquire())).message, message)
      })
    )
  })

  it.effect("a refusal is remembered, and a token in use outlives it", () => {
    const { calls, credential } = counting((_, count) =>
      count === 1
        ? { token: "first", expiresOnTimestamp: start + 3_600_000 }
        : Promise.reject(new AuthenticationError(401, errorBody))
    )
    return run(
      credential,
      Effect.gen(function*() {
        yield* acquire()
        yield* TestClock.adjust("40 minutes")
        for (let call = 0; call < 10; call++) {
          assert.strictEqual(textOf(yield* acquire()), "first")
          yield* TestClock.adjust(0)
        }
        assert.strictEqual(calls.length, 2)
      })
    )
  })
})

describe("a result that is not a token", () => {
  const hour = start + 3_600_000
  const results: ReadonlyArray<readonly [string, unknown, string, string]> = [
    ["null", null, "token_credential_unavailable", "It returned no token"],
    ["undefined", undefined, "token_credential_unavailable", "It returned no token"],
    ["a text", "a-token", "response_malformed", "token"],
    ["no token", { expiresOnTimestamp: hour }, "response_malformed", "token"],
    ["an empty token", { token: "", expiresOnTimestamp: hour }, "response_malformed", "token"],
    ["a token with a line break", { token: "a\nb", expiresOnTimestamp: hour }, "response_malformed", "token"],
    ["a token in Unicode", { token: "tökèn", expiresOnTimestamp: hour }, "response_malformed", "token"],
    ["no time", { token: "a-token" }, "response_malformed", "expiresOnTimestamp"],
    [
      "a date as its time",
      { token: "a-token", expiresOnTimestamp: new Date(hour) },
      "response_malformed",
      "expiresOnTimestamp"
    ],
    ["NaN as its time", { token: "a-token", expiresOnTimestamp: NaN }, "response_malformed", "expiresOnTimestamp"],
    ["seconds as its time", { token: "a-token", expiresOnTimestamp: hour / 1000 }, "response_malformed", "in the past"],
    [
      "microseconds as its time",
      { token: "a-token", expiresOnTimestamp: hour * 1000 },
      "response_malformed",
      "ten years"
    ],
    [
      "another type",
      { token: "a-token", expiresOnTimestamp: hour, tokenType: "pop" },
      "response_token_type",
      "tokenType"
    ],
    [
      "a type that is no text",
      { token: "a-token", expiresOnTimestamp: hour, tokenType: 1 },
      "response_malformed",
      "tokenType"
    ],
    ...["token", "expiresOnTimestamp", "refreshAfterTimestamp", "tokenType"].map((name) =>
      [
        `a member ${name} that throws`,
        Object.defineProperty({ token: "a-token", expiresOnTimestamp: hour }, name, {
          get: () => {
            throw new Error("a-token")
          }
        }),
        "response_malformed",
        "cannot be read"
      ] as const
    )
  ]

  it.effect.each(results)("%s", ([, result, code, words]) => {
    const { credential } = counting(() => result)
    return run(
      credential,
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquire())
        assert.strictEqual(error.code, code)
        assert.include(error.message, words)
        assert.notInclude(inspect(error), "a-token")
      })
    )
  })

  it.effect.each([
    [{ refreshAfterTimestamp: "soon" }],
    [{ refreshAfterTimestamp: undefined, tokenType: undefined }],
    [{ refreshAfterTimestamp: -1, tokenType: "bearer" }]
  ])("is not one with %o", ([extra]) => {
    const { credential } = counting(() => ({ token: "a-token", expiresOnTimestamp: hour, ...extra }))
    return run(
      credential,
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const { refreshOn } = yield* acquire()
        assert.isAbove(refreshOn.epochMilliseconds, now + 1_500_000)
      })
    )
  })
})

describe("a request or an option that a TokenCredential does not support", () => {
  it.effect.each(
    [
      ["extraQueryParameters", { extraQueryParameters: { dc: "1" } }],
      ["extraBodyParameters", { extraBodyParameters: { a: "1" } }],
      ["clientCapabilities", { clientCapabilities: ["cp1", "llt"] }]
    ] as const
  )("%s", ([field, request]) => {
    const { calls, credential } = counting()
    return run(
      credential,
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquire(request))
        assert.include(error, { code: "field_unsupported", field })
        assert.strictEqual(calls.length, 0)
      })
    )
  })

  it.effect.each(
    [
      [undefined, {}, "tokenCredential"],
      [null, {}, "tokenCredential"],
      [{ getToken: "a" }, {}, "tokenCredential"],
      [counting().credential, null, "options"],
      [counting().credential, "fast", "options"],
      [counting().credential, { cache: null }, "cache"],
      [counting().credential, { cache: 7 }, "cache"],
      [counting().credential, { timeout: -1 }, "timeout"],
      [counting().credential, { timeout: 0 }, "timeout"]
    ] as const
  )("%o, %o", ([credential, options, field]) =>
    Effect.gen(function*() {
      // @ts-expect-error: callers in JavaScript pass anything
      const error = yield* Effect.flip(Layer.build(AzureCredential.layer(credential, options)))
      assert.include(error, { _tag: "EntraInvalidRequestError", field })
    }).pipe(Effect.scoped))
})
