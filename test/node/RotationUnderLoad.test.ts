/**
 * Rotation as an operator does it, while a daemon is at work: the new material is registered, put where the daemon finds it,
 * and the old one is removed from the app at once. Live, over sockets: Entra and Key Vault listen on this machine.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Redacted, Schedule, type Scope } from "effect"
import {
  AuthorityResolver,
  AzureCredential,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeClientCredential, SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import type { FileSystem } from "effect/FileSystem"
import * as jose from "jose"
import { createHash, randomUUID, X509Certificate } from "node:crypto"
import { mkdtempSync, readlinkSync } from "node:fs"
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { record, silent } from "../support/log.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { secretClient } from "./vault/client.ts"
import * as Vault from "./vault/server.ts"

beforeAll(ensureOpenssl, 120_000)

const clientId = EntraSimulator.daemonClientId
const readerId = "5d1f0c7a-93be-4a26-8c44-1e7b20d9f3a8"
const readerSecret = Redacted.make("the~secret~of~the~vault's~reader")

/** Between swap and answer many requests are under way. */
const latency = 150

// -----------------------------------------------------------------------------
// where the daemon signs in
// -----------------------------------------------------------------------------

const tenants: ReadonlyArray<EntraSimulator.Tenant> = [
  ...EntraSimulator.defaultOptions.tenants,
  ...["north", "south", "east", "west"].map((name, index) => ({
    id: `0000000${index}-aaaa-4bbb-8ccc-dddddddddddd`,
    domain: `${name}.onmicrosoft.com`
  }))
]

const { contosoTenantId } = EntraSimulator
const tokenLifetime = "1 second"

const World = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer).pipe(
  Layer.provideMerge(SimulatorServer.layerHttpClient),
  Layer.provideMerge(Layer.merge(
    SimulatorServer.layerHttps({
      tenants,
      apps: [{ clientId }, { clientId: readerId, secrets: [readerSecret], tenants: [contosoTenantId] }],
      resources: [...EntraSimulator.defaultOptions.resources, Vault.resource],
      tokenLifetime
    }),
    NodeFileSystem.layer
  ))
)

type Services = Layer.Success<typeof World> | Scope.Scope

// -----------------------------------------------------------------------------
// what is rotated
// -----------------------------------------------------------------------------

type Credential = ClientCredential.ClientCredential["Service"]
type Simulator = EntraSimulator.EntraSimulator["Service"]

/** One kind of material: how the app trusts it, and how a request that was made with it is known. */
interface Kind<A> {
  readonly make: Effect.Effect<A>
  readonly trust: (simulator: Simulator, material: A) => Effect.Effect<void>
  readonly distrust: (simulator: Simulator, material: A) => Effect.Effect<void>
  readonly mark: (material: A) => string
  readonly markOf: (request: EntraSimulator.RecordedRequest) => string
  /** A credential that has this, and no other. */
  readonly only: (material: A) => Effect.Effect<Credential, EntraError.CredentialError>
  /** How the service refuses what it no longer knows. */
  readonly refusal: number
}

const certificates = (algorithm: "EC" | "RSA"): Kind<TestCertificate.TestCertificate> => ({
  make: TestCertificate.make({ algorithm }),
  trust: (simulator, { certificate }) => simulator.addCertificate(clientId, certificate),
  distrust: (simulator, { certificate }) => simulator.removeCertificate(clientId, certificate),
  mark: ({ certificate }) => createHash("sha256").update(new X509Certificate(certificate).raw).digest("base64url"),
  markOf: ({ form }) => {
    const { "x5t#S256": thumbprint } = jose.decodeProtectedHeader(form["client_assertion"] ?? "")
    return typeof thumbprint === "string" ? thumbprint : ""
  },
  only: ClientCredential.certificate,
  refusal: 700027
})

