/** Managed identities against strict simulators of the three services that give out their tokens. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Exit, Fiber, FileSystem, Layer, Redacted, Result, Schedule } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { ManagedIdentity } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"
import { FetchHttpClient, HttpClient, HttpClientError, HttpRouter, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import { decodeJwt } from "jose"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"
import type { ResponseContext } from "../../src/internal/endpoint/tokenResponse.ts"
import { asCredentialError, readPlatformResponse } from "../../src/node/internal/managedIdentity/answer.ts"
import { isIn, keyFileOf, keyOf } from "../../src/node/internal/managedIdentity/challenge.ts"
import {
  delayAfter,
  isImds,
  type Outcome,
  platformOf,
  requestOf,
  type Source,
  type Variables
} from "../../src/node/internal/managedIdentity/platform.ts"
import { runChild } from "../support/child.ts"
import { authenticate } from "../support/credentials.ts"
import { record, silent } from "../support/log.ts"
import { serve } from "../support/server.ts"
import { assertToldInFull } from "../support/shown.ts"
import { contoso, graph } from "../support/world.ts"

const { systemAssigned, userAssigned } = MetadataService
const vault = "https://vault.azure.net/.default"
const platforms: ReadonlyArray<MetadataService.Platform> = ["imds", "appService", "azureArc"]

/** Azure Arc's directory, as this test may write it. */
const folder = mkdtempSync(join(tmpdir(), "effect-entra-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const writeKey = (path: string, key: string) =>
  Effect.sync(() => writeFileSync(join(folder, basename(path)), `${key}\n`))

/** Node's files, with the agent's directory mounted from elsewhere. */
const Files = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (files) => {
    const at = (path: string) => path.replace("/var/opt/azcmagent/tokens", folder)
    return FileSystem.FileSystem.of({
      ...files,
      stat: (path) => files.stat(at(path)),
      realPath: (path) => files.realPath(at(path)),
      open: (path, options) => files.open(at(path), options),
      readFile: (path) => files.readFile(at(path)),
      stream: (path, options) => files.stream(at(path), options)
    })
  })
).pipe(Layer.provide(NodeFileSystem.layer))

const Environment = (variables: Readonly<Record<string, string>>) =>
  ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))

/** The variables of the platform in the context. */
const Variables = Layer.unwrap(
  Effect.map(MetadataService.MetadataService, ({ environment }) => Environment(environment))
)

const Service = (options: MetadataService.Options = {}) =>
  MetadataService.layerMemory({ signer: EntraSimulator.signerFake, writeKey, ...options })

/** A client on a platform. */
const World = (options: MetadataService.Options = {}, client: ManagedIdentity.ClientOptions = {}) =>
  ManagedIdentity.layer(client).pipe(
    Layer.provide([Files, Variables]),
    Layer.provideMerge(Service(options))
  )

const acquire = (request: object = {}) => ConfidentialClient.acquireToken({ scopes: vault, ...request })

const fail = (answer: MetadataService.Answer, times = 1) =>
  MetadataService.MetadataService.use((service) => service.fail(answer, { times }))

const asked = MetadataService.MetadataService.use(({ requests }) => requests)

const textOf = ({ accessToken }: { readonly accessToken: Redacted.Redacted<string> }) => Redacted.value(accessToken)

const claimsOf = (result: { readonly accessToken: Redacted.Redacted<string> }) => decodeJwt(textOf(result))

const json = (body: unknown) => JSON.stringify(body)

/** Runs an effect that must end after `millis`, and not a millisecond earlier. */
const after = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, millis: number) {
  const fiber = yield* Effect.forkChild(effect)
  yield* TestClock.adjust(Math.max(millis - 1, 0))
  if (millis > 0) assert.isUndefined(fiber.pollUnsafe(), `ended before ${millis} ms`)
  yield* TestClock.adjust(1)
  // Files are read in their own time.
  for (let turn = 0; turn < 1000 && fiber.pollUnsafe() === undefined; turn++) {
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
  }
  assert.isDefined(fiber.pollUnsafe(), `goes on after ${millis} ms`)
  return yield* Fiber.await(fiber)
})

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) throw new Error("it succeeded")
  const [reason] = exit.cause.reasons
  if (reason === undefined || reason._tag !== "Fail") throw new Error("it died")
  return reason.error
}

// -----------------------------------------------------------------------------
// responses
// -----------------------------------------------------------------------------

describe("a response", () => {
  const now = 1_700_000_000_000
  const context: ResponseContext = {
    authority: Result.getOrThrow(Authority.parse(`https://login.microsoftonline.com/${contoso}`)),
    authorityUrl: `https://login.microsoftonline.com/${contoso}`,
    clientId: "client",
    tenantId: contoso,
    scopes: vault,
    tokenType: "Bearer",
    tokenEndpoint: "http://169.254.169.254/metadata/identity/oauth2/token",
    correlationId: "c-1",
    sentAt: now,
    now,
    scrub: (text) => text
  }
  const read = (status: number, body: unknown, cut = false) =>
    readPlatformResponse({ status, headers: {}, body: json(body), cut }, context)
  const errorOf = (status: number, body: unknown) => Result.getOrThrow(Result.flip(read(status, body)))
  const words = { error: "invalid_request", error_description: "No identity is assigned" }

  it.each([404, 410])("with the status %i is an outage, whatever its body says", (status) => {
    for (const body of [words, {}, "<html>", { access_token: "a.b.c", expires_in: 60, token_type: "Bearer" }]) {
      const error = errorOf(status, body)
      assert.deepInclude<object>(error, {
        _tag: "EntraServiceUnavailableError",
        code: "service_unavailable",
        origin: "service",
        correlationId: "c-1",
        status,
        isRetryable: true
      })
      assertToldInFull(error)
    }
  })

  it("of a refusal is about the identity, with the details of the response", () => {
    for (const status of [400, 403, 499]) {
      assert.deepInclude<object>(errorOf(status, words), {
        _tag: "EntraInvalidClientError",
        code: "managed_identity_refused",
        origin: "service",
        correlationId: "c-1",
        status,
        error: "invalid_request"
      })
      assertToldInFull(errorOf(status, words))
    }
  })

  it("of a refusal that the service numbers is what the number means", () => {
    const error = errorOf(400, { error: "invalid_resource", error_description: "AADSTS500011: No such resource." })
    assert.deepInclude<object>(error, {
      _tag: "EntraTokenRequestError",
      code: "resource_unknown",
      errorCodes: [500011]
    })
  })

  it.each([500, 503])("with the status %i is no refusal of the identity", (status) => {
    const error = errorOf(status, words)
    assert.notStrictEqual(error._tag, "EntraInvalidClientError")
    assert.isTrue(error.isRetryable)
  })

  it.each([1800, "1800"])("with refresh_in %j says when the token is due", (refresh_in) => {
    const token = Result.getOrThrow(
      read(200, { access_token: "a.b.c", expires_in: 86_400, refresh_in, token_type: "Bearer" })
    )
    assert.strictEqual(token.refreshOn, now + 1_800_000)
  })

  it("becomes the error of a credential that has the field, the origin and the details", () => {
    const retryAfter = Duration.seconds(7)
    const cases = [
      [errorOf(400, words), "managed_identity_refused", undefined],
      [errorOf(200, []), "managed_identity_malformed", undefined],
      [errorOf(404, words), "managed_identity_unavailable", undefined],
      [
        new EntraError.ThrottledError({
          code: "throttled",
          message: "Too many requests.",
          remedy: "Wait.",
          origin: "service",
          source: "server",
          loopDetected: false,
          correlationId: "c-1",
          retryAfter
        }),
        "managed_identity_unavailable",
        retryAfter
      ]
    ] as const
    for (const [error, code, wait] of cases) {
      const converted = asCredentialError(error)
      assert.deepInclude<object>(converted, {
        _tag: "EntraCredentialError",
        code,
        field: "identity",
        origin: "service",
        correlationId: "c-1",
        remedy: error.remedy,
        retryAfter: wait
      })
      assertToldInFull(converted)
      assert.strictEqual(asCredentialError(converted), converted)
    }
  })
})

