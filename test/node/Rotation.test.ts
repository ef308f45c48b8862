/** Material in files that is replaced while the program runs, the way a Kubernetes volume does it: by a symlink. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import {
  AuthorityResolver,
  type ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, TestCertificate, TestIssuer } from "effect-entra/testing"
import type { FileSystem } from "effect/FileSystem"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { pieces } from "../../src/node/internal/certificates/certificateSource.ts"
import { revisionOf } from "../support/credentials.ts"
import { record, silent } from "../support/log.ts"
import { contoso, graph } from "../support/world.ts"
import { make as makeMaterial } from "./material.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-rotation-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const clientId = EntraSimulator.daemonClientId

type Files = Readonly<Record<string, string>>

/** A mounted secret: `tls.crt -> ..data/tls.crt`, `..data -> ..ts1`. */
const volume = (name: string, files: Files) => {
  const root = join(folder, name)
  let generation = 0
  /** As the kubelet does it: a new folder, a new link, one rename, and the old folder goes. */
  const swap = (files: Files) => {
    const old = generation === 0 ? undefined : readlinkSync(join(root, "..data"))
    const next = `..ts${++generation}`
    mkdirSync(join(root, next), { recursive: true })
    for (const [name, content] of Object.entries(files)) writeFileSync(join(root, next, name), content)
    symlinkSync(next, join(root, "..data_tmp"))
    renameSync(join(root, "..data_tmp"), join(root, "..data"))
    if (old !== undefined) rmSync(join(root, old), { recursive: true })
  }
  swap(files)
  for (const name of Object.keys(files)) symlinkSync(join("..data", name), join(root, name))
  return { path: (name: string) => join(root, name), swap }
}

const World = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
  Layer.provideMerge(Layer.merge(EntraSimulator.layerMemory(), NodeFileSystem.layer))
)

type Credential = ClientCredential.ClientCredential["Service"]

/** One kind of material: how it looks in files, and how the app trusts it and ceases to. */
interface Kind<A> {
  readonly make: Effect.Effect<A>
  readonly files: (material: A) => Files
  readonly load: (path: (name: string) => string) => Effect.Effect<Credential, EntraError.CredentialError, FileSystem>
  readonly trust: (material: A) => Effect.Effect<void, never, EntraSimulator.EntraSimulator>
  readonly distrust: (material: A) => Effect.Effect<void, never, EntraSimulator.EntraSimulator>
}

/**
 * 50 acquisitions a second, each of them a request of its own, while the material is replaced and the old one is no longer
 * trusted the moment after.
 */
const rotatedThrice = <A>(name: string, { distrust, files, load, make, trust }: Kind<A>) =>
  Effect.gen(function*() {
    const simulator = yield* EntraSimulator.EntraSimulator
    let material = yield* make
    yield* trust(material)
    const { path, swap } = volume(name, files(material))
    const credential = yield* load(path)
    const client = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
    let begun = 0
    const acquired: Array<string> = []
    const failed: Array<unknown> = []
    const one = Effect.suspend(() => {
      begun++
      return Effect.match(client.acquireToken({ scopes: graph, forceRefresh: true, cachePartition: `${begun % 10}` }), {
        onSuccess: () => acquired.push(revisionOf(credential)),
        onFailure: (error) => failed.push(error)
      })
    })
    const load50 = yield* Effect.forkScoped(
      Effect.repeat(Effect.forkScoped(one), Schedule.spaced("20 millis"))
    )
    const someMore = (count: number) => {
      const until = acquired.length + failed.length + count
      return Effect.suspend(() => acquired.length + failed.length < until ? Effect.fail("not yet") : Effect.void).pipe(
        Effect.retry(Schedule.spaced("5 millis")),
        Effect.timeout("20 seconds")
      )
    }
    yield* someMore(5)
    for (let rotation = 0; rotation < 3; rotation++) {
      const next = yield* make
      yield* trust(next)
      swap(files(next))
      yield* distrust(material)
      material = next
      yield* someMore(20)
    }
    yield* Fiber.interrupt(load50)
    assert.deepStrictEqual(failed, [])
    assert.strictEqual(new Set(acquired.slice(-5)).size, 1)
    assert.isAtLeast(new Set(acquired).size, 4)
    return yield* simulator.requests
  }).pipe(Effect.scoped, Effect.provide([World, silent]))

const use = <A>(f: (simulator: EntraSimulator.EntraSimulator["Service"]) => Effect.Effect<A>) =>
  EntraSimulator.EntraSimulator.use(f)

