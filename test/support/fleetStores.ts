/** Stores over Redis clients, for tests of a fleet. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
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
