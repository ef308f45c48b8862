/** Every error, made through the public API; and nowhere in it, nor in what was logged, a secret, token or assertion. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpClientError, type HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { record } from "./support/log.ts"
import { assertShown, assertToldInFull } from "./support/shown.ts"
import { graph, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const secret = "s3cr3t & <value>/with+signs=\"quoted\""
const assertion = `${"a".repeat(40)}.${"b".repeat(40)}.${"c".repeat(40)}`

interface Case {
  readonly name: string
  readonly tag: EntraError.AcquireTokenError["_tag"]
  readonly code: string
  readonly field?: string
  readonly request?: Partial<Parameters<typeof ConfidentialClient.acquireToken>[0]>
  readonly fault?: EntraSimulator.Fault.Fault
  readonly world?: Parameters<typeof World>[0]
  /** Requests that the service must have seen; 0 means: found before any network call. */
  readonly sent: number
}

const input = (code: string, tag: Case["tag"], request: Case["request"], field: string): Case => ({
  name: `${code}: ${JSON.stringify(request)}`,
  tag,
  code,
  field,
  ...(request === undefined ? {} : { request }),
  sent: 0
})

const cases: ReadonlyArray<Case> = [
  ...["common", "organizations", "consumers", "Common"].map((tenantId) =>
    input("tenant_not_tenanted", "EntraInvalidAuthorityError", { tenantId }, "tenantId")
  ),
  ...["", "a/b", "a?b", "a#b", "a\nb", "a\u0000b", "a b", "..", "%2e", "-a", "ü.example"].map((tenantId) =>
    input("tenant_malformed", "EntraInvalidAuthorityError", { tenantId }, "tenantId")
  ),
  ...[
    "login.microsoftonline.com",
    "/contoso",
    "https://",
    "https://a@login.microsoftonline.com/contoso",
    "https://login.microsoftonline.com/contoso/more",
    "https://login.microsoftonline.com/contoso?x=1",
    "https://login.microsoftonline.com/contoso#x",
    "https://login.microsoftonline.com\\contoso"
  ].map((authority) => input("authority_malformed", "EntraInvalidAuthorityError", { authority }, "authority")),
  input(
    "authority_insecure",
    "EntraInvalidAuthorityError",
    { authority: "http://login.microsoftonline.com/contoso" },
    "authority"
  ),
  input(
    "authority_mismatch",
    "EntraInvalidAuthorityError",
    { authority: "https://login.microsoftonline.us/contoso" },
    "authority"
  ),
  input(
    "authority_mismatch",
    "EntraInvalidAuthorityError",
    { authority: "https://login.windows.net/contoso.com", tenantId: "fabrikam.com" },
    "tenantId"
  ),
  {
    name: "no tenant anywhere",
    tag: "EntraInvalidAuthorityError",
    code: "tenant_missing",
    field: "tenantId",
    world: { client: { tenantId: undefined } },
    sent: 0
  },
  input("scope_missing", "EntraInvalidScopeError", { scopes: [] }, "scopes"),
  input("scope_missing", "EntraInvalidScopeError", { scopes: " " }, "scopes"),
  input("scope_not_default", "EntraInvalidScopeError", { scopes: "User.Read" }, "scopes"),
  input("scope_malformed", "EntraInvalidScopeError", { scopes: "api://\"x\"/.default" }, "scopes"),
  input("scope_several_resources", "EntraInvalidScopeError", { scopes: [graph, "api://orders/.default"] }, "scopes"),
  input("field_malformed", "EntraInvalidRequestError", { claims: "[]" }, "claims"),
  input("field_malformed", "EntraInvalidRequestError", { correlationId: "a\r\nx: y" }, "correlationId"),
  {
    name: "an assertion that cannot be made",
    tag: "EntraCredentialError",
    code: "assertion_failed",
    field: "assertion",
    world: { credential: ClientCredential.layerAssertion(() => Effect.fail(new Error(secret))) },
    sent: 0
  },
  {
    name: "an assertion that is none",
    tag: "EntraCredentialError",
    code: "assertion_malformed",
    field: "assertion",
    world: { credential: ClientCredential.layerAssertion(() => Effect.succeed(secret)) },
    sent: 0
  },
  {
    name: "unknown tenant",
    tag: "EntraInvalidAuthorityError",
    code: "tenant_unknown",
    request: { tenantId: "nobody.example" },
    sent: 1
  },
  {
    name: "unknown resource",
    tag: "EntraTokenRequestError",
    code: "resource_unknown",
    request: { scopes: "api://nothing/.default" },
    sent: 1
  },
  {
    name: "wrong secret",
    tag: "EntraInvalidClientError",
    code: "secret_wrong",
    world: { credential: ClientCredential.layerSecret(Redacted.make("another value")) },
    sent: 1
  },
  {
    name: "unknown client",
    tag: "EntraInvalidClientError",
    code: "client_unknown",
    world: { client: { clientId: "30000000-0000-0000-0000-000000000000" } },
    sent: 1
  },
  {
    name: "disabled client",
    tag: "EntraInvalidClientError",
    code: "client_disabled",
    fault: Fault.refused({ code: 7000112, error: "unauthorized_client" }),
    sent: 1
  },
  {
    name: "expired secret",
    tag: "EntraInvalidClientError",
    code: "secret_expired",
    fault: Fault.refused({ code: 7000222, error: "invalid_client", status: 401 }),
    sent: 1
  },
  {
    name: "an assertion from another time",
    tag: "EntraInvalidClientError",
    code: "assertion_time",
    fault: Fault.refused({ code: 700024, error: "invalid_client", status: 401 }),
    sent: 1
  },
  {
    name: "the credential is echoed",
    tag: "EntraInvalidClientError",
    code: "secret_wrong",
    fault: Fault.echo,
    sent: 1
  },
  {
    name: "the assertion is echoed",
    tag: "EntraInvalidClientError",
    code: "secret_wrong",
    fault: Fault.echo,
    world: { credential: ClientCredential.layerAssertion(() => Effect.succeed(assertion)) },
    sent: 1
  },
  {
    name: "missing consent",
    tag: "EntraTokenRequestError",
    code: "consent_missing",
    fault: Fault.refused({ code: 65001, error: "invalid_grant" }),
    sent: 1
  },
  {
    name: "blocked by policy",
    tag: "EntraTokenRequestError",
    code: "blocked_by_policy",
    fault: Fault.refused({ code: 53003, error: "access_denied" }),
    sent: 1
  },
  {
    name: "a region that serves only some",
    tag: "EntraTokenRequestError",
    code: "region_refused",
    fault: Fault.refused({ code: 100007, error: "invalid_request" }),
    sent: 1
  },
  {
    name: "another refusal",
    tag: "EntraTokenRequestError",
    code: "request_refused",
    fault: Fault.refused({ code: 1, error: "invalid_request" }),
    sent: 1
  },
  {
    name: "a claims challenge",
    tag: "EntraClaimsChallengeError",
    code: "claims_required",
    fault: Fault.refused({ code: 50076, error: "interaction_required", claims: `{"access_token":{}}` }),
    sent: 1
  },
  { name: "throttled", tag: "EntraThrottledError", code: "throttled", fault: Fault.throttled(), sent: 1 },
  { name: "loop detected", tag: "EntraThrottledError", code: "throttled", fault: Fault.loopDetected, sent: 1 },
  {
    name: "unavailable",
    tag: "EntraServiceUnavailableError",
    code: "service_unavailable",
    fault: Fault.unavailable(),
    sent: 4
  },
  {
    name: "too slow",
    tag: "EntraServiceUnavailableError",
    code: "timeout",
    fault: Fault.delay("1 hour"),
    world: { endpoint: { attemptTimeout: "1 second" } },
    sent: 4
  },
  {
    name: "over budget",
    tag: "EntraServiceUnavailableError",
    code: "budget_exceeded",
    fault: Fault.delay("1 hour"),
    world: { endpoint: { budget: "5 seconds" } },
    sent: 1
  },
  { name: "dropped connection", tag: "EntraNetworkError", code: "network", fault: Fault.dropped, sent: 4 },
  { name: "not JSON", tag: "EntraInvalidResponseError", code: "response_malformed", fault: Fault.malformed(), sent: 1 },
  {
    name: "cut JSON",
    tag: "EntraServiceUnavailableError",
    code: "service_unavailable",
    fault: Fault.malformed("cut"),
    sent: 4
  },
  { name: "too large", tag: "EntraInvalidResponseError", code: "response_too_large", fault: Fault.hugeBody(), sent: 1 },
  {
    name: "a redirect",
    tag: "EntraInvalidResponseError",
    code: "redirect_refused",
    fault: Fault.redirect("https://evil.example/"),
    sent: 1
  },
  {
    name: "a token of another type",
    tag: "EntraInvalidResponseError",
    code: "response_token_type",
    fault: Fault.custom({
      status: 200,
      body: JSON.stringify({ access_token: assertion, token_type: "pop", expires_in: 60 })
    }),
    sent: 1
  },
  {
    name: "a page that is no OAuth error",
    tag: "EntraInvalidResponseError",
    code: "response_unexpected",
    fault: Fault.custom({ status: 403, body: `<html>${secret}` }),
    sent: 1
  }
]

