import { assert, describe, it } from "@effect/vitest"
import {
  isCredentialFault,
  isDue,
  isSameList,
  isWorthReload,
  type Loads,
  noLoads,
  numbered,
  untried
} from "../../../src/internal/credential/rotationState.ts"

const same = (one: string, other: string) => one === other
const list = (...numbers: ReadonlyArray<number>) => numbers.map((number) => ({ number, material: `m${number}` }))

describe("mends", () => {
  it.each([
    { name: "a wrong secret", error: "invalid_client", errorCodes: [7000215], is: true },
    { name: "an expired secret", error: "invalid_client", errorCodes: [7000222], is: true },
    { name: "an unknown key", error: "invalid_client", errorCodes: [700027], is: true },
    { name: "an assertion out of time", error: "invalid_client", errorCodes: [700024], is: true },
    { name: "a revoked certificate", error: "invalid_client", errorCodes: [7000214], is: true },
    { name: "an expired certificate", error: "invalid_client", errorCodes: [1000502], is: true },
    { name: "the second of two numbers", error: "invalid_client", errorCodes: [1, 7000215], is: true },
    { name: "another provider's refusal", error: "invalid_client", errorCodes: [], is: true },
    { name: "the same without a list", error: "invalid_client", errorCodes: undefined, is: true },
    { name: "an app that may not", error: "unauthorized_client", errorCodes: [], is: false },
    { name: "an unknown app", error: "unauthorized_client", errorCodes: [700016], is: false },
    { name: "a disabled app", error: "invalid_client", errorCodes: [7000112], is: false },
    { name: "a secret that is missing", error: "invalid_client", errorCodes: [7000218], is: false }
  ])("$name: $is", ({ error, errorCodes, is }) => {
    assert.strictEqual(isCredentialFault({ error, errorCodes }), is)
  })
})

describe("numbered", () => {
  it.each([
    { name: "the first load", before: list(), loaded: ["a", "b"], last: 0, after: [1, 2] },
    { name: "nothing new", before: list(1, 2), loaded: ["m1", "m2"], last: 2, after: [1, 2] },
    { name: "another order", before: list(1, 2), loaded: ["m2", "m1"], last: 2, after: [2, 1] },
    { name: "a new one in front", before: list(1, 2), loaded: ["new", "m1"], last: 2, after: [3, 1] },
    { name: "the same twice", before: list(), loaded: ["a", "a", "b"], last: 0, after: [1, 2] },
    { name: "what had gone and is back is new", before: list(3), loaded: ["m1"], last: 3, after: [4] }
  ])("$name", ({ after, before, last, loaded }) => {
    const candidates = numbered(before, loaded, same, last)
    assert.deepStrictEqual(candidates.map(({ number }) => number), after)
    assert.deepStrictEqual(candidates.map(({ material }) => material), [...new Set(loaded)])
  })
})

describe("isSameList", () => {
  it.each([
    { name: "nothing", one: list(), other: list(), is: true },
    { name: "the same", one: list(1, 2), other: list(1, 2), is: true },
    { name: "one more", one: list(1), other: list(1, 2), is: false },
    { name: "another order", one: list(1, 2), other: list(2, 1), is: false }
  ])("$name: $is", ({ is, one, other }) => assert.strictEqual(isSameList(one, other), is))
})

describe("untried", () => {
  it.each([
    { name: "the one in use", candidates: list(1, 2, 3), tried: [], inUse: 2, next: 2 },
    { name: "the newest of the others", candidates: list(1, 2, 3), tried: [2], inUse: 2, next: 1 },
    { name: "in their order", candidates: list(1, 2, 3), tried: [1, 2], inUse: 2, next: 3 },
    { name: "what others turned to", candidates: list(1, 2, 3), tried: [1], inUse: 3, next: 3 },
    { name: "none when all were", candidates: list(1, 2), tried: [1, 2], inUse: 1, next: undefined },
    { name: "none of none", candidates: list(), tried: [], inUse: undefined, next: undefined },
    { name: "the one in use has gone", candidates: list(4), tried: [1], inUse: 1, next: 4 }
  ])("$name", ({ candidates, inUse, next, tried }) => {
    assert.strictEqual(untried(candidates, new Set<number>(tried), inUse)?.number, next)
  })
})

const ended = (fields: Partial<Loads>): Loads => ({ ...noLoads, begun: 1, ended: 1, at: 100_000, ...fields })

describe("isDue", () => {
  it.each([
    { name: "never loaded", loads: noLoads, every: Infinity, now: 0, is: true },
    { name: "never again", loads: ended({}), every: Infinity, now: 1e15, is: false },
    { name: "a moment before", loads: ended({}), every: 1000, now: 100_999, is: false },
    { name: "on time", loads: ended({}), every: 1000, now: 101_000, is: true },
    { name: "for every attempt", loads: ended({}), every: 0, now: 100_000, is: true },
    { name: "failed: within a minute", loads: ended({ failed: true }), every: Infinity, now: 159_999, is: false },
    { name: "failed: after a minute", loads: ended({ failed: true }), every: Infinity, now: 160_000, is: true },
    { name: "failed: sooner if it is due anyway", loads: ended({ failed: true }), every: 10, now: 100_010, is: true }
  ])("$name: $is", ({ every, is, loads, now }) => assert.strictEqual(isDue(loads, every, now, true), is))

  it.each([
    { name: "within a second", now: 100_999, is: false },
    { name: "after a second", now: 101_000, is: true }
  ])(
    "failed, with nothing in hand: $name: $is",
    ({ is, now }) => assert.strictEqual(isDue(ended({ failed: true }), Infinity, now, false), is)
  )
})

describe("isWorthReload", () => {
  it.each([
    { name: "a first load", loads: ended({}), reloaded: false, now: 100_000, is: true },
    { name: "one an acquisition", loads: ended({}), reloaded: true, now: 100_000, is: false },
    { name: "it was in vain just now", loads: ended({ fruitless: 100_000 }), reloaded: false, now: 100_999, is: false },
    { name: "in vain a second ago", loads: ended({ fruitless: 100_000 }), reloaded: false, now: 101_000, is: true }
  ])("$name: $is", ({ is, loads, now, reloaded }) => assert.strictEqual(isWorthReload(loads, reloaded, now), is))
})
