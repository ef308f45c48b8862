/** The operations on clients, as fast-check commands. After each command all ended calls are checked. */
import { Cause, Effect, Exit, Fiber, Redacted } from "effect"
import type { EntraError, TokenRequest } from "effect-entra"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import { type Answer, type Kind, maxWait, type Model, type Token } from "./model.ts"
import { type Key, keyOf, nameOf, scopes, spelled, tenants } from "./names.ts"
import type { Call, Result, System } from "./system.ts"

export type Command = fc.AsyncCommand<Model, Board>

/** The system, and what its callers may expect. */
export class Board {
  readonly system: System
  readonly watched: Array<Watched> = []
  /** Per client, since it was built: runs, and those that were ended from outside before they were a hit or a miss. */
  readonly runs = [0, 0, 0]
  readonly lost = [0, 0, 0]
  constructor(system: System) {
    this.system = system
  }
}

interface Watched {
  readonly call: Call
  readonly what: string
  readonly key: Key
  readonly name: string
  readonly kind: Kind
  readonly claims: string
  readonly refused: string
  readonly seq: number
  readonly from: number
  /** The tokens that the cache may have held when the call started. */
  readonly possible: ReadonlySet<Token | undefined>
  /** In seconds. */
  readonly minimum: number
  readonly waits: boolean
  /** In a token's last minutes, and at a closed gate, the end says whether it was a hit. */
  readonly isCountedLate: boolean
  /** By when it must have ended. */
  readonly deadline: number
  interrupted: boolean
  closed: boolean
  done: boolean
}

// -----------------------------------------------------------------------------
// Looking
// -----------------------------------------------------------------------------

const hashOf = (token: string): string => createHash("sha256").update(token).digest("hex")

/** Everything that has ended meanwhile, and nobody who waits for nothing. */
const look = async (model: Model, board: Board): Promise<void> => {
  for (const watched of board.watched) {
    if (watched.done) continue
    const { ended } = watched.call
    if (ended !== undefined) {
      watched.done = true
      const { client } = watched.call
      if (watched.interrupted && watched.isCountedLate) board.lost[client] = (board.lost[client] ?? 0) + 1
      judge(model, watched, ended)
      continue
    }
    model.check(model.now <= watched.deadline, `${watched.what} still waits, ${watched.from / 1000} s to now`)
    const isThrottled = watched.waits &&
      [...model.gates.values()].some((gate) =>
        nameOf(gate.key) === watched.name && gate.kind === "throttled" && model.now < gate.until
      )
    model.check(isThrottled || model.open(watched.name).length > 0, `${watched.what} waits for nothing`)
  }
  for (const client of [0, 1, 2]) {
    const { entries, hits, misses } = Effect.runSync(board.system.client(client).stats)
    const { maxEntries } = model.options
    model.check(maxEntries === undefined || entries <= maxEntries, `${entries} entries`)
    const certain = [...model.cached.values()].filter((set) => {
      const [first] = set
      return set.size === 1 && first !== undefined && model.now < first.expiresOn
    })
    model.check(entries >= certain.length, `${entries} entries, and ${certain.length} tokens are cached`)
    const runs = board.runs[client] ?? 0
    const open = board.watched.filter((watched) =>
      !watched.done && watched.call.client === client && watched.isCountedLate
    )
    model.check(
      hits + misses <= runs && hits + misses >= runs - (board.lost[client] ?? 0) - open.length,
      `client ${client}: ${hits} hits and ${misses} misses of ${runs} runs`
    )
  }
  const [problem] = model.problems
  if (problem !== undefined) throw new Error(model.problems.join("\n"))
}

const judge = (model: Model, watched: Watched, { at, exit }: NonNullable<Call["ended"]>): void => {
  const { what } = watched
  model.check(at <= watched.deadline, `${what} waited from ${watched.from / 1000} s to ${at / 1000} s`)
  if (Exit.isSuccess(exit)) return judgeToken(model, watched, exit.value, at)
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") {
    model.check(
      watched.interrupted && Cause.hasInterruptsOnly(exit.cause),
      `${what} ended with ${Cause.pretty(exit.cause)}`
    )
    return
  }
  model.check(!watched.interrupted, `${what} was interrupted and failed`)
  judgeError(model, watched, error.value)
}

