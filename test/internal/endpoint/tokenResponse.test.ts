import { assert, describe, it } from "@effect/vitest"
import { Duration, Redacted, Result } from "effect"
import { Authority, EntraError } from "effect-entra"
import fc from "fast-check"
import { readTokenResponse, type ResponseContext } from "../../../src/internal/endpoint/tokenResponse.ts"
import { type IdentityResponse } from "../../../src/internal/http/fields.ts"
import { scrubber } from "../../../src/internal/http/redaction.ts"
import { assertToldInFull } from "../../support/shown.ts"
import refusedClient from "../../testing/fixtures/token-error-invalid-client.json" with { type: "json" }
import invalidScope from "../../testing/fixtures/token-error-invalid-scope.json" with { type: "json" }
import unknownClient from "../../testing/fixtures/token-error-unknown-client.json" with { type: "json" }
import unsupportedGrant from "../../testing/fixtures/token-error-unsupported-grant-type.json" with { type: "json" }
import { anyString, failure, guid, printed, success } from "../support.ts"

const now = Date.UTC(2026, 0, 1)

const asked: ResponseContext = {
  authority: success(Authority.parse(`https://login.microsoftonline.com/${guid}`)),
  authorityUrl: `https://login.microsoftonline.com/${guid}`,
  clientId: "client",
  tenantId: guid,
  scopes: "api://orders/.default",
  tokenType: "Bearer",
  tokenEndpoint: `https://login.microsoftonline.com/${guid}/oauth2/v2.0/token`,
  correlationId: "c-1",
  sentAt: now,
  now,
  scrub: scrubber([])
}

const answer = (
  status: number,
  body: unknown,
  headers: IdentityResponse["headers"] = {},
  cut = false
): IdentityResponse => ({
  status,
  headers,
  body: typeof body === "string" ? body : JSON.stringify(body),
  cut
})

const good = { access_token: "the-token", token_type: "Bearer", expires_in: 3599 }
const invalidClient = { error: "invalid_client", error_description: "AADSTS7000215: no.", error_codes: [7000215] }

