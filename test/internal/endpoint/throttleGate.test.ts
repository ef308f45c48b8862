import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { EntraError } from "effect-entra"
import fc from "fast-check"
import {
  closeAfter,
  type GateState,
  judge,
  type Outcome,
  retryWait
} from "../../../src/internal/endpoint/throttleGate.ts"
import { isRefused } from "../../../src/internal/shared/errors.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { problem } from "../support.ts"

const ttl = { base: 5000, cap: 60_000 }
const now = 1_000_000
const later = (millis: number) => ({ retryAfter: Duration.millis(millis) })

const throttled = (millis: number, loopDetected = false) =>
  new EntraError.ThrottledError({ ...problem, code: "throttled", ...later(millis), loopDetected, source: "server" })
const outage = (more = {}) =>
  new EntraError.ServiceUnavailableError({ ...problem, code: "service_unavailable", ...more })
const network = (more = {}) =>
  new EntraError.NetworkError({
    ...problem,
    code: "network",
    method: "POST",
    endpoint: "https://h",
    reason: "ECONNRESET",
    ...more
  })
const refusals = [
  new EntraError.InvalidClientError({ ...problem, code: "client_refused", message: "no client" }),
  new EntraError.InvalidAuthorityError({ ...problem, code: "tenant_unknown", field: "tenantId", message: "no tenant" }),
  new EntraError.TokenRequestError({ ...problem, code: "request_refused", message: "no consent" }),
  new EntraError.ClaimsChallengeError({ ...problem, code: "claims_required", claims: "{}", message: "no claims" })
]
const [refusal = throttled(1)] = refusals

describe("closeAfter, row by row", () => {
  it.each<{ name: string; error: Outcome; kind: string | undefined; millis: number }>([
    { name: "429 with Retry-After", error: throttled(7000), kind: "throttled", millis: 7000 },
    { name: "429 with zero", error: throttled(0), kind: undefined, millis: 0 },
    { name: "429 with a day", error: throttled(86_400_000), kind: "throttled", millis: 3_600_000 },
    { name: "a loop", error: throttled(60_000, true), kind: "throttled", millis: 60_000 },
    { name: "5xx", error: outage(), kind: undefined, millis: 0 },
    { name: "a connection", error: network(), kind: undefined, millis: 0 },
    { name: "5xx with Retry-After", error: outage(later(90_000)), kind: "throttled", millis: 90_000 },
    { name: "5xx with a day", error: outage(later(86_400_000)), kind: "throttled", millis: 3_600_000 },
    {
      name: "no answer",
      error: new EntraError.InvalidResponseError({ ...problem, code: "response_malformed" }),
      kind: "refused",
      millis: 5000
    },
    {
      name: "another 4xx with Retry-After",
      error: new EntraError.InvalidResponseError({ ...problem, code: "response_malformed", ...later(7000) }),
      kind: "throttled",
      millis: 7000
    },
    {
      name: "a refusal with Retry-After",
      error: new EntraError.InvalidClientError({ ...problem, code: "client_refused", ...later(7000) }),
      kind: "throttled",
      millis: 7000
    },
    ...refusals.map((error) => ({ name: error._tag, error, kind: "refused", millis: 5000 }))
  ])("$name: $kind for $millis ms", ({ error, kind, millis }) => {
    const state = closeAfter(undefined, error, now, ttl)
    assert.strictEqual(state?.kind, kind)
    assert.strictEqual(state === undefined ? 0 : state.until - now, millis)
  })

  const again = (waits: ReadonlyArray<number>) => {
    const holds: Array<number> = []
    let time = now
    let state: GateState | undefined
    for (const wait of waits) {
      time += wait
      state = closeAfter(state, refusal, time, ttl)
      holds.push((state?.until ?? time) - time)
    }
    return holds
  }

  it("a refusal holds for 5 s, doubling to 60 s", () => {
    assert.deepStrictEqual(again([0, 5000, 10_000, 20_000, 40_000, 60_000, 60_000]), [
      5000,
      10_000,
      20_000,
      40_000,
      60_000,
      60_000,
      60_000
    ])
  })

  it("it doubles too when the next refusal comes a little after the hold, and starts anew long after", () => {
    assert.deepStrictEqual(again([0, 64_999]), [5000, 10_000])
    assert.deepStrictEqual(again([0, 65_000]), [5000, 5000])
  })

  it("a throttle after a throttle never shortens the wait, and may lengthen it", () => {
    const first = closeAfter(undefined, throttled(60_000), now, ttl)
    assert.strictEqual(closeAfter(first, throttled(7000), now + 1000, ttl)?.until, now + 60_000)
    assert.strictEqual(closeAfter(first, throttled(90_000), now + 1000, ttl)?.until, now + 91_000)
    assert.strictEqual(closeAfter(first, throttled(7000), now + 59_000, ttl)?.until, now + 66_000)
  })

  it("a refusal that was not so long ago does not shorten a throttle either", () => {
    const refused = closeAfter(undefined, refusal, now, { base: 60_000, cap: 60_000 })
    assert.deepInclude(closeAfter(refused, throttled(7000), now, ttl), { kind: "throttled", until: now + 7000 })
  })

  it("a refusal after a throttle starts with the base", () => {
    const state = closeAfter(closeAfter(undefined, throttled(1), now, ttl), refusal, now + 10, ttl)
    assert.strictEqual(state?.until, now + 10 + ttl.base)
  })

  it("an outage after a refusal opens", () => {
    assert.isUndefined(closeAfter(closeAfter(undefined, refusal, now, ttl), outage(), now + 5000, ttl))
  })

  it("no hold is longer than the cap, whatever the times of the refusals", () => {
    fc.assert(fc.property(fc.array(fc.nat(200_000), { maxLength: 30 }), (waits) => {
      for (const hold of again(waits)) assert.isTrue(hold >= ttl.base && hold <= ttl.cap, `${hold}`)
    }))
  })

  it("no gate is closed for more than an hour", () => {
    fc.assert(fc.property(fc.double({ min: 0, noNaN: true }), fc.boolean(), (millis, isOutage) => {
      const state = closeAfter(undefined, isOutage ? outage(later(millis)) : throttled(millis), now, ttl)
      assert.isAtMost((state?.until ?? 0) - now, 3_600_000)
    }))
  })
})

