import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { BearerHttpClient, ConfidentialClient, EntraError } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import {
  FetchHttpClient,
  HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { inspect } from "node:util"
import { runChild } from "./support/child.ts"
import { silent } from "./support/log.ts"
import { serve } from "./support/server.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph, tokenRequests, World } from "./support/world.ts"

const graphOrigin = "https://graph.microsoft.com"
const users = `${graphOrigin}/v1.0/users`
const onGraph = BearerHttpClient.layer({ [graphOrigin]: graph })

interface Left {
  readonly url: URL
  readonly authorization: string | undefined
}

/** A transport that remembers what reached it, and answers by URL. */
const transport = (answer: (url: URL, count: number) => Response = () => new Response("{}")) => {
  const left: Array<Left> = []
  const client = HttpClient.make((request, url) => {
    left.push({ url, authorization: request.headers["authorization"] })
    return Effect.succeed(HttpClientResponse.fromWeb(request, answer(url, left.length)))
  })
  return { left, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** A client whose tokens are numbered: one for each request that does not come from its cache. */
const tokens = () => {
  const asked: Array<ConfidentialClient.TestCalls["Service"][number]> = []
  const layer = ConfidentialClient.layerTest((request) =>
    Effect.sync(() => {
      asked.push(request)
      return `token-${asked.length}`
    })
  )
  return { asked, layer }
}

const unauthorized = (challenge = "Bearer realm=\"\"") =>
  new Response("no", { status: 401, headers: { "www-authenticate": challenge } })

describe("beside a plain HttpClient", () => {
  class Users
    extends Context.Service<Users, { readonly list: Effect.Effect<unknown, HttpClientError.HttpClientError> }>()(
      "test/Users"
    )
  {
    static readonly layer = Layer.effect(
      Users,
      Effect.map(HttpClient.HttpClient, (client) => ({ list: client.get(users) }))
    )
  }

  const both = (order: "bearer first" | "plain first") => {
    const { layer: plain, left } = transport()
    const bearer = onGraph.pipe(Layer.provide([plain, tokens().layer]))
    const merged = order === "bearer first" ? Layer.mergeAll(bearer, plain) : Layer.mergeAll(plain, bearer)
    return { merged, left, tokensLeft: () => left.map(({ authorization }) => authorization) }
  }
  const orders = ["bearer first", "plain first"] as const

  it.effect("the trap: the HttpClient of the last layer wins, without an error", () =>
    Effect.gen(function*() {
      const [lost, kept] = [both("bearer first"), both("plain first")]
      yield* HttpClient.get(users).pipe(Effect.provide(lost.merged))
      yield* HttpClient.get(users).pipe(Effect.provide(kept.merged))
      assert.deepStrictEqual(lost.tokensLeft(), [undefined])
      assert.deepStrictEqual(kept.tokensLeft(), ["Bearer token-1"])
    }))

  it.effect.each(orders)("the way out: the service BearerHttpClient has tokens, %s", (order) => {
    const { merged, tokensLeft } = both(order)
    return Effect.gen(function*() {
      const client = yield* BearerHttpClient.BearerHttpClient
      yield* client.get(users)
      yield* client.get("https://elsewhere.example/x")
      assert.deepStrictEqual(tokensLeft(), ["Bearer token-1", undefined])
    }).pipe(Effect.provide(merged))
  })

  it.effect.each(orders)("a consumer of HttpClient gets the bearer client by layerHttpClient, %s", (order) => {
    const { merged, tokensLeft } = both(order)
    const consumer = Users.layer.pipe(Layer.provide(BearerHttpClient.layerHttpClient), Layer.provideMerge(merged))
    return Effect.gen(function*() {
      yield* Users.use(({ list }) => list)
      assert.deepStrictEqual(tokensLeft(), ["Bearer token-1"])
    }).pipe(Effect.provide(consumer))
  })

  it.effect("layerHttpClient leaves the plain client to the other consumers", () => {
    const { merged, tokensLeft } = both("bearer first")
    const consumer = Users.layer.pipe(Layer.provide(BearerHttpClient.layerHttpClient), Layer.provideMerge(merged))
    return Effect.gen(function*() {
      yield* Users.use(({ list }) => list)
      yield* HttpClient.get(users)
      assert.deepStrictEqual(tokensLeft(), ["Bearer token-1", undefined])
    }).pipe(Effect.provide(consumer))
  })

  it.effect("the service is the client of the layer: one client, the same errors", () => {
    const { layer } = transport()
    const reason = new EntraError.ServiceUnavailableError({
      message: "m",
      remedy: "r",
      origin: "service",
      code: "service_unavailable"
    })
    return Effect.gen(function*() {
      const client = yield* BearerHttpClient.BearerHttpClient
      assert.strictEqual(yield* HttpClient.HttpClient, client)
      assert.strictEqual(BearerHttpClient.tokenErrorOf(yield* Effect.flip(client.get(users))), reason)
    }).pipe(
      Effect.provide(onGraph),
      Effect.provide([layer, ConfidentialClient.layerTest(() => Effect.fail(reason))])
    )
  })
})

describe("the table", () => {
  const wrong = [
    { name: "no origin", table: {}, says: "is empty" },
    { name: "a path", table: { [users]: graph }, says: graphOrigin },
    { name: "a slash at the end", table: { [`${graphOrigin}/`]: graph }, says: graphOrigin },
    { name: "upper case", table: { "https://Graph.microsoft.com": graph }, says: graphOrigin },
    { name: "the usual port", table: { [`${graphOrigin}:443`]: graph }, says: graphOrigin },
    { name: "user information", table: { "https://me:secret@graph.microsoft.com": graph }, says: graphOrigin },
    {
      name: "another script",
      table: { "https://gräph.microsoft.com": graph },
      says: "https://xn--grph-moa.microsoft.com"
    },
    { name: "no URL", table: { "graph.microsoft.com": graph }, says: "not an https origin" },
    { name: "another scheme", table: { "ftp://graph.microsoft.com": graph }, says: "not an https origin" },
    { name: "an opaque origin", table: { "data:,": graph }, says: "not an https origin" },
    ...([
      ["alone", "https://*", "hosts of many owners"],
      ["over a top-level domain", "https://*.net", "hosts of many owners"],
      ["over the registrations of a country", "https://*.co.uk", "hosts of many owners"],
      ["over an internationalised top-level domain", "https://*.xn--p1ai", "hosts of many owners"],
      ["in a part of a label", "https://vault-*.azure.net", "not the whole first label"],
      ["with a part of a label", "https://*x.vault.azure.net", "not the whole first label"],
      ["in a later label", "https://vault.*.net", "not the whole first label"],
      ["twice", "https://*.*.azure.net", "not the whole first label"],
      ["in two signs", "https://**.azure.net", "not the whole first label"],
      ["before a trailing dot", "https://*.vault.azure.net.", "empty label"],
      ["before an empty label", "https://*..azure.net", "empty label"],
      ["before an address", "https://*.0.0.1", "not an https origin"],
      ["in an address of IPv6", "https://[*::1]", "not an https origin"],
      ["for a port", "https://orders.example:*", "not an https origin"],
      ["for a scheme", "*://orders.example", "not an https origin"],
      ["over http", "http://*.orders.example", "https only"],
      ["over http on this machine", "http://*.localhost", "https only"],
      ["in upper case", "https://*.Vault.azure.net", "https://*.vault.azure.net"],
      ["in another script", "https://*.bücher.example", "https://*.xn--bcher-kva.example"],
      ["with the usual port", "https://*.vault.azure.net:443", "https://*.vault.azure.net"],
      ["with user information", "https://me:secret@*.vault.azure.net", "https://*.vault.azure.net"],
      ["with a path", "https://*.vault.azure.net/secrets", "https://*.vault.azure.net"],
      ["percent-encoded", "https://%2a.vault.azure.net", "https://*.vault.azure.net"],
      ["in full width", "https://＊.vault.azure.net", "https://*.vault.azure.net"]
    ] as const).map(([name, origin, says]) => ({ name: `a wildcard ${name}`, table: { [origin]: graph }, says })),
    { name: "no scopes", table: { [graphOrigin]: "" }, says: "no scopes" },
    { name: "an empty list of scopes", table: { [graphOrigin]: [] }, says: "no scopes" },
    { name: "a request without scopes", table: { [graphOrigin]: { scopes: "" } }, says: "no scopes" },
    { name: "plain http", table: { "http://graph.microsoft.com": graph }, says: "unencrypted" },
    {
      name: "a host that only looks like this machine",
      table: { "http://localhost.example.com": graph },
      says: "unencrypted"
    },
    {
      name: "an address that only looks like this machine",
      table: { "http://127.0.0.1.example.com": graph },
      says: "unencrypted"
    }
  ]

  const vaults = "https://vault.azure.net/.default"
  const patterns = {
    "https://*.vault.azure.net": vaults,
    "https://*.azure.net": "api://parent/.default",
    "https://special.vault.azure.net": "api://special/.default",
    "https://*.com.example": "api://com/.default",
    "https://*.xn--bcher-kva.example:8443": "api://books/.default"
  }
  it.effect.each([
    ["https://a.vault.azure.net/secrets/x", vaults],
    ["https://A.Vault.AZURE.net:443/", vaults],
    ["https://xn--a-ecp.vault.azure.net/", vaults],
    ["https://ä.vault.azure.net/", vaults],
    ["https://a_b-1.vault.azure.net/", vaults],
    ["https://special.vault.azure.net/", "api://special/.default"],
    ["https://vault.azure.net/", "api://parent/.default"],
    ["https://a.bücher.example:8443/", "api://books/.default"],
    // Its second label is one of a country, but its last label is longer than that of a country.
    ["https://a.com.example/", "api://com/.default"],
    ["https://a.b.vault.azure.net/", undefined],
    ["https://.vault.azure.net/", undefined],
    ["https://a..vault.azure.net/", undefined],
    ["https://a.vault.azure.net./", undefined],
    ["https://a.vault.azure.net:8443/", undefined],
    ["http://a.vault.azure.net/", undefined],
    ["https://avault.azure.net.evil.example/", undefined],
    ["https://azure.net/", undefined],
    ["https://bücher.example:8443/", undefined],
    ["https://a.bücher.example/", undefined],
    ["https://evil.example/a.vault.azure.net", undefined],
    ["https://a.vault.azure.net@evil.example/", undefined],
    ["blob:https://a.vault.azure.net/5b1f2a3c-0000-4000-8000-000000000000", undefined]
  ])("with patterns: %s has the token of %s", ([url, scopes]) =>
    Effect.gen(function*() {
      const { layer, left } = transport()
      for (const entries of [Object.entries(patterns), Object.entries(patterns).toReversed()]) {
        const { asked, layer: client } = tokens()
        yield* HttpClient.get(url ?? "").pipe(
          Effect.provide(BearerHttpClient.layer(Object.fromEntries(entries))),
          Effect.provide([layer, client])
        )
        assert.deepStrictEqual(asked, scopes === undefined ? [] : [{ scopes }])
      }
      assert.strictEqual(left.length, 2)
    }))

  const missing = ["is empty", "no scopes"]
  it.effect.each(wrong)("refuses $name", ({ says, table }) =>
    Effect.gen(function*() {
      const { layer, left } = transport()
      const error = yield* Effect.flip(Layer.build(BearerHttpClient.layer(table))).pipe(
        Effect.provide([layer, tokens().layer])
      )
      assert.strictEqual(error._tag, "EntraInvalidRequestError")
      assert.strictEqual(error.code, missing.some((part) => says === part) ? "field_missing" : "field_malformed")
      assertToldInFull(error)
      assert.strictEqual(error.field, "origins")
      assert.include(error.message, says)
      if (says === "hosts of many owners") assert.include(error.remedy, "before a domain of one owner")
      assert.notInclude(JSON.stringify(error), "me:secret")
      assert.deepStrictEqual(left, [])
    }))

  it.effect.each([{ scopes: graph, tenantID: fabrikam }, { scope: graph, tenantID: undefined }])(
    "refuses a member of an entry that does not exist: %j",
    (entry) =>
      Effect.gen(function*() {
        const name = "scope" in entry ? "scope" : "tenantID"
        // @ts-expect-error: callers in JavaScript pass anything
        const error = yield* Effect.flip(Layer.build(BearerHttpClient.layer({ [graphOrigin]: entry }))).pipe(
          Effect.provide([transport().layer, tokens().layer])
        )
        assertToldInFull(error)
        assert.deepStrictEqual([error.code, error.field], ["field_unsupported", `origins.${name}`])
        assert.include(error.message, `origins["${graphOrigin}"] has the member "${name}"`)
      })
  )

  it.effect.each(["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])(
    "takes %s",
    (origin) =>
      Effect.gen(function*() {
        const { layer, left } = transport()
        yield* HttpClient.get(`${origin}/x`).pipe(
          Effect.provide(BearerHttpClient.layer({ [origin]: graph })),
          Effect.provide([layer, tokens().layer])
        )
        assert.strictEqual(left[0]?.authorization, "Bearer token-1")
      })
  )

  it.effect("takes scopes in both forms and whole requests", () =>
    Effect.gen(function*() {
      const { layer } = transport()
      const { asked, layer: client } = tokens()
      const origins = {
        "https://one.example": graph,
        "https://two.example": [graph],
        "https://three.example": { scopes: graph, tenantId: "three" }
      }
      yield* Effect.forEach(Object.keys(origins), (origin) => HttpClient.get(origin)).pipe(
        Effect.provide(BearerHttpClient.layer(origins)),
        Effect.provide([layer, client])
      )
      assert.deepStrictEqual(asked, [{ scopes: graph }, { scopes: [graph] }, { scopes: graph, tenantId: "three" }])
    }))
})

describe("a request", () => {
  it.effect("carries the token of its fiber's tenant", () =>
    Effect.gen(function*() {
      const names = yield* Effect.forEach([contoso, fabrikam], (tenantId) =>
        HttpClient.get(`${graphOrigin}/v1.0/organization`).pipe(
          Effect.flatMap(({ json }) =>
            json
          ),
          Effect.provideService(BearerHttpClient.CurrentTenantId, tenantId)
        ))
      assert.include(JSON.stringify(names[0]), contoso)
      assert.include(JSON.stringify(names[1]), fabrikam)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(onGraph), Effect.provide(World())))

  it.effect("carries the token of the tenant that the table names, whatever its fiber's tenant is", () =>
    Effect.gen(function*() {
      const { layer } = transport()
      const { asked, layer: client } = tokens()
      yield* HttpClient.get(users).pipe(
        Effect.provideService(BearerHttpClient.CurrentTenantId, fabrikam),
        Effect.provide(BearerHttpClient.layer({ [graphOrigin]: { scopes: graph, tenantId: contoso } })),
        Effect.provide([layer, client])
      )
      assert.deepStrictEqual(asked, [{ scopes: graph, tenantId: contoso }])
    }))

  it.effect("that has an authorization header keeps it", () =>
    Effect.gen(function*() {
      const { layer, left } = transport()
      const { asked, layer: client } = tokens()
      yield* HttpClient.execute(HttpClientRequest.get(users).pipe(HttpClientRequest.basicAuth("me", "mine"))).pipe(
        Effect.provide(onGraph),
        Effect.provide([layer, client])
      )
      assert.match(left[0]?.authorization ?? "", /^Basic /)
      assert.deepStrictEqual(asked, [])
    }))

  it.effect.each([201, 404])(
    "whose response has the status %i and a location can read its body",
    (status) =>
      Effect.gen(function*() {
        const { layer } = transport(() => new Response("created", { status, headers: { location: `${users}/1` } }))
        const text = yield* HttpClient.post(users).pipe(
          Effect.flatMap((response) => response.text),
          Effect.provide(onGraph),
          Effect.provide([layer, tokens().layer])
        )
        assert.strictEqual(text, "created")
      })
  )

  it.effect("is judged by where it goes after all middleware, under and over this client", () =>
    Effect.gen(function*() {
      const { layer, left } = transport()
      const changed = <E>(url: string, client: Layer.Layer<HttpClient.HttpClient, E>) =>
        Layer.effect(
          HttpClient.HttpClient,
          Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setUrl(url)))
        ).pipe(Layer.provide(client))
      const bearer = (client: Layer.Layer<HttpClient.HttpClient>) =>
        onGraph.pipe(Layer.provide([client, tokens().layer]))
      const elsewhere = "https://elsewhere.example/x"
      for (
        const client of [
          changed(users, bearer(layer)),
          bearer(changed(users, layer)),
          changed(elsewhere, bearer(layer)),
          bearer(changed(elsewhere, layer))
        ]
      ) yield* Effect.provide(HttpClient.get("/relative"), client)
      assert.deepStrictEqual(left.map(({ authorization, url }) => [url.href, authorization]), [
        [users, "Bearer token-1"],
        [users, "Bearer token-1"],
        [elsewhere, undefined],
        [elsewhere, undefined]
      ])
    }))
})

describe("a token never leaves for another origin", () => {
  it.effect("where there is a location that URLs are relative to", () =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          Object.defineProperty(globalThis, "location", {
            value: new URL("https://my-app.example/page"),
            configurable: true
          })
        ),
        () => Effect.sync(() => Reflect.deleteProperty(globalThis, "location"))
      )
      const { layer, left } = transport()
      const both = BearerHttpClient.layer({ [graphOrigin]: graph, "https://my-app.example": "api://mine/.default" })
      const get = (url: string, client: ReturnType<typeof BearerHttpClient.layer>) =>
        HttpClient.get(url).pipe(Effect.provide(client.pipe(Layer.provide([layer, tokens().layer]))))
      yield* get("https:graph.microsoft.com/v1.0/users", onGraph)
      yield* get("/v1.0/users", onGraph)
      yield* get("/v1.0/users", both)
      assert.deepStrictEqual(left.map(({ authorization, url }) => [url.host, authorization]), [
        ["my-app.example", undefined],
        ["my-app.example", undefined],
        ["my-app.example", "Bearer token-1"]
      ])
    }))

  const allowed = (url: URL) =>
    url.protocol === "https:" &&
    (url.hostname === "graph.microsoft.com" && url.port === "" ||
      url.hostname === "orders.example" && url.port === "8443" || isVault(url))
  // By the labels from the right, and not by any pattern.
  const isVault = (url: URL) => {
    const [net, azure, vault, name, ...others] = url.hostname.split(".").toReversed()
    return [net, azure, vault].join() === "net,azure,vault" && name !== undefined && name !== "" &&
      others.length === 0 &&
      url.port === ""
  }
  const origins = {
    [graphOrigin]: graph,
    "https://orders.example:8443": "api://orders/.default",
    "https://*.vault.azure.net": "https://vault.azure.net/.default"
  }

  const label = fc.oneof(
    fc.constantFrom(
      "a",
      "A",
      "my-vault",
      "ä",
      "xn--4ca",
      "*",
      "%61",
      "1",
      "",
      ".",
      "a.b",
      "a@b",
      "a/b",
      "a。b",
      "a．b"
    ),
    fc.string({ maxLength: 6 })
  )
  const host = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("graph.microsoft.com", "orders.example", "one.vault.azure.net") },
    fc.tuple(
      label,
      fc.constantFrom(
        ".vault.azure.net",
        ".VAULT.azure.net",
        "。vault.azure.net",
        "vault.azure.net",
        ".vault.azure.net.",
        ".vault.azure.net.evil.example",
        ".evil.example",
        ".vau%6ct.azure.net"
      )
    ).map((parts) => parts.join("")),
    fc.constantFrom(
      "GRAPH.Microsoft.COM",
      "graph.microsoft.com.",
      "graph.microsoft.com..",
      "graph.microsoft.com.evil.example",
      "evil-graph.microsoft.com",
      "evil.example",
      "graphXmicrosoft.com",
      "grаph.microsoft.com", // a Cyrillic а
      "ｇｒａｐｈ.microsoft.com", // full width: the URL standard folds it to the real one
      "graph。microsoft.com", // an ideographic full stop: folded as well
      "gr%61ph.microsoft.com",
      "graph.microsoft.com%2eevil.example",
      "gra\tph.microsoft.com",
      "graph.microsoft.com\u00ad",
      "xn--graph-6cd.microsoft.com",
      "orders.example.",
      "[::1]",
      "127.0.0.1",
      "2130706433"
    )
  )
  const url = fc.tuple(
    fc.constantFrom("https:", "https:", "https:", "http:", "HTTPS:", "wss:", "file:"),
    fc.constantFrom("//", "//", "//", "/", "", "\\\\", "///", "/\\"),
    fc.constantFrom("", "", "", "user@", "user:pw@", "graph.microsoft.com@", "graph.microsoft.com:443@", "@", "a@b@"),
    host,
    fc.constantFrom("", "", ":443", ":8443", ":80", ":0443", ":", ":444", ":65536"),
    fc.constantFrom(
      "",
      "/",
      "/v1.0/users",
      "/@graph.microsoft.com/",
      "\\evil.example",
      "?@evil.example",
      "#x",
      "//evil.example"
    )
  ).map((parts) => parts.join(""))

  const locations = fc.array(fc.oneof(url, fc.constantFrom("/next", "//evil.example/", "//graph.microsoft.com/x")), {
    maxLength: 4
  })

  const follow = fc.constantFrom("nowhere", "over", "under", "both")

  it.effect("whatever the URL, and wherever it is sent from there", () =>
    Effect.promise(() => {
      const counts = { carried: 0, bare: 0, redirected: 0, vaults: 0 }
      return fc.assert(
        fc.asyncProperty(url, locations, follow, async (first, locations, follow) => {
          const { layer, left } = transport((_url, count) => {
            const location = locations[count - 1]
            return location === undefined || /[^\x20-\x7e]/.test(location)
              ? new Response("{}")
              : new Response(null, { status: 302, headers: { location } })
          })
          const following = () =>
            Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, HttpClient.followRedirects(5)))
          const under = follow === "under" || follow === "both" ? following().pipe(Layer.provide(layer)) : layer
          const client = BearerHttpClient.layer(origins).pipe(Layer.provide([under, tokens().layer]))
          const over = follow === "over" || follow === "both" ? following().pipe(Layer.provide(client)) : client
          await Effect.runPromise(Effect.exit(HttpClient.get(first)).pipe(Effect.provide(over)))
          for (const [index, { authorization, url }] of left.entries()) {
            if (authorization !== undefined) assert.isTrue(allowed(url), `${first} carried a token to ${url.href}`)
            // It is not safe by never sending any: without a redirect, an allowed origin gets its token.
            if (index === 0 && allowed(url)) assert.match(authorization ?? "", /^Bearer token-/)
            if (authorization === undefined) counts.bare++
            else counts.carried++
            if (authorization !== undefined && isVault(url)) counts.vaults++
            if (index > 0) counts.redirected++
          }
        }),
        { numRuns: 3000 }
      ).then(() => {
        // All of these happened often: the property is not about nothing.
        assert.isAbove(counts.carried, 300)
        assert.isAbove(counts.bare, 300)
        assert.isAbove(counts.redirected, 300)
        assert.isAbove(counts.vaults, 100)
      })
    }))

  for (
    const { name, transport } of [
      { name: "fetch", transport: FetchHttpClient.layer },
      {
        name: "fetch told to follow",
        transport: FetchHttpClient.layer.pipe(
          Layer.provide(
            Layer.succeed(FetchHttpClient.RequestInit, { redirect: "follow", headers: { "x-user": "kept" } })
          )
        )
      },
      { name: "undici", transport: NodeHttpClient.layerUndici },
      { name: "node:http", transport: NodeHttpClient.layerNodeHttp }
    ]
  ) {
    it.live.each([301, 302, 303, 307, 308])(`over sockets, ${name}: %i`, (status) =>
      Effect.gen(function*() {
        const caught: Array<string | undefined> = []
        const trap = yield* serve((request, response) => {
          caught.push(request.headers.authorization)
          response.end("{}")
        })
        const seen: Array<string | undefined> = []
        const kept: Array<unknown> = []
        const api = yield* serve((request, response) => {
          seen.push(request.headers.authorization)
          kept.push(request.headers["x-user"])
          if (request.url === "/here") response.end("{}")
          else {response.writeHead(status, {
              location: request.url === "/away" ? `http://localhost:${trap}/` : "/here"
            }).end()}
        })
        const origin = `http://127.0.0.1:${api}`
        const client = BearerHttpClient.layer({ [origin]: graph }).pipe(
          Layer.provide([transport, ConfidentialClient.layerTest("a-token")])
        )
        const program = Effect.gen(function*() {
          const plain = yield* HttpClient.HttpClient
          const handedBack = yield* plain.get(`${origin}/away`)
          assert.strictEqual(handedBack.status, status)
          assert.deepStrictEqual(caught, [])
          const following = HttpClient.followRedirects(plain, 3)
          assert.strictEqual((yield* following.get(`${origin}/away`)).status, 200)
          assert.deepStrictEqual(caught, [undefined])
          assert.strictEqual((yield* following.get(`${origin}/around`)).status, 200)
        })
        yield* Effect.provide(program, client)
        assert.deepStrictEqual(seen, Array(4).fill("Bearer a-token"))
        // The settings that the user gave the transport when it was built stay in effect.
        if (name === "fetch told to follow") assert.deepStrictEqual(kept, Array(4).fill("kept"))
      }))
  }
})