const secrets: Kind<Redacted.Redacted> = {
  make: Effect.sync(() => Redacted.make(randomUUID())),
  trust: (simulator, secret) => simulator.addSecret(clientId, secret),
  distrust: (simulator, secret) => simulator.removeSecret(clientId, secret),
  mark: Redacted.value,
  markOf: ({ form }) => form["client_secret"] ?? "",
  only: ClientCredential.secret,
  refusal: 7000215
}

// -----------------------------------------------------------------------------
// where it is kept
// -----------------------------------------------------------------------------

/** Where the daemon finds its material. */
interface Place<A> {
  readonly put: (material: A) => Effect.Effect<void>
  readonly load: Effect.Effect<Credential, EntraError.CredentialError, FileSystem>
}

/** A mounted secret of Kubernetes: `mount/name -> ..data/name`, `mount/..data -> ..ts1`. */
const mounted = (name: string) =>
  Effect.gen(function*() {
    const mount = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-entra-mount-"))),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
    let generation = 0
    /** As the kubelet does it: a new folder, a new link, one rename, and the old folder goes. */
    const swap = async (content: string) => {
      const old = generation === 0 ? undefined : readlinkSync(join(mount, "..data"))
      const next = `..ts${++generation}`
      await mkdir(join(mount, next))
      await writeFile(join(mount, next, name), content)
      await symlink(next, join(mount, "..data_tmp"))
      await rename(join(mount, "..data_tmp"), join(mount, "..data"))
      if (old === undefined) await symlink(join("..data", name), join(mount, name))
      else await rm(join(mount, old), { recursive: true })
    }
    return { path: join(mount, name), swap: (content: string) => Effect.promise(() => swap(content)) }
  })

/** Nothing is read again by the clock: only a refusal shows that there is something new. */
const onlyWhenRefused = { reloadEvery: Duration.infinity }

// -----------------------------------------------------------------------------
// the load
// -----------------------------------------------------------------------------

interface Outcome {
  readonly correlationId: string
  readonly isFetched: boolean
}

const rotations = 3

/** How many acquisitions must have been made with new material before it is replaced in its turn. */
const enough = 40

/** Waits for an event, with a bound. */
const until = (what: string, condition: Effect.Effect<boolean>): Effect.Effect<void> =>
  condition.pipe(
    Effect.flatMap((isSo) => isSo ? Effect.void : Effect.fail("not yet")),
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.timeoutOrElse({
      duration: "15 seconds",
      orElse: () => Effect.die(new Error(`after 15 seconds still waiting: ${what}`))
    }),
    Effect.orDie
  )

