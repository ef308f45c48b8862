/**
 * A model of the behavior that a client may and must show. It is as naive as possible: linear searches, one clock, and
 * sets of tokens that may be cached. The model sees the requests that reach the token endpoint, decides their responses,
 * and records problems. It shares no code with the library.
 */
import { appOf, type Key, nameOf } from "./names.ts"

// -----------------------------------------------------------------------------
// Types
// -----------------------------------------------------------------------------

/** How the endpoint answers a request; times are in seconds, `after` is how long it takes. */
export type Answer =
  | { readonly kind: "ok"; readonly lifetime: number; readonly refreshIn?: number | undefined; readonly after: number }
  | { readonly kind: "unavailable"; readonly retryAfter?: number | undefined; readonly after: number }
  | { readonly kind: "throttled"; readonly retryAfter?: number | undefined; readonly date: boolean }
  | {
    readonly kind: "refused"
    readonly what: "client" | "tenant" | "consent"
    readonly retryAfter?: number | undefined
  }
  | { readonly kind: "dropped"; readonly after: number }
  | { readonly kind: "malformed" }

export interface WorldOptions {
  readonly maxEntries: number | undefined
  readonly breaker: boolean
  readonly serveStaleOnOutage: boolean
  /** The response of the service if no other response is scripted. */
  readonly usual: Answer
}

export type Kind = "plain" | "longer" | "forced" | "claims" | "replace"

/** The properties of a request that arrives at the endpoint. */
export interface Arrival {
  readonly key: Key
  readonly client: number
  readonly revision: string
  readonly claims: string
  readonly correlationId: string
}

export interface Flight extends Arrival {
  readonly name: string
  readonly kind: Kind
  readonly seq: number
  readonly startedAt: number
  /** The cached token that it is to renew, when that was certain. */
  readonly renews: Token | undefined
  /** The tokens of which it may renew one, when the model does not know which of them is cached. */
  readonly mayRenew: ReadonlyArray<Token>
  /** "yes" if its token is cached; "maybe" if the model cannot know which cached token the client saw. */
  readonly keeps: "yes" | "no" | "maybe"
  /** How many invalidations its client had seen when it started. */
  readonly generation: number
  attempts: number
  attemptAt: number
  state: "sending" | "waiting" | "ended"
  nextAt: number
  dropped: boolean
}

export interface Token {
  readonly text: string
  readonly key: Key
  readonly claims: string
  readonly flight: Flight
  /** The time at which its request was sent. */
  readonly issuedAt: number
  readonly arrivedAt: number
  readonly refreshOn: number
  readonly usableUntil: number
  readonly expiresOn: number
  failures: number
  /** It rests at least so long, and if that is certain no longer. */
  restUntil: number
  restIsCertain: boolean
}

type Gate = { readonly kind: "throttled" | "refused"; readonly until: number; readonly hold: number; readonly key: Key }

/** Constant, so that the model knows when a token is due and when a retry comes. */
export const random = 0.5

const second = 1000
const attemptTimeout = 10 * second
const budget = 30 * second
export const maxWait = 2 * second

/** Times are kept in whole seconds. */
const whole = (millis: number): number => Math.floor(millis / second) * second

export class Model {
  readonly options: WorldOptions
  now = 0
  seq = 0
  requests = 0
  readonly problems: Array<string> = []
  readonly flights: Array<Flight> = []
  readonly tokens = new Map<string, Token>()
  readonly gates = new Map<string, Gate>()
  /** The tokens that the cache may hold under a name; `undefined` in the set means no token. */
  readonly cached = new Map<string, ReadonlySet<Token | undefined>>()
  /** Per client. */
  readonly generations = [0, 0, 0]
  readonly revisions = ["r0", "r0", "r0"]
  closing: number | undefined = undefined
  /** When a name was invalidated last, by anybody and by a client. */
  readonly invalidatedAt = new Map<string, number>()
  /** The longest validity that a call asked for, in seconds. The refresh that the call sets off asks for it too. */
  readonly longest = new Map<string, number>()
  readonly invalidatedBy = new Map<string, number>()
  script: Array<{ readonly answer: Answer; readonly tenant: string | undefined; left: number }> = []

  constructor(options: WorldOptions) {
    this.options = options
  }

  complain(problem: string): void {
    this.problems.push(`at ${this.now / second} s: ${problem}`)
  }

  check(holds: boolean, problem: string): void {
    if (!holds) this.complain(problem)
  }

  // ---------------------------------------------------------------------------
  // The endpoint
  // ---------------------------------------------------------------------------

