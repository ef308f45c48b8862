/**
 * A token cache that is kept in files of a directory, or in any `KeyValueStore` of Effect, so that a program that
 * starts again sends no token request. The values are encrypted before they reach the store.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { Clock, Console, Duration, Effect, FileSystem, Layer, Path, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  type TokenStore
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { KeyValueStore } from "effect/persistence"
import { randomBytes } from "node:crypto"

type Store = TokenStore.TokenStore["Service"]

// -----------------------------------------------------------------------------
// values with their time of expiry
// -----------------------------------------------------------------------------

/** Returns bytes that start with the time at which they expire. */
const stamped = (bytes: Uint8Array, ttl: Duration.Duration) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const stamped = new Uint8Array(8 + bytes.length)
    new DataView(stamped.buffer).setFloat64(0, now + Duration.toMillis(ttl))
    stamped.set(bytes, 8)
    return stamped
  })

/** Returns the bytes after the time, or undefined when the time has passed. */
const unstamped = (stamped: Uint8Array | undefined) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    if (stamped === undefined || stamped.length < 8) return undefined
    const left = new DataView(stamped.buffer, stamped.byteOffset).getFloat64(0) - now
    return left > 0 ? { bytes: stamped.subarray(8), ttl: Duration.millis(left) } : undefined
  })

// -----------------------------------------------------------------------------
// the stores
// -----------------------------------------------------------------------------

/**
 * One file per name. A file is written under another name and then renamed, so that no process reads an incomplete
 * file.
 */
const inFiles = Effect.fnUntraced(function*(directory: string) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* files.makeDirectory(directory, { recursive: true, mode: 0o700 })
  let writes = 0
  const store: Store = {
    get: (name) =>
      files.readFile(path.join(directory, name)).pipe(
        Effect.catchIf(({ reason }) => reason._tag === "NotFound", () => Effect.undefined),
        Effect.flatMap(unstamped)
      ),
    set: (name, bytes, ttl) =>
      Effect.gen(function*() {
        const beside = path.join(directory, `${name}.${process.pid}.${++writes}.tmp`)
        yield* files.writeFile(beside, yield* stamped(bytes, ttl), { mode: 0o600 })
        yield* files.rename(beside, path.join(directory, name))
      }),
    remove: (name) => files.remove(path.join(directory, name), { force: true })
  }
  return store
})

/** A store over a `KeyValueStore`: `KeyValueStore.layerSql()` keeps tokens in a table, `layerFileSystem` in files. */
const inKeyValueStore = Effect.map(KeyValueStore.KeyValueStore, (values): Store => ({
  get: (name) => Effect.flatMap(values.getUint8Array(name), unstamped),
  set: (name, bytes, ttl) => Effect.flatMap(stamped(bytes, ttl), (value) => values.set(name, value)),
  remove: (name) => values.remove(name)
}))

// -----------------------------------------------------------------------------
// a program that runs twice
// -----------------------------------------------------------------------------

// A real program reads the key with Config.Redacted: with a new key at each start it would find no token.
const keys = [Redacted.make(randomBytes(32).toString("base64"))]

const acquire = ConfidentialClient.acquireToken({ scopes: "api://orders/.default" }).pipe(
  Effect.map(({ metadata }) => `${metadata.tokenSource}, cacheLevel ${metadata.cacheLevel}`)
)

/** Runs the program twice, each time with a new client and an empty memory. */
const runTwice = <E, R>(title: string, store: Effect.Effect<Store, E, R>) =>
  Effect.gen(function*() {
    const simulator = yield* EntraSimulator.EntraSimulator
    yield* simulator.reset
    const Client = ConfidentialClient.layer({
      clientId: EntraSimulator.daemonClientId,
      tenantId: EntraSimulator.contosoTenantId
    }).pipe(Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerTiered({ store, keys })
    ]))
    for (const run of ["first", "second"]) {
      const from = yield* Effect.provide(acquire, Layer.fresh(Client))
      const { tokenRequests } = yield* simulator.counters
      yield* Console.log(`${title}, ${run} run: ${from}; token requests so far: ${tokenRequests}`)
    }
  })

const program = Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  const path = yield* Path.Path
  yield* runTwice("files", inFiles(path.join(directory, "tokens")))
  yield* runTwice("a KeyValueStore", inKeyValueStore).pipe(
    Effect.provide(KeyValueStore.layerFileSystem(path.join(directory, "values")))
  )
})

await Effect.runPromise(
  Effect.scoped(program).pipe(
    Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer, NodePath.layer])
  )
)
