/**
 * The values that this process reads and writes in a store: their names, their sealing, and the outcomes of fetches. A
 * value that cannot be read counts as no value.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AccessToken } from "../../AccessToken.ts"
import type { AcquireTokenError, ThrottledError } from "../../EntraError.ts"
import type { LeaseOutcome, StoredValue, TokenStore } from "../../TokenStore.ts"
import { type CacheKey, ownerIn } from "../cache/cacheKey.ts"
import type { Replacement } from "../cache/lead.ts"
import { longestRetryAfter } from "../shared/cooldown.ts"
import { isOutage, type Outage } from "../shared/errors.ts"
import type { OwnerEpochs } from "./ownerEpochs.ts"
import { type Kind, noTag, type Sealed, type Sealer } from "./sealing.ts"
import { outageText, readOutage, readThrottle, readToken, storeMargin, throttleText, tokenText } from "./storedToken.ts"
import type { Budget, StoreGuard } from "./storeGuard.ts"

/** A token of another process. */
export interface SharedToken {
  readonly token: AccessToken
  readonly replacement: Replacement | undefined
}

/** The name of a key in the store, for one root key and the current epoch. */
export interface Name {
  readonly key: CacheKey
  readonly name: string
  readonly sealed: Sealed
}

export interface SharedValues {
  /** Returns the names of a key, the newest root key first; undefined while the store must not be used for it. */
  readonly namesOf: (key: CacheKey, budget: Budget) => Effect.Effect<readonly [Name, ...Array<Name>] | undefined>
  /** Returns whether a name is still the name of its key: there was no invalidation meanwhile. */
  readonly isCurrent: (name: Name) => boolean
  /** Returns the token of a value that was requested at `sentAt`. A value that cannot be read is removed. */
  readonly token: (name: Name, value: StoredValue, sentAt: number) => Effect.Effect<SharedToken | undefined>
  readonly throttle: (name: Name, value: StoredValue) => Effect.Effect<ThrottledError | undefined>
  readonly outage: (name: Name, value: StoredValue) => Effect.Effect<Outage | undefined>
  /**
   * Stores a token and ends the lease of `owner`. Without a lease it is stored only when there is no value, when the
   * value starts with `seen`, or when the stored token expires earlier.
   */
  readonly store: (
    name: Name,
    owner: string,
    shared: SharedToken,
    seen: Uint8Array | undefined
  ) => Effect.Effect<unknown>
  /**
   * Shares an error that concerns other processes, and ends the lease of `owner`. `rest` is the time in milliseconds
   * for which processes with a valid token send no request.
   */
  readonly tell: (
    name: Name,
    owner: string,
    error: AcquireTokenError | undefined,
    rest: number
  ) => Effect.Effect<unknown>
}

/** The milliseconds for which processes without a valid token get an outage. */
const outageTtl = 600

