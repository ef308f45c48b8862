/**
 * A store over Redis. It only sends commands, so any client can be used. Atomic operations are scripts. The keys of a
 * name share one hash tag, so that a cluster keeps them on one node. Values are base64, because clients decode replies
 * as text.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import {
  type Epochs,
  type Lease,
  type LeaseAnswer,
  type LeaseOutcome,
  type LeaseRequest,
  RefusedByStoreError,
  type StoredValue,
  type TokenStore
} from "../../TokenStore.ts"
import { notA } from "../shared/errors.ts"
import { isText } from "../shared/validate.ts"
import { stampLifetime } from "./epochs.ts"
import { noTag } from "./sealing.ts"

/** A client of Redis: sends a command with its arguments, and returns the reply. */
export type Send = (command: string, ...args: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>

/** Sends two commands at once, in their order. */
export type SendBoth = (
  one: ReadonlyArray<string>,
  other: ReadonlyArray<string>
) => Effect.Effect<readonly [unknown, unknown], unknown>

/** Encodes bytes as base64. A platform may have a faster one. */
export interface Codec {
  readonly encode: (bytes: Uint8Array) => string
  /** Returns undefined for a text that is not base64. */
  readonly decode: (text: string) => Uint8Array | undefined
}

const portable: Codec = { encode: Base64.encode, decode: (text) => Result.getOrUndefined(Base64.decode(text)) }

const defaultPrefix = "effect-entra:"

/**
 * Returns the beginning of all keys. A brace that begins no hash tag would put the keys of a name into several slots of a
 * cluster.
 */
export const prefixOption = (prefix: string = defaultPrefix): Result.Result<string, InvalidRequestError> =>
  isText(prefix) && /^[^{]*(?:\{[^}]+\}.*)?$/s.test(prefix)
    ? Result.succeed(prefix)
    : Result.fail(notA("a text without \"{\", or with a hash tag in braces", "prefix"))

/**
 * Creates a store. All keys start with `prefix`, and `newId` returns random texts. `nodeOf` returns the node of a key, when
 * there are several.
 */
export const make = (
  send: Send,
  options: {
    readonly newId: () => string
    readonly prefix?: string | undefined
    readonly nodeOf?: ((key: string) => string) | undefined
    readonly sendBoth?: SendBoth
    readonly base64?: Codec
  }
): TokenStore["Service"] => {
  const { newId, nodeOf, prefix = defaultPrefix } = options
  const { base64 = portable, sendBoth = bothOf(send) } = options
  const keysOf = (name: string) => {
    const dot = name.indexOf(".")
    const [id, epoch] = dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot)]
    const key = (kind: string, end: string) => `${prefix}${kind}:{${id}}${end}`
    return { value: key("v", epoch), lease: key("l", epoch), throttle: key("t", ""), rest: key("r", epoch) }
  }
  const command: Send = (name, ...args) => Effect.mapError(send(name, ...args), refusalOf)
  const scripts = new Map<string, Promise<string>>()

  /** Runs a script by its digest. A server that does not know the digest yet gets the text of the script. */
  const run = (script: string, keys: ReadonlyArray<string>, args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const digest = scripts.get(script) ?? sha1(script)
      scripts.set(script, digest)
      const rest = [String(keys.length), ...keys, ...args]
      return yield* Effect.catchIf(
        command("EVALSHA", yield* Effect.promise(() => digest), ...rest),
        (error) => error instanceof RefusedByStoreError && error.message.startsWith("NOSCRIPT"),
        () => command("EVAL", script, ...rest)
      )
    })

  // Becomes true when a server refuses keys of several slots in one command.
  let isCluster = false
  /** Runs a command for all keys at once, or key by key in a cluster. */
  const together = <A>(
    all: Effect.Effect<A, unknown>,
    each: Effect.Effect<A, unknown>
  ): Effect.Effect<A, unknown> =>
    Effect.suspend(() =>
      isCluster ? each : Effect.catchIf(
        all,
        (error) => error instanceof RefusedByStoreError && error.message.startsWith("CROSSSLOT"),
        () => {
          isCluster = true
          return each
        }
      )
    )

  return {
    // The time is read first. If the value changes in between, its new time is usually longer, so the answer is on the
    // safe side.
    get: (name) => {
      const key = keysOf(name).value
      return Effect.flatMap(
        Effect.mapError(sendBoth(["PTTL", key], ["GET", key]), refusalOf),
        ([left, value]) => Effect.fromResult(valueOf(value, left, base64))
      )
    },
    set: (name, bytes, ttl) =>
      Effect.asVoid(command("SET", keysOf(name).value, base64.encode(bytes), "PX", millisOf(ttl))),
    remove: (name) => Effect.asVoid(command("DEL", keysOf(name).value)),
    nodeOf: nodeOf === undefined ? undefined : (name) => nodeOf(keysOf(name).value),
    fleet: {
      take: (name, { hasToken, owner, seen, ttl }: LeaseRequest) => {
        const { lease, rest, throttle, value } = keysOf(name)
        return Effect.flatMap(
          run(takeScript, [value, lease, throttle, rest], [
            owner,
            millisOf(ttl),
            Duration.isZero(ttl) ? "*" : prefixOf(seen),
            hasToken ? "1" : "0"
          ]),
          (reply) => Effect.fromResult(leaseAnswerOf(reply, base64))
        )
      },
      held: (names) => {
        const leases = names.map((name) => keysOf(name).lease)
        return Effect.map(
          together(
            Effect.map(command("MGET", ...leases), listOf),
            Effect.forEach(leases, (lease) => command("GET", lease), { concurrency: "unbounded" })
          ),
          (owners) => owners.map((owner) => Predicate.isString(owner) && !owner.startsWith("!"))
        )
      },
      extend: (leases, ttl) => {
        const extended = (some: ReadonlyArray<Lease>) =>
          Effect.asVoid(
            run(extendScript, some.map(({ name }) => keysOf(name).lease), [
              millisOf(ttl),
              ...some.map(({ owner }) => owner)
            ])
          )
        return together(
          extended(leases),
          Effect.forEach(leases, (lease) => extended([lease]), { concurrency: "unbounded", discard: true })
        )
      },
      settle: ({ name, owner }, outcome: LeaseOutcome) => {
        const { lease, rest, throttle, value } = keysOf(name)
        const bytes = outcome._tag === "Released" ? "" : base64.encode(outcome.value.bytes)
        const ttl = outcome._tag === "Released" ? "0" : millisOf(outcome.value.ttl)
        return Effect.asVoid(
          run(settleScript, [value, lease, throttle, rest], [
            owner,
            outcome._tag,
            bytes,
            ttl,
            outcome._tag === "Stored" ? prefixOf(outcome.seen) : "",
            outcome._tag === "Failed" ? millisOf(outcome.rest) : "0"
          ])
        )
      },
      epochs: (name, known) =>
        Effect.flatMap(
          run(epochsScript, [`${prefix}e:{${name}}`], [known ?? "", newId()]),
          (reply) => Effect.fromResult(epochsOf(reply))
        ),
      invalidate: (name, field, stamp) =>
        Effect.flatMap(
          run(invalidateScript, [`${prefix}e:{${name}}`], [
            newId(),
            field,
            String(stamp),
            String(stampLifetime)
          ]),
          (reply) => Effect.fromResult(numberOf(reply))
        )
    }
  }
}