const judgeError = (model: Model, { closed, what }: Watched, error: EntraError.AcquireTokenError): void => {
  const isClosed = error.code === "client_closed"
  model.check(isClosed === closed || !isClosed, `${what} heard that the client is closed`)
  const expected = new Set([
    "service_unavailable",
    "throttled",
    "secret_wrong",
    "tenant_unknown",
    "consent_missing",
    "network",
    "response_malformed",
    "timeout",
    "budget_exceeded",
    "client_closed",
    ...(model.options.breaker ? ["circuit_open"] : [])
  ])
  model.check(expected.has(error.code), `${what} failed with ${error.code}: ${error.message}`)
}

const judgeToken = (model: Model, watched: Watched, result: Result, at: number): void => {
  const { what } = watched
  const text = Redacted.value(result.accessToken)
  const token = model.tokens.get(text)
  if (token === undefined) return model.complain(`${what} got ${text}, which nobody issued`)
  const got = `${what} got ${text}`
  model.check(nameOf(token.key) === watched.name, `${got} of ${nameOf(token.key)}`)
  model.check(at < token.expiresOn, `${got}, expired since ${token.expiresOn / 1000} s`)
  model.check(result.tenantId === watched.key.tenant, `${got} of tenant ${result.tenantId}`)
  model.check(result.expiresOn.epochMilliseconds === token.expiresOn, `${got} with another expiry`)
  model.check(result.refreshOn.epochMilliseconds === token.refreshOn, `${got} to be renewed at another time`)
  if (watched.kind === "claims") model.check(token.claims === watched.claims, `${got} for claims ${token.claims}`)
  else if (watched.kind !== "replace") {
    model.check(token.claims === "" || token.flight.kind === "replace", `${got}, which is for other claims`)
  }
  if (watched.kind === "replace") model.check(hashOf(text) !== watched.refused, `${got}, the refused one`)
  if (watched.kind === "forced") model.check(token.flight.seq > watched.seq, `${got}, which was under way already`)
  const { metadata } = result
  const isOld = watched.possible.has(token)
  model.check(
    isOld || token.flight.seq > watched.seq || token.flight.state === "ended",
    `${got} from nowhere`
  )
  // There is no longer token than one that has just arrived, however long it took.
  const isNew = metadata.tokenSource === "IdentityProvider" && at === token.arrivedAt
  model.check(
    isNew || model.suffices(token, watched.minimum, at),
    `${got}, which is valid for less than ${watched.minimum} s`
  )
  // The refresh that a waiting caller starts may meet the caller's own gate, and then the token rests.
  if (watched.waits && metadata.cacheRefreshReason === "ProactivelyRefreshed") token.restIsCertain = false
  // A caller that waits for a gate to open may find a token that was stored meanwhile and is no longer fresh.
  if (metadata.outage) model.check((isOld || watched.waits) && model.options.serveStaleOnOutage, `${got} as an outage`)
  // A call after an invalidation gets no token from before it. Clients that share a cache do not see each other's
  // invalidations.
  const invalidated = model.invalidatedBy.get(`${watched.call.client} ${watched.name}`) ?? 0
  if (invalidated <= watched.seq) model.check(token.flight.seq > invalidated, `${got} from before the invalidation`)
  if (metadata.tokenSource === "Cache" && !isOld) {
    model.check(token.flight.keeps !== "no", `${got} from a cache that cannot have it`)
  }
}

// -----------------------------------------------------------------------------
// Acquiring
// -----------------------------------------------------------------------------

/** Nobody waits longer: one budget for the flight, and one for each whose lease it waits for. */
const patience = 130_000

interface Wish {
  readonly client: number
  readonly tenant: number
  readonly scope: number
  readonly spelling: number
  readonly callers: number
  readonly kept: boolean
  readonly waits: boolean
  /** In seconds. */
  readonly minimum: number
  readonly kind: Exclude<Kind, "longer">
  readonly claims: string
  /** Of all tokens for the key, counted from the newest, the one to replace. */
  readonly refused: number
}

