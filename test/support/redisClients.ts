/** Both Redis clients, connected to a topology of `redis.ts` for as long as the scope is open. */
import { Effect, type Scope } from "effect"
import { Cluster as IoCluster, Redis as IoRedis } from "ioredis"
import { createClient, createCluster, createSentinel } from "redis"
import type { Cluster, Sentinel } from "./redis.ts"

/** What the tests need of a client. */
export interface Client {
  readonly get: (key: string) => Promise<string | null>
  readonly set: (key: string, value: string) => Promise<unknown>
}

interface Server {
  readonly url: string
  readonly authority?: string | undefined
}

const ignore = () => undefined

/** Connection errors are events of both clients, which end the process if nobody listens. */
const quiet = <A extends { on(event: "error", listener: () => void): unknown }>(client: A): A => {
  client.on("error", ignore)
  return client
}

const connected = <A extends Client & { readonly connect: () => Promise<unknown> }>(
  create: () => A,
  close: (client: A) => unknown
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(create),
    // A client that has closed itself throws.
    (client) => Effect.ignore(Effect.try(() => close(client)))
  ).pipe(Effect.tap((client) => Effect.promise(() => client.connect())))

const nodeRedis = <A extends Client & { readonly connect: () => Promise<unknown>; readonly destroy: () => unknown }>(
  create: () => A
) => connected(create, (client) => client.destroy())

const ioRedis = <A extends Client & { readonly connect: () => Promise<unknown>; readonly disconnect: () => unknown }>(
  create: () => A
) => connected(create, (client) => client.disconnect())

export const clients = {
  "node-redis": {
    standalone: ({ authority, url }: Server) =>
      nodeRedis(() =>
        quiet(createClient({
          url,
          ...(authority === undefined ? {} : { socket: { tls: true as const, ca: authority } })
        }))
      ),
    cluster: ({ urls }: Cluster) => nodeRedis(() => quiet(createCluster({ rootNodes: urls.map((url) => ({ url })) }))),
    sentinel: ({ addresses, name }: Sentinel) =>
      nodeRedis(() => quiet(createSentinel({ name, sentinelRootNodes: [...addresses] })))
  },
  ioredis: {
    standalone: ({ authority, url }: Server) =>
      ioRedis(() =>
        quiet(
          new IoRedis(url, {
            lazyConnect: true,
            ...(authority === undefined ? {} : { tls: { ca: authority } })
          })
        )
      ),
    cluster: ({ urls }: Cluster) => ioRedis(() => quiet(new IoCluster([...urls], { lazyConnect: true }))),
    sentinel: ({ addresses, name }: Sentinel) =>
      ioRedis(() => quiet(new IoRedis({ sentinels: [...addresses], name, lazyConnect: true })))
  }
}

export const clientNames = ["node-redis", "ioredis"] as const
