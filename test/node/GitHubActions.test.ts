/** The identity of a job of GitHub Actions, against a strict double of GitHub's endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Layer, Record, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, TestIssuer } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { authenticate } from "../support/credentials.ts"
import { silent } from "../support/log.ts"
import { assertToldInFull } from "../support/shown.ts"
import { contoso, graph } from "../support/world.ts"

const requestToken = "the-token-of-the-job"
const requestUrl = "https://pipelines.actions.githubusercontent.com/abc//idtoken/1/2?api-version=2.0"

const environment = { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken }

type Answer = (request: Request) => Response

/** Answers as GitHub does, if it is asked as GitHub wants to be asked. */
const strict = (audience: string, token: () => string): Answer => ({ headers, method, url }) => {
  const { host, pathname, protocol, searchParams } = new URL(url)
  const right = method === "GET" && protocol === "https:" && host === "pipelines.actions.githubusercontent.com" &&
    pathname === "/abc//idtoken/1/2" && [...searchParams].length === 2 && searchParams.get("api-version") === "2.0" &&
    searchParams.get("audience") === audience && headers.get("accept") === "application/json"
  if (!right) return new Response("{}", { status: 400 })
  return headers.get("authorization") === `Bearer ${requestToken}`
    ? Response.json({ count: 1, value: token() })
    : new Response("{}", { status: 401 })
}

const GitHub = (answer: Answer, seen: Array<string> = []) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => {
        seen.push(url.href)
        const { headers, method } = request
        return HttpClientResponse.fromWeb(request, answer(new Request(url, { method, headers: { ...headers } })))
      })
    )
  )

const job = (variables: Readonly<Record<string, string>> = environment) =>
  ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))

const attempt: ClientCredential.Attempt = {
  clientId: EntraSimulator.daemonClientId,
  tenantId: contoso,
  authority: "",
  scope: "api://orders/.default",
  tokenEndpoint: "",
  audience: "",
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId: "4f5b0f2c-6b3e-4a83-a4ab-3d9a5c1b2a10"
}

const form = (options?: NodeClientCredential.GitHubActions) =>
  Effect.gen(function*() {
    const credential = yield* NodeClientCredential.githubActions(options)
    const { form } = yield* authenticate(credential, attempt)
    return Record.map(form, (value) => Redacted.isRedacted(value) ? Redacted.value(value) : value)
  })

const hasNothingSecret = (error: EntraError.CredentialError) => {
  const shown = JSON.stringify(error) + error.message + error.remedy + String(error.cause)
  for (const secret of [requestToken, "eyJ"]) assert.notInclude(shown, secret)
}

describe("a job's token", () => {
  it.live("is asked for with the job's own token, for the audience that Entra wants", () =>
    Effect.gen(function*() {
      const made = yield* form()
      assert.strictEqual(made["client_assertion"], "eyJ.e30.c2ln")
      assert.strictEqual(made["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    }).pipe(Effect.provide([GitHub(strict("api://AzureADTokenExchange", () => "eyJ.e30.c2ln")), job()])))

  it.live("is for another audience, where that is wanted", () =>
    Effect.gen(function*() {
      const made = yield* form({ audience: "api://AzureADTokenExchangeUSGov & more" })
      assert.strictEqual(made["client_assertion"], "eyJ.e30.c2ln")
    }).pipe(Effect.provide([GitHub(strict("api://AzureADTokenExchangeUSGov & more", () => "eyJ.e30.c2ln")), job()])))

  it.live("is asked for once an attempt, and never on a cache hit", () => {
    const seen: Array<string> = []
    const issuer = "https://token.actions.githubusercontent.com"
    const subject = "repo:contoso/orders:ref:refs/heads/main"
    return Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const platform = yield* TestIssuer.make({ issuer })
      yield* simulator.trustIssuer(platform)
      yield* simulator.addFederatedCredential(EntraSimulator.daemonClientId, { issuer, subject })
      const tokens = yield* Effect.forEach([1, 2, 3], () => Effect.map(platform.issue({ subject }), Redacted.value))
      const issued = () => tokens[seen.length - 1] ?? ""
      const credential = yield* Effect.provide(
        NodeClientCredential.githubActions(),
        [GitHub(strict("api://AzureADTokenExchange", issued), seen), job()]
      )
      const { acquireToken } = yield* ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: contoso,
        credential
      })
      assert.strictEqual(seen.length, 0)
      // The first attempt is answered with 503, so there is a second.
      yield* simulator.fail(EntraSimulator.Fault.unavailable())
      const sources: Array<string> = []
      for (let n = 0; n < 3; n++) sources.push((yield* acquireToken({ scopes: graph })).metadata.tokenSource)
      assert.deepStrictEqual(sources, ["IdentityProvider", "Cache", "Cache"])
      const sent = (yield* simulator.requests).map(({ form }) => form["client_assertion"])
      assert.deepStrictEqual(sent, tokens.slice(0, 2))
      assert.strictEqual(seen.length, 2)
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())),
      Effect.provide([EntraSimulator.layerMemory(), silent])
    )
  })

  it.live.each(["http://localhost:1/a", "http://127.0.0.1:1/a", "http://[::1]:1/a"])(
    "is asked for in the clear on this machine alone: %s",
    (url) => {
      const seen: Array<string> = []
      return Effect.gen(function*() {
        yield* form()
        assert.deepStrictEqual(seen, [`${url}?audience=api%3A%2F%2FAzureADTokenExchange`])
      }).pipe(
        Effect.provide([
          GitHub(() => Response.json({ value: "eyJ.e30.c2ln" }), seen),
          job({ ...environment, ACTIONS_ID_TOKEN_REQUEST_URL: url })
        ])
      )
    }
  )

  it.live("is asked for again when GitHub is out of order", () => {
    const seen: Array<string> = []
    const well = strict("api://AzureADTokenExchange", () => "eyJ.e30.c2ln")
    const answer: Answer = (request) => seen.length < 3 ? new Response("busy", { status: 503 }) : well(request)
    return Effect.gen(function*() {
      assert.strictEqual((yield* form())["client_assertion"], "eyJ.e30.c2ln")
      assert.strictEqual(seen.length, 3)
    }).pipe(Effect.provide([GitHub(answer, seen), job()]))
  })
})