const produced = new Set<string>()

const spellings = (
  text: string
) => [
  text,
  encodeURIComponent(text),
  new URLSearchParams({ v: text }).toString().slice(2),
  JSON.stringify(text).slice(1, -1)
]

const assertClean = (what: string, forbidden: ReadonlyArray<string>) => {
  for (const text of forbidden.flatMap(spellings)) {
    assert.isFalse(what.includes(text), `found ${text} in: ${what.slice(0, 300)}`)
  }
}

/** All the ways in which an error gets seen. */
const shown = (error: EntraError.AcquireTokenError): string =>
  [
    String(error),
    JSON.stringify(error),
    inspect(error, { depth: 20, showHidden: true, maxStringLength: null }),
    error.stack ?? "",
    inspect(error.cause, { depth: 20 }),
    Cause.pretty(Cause.fail(error))
  ].join("\n")

describe("every error through the public API", () => {
  for (const row of cases) {
    it.effect(`${row.tag} ${row.name}`, () => {
      const log = record()
      return Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.addSecret(EntraSimulator.daemonClientId, Redacted.make(secret))
        if (row.fault !== undefined) yield* simulator.fail(row.fault, { times: Infinity })
        const fiber = yield* Effect.forkChild(
          Effect.flip(ConfidentialClient.acquireToken({ scopes: graph, ...row.request })),
          { startImmediately: true }
        )
        yield* TestClock.adjust("2 minutes")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, row.tag)
        assert.strictEqual(error.code, row.code)
        assert.isTrue(EntraError.isEntraError(error))
        assert.strictEqual(EntraError.isRetryable(error), error.isRetryable)
        assertToldInFull(error)
        if (row.field !== undefined) assert.strictEqual("field" in error ? error.field : undefined, row.field)
        assert.strictEqual(error.origin, row.sent === 0 ? "local" : "service")
        assert.strictEqual((yield* simulator.counters).tokenRequests, row.sent)
        if (row.sent > 0) {
          assert.isDefined(error.correlationId)
          assert.strictEqual("attempts" in error ? error.attempts : undefined, row.sent)
          assert.isDefined("durations" in error ? error.durations : undefined)
        }
        produced.add(error._tag)
        const forbidden = [secret, assertion, Redacted.value(EntraSimulator.daemonSecret)]
        assertClean(shown(error), forbidden)
        assertClean([...log.lines, ...log.spans].join("\n"), forbidden)
        if (row.sent > 0) assert.isAbove(log.lines.length + log.spans.length, 0)
        assertShown(
          [
            ...log.entries.map(({ annotations, level, text }) => `${level}: ${text} ${JSON.stringify(annotations)}`),
            ...log.attributes.map((attributes) => JSON.stringify(attributes))
          ]
            .filter((line) => !line.includes("this client was built"))
            .map((line) => line.replace(/("(?:entra\.)?correlation_?[iI]d":")[^"]*/g, "$1<id>"))
            .join("\n")
        )
      }).pipe(
        Effect.provide(World({ credential: ClientCredential.layerSecret(Redacted.make(secret)), ...row.world })),
        Effect.provide(log.layer)
      )
    })
  }

  it("leaves out no error", () => {
    const tags = Object.entries(EntraError).flatMap(([name, value]) =>
      typeof value === "function" && name.endsWith("Error") && /^[A-Z]/.test(name) ? [`Entra${name}`] : []
    )
    assert.strictEqual(tags.length, 11)
    assert.deepStrictEqual([...produced].sort(), tags.sort())
  })

  it.effect("the admin consent link is in the remedy", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.refused({ code: 65001, error: "invalid_grant" }))
      const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph }))
      assert.include(
        error.remedy,
        `https://login.microsoftonline.com/${EntraSimulator.contosoTenantId}/adminconsent?client_id=${EntraSimulator.daemonClientId}`
      )
    }).pipe(Effect.provide(World())))
})