  arrive(arrival: Arrival): { readonly flight: Flight; readonly answer: Answer } {
    this.requests++
    const known = this.flights.find((flight) => flight.correlationId === arrival.correlationId)
    const flight = known === undefined ? this.takeOff(arrival) : this.retry(known)
    flight.attempts++
    flight.attemptAt = this.now
    flight.state = "sending"
    return { flight, answer: this.nextAnswer(arrival.key.tenant) }
  }

  private takeOff(arrival: Arrival): Flight {
    const name = nameOf(arrival.key)
    const kind = kindOf(arrival.correlationId)
    const certain = this.certain(name)
    const live = certain !== undefined && this.now < certain.expiresOn ? certain : undefined
    const about = `${arrival.correlationId} for ${name}${arrival.claims}`
    // A replacement that finds nothing to replace asks for the claims alone, and that is not kept; what it found may have
    // been invalidated a moment later, before its request left. What has expired may have left.
    const found = [...this.possible(name)]
    const nothing = found.every((token) => token === undefined)
    const keeps = arrival.claims === ""
      ? "yes" as const
      : kind !== "replace" || (nothing && !this.invalidatedAt.has(name))
      ? "no" as const
      : nothing
      ? "maybe" as const
      : found.every((token) => token !== undefined && this.now < token.expiresOn)
      ? "yes" as const
      : "maybe" as const
    for (const other of this.flights) {
      if (other.state !== "sending" || other.name !== name || other.claims !== arrival.claims) continue
      if (other.kind === "forced" || kind === "forced") continue
      // A flight whose token is not cached is shared only within a client, and not across an invalidation. The token that
      // the caller of a "maybe" found is unknown: an expired token is removed when another one is stored, and a caller
      // that waited for another request may have started before the invalidation that ended its wait.
      if (keeps !== "yes" || other.keeps !== "yes") {
        if (keeps !== "no" || other.keeps !== "no" || other.client !== arrival.client) continue
        if (other.generation !== this.generations[arrival.client]) continue
      }
      if ((this.invalidatedAt.get(name) ?? 0) > other.seq) continue
      this.complain(`two flights for one key: ${about} beside ${other.correlationId}`)
    }
    const gate = this.gate(arrival.key, arrival.claims, arrival.revision)
    if (gate !== undefined && (gate.kind === "throttled" || kind !== "forced")) {
      this.complain(`a request (${about}) while the gate is closed: ${gate.kind} until ${gate.until / second} s`)
    }
    const renews = live !== undefined && this.now >= live.refreshOn && (kind === "plain" || kind === "replace") &&
        arrival.claims === ""
      ? live
      : undefined
    if (renews !== undefined && kind === "plain" && this.now < renews.usableUntil) {
      this.check(
        this.now >= renews.restUntil,
        `a renewal (${about}) while it is to rest until ${renews.restUntil / second} s`
      )
    }
    if (kind === "plain" && live !== undefined) {
      // A refresh may have waited for the request that brought this token, which is too short for its call.
      const isTooShort = live.arrivedAt === this.now && !this.suffices(live, this.longest.get(name) ?? 0, this.now)
      this.check(this.now >= live.refreshOn || isTooShort, `a request (${about}) while ${live.text} is fresh`)
    }
    const flight: Flight = {
      ...arrival,
      name,
      kind,
      seq: ++this.seq,
      startedAt: this.now,
      renews: kind === "plain" ? renews : undefined,
      mayRenew: kind === "plain" && certain === undefined ? found.filter((token) => token !== undefined) : [],
      keeps,
      generation: this.generations[arrival.client] ?? 0,
      attempts: 0,
      attemptAt: this.now,
      state: "sending",
      nextAt: 0,
      dropped: false
    }
    this.flights.push(flight)
    return flight
  }

  private retry(flight: Flight): Flight {
    const about = `${flight.correlationId} for ${flight.name}`
    this.check(flight.state !== "ended", `${about} goes on after its end`)
    this.check(flight.state !== "sending", `${about} sends twice at once`)
    this.check(flight.state !== "waiting" || this.now >= flight.nextAt, `${about} comes again too early`)
    this.check(flight.attempts < 4, `${about} makes more than four attempts`)
    this.check(this.now < flight.startedAt + budget, `${about} goes on beyond its budget`)
    const gate = this.gate(flight.key, flight.claims, flight.revision)
    this.check(gate?.kind !== "throttled", `${about} comes again inside a Retry-After`)
    return flight
  }

  private nextAnswer(tenant: string): Answer {
    const found = this.script.find((entry) => entry.left > 0 && (entry.tenant === undefined || entry.tenant === tenant))
    if (found === undefined) return this.options.usual
    found.left--
    return found.answer
  }