/** Sends two commands, each in its own fiber. */
const bothOf = (send: Send): SendBoth => ([one = "", ...its], [other = "", ...others]) =>
  Effect.all([send(one, ...its), send(other, ...others)], { concurrency: "unbounded" })

// -----------------------------------------------------------------------------
// scripts
// -----------------------------------------------------------------------------

/** KEYS: value, lease, throttle, rest. ARGV: owner, time to live, seen (*: all), whether the caller has a token. */
const takeScript = `
if ARGV[3] ~= '*' then
  local value = redis.call('GET', KEYS[1])
  if value and (ARGV[3] == '' or string.sub(value, 1, string.len(ARGV[3])) ~= ARGV[3]) then
    return {'Stored', value, redis.call('PTTL', KEYS[1])}
  end
end
local throttle = redis.call('GET', KEYS[3])
if throttle then return {'Throttled', throttle, redis.call('PTTL', KEYS[3])} end
if ARGV[3] == '*' then return {'Taken'} end
if ARGV[4] == '1' then
  local rest = redis.call('GET', KEYS[4])
  if rest then return {'Failed', rest, redis.call('PTTL', KEYS[4])} end
end
local lease = redis.call('GET', KEYS[2])
if lease then
  if string.sub(lease, 1, 1) == '!' then
    return {'Failed', string.sub(lease, 2), redis.call('PTTL', KEYS[2])}
  end
  if lease ~= ARGV[1] then return {'Held'} end
end
local done = redis.pcall('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if type(done) == 'table' and done.err then return {'Unwritable'} end
return {'Taken'}
`