const rotatedUnderLoad = <A extends object>(
  kind: Kind<A>,
  open: Effect.Effect<Place<A>, EntraError.CredentialError, Services>
) => {
  const recorded = record()
  return Effect.gen(function*() {
    const simulator = yield* EntraSimulator.EntraSimulator
    const { origin } = yield* SimulatorServer.SimulatorServer
    const materials: ReadonlyArray<A> = yield* Effect.all(Array.from({ length: rotations + 1 }, () => kind.make))
    const [first, ...others] = materials
    if (first === undefined) return yield* Effect.die("no material")

    const place = yield* open
    yield* kind.trust(simulator, first)
    yield* place.put(first)
    const makeClient = (credential: Credential) =>
      ConfidentialClient.make({ clientId, tenantId: contosoTenantId, authority: origin, credential }).pipe(
        Effect.provide(TokenCache.layerMemory())
      )
    const client = yield* makeClient(yield* place.load)
    yield* simulator.fail(EntraSimulator.Fault.delay(`${latency} millis`), { times: Infinity })

    const outcomes: Array<Outcome> = []
    const failures: Array<unknown> = []
    let begun = 0
    const acquire = (cachePartition?: string) =>
      Effect.suspend(() => {
        const number = begun++
        return Effect.match(
          client.acquireToken({
            // 36 tokens, so that at any time some of them are on their way.
            tenantId: tenants[number % 6]?.id,
            scopes: Math.floor(number / 6) % 2 === 0 ? "https://graph.microsoft.com/.default" : "api://orders/.default",
            cachePartition: cachePartition ?? `${Math.floor(number / 12) % 3}`
          }),
          {
            onSuccess: ({ correlationId, metadata }) =>
              outcomes.push({ correlationId, isFetched: metadata.tokenSource === "IdentityProvider" }),
            onFailure: (error) => failures.push(error)
          }
        )
      })

    /** By what each acquisition that reached the service was accepted: by the last of its requests. */
    const accepted = Effect.map(simulator.requests, (requests) => {
      const last = new Map(
        requests.filter(({ form }) => form["client_id"] === clientId)
          .map((request) => [request.headers["client-request-id"], kind.markOf(request)])
      )
      return outcomes.filter(({ isFetched }) => isFetched).map(({ correlationId }) => last.get(correlationId))
    })
    const isInUse = (material: A) =>
      Effect.map(accepted, (marks) => {
        assert.deepStrictEqual(failures, [])
        return marks.filter((mark) => mark === kind.mark(material)).length >= enough
      })
    const refusals = Effect.map(simulator.counters, (counters) => counters.refusals[`${kind.refusal}`] ?? 0)

    /** 50 a second, however late this machine is. */
    const clock = yield* Clock.Clock
    const started = clock.currentTimeMillisUnsafe()
    const due = () => Math.floor((clock.currentTimeMillisUnsafe() - started) / 20)
    let loaded = 0
    const load = yield* Effect.suspend(() => {
      const missing = Math.max(0, due() - loaded)
      loaded += missing
      return Effect.forEach(Array.from({ length: missing }), () => Effect.forkScoped(acquire()), { discard: true })
    }).pipe(Effect.repeat(Schedule.spaced("5 millis")), Effect.forkScoped)
    yield* until("the first is accepted", isInUse(first))

    let current = first
    for (const next of others) {
      yield* kind.trust(simulator, next)
      // Many tenants at once, each with a request that the service has received and not yet looked at.
      const before = (yield* simulator.counters).tokenRequests
      const refusedBefore = yield* refusals
      const partition = randomUUID()
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => `${partition}${index}`),
        (name) => Effect.forkScoped(acquire(name)),
        { discard: true }
      )
      yield* until(
        "many are under way",
        Effect.map(simulator.counters, ({ tokenRequests }) => tokenRequests >= before + 20)
      )
      yield* place.put(next)
      yield* kind.distrust(simulator, current)

      const late = yield* makeClient(yield* kind.only(current))
      const error = yield* Effect.flip(late.acquireToken({ scopes: "api://orders/.default" }))
      assert.strictEqual(error._tag, "EntraInvalidClientError")
      assert.include(error.message, `${kind.refusal}`, "the old one is removed")
      yield* until("the new one is accepted", isInUse(next))
      assert.isAtLeast((yield* refusals) - refusedBefore, 2, "somebody else than the latecomer was refused")
      current = next
    }

    const seconds = (clock.currentTimeMillisUnsafe() - started) / 1000
    yield* Fiber.interrupt(load)
    assert.isAtLeast(loaded, Math.floor(50 * seconds) - 50, "50 a second")
    yield* until("all have ended", Effect.sync(() => outcomes.length + failures.length === begun))
    assert.deepStrictEqual(failures, [])
    const { tokenRequests } = yield* simulator.counters
    assert.isBelow(tokenRequests, 1000, "the simulator remembers no more")
    const marks = yield* accepted
    for (const material of materials) {
      assert.isAtLeast(marks.filter((mark) => mark === kind.mark(material)).length, enough)
    }
    // On a slow machine one may be under way during several rotations: each refuses it once, and no more.
    const attempts = new Map<string | undefined, number>()
    for (const { headers } of yield* simulator.requests) {
      attempts.set(headers["client-request-id"], (attempts.get(headers["client-request-id"]) ?? 0) + 1)
    }
    assert.isAtMost(Math.max(...attempts.values()), 1 + rotations)
    const reloaded = recorded.entries.filter(({ text }) => text === "credential reloaded")
    assert.strictEqual(reloaded.length, rotations)
  }).pipe(Effect.provide(recorded.layer))
}