  /** The answer is there, or (undefined) the client waits for it no more. */
  answered(flight: Flight, answer: Answer | undefined): Token | undefined {
    if (answer === undefined) {
      const isLate = this.now >= flight.attemptAt + attemptTimeout || this.now >= flight.startedAt + budget
      if (this.closing === flight.client) {
        flight.state = "ended"
        return undefined
      }
      this.check(isLate, `the request of ${flight.correlationId} for ${flight.name} was given up too early`)
      this.outage(flight, undefined)
      return undefined
    }
    switch (answer.kind) {
      case "ok":
        return this.issue(flight, answer)
      case "unavailable":
        this.outage(flight, answer.retryAfter)
        return undefined
      case "dropped":
        this.outage(flight, undefined)
        return undefined
      case "malformed":
        this.fail(flight, undefined, true)
        return undefined
      case "throttled": {
        const asked = this.now + (answer.retryAfter ?? 60) * second
        this.fail(
          flight,
          answer.date && answer.retryAfter !== undefined ? whole(asked) - this.now : asked - this.now,
          false
        )
        return undefined
      }
      case "refused":
        this.fail(flight, answer.retryAfter === undefined ? undefined : answer.retryAfter * second, true)
        return undefined
    }
  }

  private outage(flight: Flight, retryAfter: number | undefined): void {
    const floor = (retryAfter ?? 0) * second
    const delay = Math.max(250 * 2 ** (flight.attempts - 1) * random, floor)
    const isLast = flight.attempts >= 4 || this.now + delay >= flight.startedAt + budget
    if (isLast) return this.fail(flight, retryAfter === undefined ? undefined : floor, false)
    flight.state = "waiting"
    flight.nextAt = this.now + delay
  }

  private fail(flight: Flight, retryAfter: number | undefined, isRefusal: boolean): void {
    flight.state = "ended"
    const name = gateName(flight.key, flight.claims, flight.revision)
    const ofKey = throttleName(flight.key, flight.revision)
    const throttle = this.gates.get(ofKey)
    const isThrottled = throttle !== undefined && this.now < throttle.until
    const refusal = this.gates.get(name)
    this.gates.delete(name)
    if (!isThrottled) this.gates.delete(ofKey)
    if (retryAfter !== undefined && retryAfter > 0) {
      const until = this.now + Math.min(retryAfter, 3600 * second)
      if (!isThrottled || throttle.until < until) {
        this.gates.set(ofKey, { kind: "throttled", until, hold: 0, key: flight.key })
      }
    } else if (!isThrottled && isRefusal) {
      const goesOn = refusal !== undefined && this.now < refusal.until + 60 * second
      const hold = goesOn ? Math.min(60 * second, 2 * refusal.hold) : 5 * second
      this.gates.set(name, { kind: "refused", until: this.now + hold, hold, key: flight.key })
    }
    if (flight.renews !== undefined) this.rest(flight.renews)
    for (const token of flight.mayRenew) token.restIsCertain = false
  }

  /** A renewal failed, whether the service was asked or not. */
  rest(token: Token): void {
    token.failures++
    token.restUntil = this.now + Math.min(300, 30 * 2 ** (token.failures - 1)) * second
  }

  private issue(flight: Flight, answer: Extract<Answer, { readonly kind: "ok" }>): Token {
    flight.state = "ended"
    const lifetime = answer.lifetime * second
    const named = answer.refreshIn !== undefined && answer.refreshIn < answer.lifetime
      ? answer.refreshIn * second
      : lifetime / 2
    const from = flight.attemptAt
    const usableUntil = from + lifetime - Math.min(300 * second, lifetime / 10)
    const token: Token = {
      text: `token-${this.tokens.size + 1}`,
      key: flight.key,
      claims: flight.claims,
      flight,
      issuedAt: whole(from),
      arrivedAt: this.now,
      refreshOn: whole(Math.min(from + named * (1 - 0.1 * random), usableUntil)),
      usableUntil: whole(usableUntil),
      expiresOn: whole(from + lifetime),
      failures: 0,
      restUntil: 0,
      restIsCertain: true
    }
    this.tokens.set(token.text, token)
    const name = gateName(flight.key, flight.claims, flight.revision)
    this.gates.delete(name)
    if (flight.keeps !== "no" && !flight.dropped) this.store(flight, token)
    if (flight.kind === "forced" && flight.keeps === "yes") {
      for (const older of this.flights) {
        if (older.name === flight.name && older.seq < flight.seq) older.dropped = true
      }
    }
    return token
  }