describe("successes are silent about tokens too", () => {
  it.effect("results, logs and spans show no token", () => {
    const log = record()
    return Effect.gen(function*() {
      const result = yield* ConfidentialClient.acquireToken({ scopes: graph })
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      const cache = yield* ConfidentialClient.stats
      const token = Redacted.value(result.accessToken)
      assertClean(JSON.stringify(result) + inspect(result, { depth: 20, showHidden: true }) + inspect(cache), [token])
      assert.isAbove(log.lines.length, 0)
      assertClean([...log.lines, ...log.spans].join("\n"), [token, Redacted.value(EntraSimulator.daemonSecret)])
    }).pipe(Effect.provide(World()), Effect.provide(log.layer))
  })
})

describe("layers that cannot be built", () => {
  const build = (layer: Layer.Layer<ConfidentialClient.ConfidentialClient, EntraError.ConfigurationError>) =>
    Effect.flip(Effect.scoped(Layer.build(layer)))
  const over = (options: Partial<ConfidentialClient.Options>, credential: Parameters<typeof World>[0] = {}) =>
    World({ ...credential, client: options })

  for (
    const [name, options, tag, field] of [
      ["an empty client id", { clientId: "" }, "EntraInvalidRequestError", "clientId"],
      ["a client id with a space", { clientId: "a b" }, "EntraInvalidRequestError", "clientId"],
      ["an http authority", { authority: "http://localhost/contoso" }, "EntraInvalidAuthorityError", "authority"],
      ["a relative authority", { authority: "contoso" }, "EntraInvalidAuthorityError", "authority"],
      ["a tenant with a path", { tenantId: "a/b" }, "EntraInvalidAuthorityError", "tenantId"],
      ["a bad allowed tenant", { allowedTenants: ["a/b"] }, "EntraInvalidAuthorityError", "allowedTenants"]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* build(over(options))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.field, field)
        assertToldInFull(error)
      }))
  }

  it.effect("an empty secret", () =>
    Effect.gen(function*() {
      const error = yield* build(over({}, { credential: ClientCredential.layerSecret(Redacted.make(" ")) }))
      assert.strictEqual(error.code, "secret_empty")
    }))

  it.live("a key of another certificate", () =>
    Effect.gen(function*() {
      const one = yield* TestCertificate.make()
      const other = yield* TestCertificate.make()
      const credential = ClientCredential.layerCertificate({
        certificate: one.certificate,
        privateKey: other.privateKey
      })
      const error = yield* build(over({}, { credential }))
      assert.strictEqual(error.code, "key_mismatch")
      assertClean(shown(error), [Redacted.value(other.privateKey)])
    }))
})

