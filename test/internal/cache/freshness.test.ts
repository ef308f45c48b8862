import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { timesOf } from "../../../src/internal/cache/cachedToken.ts"
import { type Freshness, freshness, isTooShort, refreshFrom } from "../../../src/internal/cache/freshness.ts"
import { coolDown } from "../../../src/internal/shared/cooldown.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const issuedAt = Date.UTC(2026, 0, 1)
const none = { margin: 5 * minute, jitter: 0 }

const token = (lifetime: number, refreshIn?: number) => ({
  issuedAt,
  expiresOn: issuedAt + lifetime,
  refreshOn: refreshIn === undefined ? undefined : issuedAt + refreshIn
})

describe("timesOf", () => {
  it.each([
    { name: "an hour: half its life", token: token(hour), refresh: 30 * minute, usable: 55 * minute },
    { name: "a day: half its life", token: token(day), refresh: 12 * hour, usable: day - 5 * minute },
    { name: "the service's word", token: token(hour, 20 * minute), refresh: 20 * minute, usable: 55 * minute },
    { name: "a word beyond half the life", token: token(day, 20 * hour), refresh: 20 * hour, usable: day - 5 * minute },
    { name: "a word in the margin", token: token(hour, 58 * minute), refresh: 55 * minute, usable: 55 * minute },
    { name: "a word at the end", token: token(hour, hour), refresh: 30 * minute, usable: 55 * minute },
    { name: "a word beyond the end", token: token(hour, 2 * hour), refresh: 30 * minute, usable: 55 * minute },
    { name: "a word in the past", token: token(hour, -1), refresh: 30 * minute, usable: 55 * minute },
    {
      name: "five minutes: a tenth is the margin",
      token: token(5 * minute),
      refresh: 2.5 * minute,
      usable: 4.5 * minute
    },
    { name: "fifty minutes: both margins meet", token: token(50 * minute), refresh: 25 * minute, usable: 45 * minute },
    { name: "one second", token: token(1000), refresh: 500, usable: 900 },
    { name: "no life at all", token: token(0), refresh: 0, usable: 0 }
  ])("$name", ({ refresh, token, usable }) => {
    assert.deepStrictEqual(timesOf(token, none), {
      issuedAt,
      refreshOn: issuedAt + refresh,
      usableUntil: issuedAt + usable,
      expiresOn: token.expiresOn
    })
  })

  it("a token that expired before it came is expired", () => {
    const times = timesOf(token(-minute), none)
    assert.strictEqual(freshness(times, issuedAt), "expired")
    assert.isTrue(times.refreshOn <= times.usableUntil && times.usableUntil <= times.expiresOn)
  })

  const seconds = (min: number, max: number) => fc.integer({ min, max }).map((seconds) => seconds * 1000)
  const life = seconds(1, 24 * 3600)
  const refreshIn = fc.option(seconds(-3600, 48 * 3600), { nil: undefined })
  const margins = fc.oneof(seconds(0, 48 * 3600), fc.constant(Infinity))
  const jitter = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1))

  it("the times stand in order", () => {
    fc.assert(
      fc.property(life, refreshIn, margins, jitter, (lifetime, refreshIn, margin, jitter) => {
        const { expiresOn, refreshOn, usableUntil } = timesOf(token(lifetime, refreshIn), { margin, jitter })
        assert.isAtLeast(refreshOn, issuedAt)
        assert.isAtLeast(usableUntil, refreshOn)
        assert.isAtLeast(expiresOn, usableUntil)
        assert.strictEqual(expiresOn, issuedAt + lifetime)
      }),
      { numRuns: 2000 }
    )
  })

  it("the margin is the option's, and never more than a tenth of the life", () => {
    fc.assert(fc.property(life, refreshIn, margins, jitter, (lifetime, refreshIn, margin, jitter) => {
      const { expiresOn, usableUntil } = timesOf(token(lifetime, refreshIn), { margin, jitter })
      assert.closeTo(expiresOn - usableUntil, Math.min(margin, lifetime / 10), 0.001)
    }))
  })

  it("without a usable word it is half the life, with one it is the word", () => {
    fc.assert(fc.property(life, refreshIn, (lifetime, refreshIn) => {
      const { refreshOn } = timesOf(token(lifetime, refreshIn), { margin: 0, jitter: 0 })
      const isUsable = refreshIn !== undefined && refreshIn > 0 && refreshIn < lifetime
      assert.strictEqual(refreshOn - issuedAt, isUsable ? refreshIn : lifetime / 2)
    }))
  })

  it("jitter makes it earlier, by at most a tenth of the span, and more jitter never later", () => {
    fc.assert(
      fc.property(life, refreshIn, margins, jitter, jitter, (lifetime, refreshIn, margin, a, b) => {
        const at = (jitter: number) => timesOf(token(lifetime, refreshIn), { margin, jitter })
        const span = timesOf(token(lifetime, refreshIn), { margin: 0, jitter: 0 }).refreshOn - issuedAt
        assert.isAtMost(at(a).refreshOn, at(0).refreshOn)
        assert.isAtLeast(at(a).refreshOn, at(0).refreshOn - span / 10 - 0.001)
        assert.isAtLeast(at(Math.min(a, b)).refreshOn, at(Math.max(a, b)).refreshOn)
        assert.strictEqual(at(a).usableUntil, at(b).usableUntil)
      }),
      { numRuns: 2000 }
    )
  })

  it("one beyond all jitter is a tenth earlier", () => {
    assert.strictEqual(timesOf(token(hour), { ...none, jitter: 1 }).refreshOn, issuedAt + 27 * minute)
  })
})

