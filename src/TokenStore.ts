/**
 * The port of an outer cache: a few operations on named values, which a program implements over the store that it has.
 *
 * **Gotchas**
 *
 * No layer of this version uses a store yet. The port is published early, so that its names do not change later.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A value of a store and the time that it has left.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredValue {
  readonly bytes: Uint8Array
  readonly ttl: Duration.Duration
}

/**
 * A lease of a name, which one process holds at a time.
 *
 * **Details**
 *
 * `extend` returns false when the lease has ended. `release` ends it, unless another process holds the name by then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly extend: (ttl: Duration.Duration) => Effect.Effect<boolean, unknown>
  readonly release: Effect.Effect<void, unknown>
}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A store of named values with a time to live.
 *
 * **Details**
 *
 * - `get`: returns the value and its remaining time; undefined when there is no value, or when its time has passed.
 * - `set`: stores a value for `ttl`, in place of an older one.
 * - `remove`: removes a value, if there is one.
 * - `lease`: takes the lease of a name; undefined when another process holds it. A store without leases costs a few more
 *   token requests per refresh.
 * - `publish`, `subscribe`: send messages to the other processes and receive theirs.
 *
 * The errors of a store end at its caller: an outer cache that is down never fails an acquisition.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenStore extends Context.Service<TokenStore, {
  readonly get: (name: string) => Effect.Effect<StoredValue | undefined, unknown>
  readonly set: (name: string, bytes: Uint8Array, ttl: Duration.Duration) => Effect.Effect<void, unknown>
  readonly remove: (name: string) => Effect.Effect<void, unknown>
  readonly lease?: ((name: string, ttl: Duration.Duration) => Effect.Effect<Lease | undefined, unknown>) | undefined
  readonly publish?: ((channel: string, bytes: Uint8Array) => Effect.Effect<void, unknown>) | undefined
  readonly subscribe?: ((channel: string) => Stream.Stream<Uint8Array, unknown>) | undefined
}>()("effect-entra/TokenStore") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Provides a store in the memory of this process, without leases and messages, for tests.
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
