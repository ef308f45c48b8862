/**
 * The store behind a cache that processes share: a few operations on named values. A program can implement them over
 * its own database. `TokenCache.layerTiered` uses the store.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A stored value and its remaining time to live.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredValue {
  readonly bytes: Uint8Array
  readonly ttl: Duration.Duration
}

/**
 * A lease that a process holds: the name of a token, and the owner of the lease.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly name: string
  readonly owner: string
}

/**
 * A request of a process for the lease of a name.
 *
 * **Details**
 *
 * - `owner`: a text that is unique to this acquisition.
 * - `ttl`: the time to live of the lease. With zero the store only checks whether the name is throttled, and gives no
 *   lease.
 * - `seen`: the first bytes of the stored value that the process does not want again; undefined when there is no such
 *   value.
 * - `hasToken`: true when the process has a valid token. It then waits longer after the failure of another process.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeaseRequest {
  readonly owner: string
  readonly ttl: Duration.Duration
  readonly seen: Uint8Array | undefined
  readonly hasToken: boolean
}

/**
 * The answer to a {@link LeaseRequest}. The first case that applies is returned.
 *
 * **Details**
 *
 * - `Stored`: there is a stored value that does not start with `seen`.
 * - `Throttled`: the service asked a process to wait. `value.ttl` is the remaining time.
 * - `Failed`: the request of another process failed a moment ago.
 * - `Held`: another process holds the lease.
 * - `Taken`: this process holds the lease.
 * - `Unwritable`: no process holds the lease, but the store refuses writes at present.
 *
 * @category models
 * @since 0.1.0
 */
export type LeaseAnswer =
  | { readonly _tag: "Stored" | "Throttled" | "Failed"; readonly value: StoredValue }
  | { readonly _tag: "Held" | "Taken" | "Unwritable" }

/**
 * The outcome of a fetch, for all processes.
 *
 * **Details**
 *
 * Each outcome ends the lease of `owner`, if it still holds it.
 *
 * - `Stored`: a token. It is stored when `owner` holds the lease, when there is no stored value, when the stored value
 *   starts with `seen`, or when the stored value expires earlier.
 * - `Failed`: an outage. It is kept for `value.ttl`. For processes that have a valid token it is also kept for `rest`.
 * - `Throttled`: the service asks to wait for `value.ttl`. The wait holds for all epochs of the name.
 * - `Released`: nothing that concerns other processes.
 *
 * @category models
 * @since 0.1.0
 */
export type LeaseOutcome =
  | { readonly _tag: "Stored"; readonly value: StoredValue; readonly seen: Uint8Array | undefined }
  | { readonly _tag: "Failed"; readonly value: StoredValue; readonly rest: Duration.Duration }
  | { readonly _tag: "Throttled"; readonly value: StoredValue }
  | { readonly _tag: "Released" }

/**
 * The invalidations of a client's tokens.
 *
 * **Details**
 *
 * - `version`: changes with every invalidation.
 * - `base`: a random text. A record that is created again after a loss has another `base`.
 * - `stamps`: the time of the last invalidation per field, in milliseconds since the epoch by the clock of the store.
 *
 * @category models
 * @since 0.1.0
 */
export interface Epochs {
  readonly version: string
  readonly base: string
  readonly stamps: ReadonlyMap<string, number>
}

