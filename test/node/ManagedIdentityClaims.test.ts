/** A managed identity and an API that refuses its token with a claims challenge. The platform does not know claims. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import { AzureCredential, BearerHttpClient, ConfidentialClient } from "effect-entra"
import { ManagedIdentity } from "effect-entra/node"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { answering, type Asked, type Reply } from "../support/answering.ts"
import { silent } from "../support/log.ts"

const scope = "https://vault.azure.net/.default"
const api = "https://orders.vault.azure.net"
const claims = JSON.stringify({ access_token: { nbf: { essential: true, value: "1604106651" } } })
const challenge: Reply = {
  status: 401,
  body: "the API's own words",
  headers: {
    "www-authenticate": `Bearer realm="", error="insufficient_claims", claims="${
      Buffer.from(claims).toString("base64")
    }"`
  }
}
const plain: Reply = { status: 401, body: "the API's own words", headers: { "www-authenticate": "Bearer" } }

/** A platform with the tokens of `tokens`, the last one for all further requests, and an API. */
const world = (tokens: ReadonlyArray<string>, judge: (token: string, nth: number) => Reply) => {
  const platform: Array<Asked> = []
  const calls: Array<string> = []
  const { layer } = answering((asked) => {
    if (asked.url.hostname !== "169.254.169.254") {
      const token = asked.headers["authorization"]?.replace("Bearer ", "") ?? ""
      calls.push(token)
      return judge(token, calls.length)
    }
    if (asked.headers["metadata"] === undefined) return { status: 400 }
    platform.push(asked)
    const token = tokens[Math.min(platform.length, tokens.length) - 1]
    return { body: { access_token: token, expires_on: "86400", expires_in: "86400", token_type: "Bearer" } }
  })
  const client = ManagedIdentity.layer().pipe(
    Layer.provideMerge(Layer.merge(layer, FileSystem.layerNoop({})))
  )
  return { platform, calls, client: Layer.provideMerge(client, silent) }
}

const get = Effect.gen(function*() {
  const { status, text } = yield* HttpClient.get(`${api}/secrets`)
  return { status, text: yield* text }
})

const bearer = (client: ReturnType<typeof world>["client"]) =>
  Layer.provideMerge(BearerHttpClient.layer({ [api]: scope }), client)

describe("a claims challenge at a managed identity", () => {
  it.effect("bypasses the cached token once, and does not forward the claims", () => {
    const { calls, client, platform } = world(
      ["old", "new"],
      (token) => token === "old" ? challenge : { body: "granted" }
    )
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* get, { status: 200, text: "granted" })
      assert.deepStrictEqual(yield* get, { status: 200, text: "granted" })
      assert.deepStrictEqual(calls, ["old", "new", "new"])
      assert.lengthOf(platform, 2)
      for (const { url } of platform) {
        assert.deepStrictEqual([...url.searchParams.keys()], ["api-version", "resource"])
      }
    }).pipe(Effect.provide(bearer(client)))
  })

  it.effect.each([["claims", challenge], ["no claims", plain]] as const)(
    "ends in the API's own 401 where the same token comes back, after a challenge with %s",
    ([, reply]) => {
      const { calls, client, platform } = world(["old"], () => reply)
      return Effect.gen(function*() {
        const refused = { status: 401, text: "the API's own words" }
        assert.deepStrictEqual(yield* Effect.all(Array.from({ length: 5 }, () => get), { concurrency: 5 }), [
          refused,
          refused,
          refused,
          refused,
          refused
        ])
        assert.lengthOf(platform, 2)
        assert.isAtMost(calls.length, 10)
        const before = calls.length
        assert.deepStrictEqual(yield* get, refused)
        assert.lengthOf(platform, 2)
        assert.lengthOf(calls, before + 1)
        // The platform may have another token later.
        yield* TestClock.adjust("31 seconds")
        assert.deepStrictEqual(yield* get, refused)
        assert.lengthOf(platform, 3)
      }).pipe(Effect.provide(bearer(client)))
    }
  )

  it.effect("that follows a plain refusal of the same token asks the platform no third time", () => {
    const { client, platform } = world(["old"], (_token, nth) => nth % 2 === 1 ? plain : challenge)
    return Effect.gen(function*() {
      assert.strictEqual((yield* get).status, 401)
      assert.strictEqual((yield* get).status, 401)
      assert.lengthOf(platform, 2)
    }).pipe(Effect.provide(bearer(client)))
  })

  it.effect("reaches an Azure SDK as the token that there is", () => {
    const { client, platform } = world(["old", "new", "new"], () => challenge)
    return Effect.gen(function*() {
      const credential = yield* AzureCredential.make
      const token = (options?: AzureCredential.GetTokenOptions) =>
        Effect.map(Effect.promise(() => credential.getToken(scope, options)), ({ token }) => token)
      assert.strictEqual(yield* token(), "old")
      assert.strictEqual(yield* token({ claims }), "new")
      assert.strictEqual(yield* token({ claims }), "new")
      assert.strictEqual(yield* token(), "new")
      assert.lengthOf(platform, 2)
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* token({ claims }), "new")
      assert.strictEqual(yield* token({ claims }), "new")
      assert.lengthOf(platform, 3)
    }).pipe(Effect.provide(client))
  })

  it.effect("of a request without a refused token is a request to the platform", () => {
    const { client, platform } = world(["old", "new"], () => challenge)
    return Effect.gen(function*() {
      yield* ConfidentialClient.acquireToken({ scopes: scope })
      const { accessToken } = yield* ConfidentialClient.acquireToken({ scopes: scope, claims })
      assert.strictEqual(Redacted.value(accessToken), "new")
      assert.lengthOf(platform, 2)
    }).pipe(Effect.provide(client))
  })
})