// -----------------------------------------------------------------------------
// decisions
// -----------------------------------------------------------------------------

const none: Variables = {
  IDENTITY_ENDPOINT: undefined,
  IDENTITY_HEADER: undefined,
  IDENTITY_SERVER_THUMBPRINT: undefined,
  IMDS_ENDPOINT: undefined,
  MSI_ENDPOINT: undefined,
  AZURE_POD_IDENTITY_AUTHORITY_HOST: undefined,
  ProgramData: undefined
}
const header = Redacted.make("853b9a84")
const local = "http://localhost:4141/msi/token"
const arc = "http://localhost:40342/metadata/identity/oauth2/token"
const imds = "http://169.254.169.254/metadata/identity/oauth2/token"

describe("the agent's directory", () => {
  it.each([
    { file: "/var/opt/azcmagent/tokens/a.key", directory: "/var/opt/azcmagent/tokens", windows: false, is: true },
    { file: "/var/opt/azcmagent/tokens/b/a.key", directory: "/var/opt/azcmagent/tokens", windows: false, is: false },
    { file: "C:\\Agent\\Tokens\\a.key", directory: "c:\\agent\\tokens", windows: true, is: true },
    { file: "C:\\Agent\\a.key", directory: "c:\\agent\\tokens", windows: true, is: false }
  ])("$file in $directory: $is", ({ directory, file, is, windows }) => {
    assert.strictEqual(isIn(file, directory, { directory, windows }), is)
  })
})

describe("the source", () => {
  const cases: ReadonlyArray<
    readonly [
      string,
      Source | undefined,
      Partial<Variables>,
      readonly [Source, string, boolean] | readonly [string, string]
    ]
  > = [
    ["nothing is set", undefined, {}, ["imds", imds, true]],
    ["it is said", "imds", {}, ["imds", imds, false]],
    [
      "the host is set",
      undefined,
      { AZURE_POD_IDENTITY_AUTHORITY_HOST: "http://127.0.0.1:1/" },
      ["imds", "http://127.0.0.1:1/metadata/identity/oauth2/token", false]
    ],
    ["App Service", undefined, { IDENTITY_ENDPOINT: local, IDENTITY_HEADER: header }, ["appService", local, false]],
    ["Azure Arc", undefined, { IDENTITY_ENDPOINT: arc, IMDS_ENDPOINT: "http://localhost:40342" }, [
      "azureArc",
      arc,
      false
    ]],
    [
      "App Service is taken before Azure Arc",
      undefined,
      { IDENTITY_ENDPOINT: local, IDENTITY_HEADER: header, IMDS_ENDPOINT: "http://localhost:40342" },
      ["appService", local, false]
    ],
    ["Azure Arc is said", "azureArc", {}, ["azureArc", arc, false]],
    ["an endpoint alone says nothing", undefined, { IDENTITY_ENDPOINT: local }, ["imds", imds, true]],
    [
      "Service Fabric",
      undefined,
      { IDENTITY_ENDPOINT: local, IDENTITY_HEADER: header, IDENTITY_SERVER_THUMBPRINT: "AB" },
      ["managed_identity_unsupported", "IDENTITY_SERVER_THUMBPRINT"]
    ],
    ["Cloud Shell", undefined, { MSI_ENDPOINT: local }, ["managed_identity_unsupported", "MSI_ENDPOINT"]],
    ["App Service without an endpoint", "appService", {}, ["managed_identity_incomplete", "IDENTITY_ENDPOINT"]],
    ["App Service without a header", "appService", { IDENTITY_ENDPOINT: local }, [
      "managed_identity_incomplete",
      "IDENTITY_HEADER"
    ]],
    [
      "a header that cannot be sent",
      undefined,
      { IDENTITY_ENDPOINT: local, IDENTITY_HEADER: Redacted.make("one\ntwo") },
      ["managed_identity_incomplete", "IDENTITY_HEADER"]
    ],
    ...["localhost:4141", "file:///etc/passwd", "http://user:secret@localhost/", "not a url", "http://host/#x"].map((
      endpoint
    ) =>
      [
        `the endpoint ${endpoint}`,
        undefined,
        { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: header },
        ["managed_identity_incomplete", "IDENTITY_ENDPOINT"]
      ] as const
    ),
    ["Azure Arc elsewhere, in the clear", undefined, {
      IDENTITY_ENDPOINT: "http://arc.example/metadata/identity/oauth2/token",
      IMDS_ENDPOINT: "http://arc.example"
    }, ["managed_identity_incomplete", "IDENTITY_ENDPOINT"]],
    ["Azure Arc elsewhere, over https", undefined, {
      IDENTITY_ENDPOINT: "https://arc.example/token",
      IMDS_ENDPOINT: "https://arc.example"
    }, ["azureArc", "https://arc.example/token", false]],
    ["a query, which is not shown", undefined, {
      IDENTITY_ENDPOINT: `${local}?code=s3cret`,
      IDENTITY_HEADER: header
    }, ["appService", local, false]],
    ["a host that is none", undefined, { AZURE_POD_IDENTITY_AUTHORITY_HOST: "169.254.169.254" }, [
      "managed_identity_incomplete",
      "AZURE_POD_IDENTITY_AUTHORITY_HOST"
    ]]
  ]
  it.each(cases)("%s", (_name, source, variables, expected) => {
    const result = platformOf({ source }, { ...none, ...variables }, false)
    if (Result.isSuccess(result)) {
      assert.deepStrictEqual([result.success.source, result.success.endpoint, result.success.guessed], expected)
    } else {
      assert.deepStrictEqual([result.failure.code, result.failure.field], expected)
      assertToldInFull(result.failure)
      assert.notInclude(json(result.failure), "secret")
      assert.isNotEmpty(result.failure.remedy)
    }
  })

  it("is one of three, whatever JavaScript passes", () => {
    for (const source of ["IMDS", "toString", 7]) {
      // @ts-expect-error what the types do not let through
      const refused = Result.getOrThrow(Result.flip(platformOf({ source }, none, false)))
      assert.deepStrictEqual([refused.code, refused.field], ["managed_identity_unsupported", "source"])
      assertToldInFull(refused)
    }
  })
})