/**
 * The operations with which one process of a fleet requests a token while the others wait.
 *
 * **Details**
 *
 * - `take`: takes the lease of a name, or returns why it was not taken, in one atomic step.
 * - `held`: returns for each name whether its lease is held. One call covers all leases that a process waits for.
 * - `extend`: sets the time to live of each lease to `ttl`, if its owner still holds it.
 * - `settle`: records the outcome of a fetch, and ends the lease of `owner`.
 * - `epochs`: returns the invalidations under a name; undefined when their version is `known`. A missing record is
 *   created.
 * - `invalidate`: sets the stamp of a field to `stamp`, or to the time of the store if `stamp` is 0. The new stamp is
 *   always later than the previous stamp. Returns the new stamp.
 *
 * A name is `<key>.<epoch>`. In a cluster, all values of one key should be on one node.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fleet {
  readonly take: (name: string, request: LeaseRequest) => Effect.Effect<LeaseAnswer, unknown>
  readonly held: (names: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<boolean>, unknown>
  readonly extend: (leases: ReadonlyArray<Lease>, ttl: Duration.Duration) => Effect.Effect<void, unknown>
  readonly settle: (lease: Lease, outcome: LeaseOutcome) => Effect.Effect<void, unknown>
  readonly epochs: (name: string, known: string | undefined) => Effect.Effect<Epochs | undefined, unknown>
  readonly invalidate: (name: string, field: string, stamp: number) => Effect.Effect<number, unknown>
}

/**
 * The error of a store that answers and refuses an operation, for example because its memory is full. Any other error
 * means that the store did not answer.
 *
 * @category errors
 * @since 0.1.0
 */
export class RefusedByStoreError extends Data.TaggedError("EntraRefusedByStoreError")<{
  readonly message: string
}> {}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A store of named values with a time to live.
 *
 * **Details**
 *
 * - `get`: returns the value and its remaining time by the clock of the store; undefined when there is no value, or when
 *   its time has passed.
 * - `set`: stores a value for `ttl`, in place of an older one.
 * - `remove`: removes a value, if there is one.
 * - `nodeOf`: returns the node of a name, if the store has several nodes that can fail independently.
 * - `fleet`: leases, shared throttles and invalidations. Without them a refresh costs a few more token requests, and
 *   many processes that start with an empty store each send a request.
 *
 * A name consists of letters, digits, `-`, `_` and dots. The cache handles all errors of a store: an acquisition never
 * fails because the store is down.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenStore extends Context.Service<TokenStore, {
  readonly get: (name: string) => Effect.Effect<StoredValue | undefined, unknown>
  readonly set: (name: string, bytes: Uint8Array, ttl: Duration.Duration) => Effect.Effect<void, unknown>
  readonly remove: (name: string) => Effect.Effect<void, unknown>
  readonly nodeOf?: ((name: string) => string) | undefined
  readonly fleet?: Fleet | undefined
}>()("effect-entra/TokenStore") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Provides a store in the memory of this process, without leases, for tests.
 *
 * **Example** (Storing a value for a minute)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Duration, Effect } from "effect"
 * import { TokenStore } from "effect-entra"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* TokenStore.TokenStore
 *   yield* store.set("name", new Uint8Array([1, 2, 3]), Duration.minutes(1))
 *   assert.deepStrictEqual((yield* store.get("name"))?.bytes, new Uint8Array([1, 2, 3]))
 *   yield* store.remove("name")
 *   assert.strictEqual(yield* store.get("name"), undefined)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, TokenStore.layerTest))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest: Layer.Layer<TokenStore> = /*#__PURE__*/ Layer.effect(
  TokenStore,
  /*#__PURE__*/ Effect.map(Clock.Clock, (clock) => {
    const values = new Map<string, { readonly bytes: Uint8Array; readonly until: number }>()
    return {
      get: (name) =>
        Effect.sync(() => {
          const value = values.get(name)
          const left = value === undefined ? 0 : value.until - clock.currentTimeMillisUnsafe()
          return value === undefined || left <= 0
            ? undefined
            : { bytes: value.bytes.slice(), ttl: Duration.millis(left) }
        }),
      set: (name, bytes, ttl) =>
        Effect.sync(() => {
          values.set(name, { bytes: bytes.slice(), until: clock.currentTimeMillisUnsafe() + Duration.toMillis(ttl) })
        }),
      remove: (name) =>
        Effect.sync(() => {
          values.delete(name)
        })
    }
  })
)