describe("freshness", () => {
  const times = { issuedAt: 0, refreshOn: 100, usableUntil: 200, expiresOn: 300 }

  it.each<{ now: number; state: Freshness }>([
    { now: -Infinity, state: "expired" },
    { now: -1, state: "expired" },
    { now: 0, state: "fresh" },
    { now: 99, state: "fresh" },
    { now: 100, state: "staleWhileRevalidate" },
    { now: 199, state: "staleWhileRevalidate" },
    { now: 200, state: "staleIfError" },
    { now: 299, state: "staleIfError" },
    { now: 300, state: "expired" },
    { now: Infinity, state: "expired" }
  ])("at $now: $state", ({ now, state }) => {
    assert.strictEqual(freshness(times, now), state)
  })

  it("only ever goes on: fresh, due, last, expired", () => {
    const order: ReadonlyArray<Freshness> = ["fresh", "staleWhileRevalidate", "staleIfError", "expired"]
    const ordered = fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000)).map((all) => all.sort((a, b) => a - b))
    fc.assert(
      fc.property(ordered, fc.nat(1100), fc.nat(1100), ([refreshOn = 0, usableUntil = 0, expiresOn = 0], a, b) => {
        const at = (now: number) => order.indexOf(freshness({ issuedAt: 0, refreshOn, usableUntil, expiresOn }, now))
        assert.isAtMost(at(Math.min(a, b)), at(Math.max(a, b)))
        assert.strictEqual(at(expiresOn), 3)
        assert.strictEqual(at(expiresOn - 1) === 3, false)
      })
    )
  })
})

describe("isTooShort", () => {
  const times = { issuedAt: 1000, refreshOn: 1500, usableUntil: 1900, expiresOn: 2000 }

  it.each([
    { name: "nothing is asked for", now: 1999, minimum: 0, short: false },
    { name: "just enough", now: 1500, minimum: 500, short: false },
    { name: "not quite", now: 1500, minimum: 501, short: true },
    { name: "expired", now: 2000, minimum: 1, short: true },
    { name: "more than any, within a tenth of its life", now: 1099, minimum: 5000, short: false },
    { name: "more than any, after a tenth of its life", now: 1100, minimum: 5000, short: true },
    { name: "before it was issued", now: 0, minimum: 5000, short: false }
  ])("$name", ({ minimum, now, short }) => {
    assert.strictEqual(isTooShort(times, now, minimum), short)
  })

  it("renewed on time, it is never too short, unless it was from the start", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 86_400 }), fc.nat(100_000), (lifetime, minimum) => {
        const token = { issuedAt: 0, expiresOn: lifetime * 1000, refreshOn: undefined }
        const times = timesOf(token, { margin: 300_000, jitter: 0 })
        const due = refreshFrom(times, minimum * 1000)
        assert.isAtMost(due, times.refreshOn)
        assert.isAtLeast(due, times.expiresOn / 10)
        assert.isFalse(isTooShort(times, due - 1, minimum * 1000))
      })
    )
  })
})

describe("refreshFrom", () => {
  const times = { issuedAt: 1000, refreshOn: 1500, usableUntil: 1900, expiresOn: 2000 }

  it.each([
    { minimum: 0, at: 1500 },
    { minimum: 300, at: 1500 },
    { minimum: 500, at: 1400 },
    { minimum: 800, at: 1100 },
    { minimum: 5000, at: 1100 }
  ])("for $minimum it is $at", ({ at, minimum }) => {
    assert.strictEqual(refreshFrom(times, minimum), at)
  })
})

describe("coolDown", () => {
  const options = { base: 30_000, cap: 300_000 }

  it.each([
    { failures: 1, wait: 30_000 },
    { failures: 2, wait: 60_000 },
    { failures: 3, wait: 120_000 },
    { failures: 4, wait: 240_000 },
    { failures: 5, wait: 300_000 },
    { failures: 1000, wait: 300_000 },
    { failures: 1e9, wait: 300_000 }
  ])("after $failures failures: $wait ms", ({ failures, wait }) => {
    assert.strictEqual(coolDown(failures, options), wait)
  })

  it("never shrinks and never exceeds its cap", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1e6 }), fc.nat(1e6), fc.nat(1e9), (failures, base, cap) => {
      const wait = coolDown(failures, { base, cap })
      assert.isAtMost(wait, cap)
      assert.isAtLeast(wait, Math.min(base, cap))
      assert.isAtMost(wait, coolDown(failures + 1, { base, cap }))
    }))
  })
})