describe("the identity", () => {
  const { clientId, objectId, resourceId } = userAssigned
  const variables = { ...none, IDENTITY_ENDPOINT: local, IDENTITY_HEADER: header }
  const asks = (source: Source, identity: ManagedIdentity.Identity | undefined) => {
    const platform = Result.getOrThrow(platformOf({ source, identity }, variables, false))
    return Object.fromEntries(new URL(requestOf(platform, "api://one two/?&").url).searchParams)
  }
  const resource = "api://one two/?&"

  it.each<readonly [Source, ManagedIdentity.Identity | undefined, Record<string, string>]>([
    ["imds", undefined, { "api-version": "2018-02-01" }],
    ["imds", { clientId }, { "api-version": "2018-02-01", client_id: clientId }],
    ["imds", { objectId }, { "api-version": "2018-02-01", object_id: objectId }],
    ["imds", { resourceId }, { "api-version": "2018-02-01", msi_res_id: resourceId }],
    ["appService", undefined, { "api-version": "2019-08-01" }],
    ["appService", { clientId }, { "api-version": "2019-08-01", client_id: clientId }],
    ["appService", { objectId }, { "api-version": "2019-08-01", principal_id: objectId }],
    ["appService", { resourceId }, { "api-version": "2019-08-01", mi_res_id: resourceId }],
    ["azureArc", undefined, { "api-version": "2019-11-01" }]
  ])("%s %o", (source, identity, expected) => {
    assert.deepStrictEqual(asks(source, identity), { ...expected, resource })
  })

  it.each([
    {},
    { clientId: "" },
    { clientId: "my-identity" },
    { objectId: `${objectId}&resource=x` },
    { resourceId: "daemon" },
    { resourceId: "/subscriptions/x" },
    { resourceId: `${resourceId}/${"x".repeat(1024)}` },
    { clientId, objectId },
    { clientId: 7 },
    "system",
    null
  ])("is not %o", (identity) => {
    // @ts-expect-error what the types do not let through
    const refused = Result.getOrThrow(Result.flip(platformOf({ identity }, none, false)))
    assert.deepStrictEqual([refused.code, refused.field], ["identity_malformed", "identity"])
    assertToldInFull(refused)
  })

  it("has a name of its own", () => {
    const names = [undefined, { clientId }, { objectId }, { objectId: clientId }, { resourceId }].map((identity) =>
      Result.getOrThrow(platformOf({ identity }, none, false)).name
    )
    assert.strictEqual(new Set(names).size, names.length)
  })

  it("is the system-assigned one at Azure Arc", () => {
    for (const identity of [{ clientId }, { objectId }, { resourceId }]) {
      const refused = Result.getOrThrow(Result.flip(platformOf({ source: "azureArc", identity }, none, false)))
      assert.deepStrictEqual([refused.code, refused.field], ["managed_identity_unsupported", "identity"])
      assertToldInFull(refused)
    }
  })
})

describe("Azure Arc's keys", () => {
  it.each([
    [{}, false, "/var/opt/azcmagent/tokens"],
    [{}, true, "C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens"],
    [{ ProgramData: "D:\\Data" }, true, "D:\\Data\\AzureConnectedMachineAgent\\Tokens"]
  ])("are, with %o, Windows %s, in %s", (variables, windows, directory) => {
    const { keys } = Result.getOrThrow(platformOf({ source: "azureArc" }, { ...none, ...variables }, windows))
    assert.deepStrictEqual(keys, { directory, windows })
  })
})

describe("asking again", () => {
  it.each<readonly [Source, Outcome, ReadonlyArray<number>]>([
    ...([404, 408, 429, 500, 501, 502, 503, 504, 599, "silence"] as const).map((outcome) =>
      ["imds", outcome, [1000, 2000, 4000]] as const
    ),
    ["imds", 410, Array.from({ length: 7 }, () => 10_000)],
    ...([400, 401, 403, 405] as const).map((outcome) => ["imds", outcome, []] as const),
    ...([404, 408, 429, 500, 503, 504, "silence"] as const).flatMap((outcome) =>
      (["appService", "azureArc"] as const).map((source) => [source, outcome, [1000, 1000, 1000]] as const)
    ),
    ...([400, 401, 403, 410, 501, 502] as const).flatMap((outcome) =>
      (["appService", "azureArc"] as const).map((source) => [source, outcome, []] as const)
    )
  ])("%s after %s", (source, outcome, expected) => {
    const delays = []
    for (let attempt = 1; attempt < 20; attempt++) {
      const delay = delayAfter(source, outcome, attempt)
      if (delay === undefined) break
      delays.push(delay)
    }
    assert.deepStrictEqual(delays, expected)
  })

  it("goes by Retry-After where that is longer, and leaves a long one to the gate", () => {
    assert.deepStrictEqual([500, 3000, 10_000, 10_001].map((retryAfter) => delayAfter("imds", 429, 1, retryAfter)), [
      1000,
      3000,
      10_000,
      undefined
    ])
    assert.isUndefined(delayAfter("imds", 400, 1, 3000))
  })

  it("knows IMDS by its answer to a question without its header", () => {
    assert.deepStrictEqual([200, 302, 400, 401, 403, 404, 405, 408, 410, 429, 500, 503].filter(isImds), [
      200,
      400,
      408,
      410,
      429,
      500,
      503
    ])
  })
})

describe("Azure Arc's challenge", () => {
  const linux = { directory: "/var/opt/azcmagent/tokens", windows: false }
  const windows = { directory: "C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens", windows: true }
  it.each([
    ["Basic realm=/var/opt/azcmagent/tokens/a-B_1.key", linux, "/var/opt/azcmagent/tokens/a-B_1.key"],
    ["Basic realm=\"/var/opt/azcmagent/tokens/a.key\"", linux, "/var/opt/azcmagent/tokens/a.key"],
    ["basic  realm=/var/opt/azcmagent/tokens/x/../a.key", linux, "/var/opt/azcmagent/tokens/a.key"],
    [
      "Basic realm=C:\\PROGRAMDATA\\AzureConnectedMachineAgent\\tokens\\a.key",
      windows,
      "C:\\PROGRAMDATA\\AzureConnectedMachineAgent\\tokens\\a.key"
    ]
  ])("%s", (challenge, keys, expected) => {
    assert.strictEqual(Result.getOrThrow(keyFileOf(challenge, keys)), expected)
  })

  it.each([
    [undefined, linux],
    ["", linux],
    ["Basic realm=", linux],
    ["Bearer realm=/var/opt/azcmagent/tokens/a.key", linux],
    ["Basic realm=/etc/shadow", linux],
    ["Basic realm=/etc/ssl/a.key", linux],
    ["Basic realm=/var/opt/azcmagent/tokens/../a.key", linux],
    ["Basic realm=/var/opt/azcmagent/tokens/more/a.key", linux],
    ["Basic realm=/var/opt/azcmagent/tokens2/a.key", linux],
    ["Basic realm=var/opt/azcmagent/tokens/a.key", linux],
    ["Basic realm=/var/opt/azcmagent/tokens/a.txt", linux],
    ["Basic realm=/var/opt/azcmagent/tokens/.key", linux],
    ["Basic realm=C:\\Windows\\a.key", windows],
    ["Basic realm=C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\a.txt:b.key", windows]
  ])("refuses %s", (challenge, keys) => {
    const refused = Result.getOrThrow(Result.flip(keyFileOf(challenge, keys)))
    assert.deepStrictEqual([refused.code, refused.field], ["managed_identity_challenge", "IDENTITY_ENDPOINT"])
    assertToldInFull(refused)
  })

  it("believes a key of 4096 bytes, and nothing that is longer or none", () => {
    const bytes = (text: string) => new TextEncoder().encode(text)
    assert.strictEqual(Result.getOrThrow(keyOf(bytes(`${"k".repeat(4095)}\n`))).length, 4095)
    for (const text of ["k".repeat(4097), "", "\n", "two words", "ключ"]) {
      assert.strictEqual(Result.getOrThrow(Result.flip(keyOf(bytes(text)))).code, "managed_identity_challenge")
    }
  })
})

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