describe("401", () => {
  it.effect("replaces the token once, by its hash, and repeats the request", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* HttpClient.get(users)
      yield* simulator.fail(EntraSimulator.Fault.custom({ status: 401 }), { endpoint: "graph" })
      const response = yield* HttpClient.get(users)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(onGraph), Effect.provide(World())))

  it.effect("of a hundred requests whose token is refused, one asks for another", () =>
    Effect.gen(function*() {
      const { layer, left } = transport((_, count) => count <= 100 ? unauthorized() : new Response("{}"))
      const responses = yield* Effect.forEach(Array(100).keys(), () => HttpClient.get(users), {
        concurrency: "unbounded"
      })
        .pipe(Effect.provide(onGraph), Effect.provide(layer))
      assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
      assert.strictEqual(yield* tokenRequests, 2)
      const sent = left.map(({ authorization }) => authorization)
      assert.strictEqual(new Set(sent.slice(0, 100)).size, 1)
      assert.strictEqual(new Set(sent.slice(100)).size, 1)
      assert.notStrictEqual(sent[0], sent[100])
    }).pipe(Effect.provide(World())))

  it.effect("an API that refuses everything costs one more token in thirty seconds, not one a request", () =>
    Effect.gen(function*() {
      const { layer, left } = transport(() => unauthorized())
      const call = HttpClient.get(users)
      const program = Effect.gen(function*() {
        for (let i = 0; i < 20; i++) assert.strictEqual((yield* call).status, 401)
        assert.strictEqual(yield* tokenRequests, 2)
        assert.strictEqual(left.length, 21)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* call).status, 401)
        assert.strictEqual(yield* tokenRequests, 3)
      })
      yield* program.pipe(Effect.provide(onGraph), Effect.provide(layer))
    }).pipe(Effect.provide(World())))

  it.effect("hands on the claims of the challenge, and keeps the token for them", () =>
    Effect.gen(function*() {
      const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
      const challenge = `Bearer realm="", error="insufficient_claims", claims="${btoa(claims)}"`
      const { layer, left } = transport((_, count) => count === 1 ? unauthorized(challenge) : new Response("{}"))
      const program = Effect.andThen(HttpClient.get(users), HttpClient.get(users))
      yield* program.pipe(Effect.provide(onGraph), Effect.provide(layer))
      const simulator = yield* EntraSimulator.EntraSimulator
      const [first, second, ...more] = yield* simulator.requests
      assert.strictEqual(first?.form["claims"], undefined)
      assert.strictEqual(second?.form["claims"], claims)
      assert.deepStrictEqual(more, [])
      assert.strictEqual(left[1]?.authorization, left[2]?.authorization)
      assert.notStrictEqual(left[0]?.authorization, left[1]?.authorization)
    }).pipe(Effect.provide(World())))

  it.effect("a challenge to a token that was just replaced is heard, once", () =>
    Effect.gen(function*() {
      const challenge = (n: number) =>
        unauthorized(
          `Bearer error="insufficient_claims", claims="${btoa(`{"access_token":{"nbf":{"value":"${n}"}}}`)}"`
        )
      const { layer } = transport((_, count) => count === 1 ? unauthorized() : challenge(count))
      const call = Effect.asVoid(HttpClient.get(users))
      yield* Effect.repeat(call, { times: 20 }).pipe(Effect.provide(onGraph), Effect.provide(layer))
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("claims that the service refuses cost one request in thirty seconds", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const challenge = `Bearer error="insufficient_claims", claims="${btoa(`{"access_token":{}}`)}"`
      const { layer } = transport(() => unauthorized(challenge))
      const client = yield* HttpClient.HttpClient.pipe(Effect.provide(onGraph), Effect.provide(layer))
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      yield* simulator.fail(EntraSimulator.Fault.refused({ error: "interaction_required", code: 53003 }), {
        times: Infinity
      })
      assert.strictEqual((yield* Effect.flip(client.get(users)))._tag, "HttpClientError")
      for (let i = 0; i < 20; i++) {
        const response = yield* client.get(users)
        assert.strictEqual(response.status, 401)
        assert.strictEqual(yield* response.text, "no")
      }
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a token that others replaced meanwhile, and that is refused as well, is replaced in its turn", () =>
    Effect.gen(function*() {
      const refused = new Set<string>()
      const seen: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const api = HttpClient.make((request) =>
        Effect.gen(function*() {
          const token = request.headers["authorization"] ?? ""
          if (seen.push(token) === 1) yield* Deferred.await(gate)
          return HttpClientResponse.fromWeb(request, refused.has(token) ? unauthorized() : new Response("{}"))
        })
      )
      const program = Effect.gen(function*() {
        const slow = yield* Effect.forkChild(HttpClient.get(users))
        yield* TestClock.adjust("40 minutes")
        yield* HttpClient.get(users)
        yield* TestClock.adjust("1 minute")
        yield* HttpClient.get(users)
        assert.strictEqual(new Set(seen).size, 2)
        for (const token of seen) refused.add(token)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(slow)).status, 200)
        assert.strictEqual((yield* HttpClient.get(users)).status, 200)
        assert.strictEqual(yield* tokenRequests, 3)
      })
      yield* program.pipe(Effect.provide(onGraph), Effect.provide(Layer.succeed(HttpClient.HttpClient, api)))
    }).pipe(Effect.provide(World())))

  it.effect("clients that are made anew for each request share what is known of a token", () =>
    Effect.gen(function*() {
      const { layer } = transport(() => unauthorized())
      const call = Effect.flatMap(BearerHttpClient.make({ [graphOrigin]: graph }), (client) => client.get(users))
      yield* Effect.repeat(call, { times: 20 }).pipe(Effect.provide(layer))
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.live("callers who give up meanwhile do not make it one token request a call", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const { layer } = transport(() => unauthorized())
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      yield* simulator.fail(EntraSimulator.Fault.delay("60 millis"), { times: Infinity })
      const client = yield* HttpClient.HttpClient.pipe(Effect.provide(onGraph), Effect.provide(layer))
      for (let i = 0; i < 15; i++) yield* Effect.timeoutOption(client.get(users), "30 millis")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World()), Effect.provide(silent)))

  it.effect("a client that gives the same token again and again is asked a few times", () =>
    Effect.gen(function*() {
      const fake = yield* ConfidentialClient.ConfidentialClient.pipe(
        Effect.provide(ConfidentialClient.layerTest("a-token"))
      )
      const result = yield* fake.acquireToken({ scopes: graph })
      const fromCache = { ...result, metadata: { ...result.metadata, tokenSource: "Cache" as const } }
      const { layer, left } = transport(() => unauthorized())
      const response = yield* HttpClient.get(users).pipe(
        Effect.provide(onGraph),
        Effect.provide(layer),
        Effect.provideService(
          ConfidentialClient.ConfidentialClient,
          ConfidentialClient.ConfidentialClient.of({ ...fake, acquireToken: () => Effect.succeed(fromCache) })
        )
      )
      assert.strictEqual(response.status, 401)
      assert.strictEqual(left.length, 4)
    }))

  it.effect("a clock that is put back does not keep a token from being replaced", () =>
    Effect.gen(function*() {
      const { layer } = transport(() => unauthorized())
      const program = Effect.gen(function*() {
        yield* TestClock.adjust("30 minutes")
        yield* HttpClient.get(users)
        assert.strictEqual(yield* tokenRequests, 2)
        yield* TestClock.setTime(0)
        // The token is from the future now, and the API refuses its successor too.
        yield* HttpClient.get(users)
        assert.strictEqual(yield* tokenRequests, 4)
      })
      yield* program.pipe(Effect.provide(onGraph), Effect.provide(layer))
    }).pipe(Effect.provide(World())))

  it.effect("of a host that the transport went on to by itself is not Graph's", () =>
    Effect.gen(function*() {
      const { layer, left } = transport((url) =>
        url.host === "evil.example"
          ? unauthorized()
          : new Response(null, { status: 302, headers: { location: "https://evil.example/" } })
      )
      const following = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.followRedirects())
      )
      const { asked, layer: client } = tokens()
      const response = yield* HttpClient.get(users).pipe(
        Effect.provide(onGraph),
        Effect.provide([following.pipe(Layer.provide(layer)), client])
      )
      assert.strictEqual(response.status, 401)
      assert.strictEqual(asked.length, 1)
      assert.deepStrictEqual(left.map(({ authorization }) => authorization), ["Bearer token-1", undefined])
    }))

  const bodies = [
    { name: "no body", body: HttpBody.empty, repeated: true },
    { name: "text", body: HttpBody.text("x"), repeated: true },
    { name: "JSON", body: HttpBody.jsonUnsafe({ a: 1 }), repeated: true },
    { name: "bytes", body: HttpBody.uint8Array(new Uint8Array([1])), repeated: true },
    { name: "a form", body: HttpBody.formData(new FormData()), repeated: true },
    { name: "raw text", body: HttpBody.raw("x"), repeated: true },
    { name: "raw bytes", body: HttpBody.raw(new ArrayBuffer(1)), repeated: true },
    { name: "a raw blob", body: HttpBody.raw(new Blob(["x"])), repeated: true },
    { name: "raw parameters", body: HttpBody.raw(new URLSearchParams({ a: "1" })), repeated: true },
    { name: "raw anything", body: HttpBody.raw(new ReadableStream()), repeated: false },
    { name: "a stream", body: HttpBody.stream(Stream.make(new Uint8Array([1]))), repeated: false }
  ]
  it.effect.each(bodies)("$name: repeated $repeated", ({ body, repeated }) =>
    Effect.gen(function*() {
      const { layer, left } = transport((_, count) => count === 1 ? unauthorized() : new Response("{}"))
      const { asked, layer: client } = tokens()
      const request = HttpClientRequest.post(users).pipe(HttpClientRequest.setBody(body))
      const response = yield* HttpClient.execute(request).pipe(
        Effect.provide(onGraph),
        Effect.provide([layer, client])
      )
      assert.strictEqual(response.status, repeated ? 200 : 401)
      assert.strictEqual(left.length, repeated ? 2 : 1)
      // In any case the next request will have a token that was not refused.
      assert.strictEqual(asked.length, 2)
      if (!repeated) assert.strictEqual(yield* response.text, "no")
    }))

  it.live("an answer that never ends is not waited for", () =>
    Effect.gen(function*() {
      const endless = new Response(new ReadableStream(), { status: 401 })
      const { layer } = transport((_, count) => count === 1 ? endless : new Response("{}"))
      const response = yield* HttpClient.get(users).pipe(
        Effect.provide(onGraph),
        Effect.provide([layer, tokens().layer]),
        Effect.timeout("10 seconds")
      )
      assert.strictEqual(response.status, 200)
    }))
})

