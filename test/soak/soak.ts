/**
 * Clients at full speed on a fast clock, with everything that can go wrong, for as long as one likes:
 * `npm run soak -- --seconds 600`. Fails when memory grows after warm-up, when somebody waits for ever, when a token is
 * wrong or expired, when the cache is larger than its bound, and when an error is handled by nobody.
 */
import { Cause, Effect, Exit, Fiber, Layer, Logger, ManagedRuntime, Redacted, Scope } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint,
  type TokenRequest
} from "effect-entra"
import { createHash } from "node:crypto"
import { parseArgs } from "node:util"
import { faster } from "../../bench/support/clocks.ts"
import { make, readToken } from "./provider.ts"
import { growthOf, lateness, settledHeap } from "./watch.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    speed: { type: "string", default: "600" },
    callers: { type: "string", default: "200" }
  }
})
const seconds = Number(values.seconds)
const speed = Number(values.speed)

const maxEntries = 600
const tenantCount = 5000
const apps = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"] as const
const appOf = (slot: number): string => slot === 2 ? apps[1] : apps[0]
const scopes = ["api://orders/.default", "https://graph.microsoft.com/.default", "api://orders/2/.default"]
const challenge = `{"access_token":{"nbf":{"essential":true}}}`

const { calm, clock, hurry, layer: clockLayer } = faster(speed)
const now = (): number => clock.currentTimeMillisUnsafe()
const provider = make(now)
const late = lateness()

// -----------------------------------------------------------------------------
// Problems
// -----------------------------------------------------------------------------

const problems = new Map<string, number>()
const complain = (problem: string): void => {
  problems.set(problem, (problems.get(problem) ?? 0) + 1)
}
process.on("unhandledRejection", (error) => complain(`unhandled rejection: ${String(error)}`))
process.on("uncaughtException", (error) => complain(`uncaught exception: ${String(error)}`))

/** Milliseconds of the fast clock: a budget of one's own, and of some whose turn comes first. */
const patience = 150_000
/** Real milliseconds that timers of one call may be late in sum, without the event loop being blocked. */
const timers = 100

const tooLong = (begun: number, lateBefore: number): boolean =>
  now() - begun > patience + speed * (timers + 3 * (late.sum() - lateBefore))

const tally = new Map<string, number>()
const count = (what: string): void => {
  tally.set(what, (tally.get(what) ?? 0) + 1)
}

// -----------------------------------------------------------------------------
// Clients
// -----------------------------------------------------------------------------

const services = Layer.mergeAll(
  AuthorityResolver.layerKnownClouds,
  TokenEndpoint.layer,
  TokenCache.layerMemory({ maxEntries })
).pipe(
  Layer.provide(provider.layer),
  Layer.provideMerge(Layer.merge(clockLayer, Logger.layer([])))
)
const runtime = ManagedRuntime.make(services)
const context = await runtime.context()

interface Slot {
  readonly client: ConfidentialClient.ConfidentialClient["Service"]
  readonly scope: Scope.Closeable
}

const build = async (slot: number): Promise<Slot> => {
  const scope = Scope.makeUnsafe()
  const client = await runtime.runPromise(
    Effect.flatMap(
      ClientCredential.secret(Redacted.make("a secret")),
      (credential) => ConfidentialClient.make({ clientId: appOf(slot), credential })
    ).pipe(Scope.provide(scope))
  )
  return { client, scope }
}
const slots = [await build(0), await build(1), await build(2)]
const slotOf = (slot: number): Slot => {
  const found = slots[slot]
  if (found === undefined) throw new Error(`there is no client ${slot}`)
  return found
}

// -----------------------------------------------------------------------------
// Callers
// -----------------------------------------------------------------------------

const pick = (count: number): number => Math.floor(Math.random() * count)
/** A few tenants are asked for most of the time, the others now and then. */
const tenantOf = (): string => `tenant-${Math.floor(tenantCount * Math.random() ** 6)}.example`
const scopeOf = (): string => scopes[Math.floor(3 * Math.random() ** 3)] ?? ""

interface Asked {
  readonly slot: number
  readonly tenant: string
  readonly scope: string
  readonly claims: string
}