const run = <A, E>(test: Effect.Effect<A, E, Services>) =>
  test.pipe(Effect.scoped, Effect.provide(World), Effect.provide(silent))

describe("rotated three times under 50 acquisitions a second, the old material removed at once: none fails", () => {
  const pem = ({ certificate, privateKey }: TestCertificate.TestCertificate) => certificate + Redacted.value(privateKey)

  it.live("a certificate in a file, by symlink", () =>
    run(rotatedUnderLoad(
      certificates("EC"),
      Effect.map(mounted("tls.pem"), ({ path, swap }) => ({
        put: (material) => swap(pem(material)),
        load: NodeClientCredential.certificateFile({ path }, onlyWhenRefused)
      }))
    )), 60_000)

  it.live("a secret in a file, by symlink", () =>
    run(rotatedUnderLoad(
      secrets,
      Effect.map(mounted("client-secret"), ({ path, swap }) => ({
        put: (secret) => swap(`${Redacted.value(secret)}\n`),
        load: NodeClientCredential.secretFile({ path }, onlyWhenRefused)
      }))
    )), 60_000)

  it.live("a secret that an effect gets", () =>
    run(rotatedUnderLoad(
      secrets,
      Effect.sync(() => {
        let kept = Redacted.make("")
        return {
          put: (secret) =>
            Effect.sync(() => {
              kept = secret
            }),
          // A store that takes its time.
          load: ClientCredential.secret(Effect.delay(Effect.sync(() => kept), "50 millis"))
        }
      })
    )), 60_000)

  it.live("a certificate in Key Vault", () =>
    run(Effect.gen(function*() {
      const { origin } = yield* SimulatorServer.SimulatorServer
      const vault = yield* Vault.make({ tenant: contosoTenantId, readers: [readerId], latency: 100 }).pipe(Effect.orDie)
      const reader = yield* ConfidentialClient.make({
        clientId: readerId,
        tenantId: contosoTenantId,
        authority: origin,
        credential: yield* ClientCredential.secret(readerSecret)
      }).pipe(Effect.provide(TokenCache.layerMemory()))
      const kept = secretClient(
        vault,
        yield* Effect.provideService(AzureCredential.make, ConfidentialClient.ConfidentialClient, reader)
      )
      // Only the daemon's tokens are short-lived: the reader's would expire on its way to the vault.
      const { setTokenLifetime } = yield* EntraSimulator.EntraSimulator
      yield* setTokenLifetime("1 hour")
      // The SDK of the vault asks for a token that can be revoked.
      yield* reader.acquireToken({ scopes: "https://vault.azure.net/.default", clientCapabilities: ["cp1"] })
      yield* setTokenLifetime(tokenLifetime)
      const made = new Map<TestCertificate.TestCertificate, string>()
      yield* rotatedUnderLoad(
        {
          ...certificates("RSA"),
          // Made before the load begins: openssl takes its time.
          make: Effect.tap(TestCertificate.make(), (material) =>
            Effect.map(Vault.pkcs12(material), (content) => made.set(material, content)))
        },
        Effect.succeed({
          put: (material) =>
            vault.put("daemon", made.get(material) ?? ""),
          load: NodeClientCredential.certificate(
            Effect.map(
              Effect.tryPromise((abortSignal) => kept.getSecret("daemon", { abortSignal })),
              ({ value = "" }) => ({ content: Redacted.make(value) })
            )
          )
        })
      )
      const readers = (yield* (yield* EntraSimulator.EntraSimulator).requests)
        .filter(({ form }) => form["client_id"] === readerId)
      assert.strictEqual(readers.length, 1, "the reader has its one token")
      const served = vault.reads.filter(({ status }) => status === 200)
      assert.isAtLeast(served.length, rotations + 1)
      // One that brought the new one, and those that were asked for by who was refused while it was under way.
      assert.isAtMost(served.length, 1 + 2 * rotations)
    })), 60_000)
})