describe("a token", () => {
  it.effect.each(platforms)("of %s is acquired once, and then cached", (platform) =>
    Effect.gen(function*() {
      const results = yield* Effect.all(Array.from({ length: 20 }, () => acquire()), { concurrency: "unbounded" })
      const again = yield* acquire()
      assert.deepStrictEqual([...new Set(results.map(textOf))], [textOf(again)])
      assert.deepInclude(again, { tenantId: "managed-identity", tokenType: "Bearer", scopes: [vault] })
      assert.strictEqual(again.metadata.tokenSource, "Cache")
      assert.deepInclude(claimsOf(again), {
        sub: systemAssigned.objectId,
        aud: "https://vault.azure.net",
        iss: `https://login.microsoftonline.com/${contoso}/v2.0`
      })
      const requests = yield* asked
      // Where nothing is set it is tried out first; Azure Arc wants its proof.
      assert.lengthOf(requests, platform === "appService" ? 1 : 2)
      assert.strictEqual(requests.at(-1)?.headers["metadata"], platform === "appService" ? undefined : "true")
    }).pipe(Effect.provide(World({ platform }))))

  it.effect("lives as long as expires_on says, whatever expires_in does", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      for (const expires_on of ["1700003600", " 1700003600 ", "1700003600.0", 1_700_003_600]) {
        const body = { access_token: "a.b.c", expires_on, expires_in: "86400", token_type: "Bearer" }
        yield* fail({ status: 200, body: json(body) })
        const { expiresOn } = yield* acquire({ forceRefresh: true })
        assert.strictEqual(expiresOn.epochMilliseconds, 1_700_003_600_000)
      }
    }).pipe(Effect.provide(World({ platform: "appService" }))))

  it.effect("lives as long as expires_in says where there is nothing else", () =>
    Effect.gen(function*() {
      yield* fail({ status: 200, body: json({ access_token: "a.b.c", expires_in: 600, token_type: "Bearer" }) })
      const { expiresOn } = yield* acquire()
      assert.strictEqual(expiresOn.epochMilliseconds, 600_000)
    }).pipe(Effect.provide(World({ platform: "appService" }))))

  it.effect("is renewed before anybody waits", () =>
    Effect.gen(function*() {
      const first = yield* acquire()
      yield* TestClock.adjust("13 hours")
      assert.strictEqual(textOf(yield* acquire()), textOf(first))
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual(textOf(yield* acquire()), textOf(first))
    }).pipe(Effect.provide(World())))

  it.effect("stays in use while the service is silent", () =>
    Effect.gen(function*() {
      yield* acquire()
      yield* TestClock.adjust(24 * 3_600_000 - 60_000)
      yield* fail({ dropped: true }, Infinity)
      // The default of renewal.maxWait.
      const { metadata } = yield* Effect.flatten(after(acquire(), 2000))
      assert.isTrue(metadata.outage)
    }).pipe(Effect.provide(World())))

  const cases: ReadonlyArray<
    readonly [MetadataService.Platform, ManagedIdentity.Identity | undefined, MetadataService.Identity]
  > = (["imds", "appService"] as const).flatMap((platform) => [
    [platform, undefined, systemAssigned],
    [platform, { clientId: userAssigned.clientId }, userAssigned],
    [platform, { objectId: userAssigned.objectId }, userAssigned],
    [platform, { resourceId: userAssigned.resourceId }, userAssigned]
  ])
  it.effect.each(cases)("of %s for %o", ([platform, identity, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(claimsOf(yield* acquire())["appid"], expected.clientId)
    }).pipe(Effect.provide(World({ platform }, { identity }))))

  it.effect("names the tenant of the identity where that is said, and requests may name it too", () =>
    Effect.gen(function*() {
      const { tenantId } = yield* acquire()
      assert.strictEqual(tenantId, contoso)
      const { metadata } = yield* acquire({ tenantId: contoso })
      assert.strictEqual(metadata.tokenSource, "Cache")
      yield* acquire({ authority: `https://login.microsoftonline.com/${contoso}` })
      const refused = yield* Effect.flip(acquire({ tenantId: EntraSimulator.fabrikamTenantId }))
      assert.deepInclude(refused, { _tag: "EntraInvalidAuthorityError", field: "tenantId" })
      assert.lengthOf(yield* asked, 1)
    }).pipe(Effect.provide(World({ platform: "appService" }, { tenantId: contoso.toUpperCase() }))))

  it.effect("of one identity is not another's", () =>
    Effect.gen(function*() {
      const client = (identity: ManagedIdentity.Identity | undefined) =>
        Effect.map(Effect.provide(acquire(), Layer.provide(ManagedIdentity.layer({ identity }), Files)), claimsOf)
      assert.strictEqual((yield* client(undefined))["oid"], systemAssigned.objectId)
      assert.strictEqual((yield* client({ clientId: userAssigned.clientId }))["oid"], userAssigned.objectId)
      assert.strictEqual((yield* client({ resourceId: userAssigned.resourceId }))["oid"], userAssigned.objectId)
      assert.lengthOf(yield* asked, 6)
    }).pipe(Effect.provide(Service())))

  it.effect("is kept in a cache that nobody else can bring", () =>
    Effect.gen(function*() {
      yield* acquire()
      const shared = yield* TokenCache.TokenCache
      assert.strictEqual((yield* shared.stats).entries, 0)
      assert.strictEqual((yield* ConfidentialClient.stats).entries, 1)
    }).pipe(Effect.provide(World()), Effect.provide(TokenCache.layerMemory())))

  it.effect("of the only identity of a machine needs no name, and several need one", () =>
    Effect.gen(function*() {
      const only = { ...userAssigned, clientId: "11111111-2222-3333-4444-555555555555" }
      const ids = Effect.map(acquire(), (result) => claimsOf(result)["appid"])
      assert.strictEqual(yield* Effect.provide(ids, World({ identities: [only] })), only.clientId)
      const refused = yield* Effect.flip(Effect.provide(ids, World({ identities: [only, userAssigned] })))
      assert.include(refused.message, "Multiple user assigned identities exist")
    }))
})

// -----------------------------------------------------------------------------
// outages
// -----------------------------------------------------------------------------