const certificates = (
  files: Kind<TestCertificate.TestCertificate>["files"],
  load: Kind<TestCertificate.TestCertificate>["load"]
): Kind<TestCertificate.TestCertificate> => ({
  make: TestCertificate.make({ algorithm: "EC" }),
  files,
  load,
  trust: ({ certificate }) => use((simulator) => simulator.addCertificate(clientId, certificate)),
  distrust: ({ certificate }) => use((simulator) => simulator.removeCertificate(clientId, certificate))
})

describe("rotated three times under load, the old material refused at once: not one acquisition fails", () => {
  it.live("a certificate with its key", () =>
    rotatedThrice(
      "one",
      certificates(
        ({ certificate, privateKey }) => ({ "daemon.pem": certificate + Redacted.value(privateKey) }),
        (path) => NodeClientCredential.certificateFile({ path: path("daemon.pem") })
      )
    ))

  it.live("a certificate and its key in two files", () =>
    rotatedThrice(
      "two",
      certificates(
        ({ certificate, privateKey }) => ({ "tls.crt": certificate, "tls.key": Redacted.value(privateKey) }),
        (path) => NodeClientCredential.certificateFile({ path: path("tls.crt"), keyPath: path("tls.key") })
      )
    ))

  it.live("a certificate that an effect gets out of a vault", () => {
    let kept = ""
    const vault = Effect.sync(() => ({ content: Redacted.make(kept) }))
    return rotatedThrice(
      "vault",
      certificates(
        ({ certificate, privateKey }) => {
          kept = certificate + Redacted.value(privateKey)
          return {}
        },
        () => NodeClientCredential.certificate(vault)
      )
    )
  })

  it.live("a secret", () => {
    let number = 0
    return rotatedThrice<Redacted.Redacted>("secret", {
      make: Effect.sync(() => Redacted.make(`the~secret~${++number}`)),
      files: (secret) => ({ "client-secret": `${Redacted.value(secret)}\n` }),
      load: (path) => NodeClientCredential.secretFile({ path: path("client-secret") }),
      trust: (secret) => use((simulator) => simulator.addSecret(clientId, secret)),
      distrust: (secret) => use((simulator) => simulator.removeSecret(clientId, secret))
    })
  })

  it.live("a platform's token, whose subject changes", () => {
    const issuer = "https://oidc.cluster.example/1/"
    let number = 0
    return Effect.gen(function*() {
      const cluster = yield* TestIssuer.make({ issuer })
      yield* rotatedThrice<{ readonly subject: string; readonly token: string }>("token", {
        make: Effect.suspend(() => {
          const subject = `system:serviceaccount:orders:${++number}`
          return Effect.map(cluster.issue({ subject }), (token) => ({ subject, token: Redacted.value(token) }))
        }),
        files: ({ token }) => ({ token }),
        load: (path) => NodeClientCredential.federatedTokenFile({ path: path("token") }),
        trust: ({ subject }) =>
          use((simulator) =>
            Effect.andThen(
              simulator.trustIssuer(cluster),
              simulator.addFederatedCredential(clientId, { issuer, subject })
            )
          ),
        // Only what is expired or unknown is worth another token; a platform's is read anew for each attempt anyway.
        distrust: () => Effect.void
      })
    })
  })
})

describe("after a refusal that stands, which sends nothing", () => {
  it.live("what was put into the file since is used, and the same as before is not sent again", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const sent = Effect.map(simulator.counters, ({ tokenRequests }) => tokenRequests)
      const { path, swap } = volume("refused", { "client-secret": "not~the~secret" })
      const credential = yield* NodeClientCredential.secretFile({ path: path("client-secret") }, {
        reloadEvery: Duration.infinity
      })
      const { acquireToken } = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
      const acquire = acquireToken({ scopes: graph })
      const refused = yield* Effect.flip(acquire)
      assert.strictEqual(refused._tag, "EntraInvalidClientError")
      for (let call = 0; call < 3; call++) assert.strictEqual((yield* Effect.flip(acquire)).origin, "local")
      assert.strictEqual(yield* sent, 1)
      swap({ "client-secret": Redacted.value(EntraSimulator.daemonSecret) })
      const { metadata } = yield* acquire.pipe(Effect.retry(Schedule.spaced("50 millis")), Effect.timeout("20 seconds"))
      assert.strictEqual(metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(yield* sent, 2)
    }).pipe(Effect.scoped, Effect.provide([World, silent])))
})