/** KEYS: leases. ARGV: time to live, owners. */
const extendScript = `
for at, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[at + 1] then redis.call('PEXPIRE', key, ARGV[1]) end
end
`

/**
 * KEYS: value, lease, throttle, rest. The lease ends even when nothing can be stored. ARGV: owner, outcome, bytes, time
 * to live, seen, rest.
 */
const settleScript = `
local mine = redis.call('GET', KEYS[2]) == ARGV[1]
local refused
local function set(key, value, ttl)
  local done = redis.pcall('SET', key, value, 'PX', ttl)
  if type(done) == 'table' and done.err then refused = done end
  return not refused
end
if ARGV[2] == 'Stored' then
  local old = redis.call('GET', KEYS[1])
  local isSeen = old and ARGV[5] ~= '' and string.sub(old, 1, string.len(ARGV[5])) == ARGV[5]
  if mine or not old or isSeen or tonumber(ARGV[4]) > redis.call('PTTL', KEYS[1]) then
    if set(KEYS[1], ARGV[3], ARGV[4]) then redis.call('DEL', KEYS[4]) end
  end
elseif ARGV[2] == 'Failed' then
  if tonumber(ARGV[6]) > 0 then set(KEYS[4], ARGV[3], ARGV[6]) end
  if mine and set(KEYS[2], '!' .. ARGV[3], ARGV[4]) then return refused end
elseif ARGV[2] == 'Throttled' then
  if tonumber(ARGV[4]) > redis.call('PTTL', KEYS[3]) then set(KEYS[3], ARGV[3], ARGV[4]) end
end
if mine then redis.call('DEL', KEYS[2]) end
return refused
`

/** KEYS: record. ARGV: the known version, a random text. */
const epochsScript = `
local version = redis.call('HGET', KEYS[1], 'version')
if version and version == ARGV[1] then return {} end
if not version then
  local done = redis.pcall('HSET', KEYS[1], 'base', ARGV[2], 'version', ARGV[2] .. '.0')
  if type(done) == 'table' and done.err then return {'base', '', 'version', ''} end
end
return redis.call('HGETALL', KEYS[1])
`

/** KEYS: record. ARGV: a random text, the field, the stamp (0: the time), the lifetime of a stamp. */
const invalidateScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'base', ARGV[1]) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local field = 'at:' .. ARGV[2]
local stamp = math.max(ARGV[3] == '0' and now or tonumber(ARGV[3]), (tonumber(redis.call('HGET', KEYS[1], field)) or 0) + 1)
local text = string.format('%.0f', stamp)
redis.call('HSET', KEYS[1], field, text, 'version', ARGV[1] .. '.' .. text)
local pruned = tonumber(redis.call('HGET', KEYS[1], 'pruned')) or 0
if redis.call('HLEN', KEYS[1]) > 500 and pruned < now - 3600000 then
  redis.call('HSET', KEYS[1], 'pruned', string.format('%.0f', now))
  local all = redis.call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 3) == 'at:' and tonumber(all[at + 1]) < now - tonumber(ARGV[4]) then
      redis.call('HDEL', KEYS[1], all[at])
    end
  end