describe("what is wrong", () => {
  const URL_NAME = "ACTIONS_ID_TOKEN_REQUEST_URL"
  const TOKEN_NAME = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

  it.live.each<readonly [name: string, variables: Readonly<Record<string, string>>, field: string]>([
    ["no job at all", {}, URL_NAME],
    ["no URL", { [TOKEN_NAME]: requestToken }, URL_NAME],
    ["no token", { [URL_NAME]: requestUrl }, TOKEN_NAME],
    ["an empty URL", { ...environment, [URL_NAME]: "" }, URL_NAME],
    ["an empty token", { ...environment, [TOKEN_NAME]: " " }, TOKEN_NAME],
    ["a URL that is none", { ...environment, [URL_NAME]: "idtoken" }, URL_NAME],
    ["a URL in the clear", { ...environment, [URL_NAME]: requestUrl.replace("https", "http") }, URL_NAME],
    ["a file", { ...environment, [URL_NAME]: "file:///token" }, URL_NAME],
    ["a URL in the clear that looks local", { ...environment, [URL_NAME]: "http://localhost.example/" }, URL_NAME],
    ["a token with a line break", { ...environment, [TOKEN_NAME]: `${requestToken}\nmore` }, TOKEN_NAME],
    ["a URL with a password", { ...environment, [URL_NAME]: "https://a:b@github.com/" }, URL_NAME]
  ])("%s: found when the layer is built, without a request", ([name, variables, field]) => {
    const seen: Array<string> = []
    return Effect.gen(function*() {
      const error = yield* Effect.flip(NodeClientCredential.githubActions())
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, "github_actions_missing")
      assertToldInFull(error)
      assert.strictEqual(error.field, field)
      assert.include(error.message, field)
      if (name === "a URL with a password") assert.include(error.message, "a password")
      if (error.message.includes("not set")) assert.include(error.remedy, "permissions: id-token: write")
      hasNothingSecret(error)
      assert.deepStrictEqual(seen, [])
    }).pipe(Effect.provide([GitHub(() => new Response(), seen), job(variables)]))
  })

  it.live.each<readonly [name: string, answer: Answer, code: string, requests: number]>([
    ["refused", () => new Response(`{"message":"${requestToken}"}`, { status: 403 }), "github_actions_refused", 1],
    [
      "sent elsewhere",
      () => new Response("", { status: 302, headers: { location: "https://a.example/" } }),
      "github_actions_refused",
      1
    ],
    ["not found", () => new Response("", { status: 404 }), "github_actions_refused", 1],
    ["busy for long", () => new Response("", { status: 429 }), "github_actions_unavailable", 3],
    ["too slow for its proxy", () => new Response("", { status: 408 }), "github_actions_unavailable", 3],
    ["cut", () => new Response("{\"count\":1,\"value\":\"eyJ"), "github_actions_unavailable", 3],
    ["a page", () => new Response("<html>eyJ</html>"), "github_actions_malformed", 1],
    ["no value", () => Response.json({ token: "eyJ.e30.c2ln" }), "github_actions_malformed", 1],
    ["an empty value", () => Response.json({ value: "" }), "github_actions_malformed", 1],
    ["a value that is no text", () => Response.json({ value: { a: "eyJ" } }), "github_actions_malformed", 1],
    ["an endless answer", () => new Response(`{"value":"${"eyJ".repeat(500_000)}"}`), "github_actions_malformed", 1],
    ["a value that is no token", () => Response.json({ value: "eyJ opaque" }), "assertion_malformed", 1]
  ])("%s", ([, answer, code, requests]) => {
    const seen: Array<string> = []
    return Effect.gen(function*() {
      const error = yield* Effect.flip(form())
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.isNotEmpty(error.field)
      assert.isNotEmpty(error.remedy)
      assert.strictEqual(seen.length, requests)
      hasNothingSecret(error)
    }).pipe(Effect.provide([GitHub(answer, seen), job()]))
  })

  it.live("no answer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(form())
      assert.strictEqual(error.code, "github_actions_unavailable")
      assertToldInFull(error)
      hasNothingSecret(error)
    }).pipe(Effect.provide([
      Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.die(new Error(requestToken)))),
      job()
    ])))

  it.effect("an answer that never comes", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const silence = HttpClient.make(() => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never))
      const waiting = yield* Effect.forkChild(
        Effect.provide(Effect.flip(form()), [Layer.succeed(HttpClient.HttpClient, silence), job()])
      )
      yield* Deferred.await(asked)
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error.code, "github_actions_unavailable")
      assertToldInFull(error)
      assert.include(error.message, "within")
    }))
})

describe("the layer", () => {
  it.live("is the same credential", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.ClientCredential
      const { form } = yield* authenticate(credential, attempt)
      const sent = form["client_assertion"]
      assert.strictEqual(Redacted.isRedacted(sent) ? Redacted.value(sent) : sent, "eyJ.e30.c2ln")
    }).pipe(
      Effect.provide(NodeClientCredential.layerGitHubActions()),
      Effect.provide([GitHub(strict("api://AzureADTokenExchange", () => "eyJ.e30.c2ln")), job()])
    ))
})