describe("the environment", () => {
  const Http = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })
  const from = (variables: Record<string, string>, options?: Partial<ConfidentialClient.Options>) =>
    ConfidentialClient.layerFromEnv(options).pipe(
      Layer.provideMerge(Http),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)))
    )
  const right = {
    AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
    AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
    AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret)
  }

  it.effect("is enough for a client", () =>
    Effect.gen(function*() {
      const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
      assert.strictEqual(tenantId, EntraSimulator.contosoTenantId)
    }).pipe(Effect.provide(from(right))))

  it.effect("options override it", () =>
    Effect.gen(function*() {
      const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
      assert.strictEqual(tenantId, EntraSimulator.fabrikamTenantId)
    }).pipe(
      Effect.provide(from({ ...right, AZURE_TENANT_ID: "a/b" }, { tenantId: EntraSimulator.fabrikamTenantId }))
    ))

  for (
    const [name, variables, code, fields] of [
      ["nothing set", {}, "configuration_invalid", ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]],
      [
        "everything wrong",
        { AZURE_CLIENT_ID: "a b", AZURE_TENANT_ID: "x/y", AZURE_AUTHORITY_HOST: "http://x", AZURE_CLIENT_SECRET: "" },
        "configuration_invalid",
        ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_CLIENT_SECRET"]
      ],
      ["no secret", { ...right, AZURE_CLIENT_SECRET: undefined }, "credential_missing", ["AZURE_CLIENT_SECRET"]],
      [
        "a file credential alone",
        { ...right, AZURE_CLIENT_SECRET: undefined, AZURE_CLIENT_CERTIFICATE_PATH: "/a.pem" },
        "credential_file",
        ["AZURE_CLIENT_CERTIFICATE_PATH"]
      ]
    ] as const
  ) {
    it.effect(`${name}: ${code}`, () =>
      Effect.gen(function*() {
        const given = Object.fromEntries(Object.entries(variables).flatMap(([k, v]) => v === undefined ? [] : [[k, v]]))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(from(given))))
        assert.isTrue(Exit.isFailure(exit))
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.isTrue(EntraError.isEntraError(error))
        if (!EntraError.isEntraError(error) || !("field" in error)) return
        assert.strictEqual(error.code, code)
        for (const field of fields) assert.include(error.field, field)
        if (code === "credential_file") assert.include(error.remedy, "effect-entra/node")
      }))
  }
})