const judge = (
  asked: Asked,
  exit: Exit.Exit<{ readonly accessToken: Redacted.Redacted<string> }, EntraError.AcquireTokenError>,
  lateBefore: number
): void => {
  if (Exit.isFailure(exit)) {
    const error = Cause.findErrorOption(exit.cause)
    if (error._tag === "Some") count(error.value.code)
    else if (Cause.hasInterruptsOnly(exit.cause)) count("interrupted")
    else complain(`died: ${Cause.pretty(exit.cause).slice(0, 300)}`)
    return
  }
  const token = readToken(Redacted.value(exit.value.accessToken))
  const isRight = token.app === appOf(asked.slot) && token.tenant === asked.tenant && token.scope === asked.scope
  if (!isRight) complain("a token of another app, tenant or scope")
  if (asked.claims !== "" && token.claims !== asked.claims) complain("a token for other claims")
  // A collection, or another process, may come between the look at the clock and here.
  if (token.expiresOn <= now() - speed * (20 + late.sum() - lateBefore)) complain("an expired token")
}

const kept = Array.from({ length: 300 }, () => {
  const asked = { slot: 0, tenant: tenantOf(), scope: scopeOf(), claims: "" }
  return { asked, effect: ConfidentialClient.acquireToken({ tenantId: asked.tenant, scopes: asked.scope }) }
})

const watched = <A>(
  effect: Effect.Effect<A, EntraError.AcquireTokenError>
): Effect.Effect<Exit.Exit<A, EntraError.AcquireTokenError>> =>
  Effect.suspend(() => {
    const begun = now()
    const lateBefore = late.sum()
    return Effect.map(Effect.exit(effect), (exit) => {
      if (tooLong(begun, lateBefore)) complain(`a caller waited for ${Math.round((now() - begun) / 10_000)}0 s`)
      return exit
    })
  })

const one = Effect.suspend((): Effect.Effect<void> => {
  const slot = pick(3)
  const { client } = slotOf(slot)
  const asked = { slot, tenant: tenantOf(), scope: scopeOf(), claims: "" }
  const request: TokenRequest.TokenRequest = { tenantId: asked.tenant, scopes: asked.scope }
  const lateBefore = late.sum()
  const ask = (asked: Asked, more: Partial<TokenRequest.TokenRequest> = {}) =>
    Effect.map(watched(client.acquireToken({ ...request, ...more })), (exit) => judge(asked, exit, lateBefore))
  const luck = Math.random()
  if (luck < 0.004) return ask(asked, { forceRefresh: true })
  if (luck < 0.007) return ask({ ...asked, claims: challenge }, { claims: challenge })
  if (luck < 0.012) {
    const found = client.peek(request)
    if (found === undefined) return Effect.void
    const accessTokenSha256ToRefresh = createHash("sha256").update(Redacted.value(found.accessToken)).digest("hex")
    return ask(asked, { accessTokenSha256ToRefresh })
  }
  if (luck < 0.022) {
    return Effect.flatMap(
      Effect.forkChild(watched(client.acquireToken(request))),
      (fiber) => Effect.andThen(Effect.sleep(pick(500)), Fiber.interrupt(fiber))
    )
  }
  if (luck < 0.024) return Effect.orDie(client.invalidate(request))
  if (luck < 0.025) return Effect.orDie(client.invalidate({ tenantId: asked.tenant }))
  if (luck < 0.02502) return Effect.orDie(client.invalidate("all"))
  if (luck < 0.1) return ask(asked, { minimumValidity: "10 minutes" })
  if (luck < 0.4) {
    const known = kept[pick(kept.length)]
    if (known === undefined) return Effect.void
    return Effect.map(
      watched(Effect.provideService(known.effect, ConfidentialClient.ConfidentialClient, client)),
      (exit) => judge({ ...known.asked, slot }, exit, lateBefore)
    )
  }
  return ask(asked)
})

const run = { stopped: false }
let operations = 0

const caller = Effect.gen(function*() {
  while (!run.stopped) {
    yield* one
    operations++
    // Hits take no time: now and then timers have to have their turn, and a caller of a service is not alone.
    if (Math.random() < 0.1) yield* Effect.sleep(pick(2000))
    else yield* Effect.yieldNow
  }
})

// -----------------------------------------------------------------------------
// The run
// -----------------------------------------------------------------------------

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
hurry()
const begun = performance.now()
const passed = (): number => (performance.now() - begun) / 1000
const callers = Array.from({ length: Number(values.callers) }, () => Effect.runForkWith(context)(caller))

const samples: Array<{ readonly at: number; readonly bytes: number }> = []
const report = async (): Promise<void> => {
  const { bytes, entries, evictions, flights, hitRate } = await runtime.runPromise(slotOf(0).client.stats)
  console.log(
    `${passed().toFixed(0)} s (${(passed() * speed / 3600).toFixed(1)} h): ${operations} operations, `
      + `${provider.requests} requests, ${provider.faults} faults, ${entries} entries (${bytes} bytes), `
      + `${evictions} evictions, ${flights} flights, hit rate ${hitRate.toFixed(3)}, `
      + `heap ${((samples.at(-1)?.bytes ?? 0) / 1048576).toFixed(1)} MiB, late ${late.sum().toFixed(0)} ms`
  )
}

