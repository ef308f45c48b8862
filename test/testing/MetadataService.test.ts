/** The simulators of the platforms' services: what each grants, and how each refuses the rest. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { EntraSimulator, MetadataService } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose"
import { assertShown } from "../support/shown.ts"

const { systemAssigned, userAssigned } = MetadataService
const { clientId, objectId, resourceId } = userAssigned
const vault = "https://vault.azure.net"

const ask = Effect.fnUntraced(function*(query: string, headers: Readonly<Record<string, string>>) {
  const { environment, origin } = yield* MetadataService.MetadataService
  const endpoint = environment["IDENTITY_ENDPOINT"] ?? `${origin}/metadata/identity/oauth2/token`
  const secret = environment["IDENTITY_HEADER"] ?? ""
  const response = yield* HttpClient.get(`${endpoint}?${query.replaceAll("$vault", encodeURIComponent(vault))}`, {
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace("$secret", secret)])
    )
  })
  return { status: response.status, headers: response.headers, text: yield* response.text }
})

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)))

const Service = (options: MetadataService.Options) =>
  MetadataService.layerMemory({ signer: EntraSimulator.signerFake, ...options })

const metadata = { metadata: "true" }
const secret = { "x-identity-header": "$secret" }
const v1 = "api-version=2018-02-01"
const v2 = "api-version=2019-08-01"

describe("granted", () => {
  it.effect.each<readonly [MetadataService.Platform, string, Record<string, string>, string]>([
    ["imds", `${v1}&resource=$vault`, metadata, systemAssigned.clientId],
    ["imds", "api-version=2021-12-13&resource=$vault", metadata, systemAssigned.clientId],
    ["imds", `${v1}&resource=$vault&client_id=${clientId}`, metadata, clientId],
    ["imds", `${v1}&resource=$vault&client_id=${clientId.toUpperCase()}`, metadata, clientId],
    ["imds", `${v1}&resource=$vault&object_id=${objectId}`, metadata, clientId],
    ["imds", `${v1}&resource=$vault&msi_res_id=${resourceId}`, metadata, clientId],
    ["appService", `${v2}&resource=$vault`, secret, systemAssigned.clientId],
    ["appService", `${v2}&resource=$vault&client_id=${clientId}`, secret, clientId],
    ["appService", `${v2}&resource=$vault&principal_id=${objectId}`, secret, clientId],
    ["appService", `${v2}&resource=$vault&object_id=${objectId}`, secret, clientId],
    ["appService", `${v2}&resource=$vault&mi_res_id=${resourceId}`, secret, clientId]
  ])("%s: %s", ([platform, query, headers, expected]) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const { status, text } = yield* ask(query, headers)
      assert.strictEqual(status, 200, text)
      const body = decode(text)
      assert.deepInclude(body, {
        client_id: expected,
        expires_on: "1700086400",
        not_before: "1700000000",
        resource: vault,
        token_type: "Bearer"
      })
      assert.strictEqual(body["expires_in"], platform === "appService" ? undefined : "86400")
      const claims = decodeJwt(body["access_token"] ?? "")
      assert.deepInclude(claims, {
        aud: vault,
        appid: expected,
        exp: 1_700_086_400,
        tid: EntraSimulator.contosoTenantId
      })
    }).pipe(Effect.provide(Service({ platform }))))
})

describe("refused", () => {
  it.effect.each<readonly [MetadataService.Platform, string, Record<string, string>, number, string]>([
    ["imds", `${v1}&resource=$vault`, {}, 400, "bad_request_102"],
    ["imds", `${v1}&resource=$vault`, { metadata: "True" }, 400, "bad_request_102"],
    ["imds", `${v1}&resource=$vault`, { ...metadata, "x-forwarded-for": "10.0.0.1" }, 400, "X-Forwarded-For"],
    ["imds", `${v1}`, metadata, 400, "resource is missing"],
    ["imds", `${v1}&resource=`, metadata, 400, "resource is missing"],
    ["imds", `${v1}&resource=$vault&resource=$vault`, metadata, 400, "more than once"],
    ["imds", "resource=$vault", metadata, 400, "api-version"],
    ["imds", "api-version=2017-12-01&resource=$vault", metadata, 400, "api-version"],
    ["imds", "api-version=latest&resource=$vault", metadata, 400, "api-version"],
    ["imds", `${v1}&resource=$vault&mi_res_id=${resourceId}`, metadata, 400, "mi_res_id is not known"],
    ["imds", `${v1}&resource=$vault&scope=x`, metadata, 400, "scope is not known"],
    ["imds", `${v1}&resource=$vault&client_id=${objectId}`, metadata, 400, "Identity not found"],
    ["imds", `${v1}&resource=$vault&client_id=${systemAssigned.clientId}`, metadata, 400, "Identity not found"],
    ["imds", `${v1}&resource=$vault&client_id=${clientId}&object_id=${objectId}`, metadata, 400, "more than once"],
    ["imds", `${v1}&resource=api%3A%2F%2Fnobody`, metadata, 400, "invalid_resource"],
    ["appService", `${v2}&resource=$vault`, {}, 401, "X-IDENTITY-HEADER"],
    ["appService", `${v2}&resource=$vault`, { "x-identity-header": "another" }, 401, "X-IDENTITY-HEADER"],
    ["appService", `${v2}&resource=$vault`, metadata, 401, "X-IDENTITY-HEADER"],
    ["appService", "api-version=2017-09-01&resource=$vault", secret, 400, "api-version"],
    ["appService", `${v2}`, secret, 400, "resource is missing"],
    ["appService", `${v2}&resource=$vault&msi_res_id=${resourceId}`, secret, 400, "msi_res_id is not known"],
    ["appService", `${v2}&resource=$vault&client_id=${objectId}`, secret, 400, "No User Assigned"],
    ["appService", `${v2}&resource=api%3A%2F%2Fnobody`, secret, 400, "AADSTS500011"],
    ["azureArc", "api-version=2019-11-01&resource=$vault", {}, 400, "Required metadata header"],
    [
      "azureArc",
      `api-version=2019-11-01&resource=$vault&client_id=${clientId}`,
      metadata,
      400,
      "client_id is not known"
    ]
  ])("%s: %s with %o", ([platform, query, headers, status, text]) =>
    Effect.gen(function*() {
      const answer = yield* ask(query, headers)
      assert.strictEqual(answer.status, status)
      assert.include(answer.text, text)
      assertShown(answer.text)
    }).pipe(Effect.provide(Service({ platform, resources: [vault] }))))

  it.effect("are a machine without identities, and one with several and no word which", () =>
    Effect.gen(function*() {
      const error = Effect.map(ask(`${v1}&resource=$vault`, metadata), ({ text }) => decode(text)["error_description"])
      assert.strictEqual(yield* Effect.provide(error, Service({ identities: [] })), "Identity not found")
      const two = [userAssigned, { ...userAssigned, clientId: objectId }]
      assert.include(yield* Effect.provide(error, Service({ identities: two })), "Multiple user assigned identities")
      const found = ask(`${v1}&resource=$vault`, metadata)
      assert.strictEqual((yield* Effect.provide(found, Service({ identities: [userAssigned] }))).status, 200)
    }))

  it.effect("is what is no GET", () =>
    Effect.gen(function*() {
      const { origin } = yield* MetadataService.MetadataService
      const post = HttpClientRequest.post(`${origin}/metadata/identity/oauth2/token?${v1}&resource=x`, {
        headers: metadata
      })
      assert.strictEqual((yield* HttpClient.execute(post)).status, 404)
    }).pipe(Effect.provide(Service({}))))
})

describe("Azure Arc", () => {
  const query = "api-version=2019-11-01&resource=$vault"
  it.effect("names a key, takes it once, and no other", () =>
    Effect.gen(function*() {
      const { keys } = yield* MetadataService.MetadataService
      const challenged = yield* ask(query, metadata)
      assert.strictEqual(challenged.status, 401)
      const [[path, key] = ["", ""]] = yield* keys
      assert.strictEqual(challenged.headers["www-authenticate"], `Basic realm=${path}`)
      assert.match(path, /^\/var\/opt\/azcmagent\/tokens\/[\w-]+\.key$/)
      const proven = { ...metadata, authorization: `Basic ${key}` }
      assert.strictEqual((yield* ask(query, { ...metadata, authorization: "Basic another" })).status, 401)
      assert.strictEqual((yield* ask(query, proven)).status, 200)
      assert.strictEqual((yield* ask(query, proven)).status, 401)
    }).pipe(Effect.provide(Service({ platform: "azureArc" }))))

  it.effect("writes its keys where it is told to", () => {
    const written = new Map<string, string>()
    const writeKey = (path: string, key: string) => Effect.sync(() => void written.set(path, key))
    return Effect.gen(function*() {
      const { keys } = yield* MetadataService.MetadataService
      yield* ask(query, metadata)
      assert.deepStrictEqual([...written], [...yield* keys])
      assert.match([...written.keys()].join(), /^\/tmp\/keys\//)
    }).pipe(Effect.provide(Service({ platform: "azureArc", keyDirectory: "/tmp/keys", writeKey })))
  })
})

describe("a service", () => {
  it.effect("signs with the keys of EntraSimulator", () =>
    Effect.gen(function*() {
      const { issuer } = yield* MetadataService.MetadataService
      const { text } = yield* ask(`${v1}&resource=$vault`, metadata)
      const jwks = createLocalJWKSet(yield* EntraSimulator.signerRs256.jwks)
      const { payload } = yield* Effect.promise(() =>
        jwtVerify(decode(text)["access_token"] ?? "", jwks, {
          issuer,
          audience: vault,
          subject: systemAssigned.objectId,
          currentDate: new Date(0)
        })
      )
      assert.strictEqual(payload["oid"], systemAssigned.objectId)
    }).pipe(Effect.provide(MetadataService.layerMemory())))

  it.effect("answers as it is told, so often, and then as usual", () =>
    Effect.gen(function*() {
      const service = yield* MetadataService.MetadataService
      const status = Effect.map(ask(`${v1}&resource=$vault`, metadata), (answer) => answer.status)
      yield* service.fail({ status: 503 }, { times: 2 })
      yield* service.fail({ status: 410 })
      assert.deepStrictEqual([yield* status, yield* status, yield* status, yield* status], [503, 503, 410, 200])
      yield* service.fail({ dropped: true }, { times: Infinity })
      assert.strictEqual((yield* Effect.flip(status))._tag, "HttpClientError")
      yield* service.clearFaults
      yield* service.fail({ after: "1 second" })
      const late = yield* Effect.forkChild(status)
      yield* TestClock.adjust(999)
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(late), 200)
      assert.lengthOf(yield* service.requests, 6)
    }).pipe(Effect.provide(Service({}))))

  it.effect.each<readonly [MetadataService.Options, ReadonlyArray<string>]>([
    [{}, []],
    [{ origin: "http://127.0.0.1:1" }, ["AZURE_POD_IDENTITY_AUTHORITY_HOST"]],
    [{ platform: "appService" }, ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]],
    [{ platform: "azureArc" }, ["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"]]
  ])("with %o sets %o", ([options, names]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(Object.keys((yield* MetadataService.make(options)).environment), names)
    }))

  it.effect("keeps the newest thousand requests", () =>
    Effect.gen(function*() {
      const { requests } = yield* MetadataService.MetadataService
      for (let request = 1; request <= 1001; request++) yield* ask(`request=${request}`, metadata)
      const kept = yield* requests
      assert.lengthOf(kept, 1000)
      assert.match(kept[0]?.url ?? "", /request=2$/)
    }).pipe(Effect.provide(Service({}))))

  it.effect("leaves other origins to the client behind it", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(HttpClient.get("https://login.microsoftonline.com/"))
      assert.strictEqual(refused.reason._tag, "TransportError")
    }).pipe(Effect.provide(Service({}))))
})
