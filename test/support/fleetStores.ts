/** Stores over Redis clients, for tests of a fleet. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { Redis as IoRedis } from "ioredis"
import { randomUUID } from "node:crypto"
import { make } from "../../src/internal/fleet/redisStore.ts"

/** Creates a store over `NodeRedis.layer`. */
export const makeStore = (url: string, prefix?: string) =>
  Effect.map(
    Effect.flatMap(
      Layer.build(Layer.fresh(NodeRedis.layer({ url }))),
      (context) => Effect.provide(Redis.Redis, context)
    ),
    ({ send }) => make(send, { newId: randomUUID, prefix })
  )

/** `NodeRedis.layer`, whose close does not wait for commands that nobody answers. */
export const layerNodeRedis = (url: string) =>
  Layer.effectDiscard(
    Effect.acquireRelease(NodeRedis.NodeRedis, ({ client }) => Effect.ignore(Effect.try(() => client.destroy())))
  ).pipe(Layer.provideMerge(NodeRedis.layer({ url })))

/** Provides the `Redis` service over ioredis, as a program would: nothing is sent again, and nothing waits for a connection. */
export const layerIoRedis = (url: string): Layer.Layer<Redis.Redis> =>
  Layer.effect(
    Redis.Redis,
    Effect.gen(function*() {
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const client = new IoRedis(url, {
            lazyConnect: true,
            autoResendUnfulfilledCommands: false,
            enableOfflineQueue: false,
            maxRetriesPerRequest: 0,
            retryStrategy: () => 100
          })
          client.on("error", () => undefined)
          return client
        }),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* Effect.promise(() => client.connect())
      const unused = new Redis.RedisError({ cause: new Error("not supported") })
      return yield* Redis.make({
        send: <A>(command: string, ...args: ReadonlyArray<string>) =>
          Effect.tryPromise({
            // eslint-disable-next-line @typescript-eslint/consistent-type-assertions
            try: () => client.call(command, ...args) as Promise<A>,
            catch: (cause) => new Redis.RedisError({ cause })
          }),
        subscribe: () => Effect.fail(unused),
        connect: Effect.fail(unused)
      })
    })
  )