describe("tokens", () => {
  const expected = {
    tokenType: "Bearer",
    issuedAt: now,
    expiresOn: now + 3_599_000,
    refreshOn: undefined,
    scopes: ["api://orders/.default"],
    tenantId: guid,
    authority: `https://login.microsoftonline.com/${guid}`,
    tokenEndpoint: asked.tokenEndpoint,
    correlationId: "c-1"
  }

  it.each([
    { name: "what Entra sends", body: { ...good, ext_expires_in: 3599 }, token: {} },
    { name: "numbers as strings", body: { ...good, expires_in: "3599" }, token: {} },
    { name: "a time to renew", body: { ...good, refresh_in: 1800 }, token: { refreshOn: now + 1_800_000 } },
    {
      name: "a time to renew as a string",
      body: { ...good, refresh_in: "1800" },
      token: { refreshOn: now + 1_800_000 }
    },
    { name: "no time to renew, said with null", body: { ...good, refresh_in: null }, token: {} },
    { name: "one scope", body: { ...good, scope: "a" }, token: { scopes: ["a"] } },
    { name: "several scopes", body: { ...good, scope: "a b" }, token: { scopes: ["a", "b"] } },
    { name: "no scope, said with nothing", body: { ...good, scope: "" }, token: {} },
    { name: "no scope, said with null", body: { ...good, scope: null }, token: {} },
    { name: "the type in lower case", body: { ...good, token_type: "bearer" }, token: { tokenType: "bearer" } },
    { name: "one second", body: { ...good, expires_in: 1 }, token: { expiresOn: now + 1000 } },
    { name: "an empty error beside it", body: { ...good, error: "" }, token: {} }
  ])("reads $name", ({ body, token }) => {
    const { secret, ...rest } = success(readTokenResponse(answer(200, body), asked))
    assert.strictEqual(Redacted.value(secret), "the-token")
    assert.strictEqual(String(secret), "<redacted:access_token>")
    assert.deepStrictEqual(rest, { ...expected, ...token })
  })

  it("ignores Retry-After", () => {
    const token = success(readTokenResponse(answer(200, good, { "retry-after": "60" }), asked))
    assert.strictEqual(token.expiresOn, now + 3_599_000)
  })

  it("is out of sight", () => {
    assert.notInclude(printed(success(readTokenResponse(answer(200, good), asked))), "the-token")
  })

  it.each([
    { name: "nothing", body: "" },
    { name: "HTML", body: "<html>the-token</html>" },
    { name: "null", body: null },
    { name: "a number", body: 1 },
    { name: "an array", body: [good] },
    { name: "an empty object", body: {} },
    { name: "no token", body: { ...good, access_token: undefined } },
    { name: "an empty token", body: { ...good, access_token: "" } },
    { name: "a token that is no string", body: { ...good, access_token: 1 } },
    { name: "no type", body: { ...good, token_type: undefined } },
    { name: "no life", body: { ...good, expires_in: undefined } },
    { name: "a life of nothing", body: { ...good, expires_in: 0 } },
    { name: "a negative life", body: { ...good, expires_in: -1 } },
    { name: "an endless life", body: JSON.stringify(good).replace("3599", "1e400") },
    { name: "a life of 11 years", body: { ...good, expires_in: 11 * 365 * 86_400 } },
    { name: "a life that is no number", body: { ...good, expires_in: "soon" } },
    { name: "a life that is null", body: { ...good, expires_in: null } }
  ])("refuses $name, and does not repeat it", ({ body }) => {
    const error = failure(readTokenResponse(answer(200, body), asked))
    assert.strictEqual(error._tag, "EntraInvalidResponseError")
    assert.strictEqual(error.code, "response_malformed")
    assertToldInFull(error)
    assert.strictEqual(error.status, 200)
    assert.notInclude(printed(error), "the-token")
  })

  it("refuses another type", () => {
    const error = failure(readTokenResponse(answer(200, { ...good, token_type: "pop" }), asked))
    assert.strictEqual(error.code, "response_token_type")
    assertToldInFull(error)
    assert.include(error.message, "\"pop\"")
    assert.notInclude(printed(error), "the-token")
  })

  it.each([
    { name: "after a slow response", sentAt: now - 9000, from: now - 9000 },
    { name: "after a suspended process", sentAt: now - 3_000_000, from: now - 3_000_000 },
    { name: "unless the clock was put back", sentAt: now + 3_600_000, from: now }
  ])("lives from the time at which it was requested, $name", ({ from, sentAt }) => {
    const { expiresOn, issuedAt, refreshOn } = success(
      readTokenResponse(answer(200, { ...good, refresh_in: 1800 }), { ...asked, sentAt })
    )
    assert.deepStrictEqual({ expiresOn, issuedAt, refreshOn }, {
      expiresOn: from + 3_599_000,
      issuedAt: from,
      refreshOn: from + 1_800_000
    })
  })

  it.each([
    { name: "refresh_in", body: { ...good, refresh_in: "soon" } },
    { name: "an empty refresh_in", body: { ...good, refresh_in: "" } },
    { name: "scope", body: { ...good, scope: ["a"] } }
  ])("takes an optional member of another type for absent: $name", ({ body }) => {
    const { expiresOn, refreshOn } = success(readTokenResponse(answer(200, body), asked))
    assert.strictEqual(expiresOn, now + 3_599_000)
    assert.isUndefined(refreshOn)
  })

  it("no scope is empty", () => {
    const { scopes } = success(readTokenResponse(answer(200, { ...good, scope: " a  b " }), asked))
    assert.deepStrictEqual(scopes, ["a", "b"])
  })
})

