import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as fc from "fast-check"
import * as Authority from "../../src/Authority.ts"
import { readPlatformResponse } from "../../src/node/internal/managedIdentity/answer.ts"

const authorityUrl = "https://login.microsoftonline.com/contoso.onmicrosoft.com"

/** Reads a response at the time `now`, in seconds, and returns the time of expiry in seconds, or the code of the error. */
const expiryOf = (members: object, now: number): number | string => {
  const body = JSON.stringify({ access_token: "a.b.c", token_type: "Bearer", ...members })
  const result = readPlatformResponse({ status: 200, headers: {}, body, cut: false }, {
    authority: Result.getOrThrow(Authority.parse(authorityUrl)),
    authorityUrl,
    clientId: "client",
    tenantId: "contoso.onmicrosoft.com",
    scopes: "https://vault.azure.net/.default",
    tokenType: "Bearer",
    tokenEndpoint: "http://localhost:4141/msi/token",
    correlationId: "c-1",
    sentAt: now * 1000,
    now: now * 1000,
    scrub: (text) => text
  })
  return Result.isSuccess(result) ? result.success.expiresOn / 1000 : result.failure.code
}

const expiry = Date.UTC(2026, 11, 1, 1, 6, 18) / 1000

describe("expires_on", () => {
  it.each<unknown>([
    expiry,
    `${expiry}`,
    ` ${expiry} `,
    `${expiry}.0`,
    "2026-12-01T01:06:18.0000000+00:00",
    "2026-12-01T01:06:18.9999999Z",
    "2026-12-01T01:06:18Z",
    "2026-12-01T01:06:18",
    "2026-12-01 01:06:18 +00:00",
    "2026-12-01 01:06:18 UTC",
    "2026-12-01T02:36:18+01:30",
    "2026-11-30T19:06:18.0000000-06:00",
    "2026-11-30T19:06:18-0600",
    "12/01/2026 01:06:18 +00:00",
    "12/1/2026 1:6:18 +00:00",
    "12/01/2026 01:06:18",
    "12/01/2026 01:06:18 AM +00:00",
    "12/1/2026 1:06:18 AM +00:00",
    "12/1/2026 1:06:18\u202fam",
    "11/30/2026 07:06:18 PM -06:00",
    "11/30/2026 19:06:18 PM -06:00"
  ])("%j is read as UTC", (expires_on) => {
    assert.strictEqual(expiryOf({ expires_on, expires_in: 86_400 }, expiry - 3600), expiry)
    assert.strictEqual(expiryOf({ expires_on }, expiry - 3600), expiry)
  })

  it.each([
    ["12:00:00 AM", 0],
    ["12:59:59 AM", 3599],
    ["00:00:01 AM", 1],
    ["11:59:59 AM", 43_199],
    ["12:00:00 PM", 43_200],
    ["12:00:00", 43_200],
    ["1:0:0 PM", 46_800],
    ["11:59:59 PM", 86_399]
  ])("with the time %s is the second %i of the day", (time, second) => {
    const day = Date.UTC(2026, 11, 1) / 1000
    assert.strictEqual(expiryOf({ expires_on: `12/01/2026 ${time} +00:00` }, day - 60), day + second)
  })

  it.each<unknown>([
    "",
    "soon",
    "1/1/2027",
    "2026-12-01",
    "13/01/2026 01:06:18 +00:00",
    "02/29/2027 01:06:18 +00:00",
    "2026-02-30T01:06:18Z",
    "2026-12-01T24:06:18Z",
    "2026-12-01T01:60:18Z",
    "12/01/2026 13:06:18 AM",
    "12/01/2026 01:06:18 +25:00",
    "12/01/2026 01:06:18 CET",
    "0x6",
    "Infinity",
    // Milliseconds instead of seconds.
    expiry * 1000,
    `${expiry * 1000}`,
    null,
    true,
    {},
    [expiry]
  ])("%j is ignored while there is an expires_in", (expires_on) => {
    const now = expiry - 3600
    assert.strictEqual(expiryOf({ expires_on, expires_in: 600 }, now), now + 600)
    assert.strictEqual(expiryOf({ expires_on, expires_in: "600" }, now), now + 600)
    assert.strictEqual(expiryOf({ expires_on }, now), "response_malformed")
  })

  it("in the past is a token that has expired, in every form", () => {
    for (const expires_on of [expiry - 1, "2026-12-01T01:06:17Z", "12/01/2026 01:06:17 AM +00:00"]) {
      assert.strictEqual(expiryOf({ expires_on, expires_in: 600 }, expiry), "response_malformed")
    }
  })

  it("of any time is read in any form, with any offset and padding", () => {
    const pad = (value: number, length: number) => `${value}`.padStart(length, "0")
    const forms = fc.record({
      // The years 2000 to 2099.
      seconds: fc.integer({ min: 946_684_800, max: 4_102_444_799 }),
      lifetime: fc.integer({ min: 1, max: 86_400 }),
      form: fc.constantFrom("epoch", "iso", "us", "us12"),
      isText: fc.boolean(),
      padded: fc.boolean(),
      offset: fc.integer({ min: -14 * 60, max: 14 * 60 }),
      colon: fc.constantFrom(":", ""),
      separator: fc.constantFrom("T", " "),
      fraction: fc.constantFrom("", ".0", ".123", ".0000000", ".9999999")
    })
    fc.assert(
      fc.property(forms, ({ colon, form, fraction, isText, lifetime, offset, padded, seconds, separator }) => {
        const shown = new Date((seconds + offset * 60) * 1000)
        const text = (value: number) => padded ? pad(value, 2) : `${value}`
        const zone = offset === 0
          ? ["Z", "+00:00", ""][lifetime % 3]
          : `${offset < 0 ? "-" : "+"}${pad(Math.trunc(Math.abs(offset) / 60), 2)}${colon}${
            pad(Math.abs(offset) % 60, 2)
          }`
        const hour = shown.getUTCHours()
        const day = `${text(shown.getUTCMonth() + 1)}/${text(shown.getUTCDate())}/${pad(shown.getUTCFullYear(), 4)}`
        const rest = `${text(shown.getUTCMinutes())}:${text(shown.getUTCSeconds())}`
        const expires_on = form === "epoch"
          ? isText ? `${seconds}${fraction}` : seconds
          : form === "iso"
          ? `${shown.toISOString().slice(0, 19).replace("T", separator)}${fraction}${zone}`
          : form === "us"
          ? `${day} ${text(hour)}:${rest} ${zone}`
          : `${day} ${text(hour % 12 === 0 ? 12 : hour % 12)}:${rest} ${hour < 12 ? "AM" : "PM"} ${zone}`
        const now = seconds - lifetime
        const expected = form === "epoch" && isText ? Math.floor(Number(`${seconds}${fraction}`)) : seconds
        assert.strictEqual(expiryOf({ expires_on, expires_in: 42 }, now), expected, `${expires_on}`)
      }),
      { numRuns: 2000 }
    )
  })
})