describe("sockets", () => {
  const throttled = new EntraError.ThrottledError({
    code: "throttled",
    message: "busy",
    remedy: "wait",
    origin: "local",
    source: "local",
    loopDetected: false,
    retryAfter: Duration.seconds(1)
  })
  const failing = ConfidentialClient.layerTest(({ accessTokenSha256ToRefresh }) =>
    accessTokenSha256ToRefresh === undefined ? Effect.succeed(`token-${Math.random()}`) : Effect.fail(throttled)
  )
  const never = ConfidentialClient.layerTest(({ accessTokenSha256ToRefresh }) =>
    accessTokenSha256ToRefresh === undefined ? Effect.succeed("token") : Effect.never
  )
  const transports = [
    { name: "undici", transport: NodeHttpClient.layerUndiciOptions({ connections: 2 }) },
    { name: "node:http", transport: NodeHttpClient.layerNodeHttpOptions({ keepAlive: true, maxSockets: 2 }) }
  ]
  const requests = [
    { what: "without a body", make: HttpClientRequest.get, reason: "HttpClientError" },
    {
      what: "with a stream",
      make: (url: string) =>
        HttpClientRequest.post(url).pipe(HttpClientRequest.bodyStream(Stream.make(new Uint8Array(1)))),
      reason: "401"
    }
  ]
  for (const { name, transport } of transports) {
    for (const { make, reason, what } of requests) {
      it.live(`of refused requests ${what} are free again when there is no other token (${name})`, () =>
        Effect.gen(function*() {
          const port = yield* serve((request, response) => {
            request.resume()
            response.writeHead(401, { "www-authenticate": "Bearer" }).end("x".repeat(100_000))
          })
          const call = (client: typeof failing) =>
            HttpClient.execute(make(`http://localhost:${port}/`)).pipe(
              Effect.flatMap((response) => Effect.as(response.text, String(response.status))),
              Effect.catchTag("HttpClientError", ({ _tag }) => Effect.succeed(_tag)),
              Effect.provide(
                BearerHttpClient.layer({ [`http://localhost:${port}`]: graph }).pipe(Layer.provide(client))
              )
            )
          const seen = yield* Effect.gen(function*() {
            for (let i = 0; i < 3; i++) yield* Effect.timeoutOption(call(never), "50 millis")
            return yield* Effect.forEach(Array(6).keys(), () => Effect.timeout(call(failing), "5 seconds"))
          }).pipe(Effect.provide(transport))
          assert.deepStrictEqual(seen, Array(6).fill(reason))
        }))
    }
  }
})

