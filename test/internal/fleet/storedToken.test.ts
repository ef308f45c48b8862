import { assert, describe, it } from "@effect/vitest"
import { Duration, Redacted } from "effect"
import { EntraError } from "effect-entra"
import fc from "fast-check"
import {
  outageText,
  readOutage,
  readThrottle,
  readToken,
  throttleText,
  tokenText
} from "../../../src/internal/fleet/storedToken.ts"
import { longestLifetime } from "../../../src/internal/shared/validate.ts"
import { anyString, problem, tokenOf } from "../support.ts"

const hour = 3_600_000
const now = Date.UTC(2026, 0, 1)

const millis = fc.integer({ min: 0, max: longestLifetime })
const nonEmpty = anyString.filter((text) => text !== "")
/** JSON keeps halves of surrogate pairs as escapes. */
const token = fc.record({
  text: nonEmpty,
  tokenType: nonEmpty,
  scopes: fc.array(anyString, { maxLength: 3 }),
  tenantId: anyString,
  authority: anyString,
  tokenEndpoint: anyString,
  correlationId: anyString,
  lifetime: millis
}).chain(({ lifetime, text, ...rest }) =>
  fc.option(fc.integer({ min: 0, max: lifetime }), { nil: undefined }).map((refreshIn) =>
    tokenOf({
      ...rest,
      text,
      issuedAt: now,
      expiresOn: now + lifetime,
      refreshOn: refreshIn === undefined ? undefined : now + refreshIn
    })
  )
)
const replacement = fc.constantFrom(undefined, "replaced" as const, "unchanged" as const)

describe("a token", () => {
  it("comes back as it was, with its remaining time", () =>
    fc.assert(fc.property(token, replacement, fc.nat({ max: 2 * hour }), (token, replacement, age) => {
      const left = token.expiresOn - token.issuedAt - age
      const read = readToken(tokenText({ token, replacement }), left, now + age)
      assert.isDefined(read)
      const { secret, ...rest } = token
      const { secret: readSecret, ...readRest } = read?.token ?? token
      assert.strictEqual(Redacted.value(readSecret), Redacted.value(secret))
      assert.deepStrictEqual(readRest, rest)
      assert.strictEqual(read?.replacement, replacement)
    })))

  it("never lives longer than it did when it was issued, whatever the store says", () => {
    const token = tokenOf({ issuedAt: now, expiresOn: now + hour })
    const text = tokenText({ token, replacement: undefined })
    for (const left of [hour + 1, 10 * hour, Number.MAX_SAFE_INTEGER, Infinity]) {
      const read = readToken(text, left, now)
      assert.deepInclude(read?.token, { issuedAt: now, expiresOn: now + hour })
    }
    const half = readToken(text, hour / 2, now)
    assert.deepInclude(half?.token, { issuedAt: now - hour / 2, expiresOn: now + hour / 2 })
  })

  it("contains no time of a wall clock", () =>
    fc.assert(fc.property(token, fc.integer({ min: -hour, max: hour }), (token, off) => {
      const moved = {
        ...token,
        issuedAt: token.issuedAt + off,
        expiresOn: token.expiresOn + off,
        refreshOn: token.refreshOn === undefined ? undefined : token.refreshOn + off
      }
      assert.strictEqual(
        tokenText({ token: moved, replacement: undefined }),
        tokenText({ token, replacement: undefined })
      )
    })))

  it("has no time to refresh before it was issued", () => {
    const token = tokenOf({ issuedAt: now, expiresOn: now + hour, refreshOn: now - 5 })
    assert.strictEqual(readToken(tokenText({ token, replacement: undefined }), hour, now)?.token.refreshOn, now)
  })

  const valid: unknown = JSON.parse(tokenText({ token: tokenOf({ expiresOn: hour }), replacement: undefined }))
  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a list", []],
    ["a text", "token"],
    ...["token", "tokenType", "scopes", "tenantId", "authority", "tokenEndpoint", "correlationId", "lifetime"].map(
      (field): [string, unknown] => [`no ${field}`, { ...Object(valid), [field]: undefined }]
    ),
    ["an empty token", { ...Object(valid), token: "" }],
    ["a number as token", { ...Object(valid), token: 5 }],
    ["a negative lifetime", { ...Object(valid), lifetime: -1 }],
    ["an endless lifetime", { ...Object(valid), lifetime: 1e300 }],
    ["a negative time to refresh", { ...Object(valid), refreshIn: -1 }],
    ["another replacement", { ...Object(valid), replacement: "often" }],
    ["scopes that are no list", { ...Object(valid), scopes: "s" }]
  ])("is not %s", (_, value) => {
    assert.isUndefined(readToken(JSON.stringify(value) ?? "", hour, now))
  })

  it("is not any text", () =>
    fc.assert(fc.property(fc.oneof(anyString, fc.json()), (text) => {
      assert.isUndefined(readToken(text, hour, now))
      assert.isUndefined(readOutage(text, hour))
    })))
})

