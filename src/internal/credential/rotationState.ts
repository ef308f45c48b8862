/**
 * The decisions of a rotation: which secret, key or token is used next, and when its source is loaded again. Times are
 * monotonic milliseconds.
 */
import type { InvalidClientError } from "../../EntraError.ts"

/** One piece of material. Its number changes with its content, and reveals nothing about it. */
export interface Candidate<A> {
  readonly number: number
  readonly material: A
}

/** The numbers for wrong, expired or unknown secrets, keys and assertions. */
const credentialFaults: ReadonlySet<number> = new Set([7000215, 7000222, 700027, 700024, 7000214, 1000502])

/**
 * Returns whether the refusal concerns the material, so that other material may be accepted. Without numbers every
 * `invalid_client` counts.
 */
export const isCredentialFault = (
  { error, errorCodes = [] }: Pick<InvalidClientError, "error" | "errorCodes">
): boolean =>
  errorCodes.length === 0 ? error === "invalid_client" : errorCodes.some((code) => credentialFaults.has(code))

/** Numbers loaded material in its order. Material with the same content as before keeps its number. */
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

/** Returns whether both lists have the same candidates in the same order. */
export const isSameList = <A>(one: ReadonlyArray<Candidate<A>>, other: ReadonlyArray<Candidate<A>>): boolean =>
  one.length === other.length && one.every(({ number }, index) => number === other[index]?.number)

/** Returns the untried candidate: the candidate in use, or otherwise the newest. */
export const untried = <A>(
  candidates: ReadonlyArray<Candidate<A>>,
  tried: ReadonlySet<number>,
  inUse: number | undefined
): Candidate<A> | undefined =>
  candidates.find(({ number }) => number === inUse && !tried.has(number)) ??
    candidates.find(({ number }) => !tried.has(number))

/** The record of a source's loads. */
export interface Loads {
  /** The number of loads that have begun. */
  readonly begun: number
  /** The number of the last load that ended, or 0 before the first. */
  readonly ended: number
  /** The time at which that load ended. */
  readonly at: number
  readonly failed: boolean
  /** The time at which a load after a refusal last ended without new material. */
  readonly fruitless: number | undefined
}

export const noLoads: Loads = { begun: 0, ended: 0, at: 0, failed: false, fruitless: undefined }

/** Returns the time between a failed load and the next. While there is material, the next load is not urgent. */
const failedLoadRetryInterval = (inHand: boolean): number => inHand ? 60_000 : reloadPause

/** Returns whether the source is due for a load. */
export const isDue = (loads: Loads, reloadEvery: number, now: number, inHand: boolean): boolean => {
  const wait = loads.failed ? Math.min(reloadEvery, failedLoadRetryInterval(inHand)) : reloadEvery
  return loads.ended === 0 || now >= loads.at + wait
}

/** A source without new material is not loaded again for this time, regardless of the number of refusals. */
const reloadPause = 1000

/**
 * Returns whether a load may follow a refusal of all known material. An acquisition causes at most one load without new
 * material, and a source is not loaded again during its pause.
 */
export const isWorthReload = (loads: Loads, reloaded: boolean, now: number): boolean =>
  !reloaded && !(loads.fruitless !== undefined && now < loads.fruitless + reloadPause)
