/**
 * A process of a fleet. It writes a line for each event, and does what it reads line by line: `acquire`, `due`, `invalidate`,
 * `peek` or `end`. Run by `Processes.test.ts`.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Duration, Effect, Exit, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { createInterface } from "node:readline"

/** What the test asks for. */
export type Command =
  | { readonly do: "acquire"; readonly keys: number; readonly callers: number; readonly prefix: string }
  | { readonly do: "invalidate" }
  | { readonly do: "peek"; readonly key: string }
  | { readonly do: "stats" }
  | { readonly do: "end" }

/** What a process answers. */
export interface Answer {
  readonly failed?: number
  readonly errors?: ReadonlyArray<string>
  readonly slowest?: number
  /** The number of tokens by where they came from. */
  readonly levels?: Readonly<Record<string, number>>
  readonly tokens?: number
  readonly token?: string | undefined
  readonly store?: TokenCache.StoreStats | undefined
}

const [, , origin = "", redis = "", ...roots] = process.argv

// The provider is told the key by the scope, so one URL serves all tenants.
const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({ clientId: "7c9e4d20-51b8-4f3a-b6d7-2a8f0e93c415", tenantId: "contoso.example" }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("a secret")),
      AuthorityResolver.layerStatic({ token: `${origin}/contoso.example/token` }),
      TokenEndpoint.layerWith({ budget: Duration.seconds(60), attemptTimeout: Duration.seconds(30) })
    ]),
    Layer.provideMerge(
      TokenCache.layerTiered({ store: RedisStore.make({ url: redis }), keys: roots.map((root) => Redacted.make(root)) })
    ),
    Layer.provide(NodeHttpClient.layerUndici)
  )
)

const run = (
  command: Command
): Effect.Effect<Answer, never, ConfidentialClient.ConfidentialClient | TokenCache.TokenCache> =>
  Effect.gen(function*() {
    const client = yield* ConfidentialClient.ConfidentialClient
    switch (command.do) {
      case "acquire": {
        const { callers, keys, prefix } = command
        const levels: Record<string, number> = {}
        const errors: Array<string> = []
        const tokens = new Set<string>()
        let slowest = 0
        const one = (key: number) =>
          Effect.gen(function*() {
            const begun = performance.now()
            const exit = yield* Effect.exit(client.acquireToken({ scopes: `api://${prefix}${key}/.default` }))
            slowest = Math.max(slowest, performance.now() - begun)
            if (Exit.isFailure(exit)) return void errors.push(String(exit.cause).slice(0, 500))
            const { accessToken, metadata } = exit.value
            levels[metadata.cacheLevel] = (levels[metadata.cacheLevel] ?? 0) + 1
            tokens.add(Redacted.value(accessToken))
          })
        const all = Array.from({ length: Math.max(callers, keys) }, (_, n) => one(n % keys))
        yield* Effect.all(all, { concurrency: "unbounded", discard: true })
        return { failed: errors.length, errors: errors.slice(0, 3), slowest, levels, tokens: tokens.size }
      }
      case "invalidate":
        yield* Effect.orDie(client.invalidate("all"))
        return {}
      case "peek": {
        const found = client.peek({ scopes: `api://${command.key}/.default` })
        return { token: found === undefined ? undefined : Redacted.value(found.accessToken).split(" ").at(-1) }
      }
      case "stats": {
        const cache = yield* TokenCache.TokenCache
        return { store: (yield* cache.stats).store }
      }
      case "end":
        return {}
    }
  })

const say = (answer: Answer): void => {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

await runtime.context()
let isEnding = false
process.once("SIGTERM", () => {
  isEnding = true
  void runtime.dispose().then(() => process.exit(0))
})
say({})
for await (const line of createInterface({ input: process.stdin })) {
  const command: Command = JSON.parse(line)
  try {
    say(await runtime.runPromise(run(command)))
  } catch (error) {
    // The runtime interrupts it, and the process ends when all is released.
    if (!isEnding) throw error
  }
  if (command.do === "end") break
}
if (!isEnding) {
  await runtime.dispose()
  process.exit(0)
}