describe("members of a token response", () => {
  interface Member {
    readonly value: unknown
    /** The part of the message; undefined for a member that is right. */
    readonly problem: string | undefined
  }
  const member = (value: unknown, problem?: string): Member => ({ value, problem })
  const others = (problem: string) =>
    fc.constantFrom<unknown>({}, [], true, false).map((value) => member(value, problem))
  const absent = (problem: string | undefined) =>
    fc.constantFrom(undefined, null).map((value) => member(value, problem))
  const printable = fc.stringMatching(/^[!-~]{1,40}$/)

  const accessToken = fc.oneof(
    printable.map((text) => member(text)),
    absent("no access_token"),
    others("an access_token that is not a string"),
    fc.integer().map((value) => member(value, "an access_token that is not a string")),
    fc.constant(member("", "an empty access_token")),
    fc.tuple(printable, fc.constantFrom("\n", "\u00e9", "\0", "\u007f"))
      .map(([text, odd]) => member(`${text}${odd}x`, "an access_token with characters other than printable ASCII"))
  )
  const tokenType = fc.oneof(
    fc.constantFrom("Bearer", "bearer", "BEARER").map((value) => member(value)),
    absent("no token_type"),
    others("a token_type that is not a string"),
    fc.constant(member("", "an empty token_type"))
  )
  const lifetimeWith = (defaultLifetime: number | undefined) =>
    fc.oneof(
      fc.integer({ min: 1, max: 315_360_000 }).chain((seconds) => fc.constantFrom(seconds, String(seconds)))
        .map((value) => member(value)),
      absent(defaultLifetime === undefined ? "no expires_in" : undefined),
      others("an expires_in that is not a number"),
      fc.constantFrom("", "soon", "1h", "PT1H").map((value) => member(value, "an expires_in that is not a number")),
      fc.constantFrom(0, -1, "0", "-3600", 0.5).map((value) => member(value, "an expires_in of less than 1 second")),
      fc.constantFrom(1e12, "999999999999").map((value) => member(value, "an expires_in of more than ten years"))
    )

  const defaults = fc.constantFrom(undefined, 0, 600_000)
  const responses = defaults.chain((defaultLifetime) =>
    fc.record({
      defaultLifetime: fc.constant(defaultLifetime),
      access_token: accessToken,
      token_type: tokenType,
      expires_in: lifetimeWith(defaultLifetime)
    })
  )

  it("that are missing or wrong are all named, and no value is shown", () => {
    fc.assert(
      fc.property(responses, ({ access_token, defaultLifetime, expires_in, token_type }) => {
        const body = { access_token: access_token.value, token_type: token_type.value, expires_in: expires_in.value }
        const result = readTokenResponse(answer(200, body), { ...asked, defaultLifetime })
        const problems = [access_token, token_type, expires_in].flatMap(({ problem }) => problem ?? [])
        if (problems.length === 0) {
          const { expiresOn } = success(result)
          const millis = expires_in.value === undefined || expires_in.value === null
            ? defaultLifetime
            : Number(expires_in.value) * 1000
          assert.strictEqual(expiresOn - now, millis)
          return
        }
        const error = failure(result)
        assert.strictEqual(error.code, "response_malformed")
        const last = problems.at(-1) ?? ""
        const list = problems.length === 1 ? last : `${problems.slice(0, -1).join(", ")} and ${last}`
        assert.isTrue(error.message.endsWith(` has ${list}.`), error.message)
        if (typeof access_token.value === "string" && access_token.value.length > 8) {
          assert.notInclude(printed(error), access_token.value)
        }
        const hasMember = Object.values(body).some((value) => value !== undefined && value !== null)
        assert.strictEqual(error.remedy.includes("proxy"), !hasMember)
      }),
      { numRuns: 3000 }
    )
  })

  it.each(["", "<html></html>", "[]", "null", "{}}"])("%j is not a JSON object", (body) => {
    const error = failure(readTokenResponse(answer(200, body), asked))
    assert.include(error.message, "is not a JSON object")
    assert.include(error.remedy, "proxy")
  })
})