/** Creates the values. `unreadable` is called for each value that cannot be read. */
export const make = (options: {
  readonly store: TokenStore["Service"]
  readonly guard: StoreGuard
  readonly sealer: Sealer
  readonly epochs: OwnerEpochs
  readonly clock: Clock.Clock
  readonly inBackground: (work: Effect.Effect<unknown>) => Effect.Effect<void>
  readonly unreadable: () => void
}): SharedValues => {
  const { clock, epochs, guard, inBackground, sealer, store, unreadable } = options
  const { fleet } = store

  const opened = (kind: Kind, { name, sealed }: Name, { bytes }: StoredValue) =>
    Effect.map(sealed.open(kind, name, bytes), (text) => {
      if (text === undefined) unreadable()
      return text
    })

  const sealedText = (kind: Kind, { name, sealed }: Name, text: string, millis: number) =>
    Effect.map(
      sealed.seal({ kind, name, tag: noTag, text }),
      (bytes): StoredValue => ({ bytes, ttl: Duration.millis(millis) })
    )

  const sealedToken = ({ name, sealed }: Name, shared: SharedToken): Effect.Effect<StoredValue | undefined> =>
    Effect.gen(function*() {
      const tag = yield* sealer.tagOf(shared.token.secret)
      const bytes = yield* sealed.seal({ kind: "token", name, tag, text: tokenText(shared) })
      const left = shared.token.expiresOn - clock.currentTimeMillisUnsafe() - storeMargin
      return left > 0 ? { bytes, ttl: Duration.millis(left) } : undefined
    })

  /** Returns what an error means for other processes; undefined for nothing. */
  const outcomeOf = (at: Name, error: AcquireTokenError, rest: number): Effect.Effect<LeaseOutcome | undefined> =>
    Effect.gen(function*() {
      const wait = error.retryAfter === undefined ? 0 : Math.min(Duration.toMillis(error.retryAfter), longestRetryAfter)
      // A wait of zero closes no gate.
      if (error._tag === "EntraThrottledError" && error.source === "server" && wait > 0) {
        const value = yield* sealedText("throttle", throttleName(at), throttleText(error), wait)
        return { _tag: "Throttled", value }
      }
      const text = isOutage(error) ? outageText(error) : undefined
      if (text === undefined) return undefined
      const value = yield* sealedText("outage", at, text, Math.max(outageTtl, wait))
      return { _tag: "Failed", value, rest: Duration.millis(rest) }
    })

  const isCurrent = ({ key, name, sealed }: Name): boolean =>
    epochs.current(ownerIn(key.space), key)?.some((epoch) => name === nameOf(sealed, epoch)) === true

  const settle = ({ name }: Name, owner: string, outcome: LeaseOutcome): Effect.Effect<unknown> =>
    fleet === undefined || (outcome._tag === "Released" && owner === "")
      ? Effect.void
      : guard.run("write", name, fleet.settle({ name, owner }, outcome))

  return {
    namesOf: (key, budget) =>
      Effect.flatMap(
        epochs.of(ownerIn(key.space), key, budget),
        (all) =>
          all === undefined ? Effect.succeed(undefined) : Effect.map(sealer.of(key.text), (sealed) => {
            const [first, ...others] = sealed.map((sealed, at) => ({
              key,
              name: nameOf(sealed, all[at] ?? ""),
              sealed
            }))
            return first === undefined ? undefined : [first, ...others]
          })
      ),
    isCurrent,
    token: (at, value, sentAt) =>
      Effect.flatMap(opened("token", at, value), (text) => {
        const read = text === undefined ? undefined : readToken(text, Duration.toMillis(value.ttl), sentAt)
        // Removed, because no token would replace an unreadable value that expires later.
        return read === undefined
          ? Effect.as(inBackground(guard.run("write", at.name, store.remove(at.name))), undefined)
          : Effect.succeed(read)
      }),
    throttle: (at, value) =>
      Effect.map(
        opened("throttle", throttleName(at), value),
        (text) => text === undefined ? undefined : readThrottle(text, waitOf(value))
      ),
    outage: (at, value) =>
      Effect.map(
        opened("outage", at, value),
        (text) => text === undefined ? undefined : readOutage(text, waitOf(value))
      ),
    store: (at, owner, shared, seen) =>
      Effect.gen(function*() {
        const value = isCurrent(at) ? yield* orNothing(sealedToken(at, shared)) : undefined
        if (value === undefined) return yield* settle(at, owner, { _tag: "Released" })
        return fleet === undefined
          ? yield* guard.run("write", at.name, store.set(at.name, value.bytes, value.ttl))
          : yield* settle(at, owner, { _tag: "Stored", value, seen })
      }),
    tell: (at, owner, error, rest) =>
      Effect.gen(function*() {
        const outcome = error === undefined ? undefined : yield* orNothing(outcomeOf(at, error, rest))
        return yield* settle(at, owner, outcome ?? { _tag: "Released" })
      })
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Others wait for a lease until it ends, so it ends also when its outcome cannot be written. */
const orNothing = <A>(outcome: Effect.Effect<A | undefined>): Effect.Effect<A | undefined> =>
  Effect.catchDefect(outcome, () => Effect.succeed(undefined))

/** No wait was stored that is longer, whatever the store says. */
const waitOf = ({ ttl }: StoredValue): number => Math.min(Duration.toMillis(ttl), longestRetryAfter)

const nameOf = ({ id }: Sealed, epoch: string): string => `${id}.${epoch}`

/** A throttle is bound to its key and not to an epoch, because invalidations do not end it. */
const throttleName = (at: Name): Name => ({ ...at, name: at.sealed.id })