describe("while nothing is refused", () => {
  const wait = (condition: () => boolean, act: Effect.Effect<unknown, unknown>) =>
    act.pipe(
      Effect.andThen(Effect.suspend(() => condition() ? Effect.void : Effect.fail("not yet"))),
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeout("20 seconds")
    )

  it.live("a new file is used after reloadEvery, and what is away or half written keeps the old, with one warning", () => {
    const recorded = record()
    return Effect.gen(function*() {
      const [first, second] = [yield* TestCertificate.make(), yield* TestCertificate.make()]
      const content = ({ certificate, privateKey }: TestCertificate.TestCertificate) =>
        certificate + Redacted.value(privateKey)
      const { path, swap } = volume("quiet", { "daemon.pem": content(first) })
      yield* use((simulator) => simulator.addCertificate(clientId, first.certificate))
      yield* use((simulator) => simulator.addCertificate(clientId, second.certificate))
      const credential = yield* NodeClientCredential.certificateFile(
        { path: path("daemon.pem") },
        { reloadEvery: "10 millis" }
      )
      const { acquireToken } = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
      const acquire = acquireToken({ scopes: graph, forceRefresh: true })
      const warnings = () =>
        recorded.entries.map(({ text }) => text).filter((text) => text.includes("could not be reloaded"))
      yield* acquire
      const revision = revisionOf(credential)
      for (const broken of ["", content(second).slice(0, 300), first.certificate, "-----BEGIN"]) {
        swap({ "daemon.pem": broken })
        yield* Effect.sleep("15 millis")
        yield* acquire
        yield* Effect.sleep("15 millis")
        yield* acquire
      }
      assert.strictEqual(revisionOf(credential), revision)
      assert.strictEqual(warnings().length, 1)
      assert.include(warnings()[0], path("daemon.pem"))
      for (const line of (content(first) + content(second)).split("\n")) {
        if (line !== "" && !line.startsWith("-----")) assert.notInclude(warnings().join(), line)
      }
      swap({ "daemon.pem": content(second) })
      yield* wait(() => revisionOf(credential) !== revision, acquire)
      rmSync(path("daemon.pem"))
      yield* Effect.sleep("15 millis")
      yield* wait(() => warnings().length === 2, acquire)
    }).pipe(Effect.scoped, Effect.provide(World), Effect.provide(recorded.layer))
  })

  it.live("a pipe is read once and stays as it was", () =>
    Effect.gen(function*() {
      const { certificate, privateKey } = yield* TestCertificate.make()
      yield* use((simulator) => simulator.addCertificate(clientId, certificate))
      const path = join(folder, "pipe")
      execFileSync("mkfifo", [path])
      const written = writeFile(path, certificate + Redacted.value(privateKey))
      const credential = yield* NodeClientCredential.certificateFile({ path }, { reloadEvery: 0 })
      yield* Effect.promise(() => written)
      const { acquireToken } = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
      const started = performance.now()
      for (let n = 0; n < 3; n++) yield* acquireToken({ scopes: graph, forceRefresh: true })
      assert.isBelow(performance.now() - started, 4000)
    }).pipe(Effect.scoped, Effect.provide([World, silent])))

  it.effect("what has not changed is neither parsed nor tried again; what has expired is", () =>
    Effect.gen(function*() {
      const { key, leaf } = yield* Effect.promise(() => makeMaterial("EC"))
      yield* TestClock.setTime(Date.now())
      const kind = yield* pieces
      const piece = (text: string, secret?: string) => ({
        contents: {
          certificate: { bytes: Buffer.from(text), place: { name: "content" } },
          password: { value: secret === undefined ? undefined : Redacted.make(secret), name: "password" }
        },
        options: { sendCertificateChain: true }
      })
      const first = yield* kind.read([piece(leaf + key.pkcs8)])
      assert.strictEqual(yield* kind.read([piece(leaf + key.pkcs8)]), first)
      assert.strictEqual((yield* kind.read([piece(leaf + key.pkcs8), piece(leaf + key.traditional)])).length, 2)
      const again = yield* kind.read([piece(leaf + key.pkcs8, "another")])
      assert.notStrictEqual(again, first)
      assert.strictEqual(yield* kind.read([piece(leaf + key.pkcs8, "another")]), again)
      yield* TestClock.adjust("400 days")
      const { code } = yield* Effect.flip(kind.read([piece(leaf + key.pkcs8, "another")]))
      assert.strictEqual(code, "certificate_expired")
    }))
})