describe("what nobody caught", () => {
  for (const name of ["fetch", "undici", "node:http"]) {
    it.live.each(["reset", "status", "redirect", "json"])(
      `does not print the token: ${name}, %s`,
      (what) =>
        Effect.gen(function*() {
          const { status, stderr, stdout } = yield* runChild([
            "--conditions=@effect-entra/source",
            "test/support/uncaught.ts",
            name,
            what
          ])
          assert.notStrictEqual(status, 0)
          assert.include(stderr, "HttpClientError")
          assert.notInclude(stderr + stdout, "THE-SECRET-TOKEN")
        })
    )
  }
})

describe("errors", () => {
  const failing = (error: EntraError.AcquireTokenError) => ConfidentialClient.layerTest(() => Effect.fail(error))
  const details = { message: "m", remedy: "r", origin: "service" } as const
  const unavailable = new EntraError.ServiceUnavailableError({ ...details, code: "service_unavailable" })
  const refused = new EntraError.InvalidClientError({ ...details, code: "secret_wrong" })

  it.effect("of tokens are in the type of `make`", () =>
    Effect.gen(function*() {
      const { layer, left } = transport()
      const error = yield* BearerHttpClient.make({ [graphOrigin]: graph }).pipe(
        Effect.flatMap((client) => Effect.flip(client.get(users))),
        Effect.provide([layer, failing(refused)])
      )
      assert.strictEqual(error, refused)
      assert.deepStrictEqual(left, [])
    }))

  it.effect.each([
    { error: unavailable, reason: "TransportError", transient: true },
    { error: refused, reason: "EncodeError", transient: false }
  ])("of tokens are the cause of HttpClientErrors: $reason", ({ error, reason, transient }) =>
    Effect.gen(function*() {
      const { layer } = transport()
      const found = yield* Effect.flip(HttpClient.get(users)).pipe(
        Effect.provide(onGraph),
        Effect.provide([layer, failing(error)])
      )
      assert.strictEqual(found._tag, "HttpClientError")
      assert.strictEqual(found.reason._tag, reason)
      assert.strictEqual(HttpClient.isTransientError(found), transient)
      assert.strictEqual(BearerHttpClient.tokenErrorOf(found), error)
      assert.include(found.message, error.message)
    }))

  it.effect("of the network are no errors of tokens", () =>
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause: "gone" })
          })
        )
      )
      const found = yield* Effect.flip(HttpClient.get(users)).pipe(
        Effect.provide(onGraph),
        Effect.provide([Layer.succeed(HttpClient.HttpClient, client), ConfidentialClient.layerTest("the-secret-token")])
      )
      assert.strictEqual(BearerHttpClient.tokenErrorOf(found), undefined)
      assert.notInclude(everything(found), "the-secret-token")
    }))

  it.live.each([
    { name: "fetch", transport: FetchHttpClient.layer },
    { name: "undici", transport: NodeHttpClient.layerUndici },
    { name: "node:http", transport: NodeHttpClient.layerNodeHttp }
  ])("keep the transport's own cause: $name", ({ transport }) =>
    Effect.gen(function*() {
      const origin = "http://127.0.0.1:1"
      const found = yield* Effect.flip(HttpClient.get(origin)).pipe(
        Effect.provide(BearerHttpClient.layer({ [origin]: graph })),
        Effect.provide([transport, ConfidentialClient.layerTest("the-secret-token")])
      )
      assert.strictEqual(found.reason._tag, "TransportError")
      assert.instanceOf(found.cause, Error)
      assert.strictEqual("cause" in found.reason && found.reason.cause, found.cause)
      assert.match(inspect(found.cause, { depth: 5 }), /ECONNREFUSED|bad port/)
      assert.notInclude(inspect(found, { depth: 20, showHidden: true }), "the-secret-token")
    }))

  it.effect("and answers do not show the token", () =>
    Effect.gen(function*() {
      const { layer } = transport(() => new Response("no", { status: 500 }))
      const client = yield* HttpClient.HttpClient.pipe(
        Effect.provide(onGraph),
        Effect.provide([layer, ConfidentialClient.layerTest("the-secret-token")])
      )
      const response = yield* client.get(users)
      assert.notInclude(everything(response), "the-secret-token")
      const error = yield* Effect.flip(HttpClient.filterStatusOk(client).get(users))
      assert.notInclude(everything(error), "the-secret-token")
    }))

  const everything = (value: unknown) =>
    [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), String(value)].join(
      "\n"
    )
})

it.effect("a request that is interrupted while it waits for a token sends nothing", () =>
  Effect.gen(function*() {
    const { layer, left } = transport()
    const entered = yield* Deferred.make<void>()
    const client = ConfidentialClient.layerTest(() =>
      Effect.andThen(Deferred.succeed(entered, undefined), Effect.never)
    )
    const winner = yield* Effect.raceFirst(
      HttpClient.get(users).pipe(Effect.provide(onGraph), Effect.provide([layer, client])),
      Effect.as(Deferred.await(entered), "interrupted")
    )
    assert.strictEqual(winner, "interrupted")
    assert.deepStrictEqual(left, [])
  }))

it.effect("the token is not held by the client", () =>
  Effect.gen(function*() {
    const { layer } = transport()
    const client = yield* HttpClient.HttpClient.pipe(
      Effect.provide(onGraph),
      Effect.provide([layer, ConfidentialClient.layerTest(Redacted.value(Redacted.make("the-secret-token")))])
    )
    yield* client.get(users)
    assert.notInclude(inspect(client, { depth: 20, showHidden: true }), "the-secret-token")
  }))