class Acquire implements Command {
  readonly wish: Wish
  constructor(wish: Wish) {
    this.wish = wish
  }
  check(): boolean {
    return true
  }
  async run(model: Model, board: Board): Promise<void> {
    const { wish } = this
    const key = keyOf(wish.client, wish.tenant, wish.scope)
    const issued = [...model.tokens.values()].filter((token) => nameOf(token.key) === nameOf(key))
    const old = issued[Math.max(0, issued.length - 1 - wish.refused)]
    const refused = wish.kind === "replace" && old !== undefined ? hashOf(old.text) : ""
    const other = wish.kind === "replace" && refused === "" ? "plain" : wish.kind
    const kind = other === "plain" && wish.minimum > 0 ? "longer" : other
    const claims = kind === "claims" || kind === "replace" ? wish.claims : ""
    const ended: Array<() => void> = []
    for (let caller = 0; caller < wish.callers; caller++) {
      ended.push(acquire(model, board, this, { key, kind, claims, refused }))
    }
    await board.system.settle()
    // A later caller with the same hash may find the new token, and a renewal that this sets off may meet the caller's gate.
    const renewed = model.certain(nameOf(key))
    if (
      kind === "replace" && wish.callers > 1 && renewed !== undefined &&
      model.gate(key, "", model.revisions[wish.client] ?? "") !== undefined
    ) renewed.restIsCertain = false
    for (const check of ended) check()
    await look(model, board)
  }
  toString(): string {
    const { callers, claims, client, kept, kind, minimum, refused, scope, spelling, tenant, waits } = this.wish
    const more = kind === "plain" || kind === "forced"
      ? ""
      : ` ${claims}${kind === "replace" ? ` token -${refused}` : ""}`
    const name = kind === "plain" ? "acquire" : kind
    const marks = `${kept ? ", kept" : ""}${waits ? ", waits" : ""}${minimum > 0 ? `, for ${minimum} s` : ""}`
    const who = `client ${client}, tenant ${tenant}, scope ${scope}, spelling ${spelling}`
    return `${name}(${who}${marks}${more})${callers === 1 ? "" : ` x ${callers}`}`
  }
}