let tick = 0
let reported = 0
// A full collection stops everything, so it comes seldom.
const interval = Math.max(0.4, Math.min(5, seconds / 40))
let sampled = 0
while (passed() < seconds) {
  await pause(100)
  tick++
  for (const [slot, { client }] of slots.entries()) {
    const { entries } = await runtime.runPromise(client.stats)
    if (entries > maxEntries) complain(`${entries} entries, seen by client ${slot}`)
  }
  // Every 20 s the service is out of order for half a second, which is five minutes of the clock.
  provider.outage = tick % 200 < 5 && tick > 10
  if (tick % 7 === 0) {
    const slot = pick(3)
    const { scope } = slotOf(slot)
    slots[slot] = await build(slot)
    await runtime.runPromise(Scope.close(scope, Exit.void))
    count("clients closed")
  }
  if (passed() - sampled >= interval) {
    sampled = passed()
    samples.push({ at: passed() * 1000, bytes: settledHeap() })
  }
  if (passed() - reported >= Math.min(10, seconds / 4)) {
    reported = passed()
    await report()
  }
}

// All is well again: everybody comes to an end, and everybody gets a token.
run.stopped = true
provider.outage = false
provider.healed = true
const limit = Promise.withResolvers<undefined>()
const timer = setTimeout(() => limit.resolve(undefined), 20_000)
const ended = await Promise.race([runtime.runPromise(Effect.forEach(callers, Fiber.await)), limit.promise])
clearTimeout(timer)
if (ended === undefined) complain("callers are stuck")
else {
  for (const exit of ended) {
    if (Exit.isFailure(exit)) complain(`a caller died: ${Cause.pretty(exit.cause).slice(0, 300)}`)
  }
}
// Longer than any gate or circuit holds after the faults above.
await pause(180_000 / speed + 100)
// At the true speed a delay of this process is no timeout, so nobody has a reason to fail.
calm()
const atEnd = async (slot: number, tenant: number, forceRefresh: boolean): Promise<void> => {
  const asked = { slot, tenant: `tenant-${tenant}.example`, scope: scopes[0] ?? "", claims: "" }
  const acquire = slotOf(slot).client.acquireToken({ tenantId: asked.tenant, scopes: asked.scope, forceRefresh })
  const lateBefore = late.sum()
  const exit = await runtime.runPromiseExit(acquire)
  judge(asked, exit, lateBefore)
  if (Exit.isFailure(exit)) complain(`at the end a client gets no token: ${Cause.pretty(exit.cause).slice(0, 200)}`)
}
for (const [slot, { client }] of slots.entries()) {
  // A half-open circuit admits one request and refuses the others, so the one that closes it comes first.
  await atEnd(slot, 0, true)
  await Promise.all(Array.from({ length: 50 }, (_, tenant) => atEnd(slot, tenant, false)))
  const flights = async (): Promise<number> => (await runtime.runPromise(client.stats)).flights
  // The last of them renew in the background.
  for (let wait = 0; wait < 50 && await flights() > 0; wait++) await pause(100)
  if (await flights() > 0) complain(`${await flights()} flights never ended`)
}
for (const { scope } of slots) await runtime.runPromise(Scope.close(scope, Exit.void))
if (provider.open > 0) complain(`${provider.open} requests never ended`)
await runtime.dispose()
late.stop()

const { after, before, isGrowing, slope } = growthOf(samples)
const mebibytes = (bytes: number): string => `${(bytes / 1048576).toFixed(2)} MiB`
if (isGrowing) complain(`memory grows from ${mebibytes(before)} to ${mebibytes(after)}`)
console.log(
  `memory after full collections (${samples.length}): second quarter ${mebibytes(before)}, last quarter ${
    mebibytes(after)
  }, `
    + `line of best fit ${mebibytes(slope)} an hour`
)
console.log(`ended with: ${[...tally].sort().map(([what, times]) => `${what} ${times}`).join(", ")}`)
for (const [problem, times] of problems) console.log(`PROBLEM (${times} times): ${problem}`)
console.log(
  `soak of ${seconds} s at ${speed} times the speed (${
    (passed() * speed / 3600).toFixed(0)
  } h): ${operations} operations, `
    + `${provider.requests} requests, ${provider.faults} faults, ${
      problems.size === 0 ? "no problem" : `${problems.size} problems`
    }`
)
process.exitCode = problems.size === 0 ? 0 : 1
