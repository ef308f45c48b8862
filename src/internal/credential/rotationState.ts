/**
 * Which of several secrets, keys or tokens is used next, and when it is worth asking their source for others. Plain
 * decisions; times are milliseconds.
 */
import type { InvalidClientError } from "../../EntraError.ts"
import { isAhead } from "../shared/cooldown.ts"

/** One piece of material. Its number changes with its content and says nothing about it. */
export interface Candidate<A> {
  readonly number: number
  readonly material: A
}

/** Wrong, expired or unknown secrets, keys and assertions. */
const mendable: ReadonlySet<number> = new Set([7000215, 7000222, 700027, 700024, 7000214, 1000502])

/** Whether other material may be accepted; a provider without numbers says only that the client was refused. */
export const mends = ({ error, errorCodes = [] }: Pick<InvalidClientError, "error" | "errorCodes">): boolean =>
  errorCodes.length === 0 ? error === "invalid_client" : errorCodes.some((code) => mendable.has(code))

/** What was loaded, in its order; what was there before keeps its number. */
export const numbered = <A>(
  before: ReadonlyArray<Candidate<A>>,
  loaded: ReadonlyArray<A>,
  same: (one: A, other: A) => boolean,
  last: number
): ReadonlyArray<Candidate<A>> => {
  const candidates: Array<Candidate<A>> = []
  let next = last
  for (const material of loaded) {
    if (candidates.some((candidate) => same(candidate.material, material))) continue
    const known = before.find((candidate) => same(candidate.material, material))
    candidates.push({ number: known?.number ?? ++next, material })
  }
  return candidates
}

/** Whether both hold the same, in the same order. */
export const isSameList = <A>(one: ReadonlyArray<Candidate<A>>, other: ReadonlyArray<Candidate<A>>): boolean =>
  one.length === other.length && one.every(({ number }, index) => number === other[index]?.number)

/** The one in use if it was not tried, else the newest that was not. */
export const untried = <A>(
  candidates: ReadonlyArray<Candidate<A>>,
  tried: ReadonlySet<number>,
  inUse: number | undefined
): Candidate<A> | undefined =>
  candidates.find(({ number }) => number === inUse && !tried.has(number)) ??
    candidates.find(({ number }) => !tried.has(number))

/** What is known of the loads of one source. */
export interface Loads {
  /** How many were begun. */
  readonly begun: number
  /** The last that ended; 0: none did. */
  readonly ended: number
  /** When that was. */
  readonly at: number
  readonly failed: boolean
  /** When a load last ended that a refusal had asked for and that brought nothing new. */
  readonly fruitless: number | undefined
}

export const noLoads: Loads = { begun: 0, ended: 0, at: 0, failed: false, fruitless: undefined }

/** Until a failed load is tried again, unless it is due anyway: with material in hand there is time. */
const patience = (inHand: boolean): number => inHand ? 60_000 : rest

/** Whether it is time to look for newer material. */
export const isDue = (loads: Loads, reloadEvery: number, now: number, inHand: boolean): boolean => {
  const wait = loads.failed ? Math.min(reloadEvery, patience(inHand)) : reloadEvery
  return loads.ended === 0 || !isAhead(loads.at + wait, now, wait)
}

/** A source that has just brought nothing new is left alone for so long, however many are refused. */
const rest = 1000

/** Whether a refusal that no known material mends is worth a load: once an acquisition, and not while the source rests. */
export const isWorthReload = (loads: Loads, reloaded: boolean, now: number): boolean =>
  !reloaded && !(loads.fruitless !== undefined && isAhead(loads.fruitless + rest, now, rest))