end
return text
`

// -----------------------------------------------------------------------------
// replies
// -----------------------------------------------------------------------------

/**
 * The reply of Redis to a command that it refuses is a word of capitals and a text. `EPIPE` without a text is a lost
 * connection.
 */
const refusal = /^[A-Z]{2,} /

/**
 * Returns a refusal of the server as `RefusedByStoreError`. Any other error means that there was no answer, and is
 * returned unchanged.
 */
const refusalOf = (error: unknown): unknown => {
  for (let cause = error, left = 5; Predicate.isObject(cause) && left > 0; left--) {
    if ("message" in cause && Predicate.isString(cause.message) && refusal.test(cause.message)) {
      return new RefusedByStoreError({ message: cause.message })
    }
    cause = "cause" in cause ? cause.cause : undefined
  }
  return error
}

type Parsed<A> = Result.Result<A, RefusedByStoreError>

const foreign = (): Parsed<never> => Result.fail(new RefusedByStoreError({ message: "a reply of another form" }))

const listOf = (reply: unknown): ReadonlyArray<unknown> => Array.isArray(reply) ? reply : []

const numberOf = (reply: unknown): Parsed<number> => {
  const number = Predicate.isNumber(reply) || Predicate.isString(reply) ? Number(reply) : Number.NaN
  return Number.isFinite(number) ? Result.succeed(number) : foreign()
}

/** Returns a value, or undefined when there is no value, or when its time has passed. */
const valueOf = (value: unknown, left: unknown, { decode }: Codec): Parsed<StoredValue | undefined> =>
  Result.map(numberOf(left), (millis) =>
    millis <= 0 || !Predicate.isString(value)
      ? undefined
      // A value that is not base64 is returned as a value that cannot be decrypted, so that it is removed.
      : { bytes: decode(value) ?? noTag, ttl: Duration.millis(millis) })

const leaseAnswerOf = (reply: unknown, codec: Codec): Parsed<LeaseAnswer> => {
  const [tag, value, left] = listOf(reply)
  switch (tag) {
    case "Held":
    case "Taken":
    case "Unwritable":
      return Result.succeed({ _tag: tag })
    case "Stored":
    case "Throttled":
    case "Failed":
      return Result.flatMap(
        valueOf(value, left, codec),
        (value) => value === undefined ? foreign() : Result.succeed({ _tag: tag, value })
      )
    default:
      return foreign()
  }
}

const epochsOf = (reply: unknown): Parsed<Epochs | undefined> => {
  const pairs = listOf(reply)
  if (pairs.length === 0) return Array.isArray(reply) ? Result.succeed(undefined) : foreign()
  const fields = new Map<unknown, unknown>()
  for (let at = 0; at < pairs.length; at += 2) fields.set(pairs[at], pairs[at + 1])
  const base = fields.get("base")
  const version = fields.get("version")
  if (!Predicate.isString(base) || !Predicate.isString(version)) return foreign()
  const stamps = new Map<string, number>()
  for (const [field, stamp] of fields) {
    const number = numberOf(stamp)
    if (Predicate.isString(field) && field.startsWith("at:") && Result.isSuccess(number)) {
      stamps.set(field.slice(3), number.success)
    }
  }
  return Result.succeed({ base, version, stamps })
}

// -----------------------------------------------------------------------------
// arguments
// -----------------------------------------------------------------------------

const millisOf = (duration: Duration.Duration): string => String(Math.max(0, Math.round(Duration.toMillis(duration))))

/** The base64 of a prefix is a prefix of the base64, because the length of the prefix is divisible by three. */
const prefixOf = (seen: Uint8Array | undefined): string => seen === undefined ? "" : Base64.encode(seen)

const sha1 = async (text: string): Promise<string> =>
  Hex.encode(new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text))))