describe("a service that is out of order", () => {
  const cases: ReadonlyArray<readonly [MetadataService.Platform, number, number, number]> = [
    ["imds", 503, 3, 7000],
    ["imds", 404, 2, 3000],
    ["imds", 429, 1, 1000],
    ["imds", 410, 7, 70_000],
    ["appService", 500, 3, 3000],
    ["azureArc", 504, 3, 3000]
  ]
  it.effect.each(cases)(
    "%s: %i, %i times, is waited for",
    ([platform, status, times, millis]) =>
      Effect.gen(function*() {
        yield* acquire({ scopes: graph })
        yield* fail({ status }, times)
        const exit = yield* after(acquire(), millis)
        assert.isTrue(Exit.isSuccess(exit))
      }).pipe(
        // A caller's policy is about Entra's endpoint.
        Effect.provideService(RetryPolicy.Current, RetryPolicy.none),
        Effect.provide(World({ platform }))
      )
  )

  it.effect("the lifetime of a token counts from the last request", () =>
    Effect.gen(function*() {
      yield* fail({ status: 503 })
      const body = json({ access_token: "a.b.c", expires_in: 600, token_type: "Bearer" })
      yield* fail({ after: "7 seconds", status: 200, body })
      const { expiresOn } = yield* (yield* after(acquire(), 8000))
      assert.strictEqual(expiresOn.epochMilliseconds, 601_000)
    }).pipe(Effect.provide(World({}, { source: "imds" }))))

  const named: ReadonlyArray<readonly [MetadataService.Platform, ManagedIdentity.ClientOptions]> = [
    ["appService", {}],
    ["azureArc", {}],
    ["imds", { source: "imds" }]
  ]
  it.effect.each(named)(
    "%s with %o: a broken connection or a cut response is retried like silence",
    ([platform, options]) =>
      Effect.gen(function*() {
        for (const response of [{ dropped: true }, { status: 200, body: "{\"access_token\":\"a.b" }]) {
          yield* fail(response)
          const { metadata } = yield* Effect.flatten(after(acquire({ forceRefresh: true }), 1000))
          assert.strictEqual(metadata.outage, false)
        }
        yield* fail({ dropped: true }, Infinity)
        const error = failureOf(yield* after(acquire({ scopes: graph }), platform === "imds" ? 7000 : 3000))
        assert.deepInclude(error, { _tag: "EntraNetworkError", attempts: 4 })
      }).pipe(Effect.provide(World({ platform }, options)))
  )

  it.effect("IMDS that has answered before: a broken connection is retried like silence", () =>
    Effect.gen(function*() {
      yield* acquire({ scopes: graph })
      yield* fail({ dropped: true }, 3)
      yield* Effect.flatten(after(acquire(), 7000))
    }).pipe(Effect.provide(World())))

  it.effect("a network error that a repetition does not change is not retried", () => {
    let requests = 0
    const proxy = HttpClient.make((request) => {
      requests++
      const cause = { code: "UND_ERR_ABORTED", message: "Proxy response (407) !== 200 when HTTP Tunneling" }
      const reason = new HttpClientError.TransportError({ request, cause })
      return Effect.fail(new HttpClientError.HttpClientError({ reason }))
    })
    const live = ManagedIdentity.layer().pipe(
      Layer.provide([Files, Variables, Layer.succeed(HttpClient.HttpClient, proxy)]),
      Layer.provideMerge(Service({ platform: "appService" }))
    )
    return Effect.gen(function*() {
      const error = yield* Effect.flip(acquire())
      assert.deepInclude(error, { _tag: "EntraNetworkError", reason: "PROXY_RESPONSE_407", isRetryable: false })
      assert.strictEqual(requests, 1)
    }).pipe(Effect.provide(live))
  })

  it.effect("a broken connection is retried for an assertion too", () =>
    Effect.gen(function*() {
      const credential = yield* Effect.provide(ManagedIdentity.assertion(), [Files, Variables])
      yield* fail({ dropped: true }, 3)
      const { form } = yield* Effect.flatten(after(authenticate(credential, attempt), 3000))
      assert.property(form, "client_assertion")
    }).pipe(Effect.provide(Service({ platform: "appService" }))))

  const tokenless: ReadonlyArray<readonly [MetadataService.Answer, string]> = [
    [{ status: 200, body: "<html>Sign in</html>" }, "managed_identity_malformed"],
    [{ status: 403, body: "<html>Forbidden</html>" }, "managed_identity_malformed"],
    [{ status: 400, body: "{\"error\":\"invalid_request\"}" }, "managed_identity_refused"]
  ]
  it.effect.each(tokenless)(
    "for an assertion, %o is remembered for 5 seconds",
    ([response, code]) =>
      Effect.gen(function*() {
        const credential = yield* Effect.provide(ManagedIdentity.assertion(), [Files, Variables])
        yield* fail(response, 2)
        const call = (tenantId: string) =>
          Effect.map(Effect.flip(authenticate(credential, { ...attempt, tenantId })), (error) => error.code)
        for (let n = 0; n < 100; n++) assert.strictEqual(yield* call(`tenant${n}.example`), code)
        assert.lengthOf(yield* asked, 1)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* call("contoso.com"), code)
        assert.lengthOf(yield* asked, 2)
        yield* TestClock.adjust("10 seconds")
        assert.property((yield* authenticate(credential, attempt)).form, "client_assertion")
      }).pipe(Effect.provide(Service({ platform: "appService" })))
  )

  it.effect("IMDS that is updated for good", () =>
    Effect.gen(function*() {
      yield* acquire({ scopes: graph })
      const before = (yield* asked).length
      yield* fail({ status: 410 }, Infinity)
      const error = failureOf(yield* after(acquire(), 70_000))
      assert.deepInclude(error, {
        _tag: "EntraServiceUnavailableError",
        code: "service_unavailable",
        status: 410,
        attempts: 8
      })
      assert.lengthOf(yield* asked, before + 8)
    }).pipe(Effect.provide(World())))

  it.effect("IMDS that is silent, where it must be", () =>
    Effect.gen(function*() {
      yield* fail({ after: Infinity }, Infinity)
      const error = failureOf(yield* after(acquire(), 47_000))
      assert.deepInclude(error, { _tag: "EntraServiceUnavailableError", code: "timeout", attempts: 4 })
    }).pipe(Effect.provide(World({}, { source: "imds" }))))

  it.effect("a throttle closes the gate for as long as it asks", () =>
    Effect.gen(function*() {
      yield* fail({ status: 429, headers: { "retry-after": "30" } })
      const first = yield* Effect.flip(acquire())
      assert.deepInclude(first, { _tag: "EntraThrottledError", source: "server", status: 429 })
      const second = yield* Effect.flip(acquire())
      assert.deepInclude(second, { _tag: "EntraThrottledError", source: "local" })
      assert.lengthOf(yield* asked, 1)
      yield* TestClock.adjust("30 seconds")
      yield* acquire()
    }).pipe(Effect.provide(World({ platform: "appService" }))))
})

describe("a refusal", () => {
  it.effect("is remembered, and forgotten when somebody says so", () =>
    Effect.gen(function*() {
      yield* fail({ status: 400, body: json({ message: "No identity is assigned" }) })
      assert.strictEqual((yield* Effect.flip(acquire())).origin, "service")
      assert.deepInclude(yield* Effect.flip(acquire()), { code: "managed_identity_refused", origin: "local" })
      assert.strictEqual((yield* ConfidentialClient.stats).refused, 1)
      yield* ConfidentialClient.invalidate("all")
      yield* acquire()
      assert.lengthOf(yield* asked, 2)
    }).pipe(Effect.provide(World({ platform: "appService" }))))
})

describe("a machine without IMDS", () => {
  it.effect("is noticed at once when nobody listens", () =>
    Effect.gen(function*() {
      yield* fail({ dropped: true }, Infinity)
      const error = yield* Effect.flip(acquire())
      assert.deepInclude(error, { _tag: "EntraCredentialError", code: "managed_identity_unavailable", field: "source" })
      assert.lengthOf(yield* asked, 1)
    }).pipe(Effect.provide(World())))

  it.effect("is noticed after two seconds when nobody answers", () =>
    Effect.gen(function*() {
      yield* fail({ after: Infinity }, Infinity)
      const error = failureOf(yield* after(acquire(), 2000))
      assert.deepInclude(error, { _tag: "EntraCredentialError", code: "managed_identity_unavailable" })
    }).pipe(Effect.provide(World())))

  it.effect.each([401, 403, 404, 302])(
    "is noticed when somebody else answers with %i",
    (status) =>
      Effect.gen(function*() {
        yield* fail({ status, headers: { location: "http://elsewhere.example/" } }, Infinity)
        const error = yield* Effect.flip(acquire())
        assert.deepInclude(error, { _tag: "EntraCredentialError", code: "managed_identity_unavailable" })
        assert.lengthOf(yield* asked, 1)
      }).pipe(Effect.provide(World()))
  )

  it.effect("is tried again by the next caller, and not once it has answered", () =>
    Effect.gen(function*() {
      yield* fail({ dropped: true })
      yield* Effect.flip(acquire())
      yield* acquire()
      yield* acquire({ scopes: graph })
      const requests = yield* asked
      assert.deepStrictEqual(requests.map(({ headers }) => headers["metadata"]), [undefined, undefined, "true", "true"])
    }).pipe(Effect.provide(World())))
})

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

interface Fault {
  readonly name: string
  readonly platform: MetadataService.Platform
  readonly answer?: MetadataService.Answer | undefined
  readonly options?: ManagedIdentity.ClientOptions | undefined
  readonly request?: object | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** Tag without its prefix, code, and field if it has one. */
  readonly error: readonly [string, string, string?]
  /** The code of the assertion's error, which is always a `CredentialError`; undefined: there is no such case. */
  readonly asAssertion: string | undefined
  readonly says?: string
  readonly sent: number
}

