import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { defaultRetryAfter, parseRetryAfter } from "../../../src/internal/http/retryAfter.ts"
import { longestRetryAfter } from "../../../src/internal/shared/cooldown.ts"
import { anyString } from "../support.ts"

const now = Date.UTC(1994, 10, 6, 8, 49, 0)

describe("parseRetryAfter", () => {
  it.each([
    { name: "seconds", value: "120", millis: 120_000 },
    { name: "zero", value: "0", millis: 0 },
    { name: "zero with a fraction", value: "0.0", millis: 0 },
    { name: "several zeros", value: " 00 ", millis: 0 },
    { name: "one second", value: "1", millis: 1000 },
    { name: "a part of a second", value: "1.5", millis: 1500 },
    { name: "white space around", value: " 7\t", millis: 7000 },
    { name: "zeros in front", value: "007", millis: 7000 },
    { name: "an hour", value: "3600", millis: longestRetryAfter },
    { name: "more than an hour", value: "3601", millis: longestRetryAfter },
    { name: "a day", value: "86400", millis: longestRetryAfter },
    { name: "an endless number", value: "9".repeat(400), millis: longestRetryAfter },
    { name: "a date", value: "Sun, 06 Nov 1994 08:49:37 GMT", millis: 37_000 },
    { name: "a date of RFC 850", value: "Sunday, 06-Nov-94 08:49:37 GMT", millis: 37_000 },
    { name: "a date beyond an hour", value: "Mon, 07 Nov 1994 08:49:37 GMT", millis: longestRetryAfter }
  ])("$name", ({ millis, value }) => {
    assert.strictEqual(parseRetryAfter(value, now), millis)
  })

  it.each([
    { name: "no header", value: undefined },
    { name: "nothing", value: "" },
    { name: "white space", value: "  " },
    { name: "a negative number", value: "-5" },
    { name: "a sign", value: "+5" },
    { name: "an exponent", value: "1e3" },
    { name: "a hexadecimal number", value: "0x10" },
    { name: "a point without digits", value: "1." },
    { name: "a unit", value: "5s" },
    { name: "a word", value: "soon" },
    { name: "Infinity", value: "Infinity" },
    { name: "a list", value: "1, 2" },
    { name: "a date in the past", value: "Sun, 06 Nov 1994 08:48:59 GMT" },
    { name: "this very moment", value: "Sun, 06 Nov 1994 08:49:00 GMT" },
    { name: "a date that does not exist", value: "Sun, 99 Foo 1994 08:49:37 GMT" },
    { name: "a date of asctime with text after it", value: "Sun Nov  6 08:49:37 1994 (CET)" },
    { name: "a date of another notation", value: "1994-11-06T08:49:37Z" },
    { name: "a year alone, which Date.parse would take", value: "Nov 2094" },
    { name: "digits of another alphabet", value: "\u0665" }
  ])("undefined for $name", ({ value }) => {
    assert.isUndefined(parseRetryAfter(value, now))
  })

  it.each([
    { name: "the moment of the response", date: "Sun, 06 Nov 1994 08:40:00 GMT", millis: 0 },
    { name: "before the response", date: "Sun, 06 Nov 1994 08:41:00 GMT", millis: 0 },
    { name: "after the response, by a clock that is slow", date: "Sun, 06 Nov 1994 08:39:30 GMT", millis: 30_000 },
    { name: "long after the response", date: "Sun, 06 Nov 1994 06:00:00 GMT", millis: longestRetryAfter },
    { name: "unknown, because the response has a malformed date", date: "today", millis: undefined }
  ])("a date that is $name", ({ date, millis }) => {
    assert.strictEqual(parseRetryAfter("Sun, 06 Nov 1994 08:40:00 GMT", now, date), millis)
    assert.strictEqual(parseRetryAfter("Sun, 06 Nov 1994 08:40:00 GMT", 0, date), millis ?? longestRetryAfter)
  })

  it("a date of asctime", () => {
    assert.strictEqual(parseRetryAfter("Sun Nov  6 08:49:37 1994", now), 37_000)
  })

  it("never throws, and is undefined or within an hour", () => {
    fc.assert(
      fc.property(fc.oneof(anyString, fc.double().map(String)), fc.maxSafeInteger(), (value, now) => {
        const millis = parseRetryAfter(value, now)
        if (millis !== undefined) assert.isTrue(millis >= 0 && millis <= longestRetryAfter, `${millis}`)
      }),
      { numRuns: 1000 }
    )
  })

  it("reads back what toUTCString writes", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 3600 }), (seconds) => {
      assert.strictEqual(parseRetryAfter(new Date(now + seconds * 1000).toUTCString(), now), seconds * 1000)
      assert.strictEqual(parseRetryAfter(String(seconds), now), seconds * 1000)
    }))
  })

  it("what is assumed is less than the longest", () => {
    assert.strictEqual(defaultRetryAfter, 60_000)
    assert.strictEqual(longestRetryAfter, 3_600_000)
  })
})