/** One call; what it returns checks what must be true when nothing is left to do at this moment. */
const acquire = (
  model: Model,
  board: Board,
  command: Acquire,
  { claims, key, kind, refused }: {
    readonly key: Key
    readonly kind: Kind
    readonly claims: string
    readonly refused: string
  }
): () => void => {
  const { wish } = command
  const { client } = wish
  const name = nameOf(key)
  const kept = wish.kept && kind === "plain"
  const waits = wish.waits && kind === "plain"
  const minimum = kind === "longer" ? wish.minimum : 0
  const number = board.watched.length + 1
  const request: TokenRequest.TokenRequest = {
    tenantId: spelled(tenants, wish.tenant, wish.spelling),
    scopes: spelled(scopes, wish.scope, wish.spelling),
    ...(waits ? { onThrottled: "wait" as const } : {}),
    ...(minimum > 0 ? { minimumValidity: `${minimum} seconds` as const } : {}),
    // A caller that waits may send two requests, and a correlation id belongs to one flight.
    ...(kept || waits ? {} : { correlationId: `${kind}-${number}` }),
    ...(kind === "forced" ? { forceRefresh: true } : {}),
    ...(claims === "" ? {} : { claims }),
    ...(refused === "" ? {} : { accessTokenSha256ToRefresh: refused })
  }
  const { seq } = model
  const from = model.now
  const what = `call ${number} (${command.toString()})`
  const possible = model.possible(name)
  const certain = model.certain(name)
  const ages = model.ages(name, minimum)
  const open = model.open(name)
  const gate = model.gate(key, claims, model.revisions[client] ?? "")
  const before = model.requests
  const rest = certain === undefined || !certain.restIsCertain ? undefined : from < certain.restUntil
  const isLast = ages.has("last")
  const isOrdinary = kind === "plain" || kind === "longer"
  const stretched = ages.size === 1 && isLast && model.options.serveStaleOnOutage && isOrdinary && minimum === 0 &&
    certain !== undefined && from + maxWait < certain.expiresOn
  board.runs[client] = (board.runs[client] ?? 0) + 1
  model.longest.set(name, Math.max(minimum, model.longest.get(name) ?? 0))

  const call = board.system.start(client, request, kept)
  const atOnce = call.ended
  const sent = model.requests - before
  const watched: Watched = {
    call,
    what,
    key,
    name,
    kind,
    claims,
    refused,
    seq,
    from,
    possible,
    minimum,
    waits,
    isCountedLate: isLast || waits,
    deadline: stretched ? from + maxWait : waits ? Infinity : from + patience,
    interrupted: false,
    closed: false,
    done: false
  }
  board.watched.push(watched)
  model.check(sent <= 1, `${what} sent ${sent} requests`)

  /** Its flights, once nothing is left to do at this moment. */
  const begun = (): number =>
    model.flights.filter((flight) =>
      flight.seq > seq && flight.name === name && flight.client === client && flight.claims === claims &&
      (flight.kind === "forced") === (kind === "forced")
    ).length

  const servable = !ages.has("none") && !isLast
  if (isOrdinary && servable) {
    const text = atOnce !== undefined && Exit.isSuccess(atOnce.exit)
      ? Redacted.value(atOnce.exit.value.accessToken)
      : ""
    const served = [...possible].find((token) => token?.text === text)
    model.check(served !== undefined, `${what} was not answered from the cache at once`)
    // The returned token is the cached one, unless that was refreshed at the same moment.
    if (served !== undefined && model.possible(name) === possible && sent === 0) {
      model.cached.set(name, new Set([served]))
    }
    // Before the call nobody knew which token is cached, so its refresh may have met a closed gate without being seen.
    if (certain === undefined && served !== undefined && ages.has("due")) served.restIsCertain = false
    if (!ages.has("due")) model.check(sent === 0, `${what} sent a request for a fresh token`)
    else if (certain !== undefined && (open.length > 0 || model.options.breaker)) {
      // The renewal may wait behind another flight, or meet an open circuit, and fail without being seen.
      certain.restIsCertain = false
    } else if (certain !== undefined && rest !== undefined) {
      if (!rest && gate !== undefined) model.rest(certain)
      const expected = rest || gate !== undefined ? 0 : 1
      // A token that the service wants renewed at once is due again for the next of several callers.
      const several = expected === 1 && wish.callers > 1
      return () =>
        model.check(
          begun() === expected || (several && begun() > 1),
          `${what} for a due token sent ${begun()} requests`
        )
    }
  }
  // A caller with the hash of an older token gets the cached one, and the refresh that this starts may meet the caller's
  // own gate, also one that closes while the refresh waits behind another flight. That refresh has no claims, so its gate is
  // not the gate of the claims.
  if (kind === "replace" && certain !== undefined) {
    const own = model.gate(key, "", model.revisions[client] ?? "")
    if (gate !== undefined || own !== undefined || open.length > 0) certain.restIsCertain = false
  }
  if (model.options.breaker) return () => {}
  if (kind === "forced" && gate?.kind !== "throttled") {
    // Those who come at one moment share a request, and it is none that was under way.
    return () => model.check(begun() === 1, `${what} and those beside it sent ${begun()} requests`)
  }
  const must = kind === "forced" || kind === "claims" || (isOrdinary && ages.size === 1 && ages.has("none"))
  if (!must || open.length > 0) return () => {}
  if (gate === undefined) {
    return () => {
      const sent = begun()
      model.check(sent === 1 || (sent > 1 && wish.callers > 1), `${what} sent ${sent} requests`)
    }
  }
  model.check(sent === 0, `${what} sent a request while the gate is closed`)
  return () => {
    const { ended } = call
    if (waits && gate.kind === "throttled") return model.check(ended === undefined, `${what} did not wait`)
    const error = ended !== undefined && Exit.isFailure(ended.exit)
      ? Cause.findErrorOption(ended.exit.cause)
      : undefined
    if (error?._tag !== "Some") return model.complain(`${what} at a closed gate has no error`)
    model.check(error.value.origin === "local", `${what} at a closed gate heard what the service says`)
    if (gate.kind === "throttled") {
      model.check(error.value._tag === "EntraThrottledError", `${what} at a closed gate: ${error.value._tag}`)
    }
  }
}

// -----------------------------------------------------------------------------
// The others
// -----------------------------------------------------------------------------

