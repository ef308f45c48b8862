/**
 * A cached token, as one flat object. The token is in a private field, which inspection and JSON do not show. Results and
 * the effects that return them are created at the first cache hit and kept. Fields that few tokens need are created when
 * they are first needed.
 */
import * as DateTime from "effect/DateTime"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type { AccessToken, AuthenticationResult, CacheRefreshReason, ResultMetadata } from "../../AccessToken.ts"
import type { CachePlace } from "./cacheKey.ts"

export type Hit = Exit.Exit<AuthenticationResult>

const fromMemory = (cacheRefreshReason: CacheRefreshReason, outage: boolean): ResultMetadata =>
  Object.freeze({ tokenSource: "Cache", cacheLevel: "L1", cacheRefreshReason, outage })

const freshMetadata = fromMemory("NotApplicable", false)
const staleMetadata = fromMemory("ProactivelyRefreshed", false)
const outageMetadata = fromMemory("NotApplicable", true)

/** The queue of the cache that an entry is in. */
export type Place = "none" | "small" | "main"

/** The times of a token: `issuedAt <= refreshOn <= usableUntil <= expiresOn`. */
export interface Times {
  readonly issuedAt: number
  readonly refreshOn: number
  readonly usableUntil: number
  readonly expiresOn: number
}

interface RefreshState {
  refreshingSince: number
  failures: number
  retryOn: number
  stretchedUntil: number
  accessToken: Redacted.Redacted<string> | undefined
  staleHit: Hit | undefined
  outageHit: Hit | undefined
  outageReason: ResultMetadata["outageReason"]
}

export class CachedToken implements CachePlace, Times {
  // The fields that a hit reads come first, so that they are adjacent in memory. Times are whole seconds, rounded down,
  // because V8 stores small integers in the object itself.
  /** Replaced by an equal object of the store when the entry is stored. */
  shared: SharedFields
  readonly #refresh: number
  #fresh: Hit | undefined = undefined
  /** For the eviction policy: the number of uses since its last check, at most 3. */
  uses = 0
  place: Place = "none"

  readonly #usable: number
  readonly #expiry: number
  readonly #issued: number
  /** Replaced by an equal object of the store when the entry is stored. */
  tenant: string
  readonly correlationId: string
  readonly #secret: string

  /** The neighbors in the queue. */
  older: CachedToken | undefined = undefined
  younger: CachedToken | undefined = undefined
  /** The neighbors among the entries that expire at about the same time. */
  before: CachedToken | undefined = undefined
  after: CachedToken | undefined = undefined

  #refreshState: RefreshState | undefined = undefined

  constructor(key: CachePlace, token: AccessToken, times: Times) {
    this.shared = sharedFieldsOf(key, token)
    this.#refresh = Math.floor(times.refreshOn / 1000)
    this.#usable = Math.floor(times.usableUntil / 1000)
    this.#expiry = Math.floor(times.expiresOn / 1000)
    this.#issued = Math.floor(times.issuedAt / 1000)
    this.tenant = ownString(key.tenant)
    this.correlationId = ownString(token.correlationId)
    this.#secret = Redacted.value(token.secret)
  }

  get space(): string {
    return this.shared.space
  }

  get scopes(): string {
    return this.shared.scopes
  }

  /** True if the entry is cached. It is false after the entry was evicted, replaced or invalidated. */
  get isCached(): boolean {
    return this.place !== "none"
  }

  /** The estimated size in bytes: the token, the names, and all objects after a cache hit. */
  get size(): number {
    const { scopes, space } = this.shared
    return this.#secret.length + space.length + scopes.length + this.tenant.length + this.correlationId.length + 640
  }

  get issuedAt(): number {
    return this.#issued * 1000
  }

  get refreshOn(): number {
    return this.#refresh * 1000
  }

  get usableUntil(): number {
    return this.#usable * 1000
  }

  get expiresOn(): number {
    return this.#expiry * 1000
  }

  /** Counts a use for the eviction policy. */
  touch(): void {
    if (this.uses < 3) this.uses++
  }

  get freshHit(): Hit {
    return this.#fresh ??= Exit.succeed(this.result(freshMetadata))
  }