const details = {
  correlationId: "c",
  status: 503,
  errorCodes: [90033],
  traceId: "t",
  retryAfter: Duration.seconds(7)
}

describe("an outage", () => {
  it.each([
    new EntraError.ServiceUnavailableError({ ...problem, code: "service_unavailable" }),
    new EntraError.ServiceUnavailableError({ ...problem, ...details, code: "service_unavailable" }),
    new EntraError.ServiceUnavailableError({ ...problem, code: "timeout" }),
    new EntraError.ServiceUnavailableError({ ...problem, code: "budget_exceeded" }),
    new EntraError.NetworkError({
      ...problem,
      code: "network",
      method: "POST",
      endpoint: "https://h/token",
      reason: "ECONNREFUSED"
    })
  ])("$_tag, $code comes back as it was", (error) => {
    const read = readOutage(outageText(error) ?? "", hour)
    assert.isDefined(read)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(error)))
    assert.strictEqual(read?._tag, error._tag)
    assert.strictEqual(read?.isRetryable, error.isRetryable)
  })

  it("has at most the time left as its time to wait", () => {
    const error = new EntraError.ServiceUnavailableError({ ...problem, ...details, code: "service_unavailable" })
    for (const [left, wait] of [[3000, 3000], [7000, 7000], [9000, 7000]] as const) {
      assert.deepStrictEqual(readOutage(outageText(error) ?? "", left)?.retryAfter, Duration.millis(wait))
    }
  })

  it("of any text comes back as it was", () =>
    fc.assert(fc.property(anyString, anyString, (message, remedy) => {
      const error = new EntraError.ServiceUnavailableError({ ...problem, message, remedy, code: "timeout" })
      const read = readOutage(outageText(error) ?? "", hour)
      assert.deepStrictEqual([read?.message, read?.remedy], [error.message, error.remedy])
    })))

  it.each([
    new EntraError.ServiceUnavailableError({ ...problem, origin: "local", code: "service_unavailable" }),
    new EntraError.ServiceUnavailableError({ ...problem, code: "circuit_open" }),
    new EntraError.ServiceUnavailableError({ ...problem, code: "client_closed" })
  ])("of this process alone ($origin, $code) is told to nobody", (error) => {
    assert.isUndefined(outageText(error))
  })
})

describe("a throttle", () => {
  const error = new EntraError.ThrottledError({
    ...problem,
    ...details,
    code: "throttled",
    source: "server",
    loopDetected: true
  })

  it("comes back as the error of callers that are not let through, with the time left", () => {
    const read = readThrottle(throttleText(error), 4321)
    assert.deepInclude<object>(read ?? {}, {
      _tag: "EntraThrottledError",
      origin: "local",
      source: "fleet",
      loopDetected: true,
      correlationId: "c",
      errorCodes: [90033],
      traceId: "t",
      status: 503
    })
    assert.strictEqual(read === undefined ? 0 : Duration.toMillis(read.retryAfter), 4321)
    assert.include(read?.message, "another 5 s")
  })

  it("is not any text", () =>
    fc.assert(fc.property(fc.oneof(anyString, fc.json()), (text) => {
      assert.isUndefined(readThrottle(text, 1))
    })))
})