  private store(flight: Flight, token: Token): void {
    const { maxEntries } = this.options
    const others = [...this.cached].filter(([name, set]) =>
      name !== flight.name && !(set.size === 1 && set.has(undefined))
    )
    if (maxEntries !== undefined && others.length >= maxEntries) {
      // The model does not predict which token is evicted.
      for (const [name, set] of others) this.cached.set(name, new Set([...set, undefined]))
    }
    this.cached.set(
      flight.name,
      flight.keeps === "maybe" ? new Set([...this.possible(flight.name), token]) : new Set([token])
    )
  }

  // ---------------------------------------------------------------------------
  // Actions
  // ---------------------------------------------------------------------------

  invalidate(client: number, app: string, tenant: string | undefined, scope: string | undefined): void {
    this.seq++
    for (const [other, generation] of this.generations.entries()) {
      if (appOf(other) === appOf(client)) this.generations[other] = generation + 1
    }
    const hits = (key: Key) =>
      key.app === app && (tenant === undefined || key.tenant === tenant) && (scope === undefined || key.scope === scope)
    for (const flight of this.flights) {
      if (flight.state !== "ended" && hits(flight.key)) flight.dropped = true
    }
    for (const [name, gate] of this.gates) {
      if (gate.kind === "refused" && hits(gate.key)) this.gates.delete(name)
    }
    for (const key of this.keysOf(hits)) {
      this.cached.set(nameOf(key), new Set([undefined]))
      this.invalidatedAt.set(nameOf(key), this.seq)
      this.invalidatedBy.set(`${client} ${nameOf(key)}`, this.seq)
    }
  }

  private keysOf(hits: (key: Key) => boolean): ReadonlyArray<Key> {
    return this.flights.map(({ key }) => key).filter(hits)
  }

  close(client: number): void {
    this.closing = client
    for (const flight of this.flights) if (flight.client === client) this.end(flight)
  }

  private end(flight: Flight): void {
    if (flight.state === "waiting") flight.state = "ended"
  }

  // ---------------------------------------------------------------------------
  // Queries
  // ---------------------------------------------------------------------------

  gate(key: Key, claims: string, revision: string): Gate | undefined {
    const throttle = this.gates.get(throttleName(key, revision))
    if (throttle !== undefined && this.now < throttle.until) return throttle
    const gate = this.gates.get(gateName(key, claims, revision))
    return gate !== undefined && this.now < gate.until ? gate : undefined
  }

  possible(name: string): ReadonlySet<Token | undefined> {
    return this.cached.get(name) ?? new Set([undefined])
  }

  certain(name: string): Token | undefined {
    const [first, ...more] = this.possible(name)
    return more.length === 0 ? first : undefined
  }

  /** Flights of a name that have, as far as anybody can tell, not ended. */
  open(name: string): ReadonlyArray<Flight> {
    return this.flights.filter((flight) => flight.name === name && this.isOpen(flight))
  }

  private isOpen(flight: Flight): boolean {
    if (flight.state === "ended") return false
    if (flight.state === "waiting" && this.now > flight.nextAt) {
      // It met a gate that was closed meanwhile: it failed without anybody seeing it, and so did the renewal.
      flight.state = "ended"
      if (flight.renews !== undefined) flight.renews.restIsCertain = false
      return false
    }
    return true
  }

  age(token: Token): "fresh" | "due" | "last" | "expired" {
    if (this.now >= token.expiresOn) return "expired"
    if (this.now >= token.usableUntil) return "last"
    return this.now >= token.refreshOn ? "due" : "fresh"
  }

  /** Returns the possible ages of a caller's cached token. An expired or too short-lived token counts as "none". */
  ages(name: string, minimum: number): ReadonlySet<"fresh" | "due" | "last" | "none"> {
    return new Set([...this.possible(name)].map((token) => {
      const age = token === undefined || !this.suffices(token, minimum, this.now) ? "none" : this.age(token)
      return age === "expired" ? "none" : age
    }))
  }

  /** A young token is the longest there is. */
  suffices(token: Token, minimum: number, at: number): boolean {
    return token.expiresOn - at >= minimum * second || at - token.issuedAt < (token.expiresOn - token.issuedAt) / 10
  }
}

const gateName = (key: Key, claims: string, revision: string): string => `${nameOf(key)} ${claims} ${revision}`

/** A throttle holds for the key with and without claims. */
const throttleName = (key: Key, revision: string): string => `${nameOf(key)} throttled ${revision}`

/** Callers say in their correlation id what they are; renewals, and effects that are kept, have ids of their own. */
const kindOf = (correlationId: string): Kind =>
  correlationId.startsWith("forced-")
    ? "forced"
    : correlationId.startsWith("longer-")
    ? "longer"
    : correlationId.startsWith("claims-")
    ? "claims"
    : correlationId.startsWith("replace-")
    ? "replace"
    : "plain"