describe("a transport that quotes the request in what it says", () => {
  const quoted = (request: HttpClientRequest.HttpClientRequest): string =>
    request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""

  for (
    const [name, transport] of [
      ["fails with it", (request) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, description: quoted(request) })
          })
        )],
      ["dies of it", (request) => Effect.die(new Error(`cannot send ${quoted(request)}`))]
    ] satisfies ReadonlyArray<readonly [string, (request: HttpClientRequest.HttpClientRequest) => Failing]>
  ) {
    it.live(`${name}: neither errors, logs nor spans do`, () => {
      const log = record()
      const Client = ConfidentialClient.layer({ clientId: "app", tenantId: "contoso.com" }).pipe(
        Layer.provide([
          ClientCredential.layerSecret(Redacted.make(secret)),
          AuthorityResolver.layerKnownClouds,
          TokenEndpoint.layerWith({ retry: RetryPolicy.none }),
          TokenCache.layerMemory()
        ]),
        Layer.provide(Layer.succeed(HttpClient.HttpClient, HttpClient.make((request) => transport(request))))
      )
      return Effect.gen(function*() {
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph }))
        assert.strictEqual(error.code, "network")
        const all = [...log.lines, ...log.spans, inspect(error, { depth: 20, showHidden: true })].join("\n")
        assert.include(all, "POST")
        for (
          const spelling of [secret, encodeURIComponent(secret), new URLSearchParams({ secret }).toString().slice(7)]
        ) {
          assert.notInclude(all, spelling)
        }
      }).pipe(Effect.provide(Client), Effect.provide(log.layer))
    })
  }
})

type Failing = Effect.Effect<never, HttpClientError.HttpClientError>