const token = { access_token: "a.b.c", expires_in: 3600, token_type: "Bearer" }
const unknownIdentity = { identity: { clientId: "99999999-9999-9999-9999-999999999999" } }
const challenge = (path: string): MetadataService.Answer => ({
  status: 401,
  headers: { "www-authenticate": `Basic realm=${path}` }
})
const inDirectory = (name: string) => `/var/opt/azcmagent/tokens/${name}`

const malformed = (name: string, answer: MetadataService.Answer, code = "response_malformed"): Fault => ({
  name,
  platform: "appService",
  answer,
  error: ["InvalidResponse", code],
  asAssertion: "managed_identity_malformed",
  sent: 1
})

const arcFault = (
  name: string,
  answer: MetadataService.Answer,
  code: string,
  says: string
): Fault => ({
  name: `Azure Arc: ${name}`,
  platform: "azureArc",
  answer,
  error: ["Credential", code, "IDENTITY_ENDPOINT"],
  asAssertion: code,
  says,
  sent: 1
})

const faults: ReadonlyArray<Fault> = [
  {
    name: "IMDS: identity not found",
    platform: "imds",
    options: { ...unknownIdentity, source: "imds" },
    error: ["InvalidClient", "managed_identity_refused"],
    asAssertion: "managed_identity_refused",
    says: "Identity not found",
    sent: 1
  },
  {
    name: "App Service: identity not found",
    platform: "appService",
    options: unknownIdentity,
    error: ["InvalidClient", "managed_identity_refused"],
    asAssertion: "managed_identity_refused",
    says: "No User Assigned or Delegated Managed Identity found",
    sent: 1
  },
  {
    name: "App Service: wrong header",
    platform: "appService",
    environment: { IDENTITY_HEADER: "a-wrong-header" },
    error: ["InvalidClient", "managed_identity_refused"],
    asAssertion: "managed_identity_refused",
    says: "<redacted>",
    sent: 1
  },
  {
    name: "unknown resource",
    platform: "imds",
    options: { source: "imds" },
    request: { scopes: "api://nobody/.default" },
    error: ["TokenRequest", "resource_unknown"],
    asAssertion: undefined,
    sent: 1
  },
  ...[
    { Message: "No identity is assigned" },
    { error: { code: "none", message: "No identity is assigned" } },
    { error: "invalid_request", error_description: "No identity is assigned" }
  ].map((body): Fault => ({
    name: `a refusal in the words ${Object.keys(body).join()}`,
    platform: "appService",
    answer: { status: 400, body: json(body) },
    error: ["InvalidClient", "managed_identity_refused"],
    asAssertion: "managed_identity_refused",
    says: "No identity is assigned",
    sent: 1
  })),
  {
    name: "a refusal without words",
    platform: "appService",
    answer: { status: 400, body: "{}" },
    error: ["InvalidResponse", "response_unexpected"],
    asAssertion: "managed_identity_malformed",
    sent: 1
  },
  {
    name: "nothing but a status",
    platform: "appService",
    answer: { status: 403 },
    error: ["InvalidResponse", "response_unexpected"],
    asAssertion: "managed_identity_malformed",
    sent: 1
  },
  malformed("no JSON", { status: 200, body: "<html>" }),
  malformed("an array", { status: 200, body: "[]" }),
  malformed("no token", { status: 200, body: json({ ...token, access_token: undefined }) }),
  malformed("an empty token", { status: 200, body: json({ ...token, access_token: "" }) }),
  malformed("a token with a line break", { status: 200, body: json({ ...token, access_token: "a\nb" }) }),
  malformed("no lifetime", { status: 200, body: json({ ...token, expires_in: undefined }) }),
  malformed("a date for a time", {
    status: 200,
    body: json({ ...token, expires_in: undefined, expires_on: "1/1/2027" })
  }),
  malformed("a token that has expired", { status: 200, body: json({ ...token, expires_on: "0" }) }),
  malformed("no type", { status: 200, body: json({ ...token, token_type: undefined }) }),
  malformed("another type", { status: 200, body: json({ ...token, token_type: "pop" }) }, "response_token_type"),
  malformed("a body without an end", { status: 200, body: "x".repeat(1_100_000) }, "response_too_large"),
  malformed("a redirect", { status: 307, headers: { location: "http://elsewhere.example/" } }, "redirect_refused"),
  {
    name: "a closed connection",
    platform: "appService",
    answer: { dropped: true },
    error: ["Network", "network"],
    asAssertion: "managed_identity_unavailable",
    sent: 4
  },
  arcFault("no challenge", { status: 401 }, "managed_identity_challenge", "no WWW-Authenticate"),
  arcFault("another file", challenge("/etc/shadow"), "managed_identity_challenge", "not in /var/opt/azcmagent/tokens"),
  arcFault(
    "without the extension .key",
    challenge(inDirectory("a.txt")),
    "managed_identity_challenge",
    "without the extension .key"
  ),
  arcFault("no such file", challenge(inDirectory("missing.key")), "file_missing", "does not exist"),
  arcFault(
    "a link to another place",
    challenge(inDirectory("link.key")),
    "managed_identity_challenge",
    "not in /var/opt/azcmagent/tokens"
  ),
  arcFault("a directory", challenge(inDirectory("directory.key")), "file_unreadable", "is a directory"),
  arcFault("a file of 4097 bytes", challenge(inDirectory("large.key")), "managed_identity_challenge", "4096 bytes"),
  arcFault("an empty file", challenge(inDirectory("empty.key")), "managed_identity_challenge", "holds no key"),
  {
    name: "Azure Arc: a key that it does not know",
    platform: "azureArc",
    answer: challenge(inDirectory("old.key")),
    error: ["Credential", "managed_identity_challenge", "IDENTITY_ENDPOINT"],
    asAssertion: "managed_identity_challenge",
    sent: 2
  },
  ...[
    ["tenantId", { tenantId: contoso }, "InvalidAuthority", "authority_unsupported"],
    [
      "tenantId",
      { authority: `https://login.microsoftonline.com/${contoso}` },
      "InvalidAuthority",
      "authority_unsupported"
    ],
    ["extraBodyParameters", { extraBodyParameters: { a: "b" } }, "InvalidRequest", "field_unsupported"],
    ["extraQueryParameters", { extraQueryParameters: { a: "b" } }, "InvalidRequest", "field_unsupported"]
  ].map(([field, request, tag, code]): Fault => ({
    name: `a request with ${json(request)}`,
    platform: "appService",
    request: Object(request),
    error: [String(tag), String(code), String(field)],
    asAssertion: undefined,
    sent: 0
  }))
]