describe("refusals", () => {
  it.each([
    { name: "a wrong secret", status: 401, body: invalidClient, tag: "EntraInvalidClientError", code: "secret_wrong" },
    {
      name: "numbers in the description only",
      status: 400,
      body: { error: "invalid_client", error_description: "AADSTS7000222: expired." },
      tag: "EntraInvalidClientError",
      code: "secret_expired"
    },
    {
      name: "no number",
      status: 400,
      body: { error: "unauthorized_client" },
      tag: "EntraInvalidClientError",
      code: "client_refused"
    },
    {
      name: "an unknown tenant",
      status: 400,
      body: { error: "invalid_request", error_codes: [90002] },
      tag: "EntraInvalidAuthorityError",
      code: "tenant_unknown"
    },
    {
      name: "missing consent",
      status: 400,
      body: { error: "invalid_grant", error_codes: [65001] },
      tag: "EntraTokenRequestError",
      code: "consent_missing"
    },
    {
      name: "a regional endpoint that does not serve this caller",
      status: 400,
      body: { error: "invalid_request", error_codes: [100007] },
      tag: "EntraTokenRequestError",
      code: "region_refused"
    },
    {
      name: "anything else",
      status: 400,
      body: { error: "invalid_scope", error_codes: [1002012] },
      tag: "EntraTokenRequestError",
      code: "request_refused"
    },
    {
      name: "an error with 200",
      status: 200,
      body: invalidClient,
      tag: "EntraInvalidClientError",
      code: "secret_wrong"
    },
    {
      name: "an error beside a token",
      status: 200,
      body: { ...good, ...invalidClient },
      tag: "EntraInvalidClientError",
      code: "secret_wrong"
    },
    {
      name: "claims",
      status: 400,
      body: { error: "invalid_grant", claims: "{\"access_token\":{}}", error_codes: [53003] },
      tag: "EntraClaimsChallengeError",
      code: "claims_required"
    },
    {
      name: "claims that are none",
      status: 400,
      body: { error: "invalid_grant", claims: { a: 1 }, error_codes: [53003] },
      tag: "EntraTokenRequestError",
      code: "blocked_by_policy"
    },
    { name: "429 with an error", status: 429, body: invalidClient, tag: "EntraThrottledError", code: "throttled" },
    { name: "429 without", status: 429, body: "slow down", tag: "EntraThrottledError", code: "throttled" },
    {
      name: "a loop",
      status: 400,
      body: { error: "invalid_grant", error_codes: [50196] },
      tag: "EntraThrottledError",
      code: "throttled"
    },
    {
      name: "a throttled tenant",
      status: 503,
      body: { error: "x", error_codes: [90055] },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    {
      name: "500 with a refusal",
      status: 500,
      body: invalidClient,
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    {
      name: "503 with claims",
      status: 503,
      body: { error: "x", claims: "{}" },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    { name: "408", status: 408, body: "", tag: "EntraServiceUnavailableError", code: "service_unavailable" },
    {
      name: "502 with HTML",
      status: 502,
      body: "<html>",
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    { name: "599", status: 599, body: "", tag: "EntraServiceUnavailableError", code: "service_unavailable" },
    {
      name: "a transient number",
      status: 400,
      body: { error: "invalid_request", error_codes: [90033] },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    {
      name: "temporarily_unavailable",
      status: 400,
      body: { error: "temporarily_unavailable" },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable"
    },
    { name: "404 with nothing", status: 404, body: "", tag: "EntraInvalidResponseError", code: "response_unexpected" },
    {
      name: "400 with HTML",
      status: 400,
      body: "<html>",
      tag: "EntraInvalidResponseError",
      code: "response_unexpected"
    },
    {
      name: "400 with a token",
      status: 400,
      body: good,
      tag: "EntraInvalidResponseError",
      code: "response_unexpected"
    },
    {
      name: "an error that is no string",
      status: 400,
      body: { error: 1 },
      tag: "EntraInvalidResponseError",
      code: "response_unexpected"
    },
    { name: "100", status: 100, body: "", tag: "EntraInvalidResponseError", code: "response_unexpected" },
    { name: "an opaque redirect", status: 0, body: "", tag: "EntraInvalidResponseError", code: "redirect_refused" },
    { name: "302", status: 302, body: good, tag: "EntraInvalidResponseError", code: "redirect_refused" },
    { name: "304", status: 304, body: "", tag: "EntraInvalidResponseError", code: "redirect_refused" },
    { name: "308", status: 308, body: invalidClient, tag: "EntraInvalidResponseError", code: "redirect_refused" }
  ])("$name: $tag, $code", ({ body, code, status, tag }) => {
    const error = failure(readTokenResponse(answer(status, body), asked))
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.status, status)
    assert.strictEqual(error.origin, "service")
    assert.strictEqual(error.correlationId, "c-1")
    assert.isNotEmpty(error.message)
    assert.isNotEmpty(error.remedy)
  })

  it("says all that the service said", () => {
    const error = failure(readTokenResponse(
      answer(400, {
        ...invalidClient,
        suberror: "basic_action",
        trace_id: "t-1",
        correlation_id: "c-2",
        timestamp: "2026-01-01 00:00:00Z"
      }),
      asked
    ))
    assert.deepInclude({ ...error }, {
      error: "invalid_client",
      suberror: "basic_action",
      errorCodes: [7000215],
      traceId: "t-1",
      correlationId: "c-2",
      timestamp: "2026-01-01 00:00:00Z"
    })
    assert.strictEqual(error.message, "invalid_client: AADSTS7000215: no.")
  })

  it("members of another type are as good as absent", () => {
    const error = failure(readTokenResponse(
      answer(400, {
        error: "invalid_client",
        error_description: 1,
        error_codes: ["x", 7000215, null],
        suberror: {},
        trace_id: [],
        correlation_id: 5,
        timestamp: false
      }),
      asked
    ))
    assert.deepInclude({ ...error }, { code: "secret_wrong", errorCodes: [7000215], correlationId: "c-1" })
    assert.strictEqual(error.message, "invalid_client: no description.")
  })

  it.each([
    { number: 65001, error: "invalid_grant", tag: "EntraTokenRequestError" },
    { number: 501051, error: "invalid_grant", tag: "EntraTokenRequestError" },
    { number: 7000229, error: "invalid_client", tag: "EntraInvalidClientError" },
    { number: 700016, error: "unauthorized_client", tag: "EntraInvalidClientError" }
  ])("AADSTS$number comes with the link for the administrator, at the end", ({ error: name, number, tag }) => {
    const error = failure(readTokenResponse(answer(400, { error: name, error_codes: [number] }), asked))
    assert.strictEqual(error._tag, tag)
    const link = `https://login.microsoftonline.com/${guid}/adminconsent?client_id=client`
    assert.isTrue(error.remedy.endsWith(`See docs/registering.md#aadsts${number} of effect-entra. Link: ${link}`))
  })

  it.each([700038, 7000215, 500011, 90002])("AADSTS%i comes without that link", (number) => {
    const error = failure(readTokenResponse(answer(400, { error: "x", error_codes: [number] }), asked))
    assert.notInclude(error.remedy, "adminconsent")
  })

  it("an unknown tenant is the caller's tenantId", () => {
    const error = failure(readTokenResponse(answer(400, { error: "x", error_codes: [90002] }), asked))
    assert.strictEqual(error._tag === "EntraInvalidAuthorityError" ? error.field : "", "tenantId")
  })

  it.each([
    { codes: [50196], loop: true },
    { codes: [90055], loop: false }
  ])("AADSTS$codes: a loop was detected: $loop", ({ codes, loop }) => {
    const error = failure(readTokenResponse(answer(400, { error: "x", error_codes: codes }), asked))
    assert.strictEqual(error._tag === "EntraThrottledError" ? error.loopDetected : undefined, loop)
    assert.strictEqual(error._tag === "EntraThrottledError" ? error.source : undefined, "server")
  })

  it("claims of any length come back whole", () => {
    const challenge = (length: number) => JSON.stringify({ access_token: { acrs: { value: "c".repeat(length) } } })
    for (const claims of [challenge(10), challenge(3000)]) {
      const error = failure(readTokenResponse(answer(400, { error: "invalid_grant", claims }), asked))
      assert.strictEqual(error._tag === "EntraClaimsChallengeError" ? error.claims : undefined, claims)
    }
  })

  it("claims come back as they were", () => {
    const claims = JSON.stringify({ access_token: { xms_rp_ipaddr: { value: "resource-a.onmicrosoft.com" } } })
    const error = failure(readTokenResponse(answer(400, { error: "invalid_grant", claims }), asked))
    assert.strictEqual(error._tag === "EntraClaimsChallengeError" ? error.claims : undefined, claims)
  })
})

describe("the service's words", () => {
  it("stand on one line, without characters that steer a terminal", () => {
    const body = {
      error: "invalid_grant\r\n",
      error_description: "a\n2026 ERROR credential refused\u001b[31m\u2028b\u0000",
      correlation_id: "x\ny",
      trace_id: "t\tz"
    }
    const error = failure(readTokenResponse(answer(400, body), asked))
    const { correlationId, message } = error
    assert.include(message, "a 2026 ERROR credential refused [31m b ")
    assert.strictEqual(correlationId, "x y")
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    assert.notMatch(JSON.stringify(error), /[\u0000-\u001f\u2028]|\\[nrtu]/)
  })
})

describe("Retry-After", () => {
  it.each([
    { name: "429", status: 429, body: "", value: "7", millis: 7000 },
    { name: "429 with an error", status: 429, body: invalidClient, value: "7", millis: 7000 },
    { name: "429 without the header", status: 429, body: "", value: undefined, millis: 60_000 },
    { name: "429 with a word", status: 429, body: "", value: "soon", millis: 60_000 },
    { name: "429 with a date", status: 429, body: "", value: new Date(now + 9000).toUTCString(), millis: 9000 },
    { name: "429 with a day", status: 429, body: "", value: "86400", millis: 3_600_000 },
    {
      name: "a loop without the header",
      status: 400,
      body: { error: "x", error_codes: [50196] },
      value: undefined,
      millis: 60_000
    },
    { name: "503", status: 503, body: "", value: "7", millis: 7000 },
    { name: "503 with an error", status: 503, body: invalidClient, value: "7", millis: 7000 },
    { name: "503 without the header", status: 503, body: "", value: undefined, millis: undefined },
    { name: "408", status: 408, body: "", value: "7", millis: 7000 },
    { name: "a refusal", status: 400, body: invalidClient, value: "7", millis: 7000 },
    { name: "a refusal without the header", status: 400, body: invalidClient, value: undefined, millis: undefined },
    { name: "an unknown tenant", status: 400, body: { error: "x", error_codes: [90002] }, value: "7", millis: 7000 },
    { name: "a challenge", status: 400, body: { error: "x", claims: "{}" }, value: "7", millis: 7000 },
    { name: "403 with HTML", status: 403, body: "<html>", value: "7", millis: 7000 }
  ])("$name: $millis", ({ body, millis, status, value }) => {
    const error = failure(readTokenResponse(answer(status, body, { "retry-after": value }), asked))
    assert.strictEqual(error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter), millis)
  })

  it.each([
    { name: "200 without a token", body: "" },
    { name: "200 with a token of another type", body: { ...good, token_type: "pop" } }
  ])("$name: ignored", ({ body }) => {
    assert.isUndefined(failure(readTokenResponse(answer(200, body, { "retry-after": "7" }), asked)).retryAfter)
  })
})

describe("bodies that were cut", () => {
  it.each([200, 400])("%i: too large", (status) => {
    const error = failure(readTokenResponse(answer(status, good, {}, true), asked))
    assert.strictEqual(error.code, "response_too_large")
    assertToldInFull(error)
    assert.notInclude(printed(error), "the-token")
  })

  it.each([
    { status: 429, tag: "EntraThrottledError" },
    { status: 503, tag: "EntraServiceUnavailableError" },
    { status: 408, tag: "EntraServiceUnavailableError" }
  ])("$status is still $tag", ({ status, tag }) => {
    assert.strictEqual(failure(readTokenResponse(answer(status, "x", {}, true), asked))._tag, tag)
  })
})

describe("recorded answers", () => {
  it.each([
    { name: "invalid client", body: refusedClient.response.body },
    { name: "invalid scope", body: invalidScope.response.body },
    { name: "unknown client", body: unknownClient.response.body },
    { name: "unsupported grant type", body: unsupportedGrant.response.body }
  ])("$name is an error that a program can act on", ({ body }) => {
    const error = failure(readTokenResponse(answer(400, body), asked))
    assert.notStrictEqual(error._tag, "EntraInvalidResponseError")
    assert.isNotEmpty("errorCodes" in error ? error.errorCodes : [])
  })
})

describe("any answer", () => {
  const member = fc.oneof(
    fc.constantFrom("invalid_client", "Bearer", "", "3600", 3600, 50196, 65001, 90002, null, "{}"),
    fc.jsonValue()
  )
  const keys = [
    "access_token",
    "token_type",
    "expires_in",
    "refresh_in",
    "scope",
    "error",
    "error_description",
    "error_codes",
    "suberror",
    "claims",
    "trace_id",
    "correlation_id",
    "timestamp",
    "__proto__"
  ]
  const shaped = fc.dictionary(fc.constantFrom(...keys), member).map((body) => JSON.stringify(body))
  const issued = fc.dictionary(fc.constantFrom(...keys.slice(3)), member)
    .map((body) => JSON.stringify({ ...body, ...good }))
  const body = fc.oneof(shaped, issued, fc.json(), anyString)
  const status = fc.oneof(
    fc.integer({ min: 100, max: 599 }),
    fc.constantFrom(0, 200, 204, 400, 401, 429, 503),
    fc.integer()
  )
  const headers = fc.dictionary(
    fc.oneof(fc.constant("retry-after"), fc.string()),
    fc.option(fc.oneof(fc.constantFrom("1", "99999999", "Sun, 06 Nov 2094 08:49:37 GMT"), anyString), {
      nil: undefined
    })
  )

  it("is read without throwing, and only a 2xx gives a token", () => {
    fc.assert(
      fc.property(status, headers, body, fc.boolean(), (status, headers, body, cut) => {
        const result = readTokenResponse({ status, headers, body, cut }, asked)
        if (Result.isSuccess(result)) {
          assert.isTrue(status >= 200 && status < 300 && !cut)
          assert.isNotEmpty(Redacted.value(result.success.secret))
          assert.isAbove(result.success.expiresOn, now)
          return
        }
        const error = result.failure
        assert.isTrue(EntraError.isEntraError(error))
        assert.strictEqual(error.status, status)
        assert.strictEqual(error.origin, "service")
        assert.isString(JSON.stringify(error))
        // Zero only if the service says so: without a readable header there is a default.
        if (error._tag === "EntraThrottledError" && !/^\s*0+(?:\.0+)?\s*$/.test(headers["retry-after"] ?? "")) {
          assert.isTrue(Duration.isGreaterThan(error.retryAfter, Duration.zero))
        }
      }),
      { numRuns: 5000 }
    )
  })

  it("a token that came with a refusal or a failure is nowhere in the error", () => {
    fc.assert(
      fc.property(status, headers, issued, (status, headers, body) => {
        const result = readTokenResponse({ status, headers, body, cut: false }, asked)
        if (Result.isFailure(result)) assert.notInclude(printed(result.failure), good.access_token)
      }),
      { numRuns: 1000 }
    )
  })

  it("a secret that is echoed, in any spelling and any member, is nowhere in the error", () => {
    // It begins and ends with letters, so that what a print-out escapes is not taken for its absence.
    const piece = fc.constantFrom(..."aZ9~.-_+/= &<>\"\\%\u00e9", "abcdefgh.01234567.")
    const secret = fc.array(piece, { minLength: 6, maxLength: 20 }).map((pieces) => `Q7x${pieces.join("")}Zk9`)
    const spellings = [
      (text: string) => text,
      encodeURIComponent,
      (text: string) => new URLSearchParams({ s: text }).toString().slice(2),
      (text: string) => JSON.stringify(text).slice(1, -1)
    ]
    const where = fc.constantFrom(
      "error",
      "error_description",
      "suberror",
      "claims",
      "trace_id",
      "correlation_id",
      "timestamp",
      "token_type",
      "scope"
    )
    const shape = fc.constantFrom(
      (member: string, echo: string) =>
        JSON.stringify({ error: "invalid_client", error_codes: [65001], [member]: echo }),
      (member: string, echo: string) => JSON.stringify({ ...good, [member]: echo }),
      (member: string, echo: string) => `<html>${member}=${echo}</html>`,
      (member: string, echo: string) => `{"error":"invalid_client","${member}":"${echo}`
    )
    const spelling = fc.constantFrom(...spellings)
    fc.assert(
      fc.property(secret, spelling, where, shape, status, headers, (secret, spell, member, write, status, headers) => {
        const body = write(member, `say ${spell(secret)} again`)
        const result = readTokenResponse({ status, headers, body, cut: false }, { ...asked, scrub: scrubber([secret]) })
        if (Result.isSuccess(result)) return
        const text = printed(result.failure)
        for (const spell of spellings) assert.notInclude(text, spell(secret))
        assert.notMatch(text, /Q7x|Zk9/)
      }),
      { numRuns: 3000 }
    )
  })
})