  get staleHit(): Hit {
    return (this.#opened.staleHit ??= Exit.succeed(this.result(staleMetadata, true)))
  }

  get outageHit(): Hit {
    const state = this.#opened
    const { outageReason } = state
    return (state.outageHit ??= Exit.succeed(
      this.result(
        outageReason === undefined ? outageMetadata : Object.freeze({ ...outageMetadata, outageReason }),
        true
      )
    ))
  }

  /** The token. It is always the same object, because it is the key of `WeakMap`s. */
  get accessToken(): Redacted.Redacted<string> {
    return this.#knownToken ?? (this.#opened.accessToken = this.#newToken())
  }

  /** Returns a result. With `lasting`, later results have the same `Redacted` object. `issued` is the token itself. */
  result(metadata: ResultMetadata, lasting = false, issued?: Redacted.Redacted<string>): AuthenticationResult {
    return Object.freeze({
      accessToken: lasting ? this.accessToken : this.#knownToken ?? issued ?? this.#newToken(),
      tokenType: this.shared.tokenType,
      // Here and elsewhere not `makeUnsafe`, whose parsers of texts and parts each bundle would contain.
      expiresOn: DateTime.fromDateUnsafe(new Date(this.#expiry * 1000)),
      refreshOn: DateTime.fromDateUnsafe(new Date(this.#refresh * 1000)),
      scopes: this.shared.grantedScopes,
      tenantId: this.tenant,
      authority: this.shared.isTenanted ? this.shared.authority + this.tenant : this.shared.authority,
      correlationId: this.correlationId,
      metadata
    })
  }

  /** The token as it was issued, as far as it is kept: the URL of its endpoint is not. */
  get issued(): AccessToken {
    const { authority, grantedScopes, isTenanted, tokenType } = this.shared
    const url = isTenanted ? authority + this.tenant : authority
    return {
      secret: this.accessToken,
      tokenType,
      scopes: grantedScopes,
      tenantId: this.tenant,
      authority: url,
      tokenEndpoint: url,
      correlationId: this.correlationId,
      issuedAt: this.issuedAt,
      expiresOn: this.expiresOn,
      refreshOn: this.refreshOn
    }
  }

  get #knownToken(): Redacted.Redacted<string> | undefined {
    const fresh = this.#fresh
    return fresh !== undefined && Exit.isSuccess(fresh) ? fresh.value.accessToken : this.#refreshState?.accessToken
  }

  #newToken(): Redacted.Redacted<string> {
    return Redacted.make(this.#secret, { label: "access_token" })
  }

  // ---------------------------------------------------------------------------
  // refresh
  // ---------------------------------------------------------------------------

  get #opened(): RefreshState {
    return this.#refreshState ??= {
      refreshingSince: -Infinity,
      failures: 0,
      retryOn: -Infinity,
      stretchedUntil: -Infinity,
      accessToken: undefined,
      staleHit: undefined,
      outageHit: undefined,
      outageReason: undefined
    }
  }

  /** The time at which the running refresh began. Without a refresh it is `-Infinity`. */
  get refreshingSince(): number {
    return this.#refreshState?.refreshingSince ?? -Infinity
  }
  set refreshingSince(refreshingSince: number) {
    this.#opened.refreshingSince = refreshingSince
  }

  /** The number of failed refreshes in a row. */
  get failures(): number {
    return this.#refreshState?.failures ?? 0
  }
  set failures(failures: number) {
    this.#opened.failures = failures
  }

  /** The code of the error of the last refresh. */
  set outageReason(reason: ResultMetadata["outageReason"]) {
    const state = this.#opened
    if (state.outageReason === reason) return
    state.outageReason = reason
    state.outageHit = undefined
  }

  /** The monotonic time of the next refresh after a failure. */
  get retryOn(): number {
    return this.#refreshState?.retryOn ?? -Infinity
  }
  set retryOn(retryOn: number) {
    this.#opened.retryOn = retryOn
  }

  /** Near expiry: the monotonic time until which the token is served without another refresh first. */
  get stretchedUntil(): number {
    return this.#refreshState?.stretchedUntil ?? -Infinity
  }
  set stretchedUntil(until: number) {
    this.#opened.stretchedUntil = until
  }
}

/**
 * Returns the times of a token. The margin is at most a tenth of the lifetime, so that tokens of five minutes are cached
 * too. Without a valid `refresh_in` from the service, a token is refreshed at half its lifetime. Jitter (0 to 1) makes the
 * refresh earlier by up to a tenth.
 */
export const timesOf = (
  token: { readonly issuedAt: number; readonly expiresOn: number; readonly refreshOn: number | undefined },
  options: { readonly margin: number; readonly jitter: number }
): Times => {
  const lifetime = Math.max(0, token.expiresOn - token.issuedAt)
  const usableUntil = token.expiresOn - Math.min(Math.max(0, options.margin), lifetime / 10)
  const named = token.refreshOn
  const span = named !== undefined && named > token.issuedAt && named < token.expiresOn
    ? named - token.issuedAt
    : lifetime / 2
  const refreshOn = token.issuedAt + span * (1 - 0.1 * options.jitter)
  return {
    issuedAt: token.issuedAt,
    refreshOn: Math.min(refreshOn, usableUntil),
    usableUntil,
    expiresOn: token.expiresOn
  }
}

// -----------------------------------------------------------------------------
// shared fields
// -----------------------------------------------------------------------------

/** The fields that a client's tokens for one set of scopes have in common: kept once for all tenants. */
export interface SharedFields {
  readonly space: string
  readonly scopes: string
  readonly tokenType: string
  readonly grantedScopes: ReadonlyArray<string>
  /** The authority, without the tenant when that is its end. */
  readonly authority: string
  readonly isTenanted: boolean
  /** The number of cached tokens that have these fields. */
  members: number
}

const sharedFieldsOf = (key: CachePlace, token: AccessToken): SharedFields => {
  const isTenanted = key.tenant !== "" && token.authority.endsWith(key.tenant)
  return {
    space: key.space,
    scopes: key.scopes,
    tokenType: token.tokenType,
    grantedScopes: token.scopes,
    authority: isTenanted ? token.authority.slice(0, -key.tenant.length) : token.authority,
    isTenanted,
    members: 0
  }
}

/** Returns the fields as they are kept. */
const owning = (fields: SharedFields): SharedFields => ({
  ...fields,
  scopes: ownString(fields.scopes),
  grantedScopes: Object.freeze(fields.grantedScopes.map(ownString)),
  authority: ownString(fields.authority)
})

/**
 * A slice keeps its whole source string in memory, and a GUID of Node is a concatenation of about fifteen pieces, so the
 * text is copied.
 */
const ownString = (text: string): string => String(JSON.parse(JSON.stringify(text)))

export interface SharedFieldsTable {
  /** Returns the known fields of this space and these scopes if they are equal; otherwise a copy of the given ones. */
  readonly join: (fields: SharedFields) => SharedFields
  readonly leave: (fields: SharedFields) => void
}

export const makeSharedFields = (): SharedFieldsTable => {
  const spaces = new Map<string, Map<string, SharedFields>>()
  return {
    join: (fields) => {
      const byScopes = spaces.get(fields.space) ?? new Map<string, SharedFields>()
      const known = byScopes.get(fields.scopes)
      const joined = known !== undefined && isSame(known, fields) ? known : owning(fields)
      if (joined !== known) spaces.set(fields.space, byScopes.set(joined.scopes, joined))
      joined.members++
      return joined
    },
    leave: (fields) => {
      fields.members--
      const byScopes = spaces.get(fields.space)
      if (fields.members > 0 || byScopes?.get(fields.scopes) !== fields) return
      byScopes.delete(fields.scopes)
      if (byScopes.size === 0) spaces.delete(fields.space)
    }
  }
}

const isSame = (one: SharedFields, other: SharedFields): boolean =>
  one.tokenType === other.tokenType && one.authority === other.authority && one.isTenanted === other.isTenanted &&
  one.grantedScopes.length === other.grantedScopes.length &&
  one.grantedScopes.every((scope, index) => scope === other.grantedScopes[index])