/** Whatever has a name and runs. */
const command = (name: string, run: (model: Model, board: Board) => void | Promise<void>): Command => ({
  check: () => true,
  run: async (model, board) => {
    await run(model, board)
    await board.system.settle()
    await look(model, board)
  },
  toString: () => name
})

const pass = (seconds: number): Command => command(`pass(${seconds} s)`, (_, { system }) => system.pass(seconds))

/** To a moment of the newest token of a key, and some milliseconds beside it; later than it, to no moment. */
const passTo = (
  tenant: number,
  scope: number,
  moment: "refreshOn" | "usableUntil" | "expiresOn",
  off: number
): Command =>
  command(`pass(to ${moment} of tenant ${tenant}, scope ${scope}, ${off} ms)`, async (model, { system }) => {
    const name = nameOf(keyOf(0, tenant, scope))
    const token = [...model.possible(name)].find((token) => token !== undefined)
    const left = token === undefined ? 0 : token[moment] + off - model.now
    if (left > 0) await system.pass(left / 1000)
  })

const told = ({ kind, ...more }: Answer): string =>
  `${kind} ${JSON.stringify(more).replaceAll("\"", "").slice(1, -1)}`.trim()

const answers = (answers: ReadonlyArray<Answer>, tenant: number | undefined, times: number): Command => {
  const where = tenant === undefined ? "all tenants" : `tenant ${tenant}`
  return command(`answer(${answers.map(told).join(", then ")}, ${where}, ${times} times)`, (model) => {
    for (const answer of answers) {
      model.script.push({ answer, tenant: tenant === undefined ? undefined : spelled(tenants, tenant, 0), left: times })
    }
  })
}

const heal = command("heal", (model) => {
  model.script = []
})

const invalidate = (
  client: number,
  what: "all" | "tenant" | "request",
  tenant: number,
  scope: number,
  spelling: number
) =>
  command(
    `invalidate(client ${client}, ${what === "all" ? "all" : `tenant ${tenant}`}${
      what === "request" ? `, scope ${scope}` : ""
    })`,
    async (model, { system }) => {
      const key = keyOf(client, tenant, scope)
      const tenantId = spelled(tenants, tenant, spelling)
      model.invalidate(
        client,
        key.app,
        what === "all" ? undefined : key.tenant,
        what === "request" ? key.scope : undefined
      )
      await system.run(Effect.orDie(
        system.client(client).invalidate(
          what === "all"
            ? "all"
            : what === "tenant"
            ? { tenantId }
            : { tenantId, scopes: spelled(scopes, scope, spelling) }
        )
      ))
    }
  )

const interrupt = (which: number): Command =>
  command(`interrupt(waiting caller ${which})`, async (_, board) => {
    const waiting = board.watched.filter((watched) => !watched.done)
    const chosen = waiting[which % Math.max(1, waiting.length)]
    if (chosen === undefined) return
    chosen.interrupted = true
    await board.system.run(Fiber.interrupt(chosen.call.fiber))
  })

const rebuild = (client: number): Command =>
  command(`close and build(client ${client})`, async (model, board) => {
    const waiting = board.watched.filter((watched) => !watched.done && watched.call.client === client)
    for (const watched of waiting) watched.closed = true
    await board.system.close(client)
    for (const { call, what } of waiting) model.check(call.ended !== undefined, `${what} outlives its client`)
    await board.system.build(client)
    board.runs[client] = 0
    board.lost[client] = 0
  })

const rotate = (client: number): Command =>
  command(`rotate(client ${client})`, (model) => {
    model.revisions[client] = `${model.revisions[client]}'`
  })

const peek = (client: number, tenant: number, scope: number, spelling: number): Command =>
  command(`peek(client ${client}, tenant ${tenant}, scope ${scope}, spelling ${spelling})`, (model, { system }) => {
    const name = nameOf(keyOf(client, tenant, scope))
    const before = model.requests
    const found = system.client(client).peek({
      tenantId: spelled(tenants, tenant, spelling),
      scopes: spelled(scopes, scope, spelling)
    })
    const ages = model.ages(name, 0)
    model.check(model.requests === before, "a peek sent a request")
    if (found === undefined) {
      model.check(ages.has("none") || ages.has("last"), `peek found nothing for ${name}`)
      return
    }
    const text = Redacted.value(found.accessToken)
    const token = [...model.possible(name)].find((token) => token?.text === text)
    model.check(token !== undefined && model.now < token.usableUntil, `peek found ${text} for ${name}`)
  })

