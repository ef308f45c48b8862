/**
 * A cached token: one flat object. The token sits in a private field, out of sight of inspection and JSON; results, and
 * the effects that yield them, are made at the first hit and kept.
 */
import * as DateTime from "effect/DateTime"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type { AccessToken, AuthenticationResult, CacheRefreshReason, ResultMetadata } from "../AccessToken.ts"
import type { CacheKey } from "./cacheKey.ts"
import type { Times } from "./freshness.ts"

export type Hit = Exit.Exit<AuthenticationResult>

const fromMemory = (cacheRefreshReason: CacheRefreshReason, outage: boolean): ResultMetadata =>
  Object.freeze({ tokenSource: "Cache", cacheLevel: "L1", cacheRefreshReason, outage })

const freshMetadata = fromMemory("NotApplicable", false)
const dueMetadata = fromMemory("ProactivelyRefreshed", false)
const outageMetadata = fromMemory("NotApplicable", true)

export class Entry implements CacheKey, Times {
  // What a hit reads comes first, so that it lies together. Times are whole seconds, rounded down: small integers, which
  // V8 keeps in the object itself.
  readonly scopes: string
  readonly #refresh: number
  #fresh: Hit | undefined = undefined
  /** For the eviction policy: whether it was used since the policy last looked. */
  visited = false
  /** Kept by the cache that holds it: false as soon as it has been evicted, replaced or invalidated. */
  isCached = false

  /** For renewal: whether it is going on, how often it failed in a row, and when to try again. */
  renewing = false
  failures = 0
  retryOn = 0
  /** For its last minutes: until when it is served without trying to renew it first. */
  stretchedUntil = 0

  readonly #usable: number
  readonly #expiry: number
  readonly #issued: number
  readonly space: string
  readonly tenant: string
  readonly tokenType: string
  readonly grantedScopes: string
  readonly authority: string
  readonly correlationId: string
  readonly #secret: string

  /** For the eviction policy: its neighbours by age. */
  older: Entry | undefined = undefined
  younger: Entry | undefined = undefined

  #accessToken: Redacted.Redacted<string> | undefined = undefined
  #due: Hit | undefined = undefined
  #outage: Hit | undefined = undefined

  constructor(key: CacheKey, token: AccessToken, times: Times) {
    this.scopes = key.scopes
    this.#refresh = Math.floor(times.refreshOn / 1000)
    this.#usable = Math.floor(times.usableUntil / 1000)
    this.#expiry = Math.floor(times.expiresOn / 1000)
    this.#issued = Math.floor(times.issuedAt / 1000)
    this.space = key.space
    this.tenant = key.tenant
    this.tokenType = token.tokenType
    this.grantedScopes = token.scopes.join(" ")
    this.authority = token.authority
    this.correlationId = token.correlationId
    this.#secret = Redacted.value(token.secret)
  }

  /** Bytes, estimated: the strings of its own as one-byte strings, plus what the object itself takes. */
  get size(): number {
    return this.#secret.length + this.scopes.length + this.grantedScopes.length + 300
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

  get fresh(): Hit {
    return this.#fresh ??= Exit.succeed(this.result(freshMetadata))
  }

  get due(): Hit {
    return this.#due ??= Exit.succeed(this.result(dueMetadata))
  }

  get outage(): Hit {
    return this.#outage ??= Exit.succeed(this.result(outageMetadata))
  }

  get accessToken(): Redacted.Redacted<string> {
    return this.#accessToken ??= Redacted.make(this.#secret, { label: "access_token" })
  }

  result(metadata: ResultMetadata): AuthenticationResult {
    return Object.freeze({
      accessToken: this.accessToken,
      tokenType: this.tokenType,
      expiresOn: DateTime.makeUnsafe(this.expiresOn),
      refreshOn: DateTime.makeUnsafe(this.refreshOn),
      scopes: Object.freeze(this.grantedScopes.split(" ")),
      tenantId: this.tenant,
      authority: this.authority,
      correlationId: this.correlationId,
      metadata
    })
  }
}