describe("judge", () => {
  const closedBy = (error: Outcome) => closeAfter(undefined, error, now, ttl)

  it("an open gate lets everyone through", () => {
    assert.isUndefined(judge(undefined, now, false))
    assert.isUndefined(judge(undefined, now, true))
  })

  it.each([
    { name: "a throttle stops", error: throttled(7000), forced: false, at: 0, tag: "EntraThrottledError" },
    {
      name: "a throttle stops a forced request too",
      error: throttled(7000),
      forced: true,
      at: 0,
      tag: "EntraThrottledError"
    },
    {
      name: "a throttle stops until its last moment",
      error: throttled(7000),
      forced: false,
      at: 6999,
      tag: "EntraThrottledError"
    },
    { name: "a throttle ends", error: throttled(7000), forced: false, at: 7000, tag: undefined },
    {
      name: "an outage with a time stops as a throttle",
      error: outage(later(7000)),
      forced: false,
      at: 0,
      tag: "EntraThrottledError"
    },
    {
      name: "an outage with a time stops a forced request",
      error: outage(later(7000)),
      forced: true,
      at: 0,
      tag: "EntraThrottledError"
    },
    ...refusals.flatMap((error) => [
      { name: `${error._tag} is heard again`, error, forced: false, at: 0, tag: error._tag },
      { name: `${error._tag} is heard until its last moment`, error, forced: false, at: 4999, tag: error._tag },
      { name: `${error._tag} is forgotten`, error, forced: false, at: 5000, tag: undefined },
      { name: `${error._tag} does not stop a forced request`, error, forced: true, at: 0, tag: undefined }
    ])
  ])("$name", ({ at, error, forced, tag }) => {
    const heard = judge(closedBy(error), now + at, forced)
    assert.strictEqual(heard?._tag, tag)
    if (heard !== undefined) assertToldInFull(heard)
  })

  it("a closed gate says how long, and that it was decided here", () => {
    const error = throttled(7000, true)
    const heard = judge(closedBy(Object.assign(error, { correlationId: "c-1", status: 429 })), now + 1500, false)
    assert.deepInclude({ ...heard }, {
      origin: "local",
      source: "local",
      loopDetected: true,
      correlationId: "c-1",
      status: 429,
      code: "throttled"
    })
    assert.strictEqual(heard?.retryAfter === undefined ? 0 : Duration.toMillis(heard.retryAfter), 5500)
    if (heard === undefined) assert.fail("open")
    assertToldInFull(heard)
  })

  it.each(refusals)("$_tag is the same but for its origin", (error) => {
    const heard = judge(closedBy(error), now, false)
    assert.notStrictEqual(heard, error)
    assert.strictEqual(heard?.message, error.message)
    assert.deepStrictEqual({ ...heard, origin: "service" }, { ...error })
    assert.strictEqual(heard?.origin, "local")
    assert.strictEqual(error.origin, "service")
  })

  it("a remembered refusal tells of no request", () => {
    const error = new EntraError.InvalidClientError({ ...problem, code: "client_refused", attempts: 1 })
    const heard = judge(closedBy(error), now, false)
    assert.strictEqual(heard?.origin, "local")
    assert.isTrue(heard?.attempts === undefined || heard.attempts === 0)
  })
})

describe("retryWait", () => {
  it.each<{ name: string; error: EntraError.AcquireTokenError; millis: number | undefined }>([
    { name: "a throttle", error: throttled(7000), millis: 7000 },
    { name: "a throttle of a day", error: throttled(86_400_000), millis: 3_600_000 },
    { name: "an outage with a time", error: outage(later(90_000)), millis: 90_000 },
    { name: "an outage without", error: outage(), millis: undefined },
    {
      name: "an open circuit",
      error: outage({ ...later(30_000), origin: "local", code: "circuit_open" }),
      millis: undefined
    },
    { name: "a connection", error: network(later(7000)), millis: undefined },
    ...refusals.map((error) => ({ name: error._tag, error, millis: undefined })),
    {
      name: "a refusal with a time",
      error: new EntraError.InvalidClientError({ ...problem, code: "client_refused", ...later(7000) }),
      millis: undefined
    }
  ])("$name: $millis ms", ({ error, millis }) => {
    assert.strictEqual(retryWait(error), millis)
  })
})

describe("isRefused", () => {
  it.each([
    ...refusals.map((error) => ({ error, refused: true })),
    { error: throttled(1), refused: false },
    { error: outage(), refused: false },
    { error: network(), refused: false },
    { error: new EntraError.InvalidResponseError({ ...problem, code: "response_malformed" }), refused: false },
    { error: new EntraError.CredentialError({ ...problem, code: "credential_missing", field: "f" }), refused: false },
    { error: new EntraError.InvalidScopeError({ ...problem, code: "scope_malformed", field: "f" }), refused: false }
  ])("$error._tag: $refused", ({ error, refused }) => {
    assert.strictEqual(isRefused(error), refused)
  })
})