/** At the end all is well for long enough: everybody has ended, and everybody gets a token. */
export const finish = async (model: Model, board: Board): Promise<void> => {
  model.script = []
  await board.system.pass(600)
  await look(model, board)
  for (const { done, waits, what } of board.watched) model.check(done || waits, `${what} hangs`)
  await board.system.pass(7200)
  await look(model, board)
  for (const { done, what } of board.watched) model.check(done, `${what} hangs`)
  model.check(model.flights.every(({ state }) => state !== "sending"), "a request never ended")
  const last = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((number) => {
    const [client, tenant, scope] = [(number + Math.floor(number / 3)) % 3, Math.floor(number / 3), number % 3]
    const command = new Acquire({ ...ordinary, client, tenant, scope })
    acquire(model, board, command, { key: keyOf(client, tenant, scope), kind: "plain", claims: "", refused: "" })
    return board.watched.at(-1)
  })
  await board.system.pass(60)
  await look(model, board)
  for (const watched of last) {
    const exit = watched?.call.ended?.exit
    model.check(exit !== undefined && Exit.isSuccess(exit), `at the end ${watched?.what} gets no token`)
  }
  await look(model, board)
}

const ordinary = {
  spelling: 0,
  callers: 1,
  kept: false,
  waits: false,
  minimum: 0,
  kind: "plain" as const,
  claims: "",
  refused: 0
}

// -----------------------------------------------------------------------------
// Arbitraries
// -----------------------------------------------------------------------------

const client = fc.constantFrom(0, 0, 1, 2)
// Collisions are what is interesting, so the first of each is the usual one.
const tenant = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2)
const scope = fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2)
const spelling = fc.constantFrom(0, 0, 1, 2, 3)
const retryAfter = fc.constantFrom(undefined, undefined, 1, 5, 45, 600, 7200)
const after = fc.constantFrom(0, 0, 0, 1, 3, 8, 15)

const ok: fc.Arbitrary<Answer> = fc.record({
  kind: fc.constant("ok" as const),
  lifetime: fc.constantFrom(3600, 3600, 300, 10),
  refreshIn: fc.constantFrom(undefined, undefined, 1, 1500),
  after
})

const answer: fc.Arbitrary<Answer> = fc.oneof(
  { arbitrary: ok, weight: 4 },
  { arbitrary: fc.record({ kind: fc.constant("unavailable" as const), retryAfter, after }), weight: 3 },
  { arbitrary: fc.record({ kind: fc.constant("throttled" as const), retryAfter, date: fc.boolean() }), weight: 2 },
  {
    arbitrary: fc.record({
      kind: fc.constant("refused" as const),
      what: fc.constantFrom("client" as const, "tenant" as const, "consent" as const),
      retryAfter: fc.constantFrom(undefined, undefined, undefined, 30)
    }),
    weight: 2
  },
  { arbitrary: fc.record({ kind: fc.constant("dropped" as const), after }), weight: 1 },
  { arbitrary: fc.constant({ kind: "malformed" as const }), weight: 1 }
)

const challenge = `{"access_token":{"nbf":{"essential":true}}}`

const wish: fc.Arbitrary<Wish> = fc.record({
  client,
  tenant,
  scope,
  spelling,
  callers: fc.constantFrom(1, 1, 1, 2, 4),
  kept: fc.constantFrom(false, false, true),
  waits: fc.constantFrom(false, false, false, true),
  minimum: fc.constantFrom(0, 0, 0, 0, 60, 2000, 7200),
  kind: fc.constantFrom(
    "plain" as const,
    "plain" as const,
    "plain" as const,
    "plain" as const,
    "forced" as const,
    "claims" as const,
    "replace" as const
  ),
  claims: fc.constantFrom("", challenge),
  refused: fc.constantFrom(0, 0, 0, 1)
}).map((wish) => plausible(wish))