describe("faults", () => {
  mkdirSync(join(folder, "directory.key"))
  mkdirSync(join(folder, "elsewhere"))
  writeFileSync(join(folder, "elsewhere", "secret"), "another-secret")
  symlinkSync(join(folder, "elsewhere", "secret"), join(folder, "link.key"))
  writeFileSync(join(folder, "large.key"), "k".repeat(4097))
  writeFileSync(join(folder, "empty.key"), "")
  writeFileSync(join(folder, "old.key"), "old-key-content")

  const secrets = /a-wrong-header|old-key-content|eyJ/

  it.effect.each(faults.map((fault) => [fault.name, fault] as const))("%s", ([, fault]) =>
    Effect.gen(function*() {
      const { environment } = yield* MetadataService.MetadataService
      if (fault.answer !== undefined) yield* fail(fault.answer, fault.sent)
      const error = yield* atOnce(Effect.flip(acquire(fault.request))).pipe(
        Effect.provide(Layer.provide(ManagedIdentity.layer(fault.options), [
          Files,
          Environment({ ...environment, ...fault.environment })
        ]))
      )
      const [tag, code, field] = fault.error
      assert.strictEqual(error._tag, `Entra${tag}Error`)
      assert.deepInclude<object>({ field: undefined, ...error }, { code, field })
      assertToldInFull(error)
      if (fault.says !== undefined) assert.include(error.message, fault.says)
      assert.notMatch(json([error, error.message, error.stack, String(error.cause)]), secrets)
      assert.lengthOf(yield* asked, fault.sent)
    }).pipe(Effect.provide(Service({ platform: fault.platform, resources: ["https://vault.azure.net"] }))))

  const assertions = faults.flatMap((fault) =>
    fault.asAssertion === undefined ? [] : [[fault.name, fault, fault.asAssertion] as const]
  )
  it.effect.each(assertions)("%s, as an assertion", ([, fault, code]) =>
    Effect.gen(function*() {
      const { environment } = yield* MetadataService.MetadataService
      if (fault.answer !== undefined) yield* fail(fault.answer, fault.sent)
      const credential = yield* Effect.provide(ManagedIdentity.assertion({ ...fault.options }), [
        Files,
        Environment({ ...environment, ...fault.environment })
      ])
      const error = yield* atOnce(Effect.flip(authenticate(credential, attempt)))
      assert.deepInclude<object>(error, { _tag: "EntraCredentialError", code })
      assertToldInFull(error)
      if (fault.says !== undefined) assert.include(error.message, fault.says)
      assert.notMatch(json([error, error.message, error.stack, String(error.cause)]), secrets)
    }).pipe(Effect.provide(Service({ platform: fault.platform }))))
})

const attempt: ClientCredential.Attempt = {
  clientId: EntraSimulator.daemonClientId,
  tenantId: contoso,
  scope: "api://orders/.default",
  authority: `https://login.microsoftonline.com/${contoso}`,
  tokenEndpoint: `https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`,
  audience: `https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`,
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId: "00000000-0000-0000-0000-000000000001"
}

// -----------------------------------------------------------------------------
// the proof of an app
// -----------------------------------------------------------------------------

/** An app that trusts an identity, on a machine that has it, and Entra behind both. */
const App = (options: {
  readonly platform: MetadataService.Platform
  readonly trusts: string
  readonly assertion?: ManagedIdentity.AssertionOptions | undefined
  readonly audiences?: ReadonlyArray<string> | undefined
}) =>
  ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
    Layer.provide([
      ManagedIdentity.layerAssertion(options.assertion),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide([Files, Variables]),
    Layer.provideMerge(MetadataService.layerHttpClient),
    Layer.provideMerge(
      MetadataService.layer({ platform: options.platform, signer: EntraSimulator.signerFake, writeKey })
    ),
    Layer.provideMerge(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{
        clientId: EntraSimulator.daemonClientId,
        federatedCredentials: [{
          issuer: `https://login.microsoftonline.com/${contoso}/v2.0`,
          subject: options.trusts,
          audiences: options.audiences
        }]
      }]
    }))
  )

const viaApp = (request: object = {}) => ConfidentialClient.acquireToken({ scopes: graph, ...request })

describe("an app that trusts an identity", () => {
  it.effect.each(platforms)(
    "gets tokens on %s, one proof for an attempt and none for a hit",
    (platform) =>
      Effect.gen(function*() {
        const { metadata } = yield* viaApp()
        assert.strictEqual(metadata.tokenSource, "IdentityProvider")
        const proofs = (yield* asked).length
        assert.strictEqual(proofs, platform === "appService" ? 1 : 2)
        yield* viaApp()
        assert.lengthOf(yield* asked, proofs)
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(EntraSimulator.Fault.unavailable())
        yield* Effect.provideService(viaApp({ forceRefresh: true }), RetryPolicy.Current, once)
        assert.lengthOf(yield* asked, proofs + (platform === "azureArc" ? 4 : 2))
        const assertions = (yield* simulator.requests).map(({ form }) => form["client_assertion"])
        assert.strictEqual(new Set(assertions).size, 3)
      }).pipe(Effect.provide(App({ platform, trusts: systemAssigned.objectId })))
  )

  it.effect("gets them with a user-assigned one", () =>
    viaApp().pipe(Effect.provide(App({
      platform: "imds",
      trusts: userAssigned.objectId,
      assertion: { identity: { clientId: userAssigned.clientId } }
    }))))

  it.effect("gets none with another identity", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(viaApp()).pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none))
      assert.strictEqual(error._tag, "EntraInvalidClientError")
      assert.include(error.message, "AADSTS700213")
    }).pipe(Effect.provide(App({ platform: "imds", trusts: userAssigned.objectId }))))

  it.effect("gets none for another audience, and some where the registration says so", () =>
    Effect.gen(function*() {
      const audience = "api://AzureADTokenExchangeUSGov"
      const options = { platform: "imds", trusts: systemAssigned.objectId, assertion: { audience } } as const
      const error = yield* Effect.flip(Effect.provide(viaApp(), App(options))).pipe(
        Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
      )
      assert.strictEqual(error._tag, "EntraInvalidClientError")
      yield* Effect.provide(viaApp(), App({ ...options, audiences: [audience] }))
    }))

  it.effect("hears that there is no identity within two seconds", () =>
    Effect.gen(function*() {
      yield* fail({ after: Infinity }, Infinity)
      const error = failureOf(yield* after(viaApp(), 2000))
      assert.deepInclude(error, { _tag: "EntraCredentialError", code: "managed_identity_unavailable" })
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* counters).tokenRequests, 0)
    }).pipe(Effect.provide(App({ platform: "imds", trusts: systemAssigned.objectId }))))

  it.effect("leaves its place to the next of several credentials within two seconds", () =>
    Effect.gen(function*() {
      yield* fail({ after: Infinity }, Infinity)
      const credential = yield* Effect.provide(
        ClientCredential.firstOf([ManagedIdentity.assertion(), ClientCredential.secret(EntraSimulator.daemonSecret)]),
        [Files, Environment({})]
      )
      const exit = yield* after(authenticate(credential, attempt), 2000)
      assert.deepStrictEqual(Exit.map(exit, ({ form }) => Object.keys(form)), Exit.succeed(["client_secret"]))
    }).pipe(Effect.provide(Service())))

  it.effect("fails when it is built where the options cannot be meant", () =>
    Effect.gen(function*() {
      const { clientId } = userAssigned
      const refused = yield* Effect.flip(ManagedIdentity.assertion({ source: "azureArc", identity: { clientId } }))
      assert.deepInclude(refused, { code: "managed_identity_unsupported", field: "identity" })
      const unreadable = ConfigProvider.make(() => Effect.die("a vault that is closed"))
      const closed = yield* Effect.flip(
        Effect.provide(ManagedIdentity.assertion(), ConfigProvider.layer(unreadable))
      )
      assert.deepInclude(closed, { code: "managed_identity_incomplete", field: "IDENTITY_ENDPOINT" })
      assert.notInclude(closed.message, "vault")
    }).pipe(Effect.provide([Service(), Files])))
})

/** Runs an effect whose delays pass as soon as nothing else happens. */
const atOnce = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) {
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
    yield* TestClock.adjust(100)
  }
  return yield* Fiber.join(fiber)
})

/** Again at once, one time. */
const once: RetryPolicy.RetryPolicy = Schedule.recurs(1)

// -----------------------------------------------------------------------------
// sockets
// -----------------------------------------------------------------------------

/** A service of a platform that listens on this machine. */
const Listening = (options: MetadataService.Options) => {
  const service = Layer.unwrap(Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    if (address._tag === "UnixPathAddress") return yield* Effect.die("it listens on TCP")
    return MetadataService.layer({ ...options, writeKey, origin: `http://127.0.0.1:${address.port}` })
  }))
  return HttpRouter.serve(MetadataService.routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(service),
    Layer.provide(NodeHttpServer.layer(() => Http.createServer(), {
      port: 0,
      host: "127.0.0.1",
      disablePreemptiveShutdown: true
    }))
  )
}