/** Makes a wish consistent: a kept effect is a plain request in one spelling, and a request with claims has claims. */
const plausible = (wish: Wish): Wish =>
  wish.kept
    ? { ...wish, kind: "plain", spelling: 0, waits: false, minimum: 0 }
    : wish.kind === "claims"
    ? { ...wish, claims: challenge }
    : wish

const acquires = wish.map((wish): Command => new Acquire(wish))
const passes = fc.constantFrom(0.1, 1, 2, 5, 10, 31, 61, 300, 1800, 3600).map(pass)
const moments = fc.tuple(
  tenant,
  scope,
  fc.constantFrom("refreshOn" as const, "usableUntil" as const, "expiresOn" as const),
  fc.constantFrom(-1000, -1, 0, 0, 1, 1000)
).map((parts) => passTo(...parts))

/** Several things in a row for one key: most of what can go wrong needs three that meet. */
const story = (() => {
  const about = <A>(value: A) => fc.constant(value)
  const ask = wish.map((wish): Command => new Acquire({ ...wish, tenant: 0, scope: 0, spelling: 0, minimum: 0 }))
  const usual = fc.constantFrom(0, 0, 1, 2).map((client): Command =>
    new Acquire({ ...ordinary, client, tenant: 0, scope: 0, kept: true })
  )
  const force = about<Command>(new Acquire({ ...ordinary, client: 0, tenant: 0, scope: 0, kind: "forced" }))
  const moment = fc.tuple(
    about(0),
    about(0),
    fc.constantFrom("refreshOn" as const, "usableUntil" as const, "expiresOn" as const),
    fc.constantFrom(-1000, 0, 0, 1, 1000)
  ).map((parts) => passTo(...parts))
  const some = fc.constantFrom(1, 2, 5, 8, 31, 31, 61).map(pass)
  const next = fc.tuple(fc.array(answer, { minLength: 1, maxLength: 3 }), fc.constantFrom(1, 1, 3)).map((
    [list, times]
  ) => answers(list, undefined, times))
  const drop = client.map((client) => invalidate(client, "request", 0, 0, 0))
  const step = fc.oneof(
    { arbitrary: usual, weight: 5 },
    { arbitrary: ask, weight: 2 },
    { arbitrary: force, weight: 2 },
    { arbitrary: moment, weight: 3 },
    { arbitrary: some, weight: 3 },
    { arbitrary: next, weight: 4 },
    { arbitrary: drop, weight: 1 }
  )
  return fc.array(step, { minLength: 3, maxLength: 12 }).map((steps): Command => ({
    check: () => true,
    run: async (model, board) => {
      for (const step of steps) await step.run(model, board)
    },
    toString: () => `[${steps.map(String).join(", ")}]`
  }))
})()

/** Acquiring and time passing come most often. */
export const commands = fc.commands([
  story,
  story,
  story,
  story,
  acquires,
  acquires,
  acquires,
  acquires,
  acquires,
  acquires,
  passes,
  passes,
  passes,
  moments,
  moments,
  fc.tuple(answer, fc.constantFrom(undefined, undefined, 0, 1), fc.constantFrom(1, 2, 5, 30)).map(([answer, ...more]) =>
    answers([answer], ...more)
  ),
  fc.array(answer, { minLength: 1, maxLength: 3 }).map((list) => answers(list, undefined, 1)),
  fc.constant(heal),
  fc.tuple(client, fc.constantFrom("all" as const, "tenant" as const, "request" as const), tenant, scope, spelling).map(
    (parts) => invalidate(...parts)
  ),
  fc.nat(3).map(interrupt),
  fc.constantFrom(0, 1, 2).map(rebuild),
  client.map(rotate),
  fc.tuple(client, tenant, scope, spelling).map((parts) => peek(...parts))
], { maxCommands: 40, size: "max" })

export const worlds = fc.record({
  maxEntries: fc.constantFrom(undefined, undefined, undefined, 1, 3),
  breaker: fc.constantFrom(false, false, false, true),
  serveStaleOnOutage: fc.constantFrom(true, true, false),
  usual: fc.record({
    kind: fc.constant("ok" as const),
    lifetime: fc.constantFrom(3600, 3600, 3600, 300),
    refreshIn: fc.constantFrom(undefined, undefined, 1500),
    after: fc.constantFrom(0, 0, 0, 1)
  })
})