describe("over sockets", () => {
  const transports = {
    fetch: FetchHttpClient.layer,
    undici: NodeHttpClient.layerUndici,
    "node:http": NodeHttpClient.layerNodeHttp
  }
  const cases = platforms.flatMap((platform) =>
    Object.entries(transports).map(([name, transport]) => [platform, name, transport] as const)
  )
  it.live.each(cases)("%s over %s", ([platform, , transport]) =>
    Effect.gen(function*() {
      const { accessToken } = yield* acquire()
      assert.strictEqual(claimsOf({ accessToken })["oid"], systemAssigned.objectId)
      const requests = yield* asked
      assert.deepStrictEqual(requests.map(({ method }) => method), platform === "azureArc" ? ["GET", "GET"] : ["GET"])
      for (const { headers } of requests) {
        assert.isUndefined(headers["traceparent"])
        assert.strictEqual(headers["x-identity-header"] === undefined, platform !== "appService")
        assert.strictEqual(headers["metadata"], platform === "appService" ? undefined : "true")
      }
    }).pipe(
      Effect.withSpan("a caller's"),
      Effect.provide(
        ManagedIdentity.layer().pipe(
          Layer.provide([Files, Variables]),
          Layer.provide(transport),
          Layer.provideMerge(Listening({ platform })),
          Layer.provideMerge(silent)
        )
      )
    ))
})

describe("a connection that breaks once", () => {
  const transports = [
    ["fetch", FetchHttpClient.layer],
    ["undici", NodeHttpClient.layerUndici],
    ["node:http", NodeHttpClient.layerNodeHttp]
  ] as const
  const through = (
    transport: Layer.Layer<HttpClient.HttpClient>,
    port: number,
    onError: Effect.Effect<void> = Effect.void
  ) =>
    ManagedIdentity.layer().pipe(Layer.provide([
      Files,
      Environment({ IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: "a-header" }),
      Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, HttpClient.tapError(() => onError))
      ).pipe(Layer.provide(transport))
    ]))
  const answer = (response: Http.ServerResponse) => response.end(json({ ...token, expires_on: "3600" }))

  it.effect.each(transports)("over %s, by a reset", ([, transport]) =>
    Effect.gen(function*() {
      let requests = 0
      const port = yield* serve((request, response) => {
        if (++requests === 1) request.socket.resetAndDestroy()
        else answer(response)
      })
      assert.strictEqual(textOf(yield* atOnce(Effect.provide(acquire(), through(transport, port)))), "a.b.c")
      assert.strictEqual(requests, 2)
    }))

  it.effect.each(transports)("over %s, within the body", ([, transport]) =>
    Effect.gen(function*() {
      let requests = 0
      const port = yield* serve((request, response) => {
        if (++requests > 1) {
          answer(response)
          return
        }
        response.writeHead(200, { "content-length": "1000" })
        response.write("{\"access_token\":", () => request.socket.destroy())
      })
      assert.strictEqual(textOf(yield* atOnce(Effect.provide(acquire(), through(transport, port)))), "a.b.c")
      assert.strictEqual(requests, 2)
    }))

  it.effect.each(transports)("over %s, because the service starts later", ([, transport]) =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(serve(() => {}))
      const server = Http.createServer((_request, response) => answer(response))
      const start = Effect.promise(() =>
        new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()))
      )
      yield* Effect.addFinalizer(() =>
        Effect.promise(() => {
          server.closeAllConnections()
          return new Promise<void>((resolve) => server.close(() => resolve()))
        })
      )
      const client = through(transport, port, yield* Effect.cached(start))
      assert.strictEqual(textOf(yield* atOnce(Effect.provide(acquire(), client))), "a.b.c")
    }))
})

describe("a redirect", () => {
  it.live.each(platforms)("of %s is not followed by fetch", (platform) =>
    Effect.gen(function*() {
      yield* fail({ status: 307, headers: { location: "/msi/token?to=somebody-else" } })
      const error = yield* Effect.flip(acquire())
      assert.deepInclude(error, { _tag: "EntraInvalidResponseError", code: "redirect_refused" })
      assert.lengthOf(yield* asked, 1)
    }).pipe(
      Effect.provide(
        ManagedIdentity.layer().pipe(
          Layer.provide([Files, Variables, FetchHttpClient.layer]),
          Layer.provideMerge(Listening({ platform })),
          Layer.provideMerge(silent)
        )
      )
    ))
})

/** Headers of peers that are not compared, grouped by reason. */
const peculiar = new Set([
  // Which library asks, in which process, and for which of its own logs.
  "user-agent",
  "x-client-sku",
  "x-client-ver",
  "x-client-os",
  "x-client-cpu",
  "x-ms-lib-capability",
  "x-app-name",
  "x-app-ver",
  "client-request-id",
  "return-client-request-id",
  "x-ms-client-request-id",
  "x-ms-client-session-id",
  // Headers of their transports.
  "accept",
  "accept-encoding",
  "accept-language",
  "connection",
  "content-type",
  "content-length",
  "host",
  "sec-fetch-mode"
])

describe("independent clients", () => {
  const { clientId, objectId, resourceId } = userAssigned
  const identities = [undefined, { clientId }, { objectId }, { resourceId }]
  const cases = (["msal", "identity"] as const).flatMap((library) =>
    (["imds", "appService"] as const).map((platform) => [library, platform] as const)
  )
  const essence = ({ headers, url }: MetadataService.MetadataRequest) => ({
    query: Object.fromEntries(
      [...new URL(url, "http://host").searchParams].map(([name, value]) => // App Service documents both, the one as an alias of the other. IMDS knows the alias only.
      [name === "principal_id" ? "object_id" : name, value])
    ),
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !peculiar.has(name)))
  })

  it.live.each(cases)("%s asks %s as we do", ([library, platform]) =>
    Effect.gen(function*() {
      const { environment } = yield* MetadataService.MetadataService
      const parameters = json({
        library,
        identities: identities.map((identity) => identity ?? {}),
        resource: "https://vault.azure.net"
      })
      const script = fileURLToPath(new URL("../foreign/managedIdentity.ts", import.meta.url))
      const { stderr, stdout } = yield* runChild([script], { ...environment, PARAMETERS: parameters })
      assert.match(stdout, /^\{"tokens":\[("eyJ[^"]+",?){4}\]\}/, stderr)
      const theirs = (yield* asked).map(essence)
      assert.lengthOf(theirs, 4)
      yield* Effect.forEach(identities, (identity) =>
        Effect.provide(
          acquire(),
          ManagedIdentity.layer({ identity }).pipe(Layer.provide([Files, Variables, FetchHttpClient.layer]))
        ))
      assert.deepStrictEqual((yield* asked).slice(4).map(essence), theirs)
    }).pipe(Effect.provide([Listening({ platform }), silent])), 60_000)
})

describe("logs and spans", () => {
  it.effect.each(platforms)("of %s show nothing that is secret", (platform) =>
    Effect.gen(function*() {
      const recorded = record()
      yield* Effect.gen(function*() {
        yield* acquire()
        yield* fail({ status: 400, body: "{\"error\":\"invalid_request\"}" })
        yield* Effect.flip(acquire({ forceRefresh: true }))
      }).pipe(Effect.provide(World({ platform })), Effect.provide(recorded.layer))
      assert.isNotEmpty(recorded.spans)
      assert.notMatch([...recorded.lines, ...recorded.spans].join("\n"), /eyJ|Basic [\w-]{20}|x-identity-header/i)
    }))
})
