/** docs/registering.md tells the truth: what each omitted step looks like, and that every pointer into it leads somewhere. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, References, Result } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeClientCredential, SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate, TestIssuer } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as jose from "jose"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { blocksOf } from "./docs/fences.ts"
import { filesAt, readText } from "./docs/repository.ts"
import { runChild, temporaryFile } from "./support/child.ts"
import { ensureOpenssl } from "./support/openssl.ts"
import { proxyTo } from "./support/proxy.ts"
import { serve } from "./support/server.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph, orders } from "./support/world.ts"

const page = readText("docs/registering.md") ?? ""

// -----------------------------------------------------------------------------
// the world in which nothing was left out
// -----------------------------------------------------------------------------

const { daemonClientId: clientId, daemonSecret: secret, Fault } = EntraSimulator
const [daemon] = EntraSimulator.defaultOptions.apps
const { resources } = EntraSimulator.defaultOptions

interface Step {
  readonly app?: Partial<EntraSimulator.App>
  readonly resource?: Partial<EntraSimulator.Resource>
  readonly fault?: EntraSimulator.Fault.Fault
  readonly client?: Partial<ConfidentialClient.Options>
  readonly credential?: Layer.Layer<
    ClientCredential.ClientCredential,
    EntraError.CredentialError,
    EntraSimulator.EntraSimulator
  >
}

const World = ({ app, client, credential, fault, resource }: Step) =>
  ConfidentialClient.layer({ clientId, tenantId: contoso, ...client }).pipe(
    Layer.provide([
      credential ?? ClientCredential.layerSecret(secret),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide(
      Layer.effectDiscard(
        fault === undefined
          ? Effect.void
          : EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(fault))
      )
    ),
    Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "None")),
    Layer.provideMerge(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{ clientId, ...daemon, home: contoso, ...app }],
      resources: resources.map((known): EntraSimulator.Resource => Object.assign({}, known, resource))
    }))
  )

const github = "https://token.actions.githubusercontent.com"
const branch = "repo:contoso/orders:ref:refs/heads/main"

/** A job on GitHub, and what the app was told to trust: all of it, unless told otherwise. */
const federated = (
  registered: Partial<EntraSimulator.FederatedCredential>,
  token: Partial<TestIssuer.TokenOptions> = {}
) =>
  Layer.unwrap(Effect.gen(function*() {
    const platform = yield* TestIssuer.make({ issuer: github })
    const simulator = yield* EntraSimulator.EntraSimulator
    yield* simulator.trustIssuer(platform)
    yield* simulator.addFederatedCredential(clientId, { issuer: github, subject: branch, ...registered })
    return ClientCredential.layerAssertion(() => platform.issue({ subject: branch, ...token }))
  }))

const ask = (request: { readonly scopes?: string; readonly tenantId?: string } = {}) =>
  ConfidentialClient.acquireToken({ scopes: graph, ...request }).pipe(
    // Some refusals are repeated after a second otherwise.
    Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
  )

const users = (accessToken: Redacted.Redacted) =>
  HttpClient.execute(
    HttpClientRequest.get("https://graph.microsoft.com/v1.0/users").pipe(HttpClientRequest.bearerToken(accessToken))
  )

const rolesOf = (accessToken: Redacted.Redacted) => jose.decodeJwt(Redacted.value(accessToken))["roles"]

// -----------------------------------------------------------------------------
// pointers
// -----------------------------------------------------------------------------

/** The sections of a page by their anchors as GitHub makes them: lower case, no punctuation, hyphens for blanks. */
const sectionsOf = (markdown: string): ReadonlyMap<string, string> => {
  const sections = new Map<string, string>()
  let current = ""
  let fenced = false
  for (const line of markdown.split("\n")) {
    if (line.startsWith("```")) fenced = !fenced
    const heading = fenced ? undefined : /^#{1,6} +(.*?) *$/.exec(line)?.[1]
    if (heading !== undefined) {
      const slug = heading.toLowerCase().replace(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, "").replaceAll(" ", "-")
      const taken = [...sections.keys()].filter((key) => key.replace(/-\d+$/, "") === slug).length
      current = taken === 0 ? slug : `${slug}-${taken}`
    }
    sections.set(current, `${sections.get(current) ?? ""}${line}\n`)
  }
  return sections
}

const anchorsOf = (markdown: string): ReadonlyArray<string> =>
  [...sectionsOf(markdown).keys()].filter((anchor) => anchor !== "")

const sections = sectionsOf(page)
const anchors = anchorsOf(page)

const pointersIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/docs\/registering\.md#([\w-]*(?:\$\{)?)/g)].map(([, anchor]) => anchor ?? "")

/** A pointer that the code completes must at least begin like an anchor. */
const leadsSomewhere = (pointer: string): boolean =>
  pointer.endsWith("${")
    ? anchors.some((anchor) => anchor.startsWith(pointer.slice(0, -2)))
    : anchors.includes(pointer)

// -----------------------------------------------------------------------------
// the steps
// -----------------------------------------------------------------------------

const consentLink = `https://login.microsoftonline.com/${contoso}/adminconsent?client_id=${clientId}`

const rows: ReadonlyArray<
  Step & {
    readonly left: string
    readonly tag: EntraError.AcquireTokenError["_tag"]
    readonly code: string
    readonly number: number
    readonly anchor: string
    readonly request?: Parameters<typeof ask>[0]
    readonly link?: string
  }
> = [
  {
    left: "the secret's id was copied, not its value",
    credential: ClientCredential.layerSecret(Redacted.make("0d4b6f88-1f2a-4c3d-8e5f-7a6b5c4d3e2f")),
    tag: "EntraInvalidClientError",
    code: "secret_wrong",
    number: 7000215,
    anchor: "aadsts7000215"
  },
  {
    left: "the secret was not renewed",
    fault: Fault.refused({ code: 7000222, error: "invalid_client", status: 401 }),
    tag: "EntraInvalidClientError",
    code: "secret_expired",
    number: 7000222,
    anchor: "aadsts7000222"
  },
  {
    left: "the certificate was not registered",
    credential: Layer.unwrap(Effect.map(TestCertificate.make(), ClientCredential.layerCertificate)),
    tag: "EntraInvalidClientError",
    code: "assertion_refused",
    number: 700027,
    anchor: "aadsts700027"
  },
  {
    left: "the federated credential has another issuer",
    credential: federated({ issuer: `${github}/` }),
    tag: "EntraInvalidClientError",
    code: "assertion_refused",
    number: 700211,
    anchor: "a-federated-credential"
  },
  {
    left: "the federated credential has another subject",
    credential: federated({ subject: "repo:contoso/orders:environment:production" }),
    tag: "EntraInvalidClientError",
    code: "assertion_refused",
    number: 700213,
    anchor: "a-federated-credential"
  },
  {
    left: "the federated credential has the subject in another case",
    credential: federated({ subject: branch.toUpperCase() }),
    tag: "EntraInvalidClientError",
    code: "assertion_refused",
    number: 7002138,
    anchor: "a-federated-credential"
  },
  {
    left: "the federated credential has another audience",
    credential: federated({ audiences: ["api://AzureADTokenExchangeUSGov"] }),
    tag: "EntraInvalidClientError",
    code: "assertion_refused",
    number: 700212,
    anchor: "a-federated-credential"
  },
  {
    left: "the app was not registered, or an object id was copied",
    client: { clientId: "5e1c9a77-3b60-4d28-9f14-c2d3e4f5a6b7" },
    tag: "EntraInvalidClientError",
    code: "client_unknown",
    number: 700038,
    anchor: "aadsts700016"
  },
  {
    left: "the customer's administrator did not install the app",
    app: { tenants: [contoso] },
    request: { tenantId: fabrikam },
    tag: "EntraInvalidClientError",
    code: "client_unknown",
    number: 700016,
    anchor: "aadsts700016",
    link: consentLink.replace(contoso, fabrikam)
  },
  {
    left: "the service principal was not created",
    app: { tenants: [] },
    tag: "EntraInvalidClientError",
    code: "service_principal_missing",
    number: 7000229,
    anchor: "aadsts7000229",
    link: consentLink
  },
  {
    left: "nobody noticed that the app is disabled",
    app: { disabled: true },
    tag: "EntraInvalidClientError",
    code: "client_disabled",
    number: 7000112,
    anchor: "aadsts7000112"
  },
  {
    left: "the platform's token was kept for too long, or the clock is wrong",
    credential: federated({}, { lifetime: "-5 minutes" }),
    tag: "EntraInvalidClientError",
    code: "assertion_time",
    number: 700024,
    anchor: "aadsts700024"
  },
  {
    left: "no policy lets the app through",
    fault: Fault.refused({ code: 53003, error: "access_denied" }),
    tag: "EntraTokenRequestError",
    code: "blocked_by_policy",
    number: 53003,
    anchor: "aadsts53003"
  },
  {
    left: "the region was not left out",
    fault: Fault.refused({ code: 100007, error: "invalid_request" }),
    tag: "EntraTokenRequestError",
    code: "region_refused",
    number: 100007,
    anchor: "aadsts100007"
  },
  {
    left: "the API was not installed",
    resource: { tenants: [fabrikam] },
    request: { scopes: orders },
    tag: "EntraTokenRequestError",
    code: "resource_unknown",
    number: 500011,
    anchor: "aadsts500011"
  },
  {
    left: "no administrator of this tenant consented",
    app: { consents: [fabrikam] },
    resource: { withoutRole: "unconsented" },
    tag: "EntraTokenRequestError",
    code: "consent_missing",
    number: 65001,
    anchor: "aadsts65001",
    link: consentLink
  },
  {
    left: "the app was not assigned to an API that demands it",
    app: { roles: {} },
    resource: { withoutRole: "unassigned" },
    tag: "EntraTokenRequestError",
    code: "consent_missing",
    number: 501051,
    anchor: "aadsts501051",
    link: consentLink
  },
  {
    left: "the tenant is of another cloud, or misspelt",
    client: { tenantId: "nobody.onmicrosoft.com" },
    tag: "EntraInvalidAuthorityError",
    code: "tenant_unknown",
    number: 90002,
    anchor: "aadsts90002"
  }
]

describe("when a step was left out", () => {
  for (const row of rows) {
    it.live(`AADSTS${row.number}: ${row.left}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ask(row.request))
        assert.strictEqual(error._tag, row.tag)
        assert.strictEqual(error.code, row.code)
        assertToldInFull(error)
        assert.deepStrictEqual("errorCodes" in error ? error.errorCodes : undefined, [row.number])
        assert.deepStrictEqual(pointersIn(error.remedy), [row.anchor])
        assert.include(anchors, row.anchor)
        assert.strictEqual(/ Link: (\S+)$/.exec(error.remedy)?.[1], row.link)
      }).pipe(Effect.provide(World(row))))

    it(`AADSTS${row.number} is told of with ${row.code}`, () => {
      const about = sections.get(row.anchor) ?? ""
      assert.match(about, new RegExp(`\\b(?:AADSTS)?${row.number}\\b`))
      assert.include(about, `\`${row.tag}\``)
      assert.include(about, `\`${row.code}\``)
    })
  }

  it.live("none: a token with roles, and Graph answers", () =>
    Effect.gen(function*() {
      const { accessToken } = yield* ask()
      assert.deepStrictEqual(rolesOf(accessToken), ["Organization.Read.All", "User.Read.All"])
      assert.strictEqual((yield* users(accessToken)).status, 200)
    }).pipe(Effect.provide(World({ resource: { withoutRole: "unassigned" } }))))

  it.live("none, with a federated credential", () =>
    Effect.gen(function*() {
      assert.isDefined(rolesOf((yield* ask()).accessToken))
      assert.isDefined(rolesOf((yield* ask({ tenantId: fabrikam })).accessToken))
    }).pipe(Effect.provide(World({ credential: federated({}) }))))

  it.live("consent in one tenant says nothing of another", () =>
    Effect.gen(function*() {
      assert.isDefined(rolesOf((yield* ask({ tenantId: fabrikam })).accessToken))
      assert.isUndefined(rolesOf((yield* ask()).accessToken))
    }).pipe(Effect.provide(World({ app: { consents: [EntraSimulator.fabrikamDomain] } }))))

  it.live.each([
    { left: "no permission was added", app: { roles: {} } },
    { left: "no administrator consented", app: { consents: [] } }
  ])("no error: $left, a token without roles, 403 at the API", ({ app }) =>
    Effect.gen(function*() {
      const { accessToken } = yield* ask()
      assert.notProperty(jose.decodeJwt(Redacted.value(accessToken)), "roles")
      const response = yield* users(accessToken)
      assert.strictEqual(response.status, 403)
      assert.include(yield* response.text, "Authorization_RequestDenied")
      assert.include(sections.get("a-token-without-roles-403-at-the-api") ?? "", "Authorization_RequestDenied")
    }).pipe(Effect.provide(World({ app }))))

  it("refusals are remembered as long as the page says", () => {
    const { base, cap } = TokenEndpoint.defaults.refusalTtl
    const [from, to] = [base, cap].map((time) => Duration.toSeconds(time))
    assert.include(page, `repeated from memory for ${from} to ${to} seconds`)
  })
})

// -----------------------------------------------------------------------------
// the page
// -----------------------------------------------------------------------------

describe("the page", () => {
  it("has the anchors that others link to", () => {
    assert.deepStrictEqual(anchors, [
      "registering-an-app",
      "in-short",
      "register-the-app",
      "create-its-service-principal",
      "give-it-a-credential",
      "a-secret",
      "a-certificate",
      "a-federated-credential",
      "give-it-permissions",
      "have-an-administrator-consent",
      "in-your-own-tenant",
      "in-a-customers-tenant",
      "ask-for-the-first-token",
      "when-a-step-was-left-out",
      "aadsts7000215",
      "aadsts7000222",
      "aadsts700027",
      "aadsts700016",
      "aadsts7000229",
      "aadsts7000112",
      "aadsts700024",
      "aadsts53003",
      "aadsts100007",
      "aadsts500011",
      "aadsts65001",
      "aadsts501051",
      "aadsts90002",
      "a-token-without-roles-403-at-the-api"
    ])
  })

  it("is pointed to only where it has a heading", () => {
    const wrong = [...filesAt(["README.md", "docs/*.md", "src/**/*.ts", "examples/*.ts", "bench/*.md"])].flatMap((
      [path, text]
    ) => pointersIn(text).filter((pointer) => !leadsSomewhere(pointer)).map((pointer) => `${path}: #${pointer}`))
    assert.deepStrictEqual(wrong, [])
  })

  it("has a heading for each of its own pointers", () => {
    const own = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor ?? "")
    assert.isAtLeast(own.length, 10)
    assert.deepStrictEqual(own.filter((anchor) => !anchors.includes(anchor)), [])
    const readme = anchorsOf(readText("README.md") ?? "")
    const theirs = [...page.matchAll(/\]\(\.\.\/README\.md#([^)]+)\)/g)].map(([, anchor]) => anchor ?? "")
    assert.deepStrictEqual(theirs.filter((anchor) => !readme.includes(anchor)), [])
  })

  it("makes anchors as GitHub does", () => {
    const text = "# It's *one*: a-b\n```sh\n# no heading\n```\n## C_d (e)\n## C_d (e)\n#no"
    assert.deepStrictEqual(anchorsOf(text), ["its-one-a-b", "c_d-e", "c_d-e-1"])
  })

  it("gives the link for missing consent that the library gives", () => {
    const authority = Result.getOrThrow(Authority.parse(`https://login.microsoftonline.com/${contoso}`))
    assert.strictEqual(Authority.adminConsentUrl(authority, { clientId }), consentLink)
  })
})

// -----------------------------------------------------------------------------
// its programs
// -----------------------------------------------------------------------------

const programWith = (text: string) =>
  blocksOf(page).find(({ code, info }) => info[0] === "ts" && code.includes(text))?.code ?? `throw new Error("lost")`

describe("the programs", () => {
  it.live("users.mts with a certificate, word for word: Microsoft's addresses lead to the simulator", () =>
    Effect.gen(function*() {
      const { certificate, privateKey } = yield* TestCertificate.make()
      const { addCertificate } = yield* EntraSimulator.EntraSimulator
      yield* addCertificate(clientId, certificate)
      const server = yield* SimulatorServer.SimulatorServer
      const proxy = yield* proxyTo(Number(new URL(server.origin).port))
      const { status, stderr, stdout } = yield* runChild([
        "--conditions=@effect-entra/source",
        "--input-type=module-typescript",
        `--eval=${programWith("layerFromEnv()")}`
      ], {
        AZURE_CLIENT_ID: clientId,
        AZURE_TENANT_ID: contoso,
        AZURE_CLIENT_CERTIFICATE_PATH: yield* temporaryFile(certificate + Redacted.value(privateKey)),
        HTTPS_PROXY: proxy.url,
        NODE_EXTRA_CA_CERTS: yield* temporaryFile(server.certificate ?? ""),
        NODE_USE_ENV_PROXY: "1"
      })
      assert.strictEqual(status, 0, stderr)
      assert.include(stdout, "displayName: 'Ada Abe'")
    }).pipe(
      Effect.provide(SimulatorServer.layerHttps({ hosts: ["graph.microsoft.com", "login.microsoftonline.com"] }))
    ))

  it.live("what a job on GitHub does gets the token of the job, for Entra", () =>
    Effect.gen(function*() {
      const assertion = "aGVhZGVy.Y2xhaW1z.c2lnbmF0dXJl"
      const asked: Array<unknown> = []
      const port = yield* serve((request, response) => {
        asked.push({ url: request.url, authorization: request.headers.authorization })
        response.setHeader("content-type", "application/json").end(JSON.stringify({ value: assertion }))
      })
      const server = yield* SimulatorServer.SimulatorServer
      const proxy = yield* proxyTo(Number(new URL(server.origin).port))
      const program = `${programWith("ACTIONS_ID_TOKEN_REQUEST_URL")}
import { Effect } from "effect"
const token = ConfidentialClient.acquireToken({ scopes: "${graph}" })
await Effect.runPromise(Effect.ignore(token).pipe(Effect.provide(EntraLive)))`
      const { status, stderr } = yield* runChild([
        "--conditions=@effect-entra/source",
        "--input-type=module-typescript",
        `--eval=${program}`
      ], {
        ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/token?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of-the-job",
        HTTPS_PROXY: proxy.url,
        NODE_EXTRA_CA_CERTS: yield* temporaryFile(server.certificate ?? ""),
        NODE_USE_ENV_PROXY: "1"
      })
      assert.strictEqual(status, 0, stderr)
      assert.deepStrictEqual(asked, [
        { url: "/token?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange", authorization: "Bearer of-the-job" }
      ])
      const { requests } = yield* EntraSimulator.EntraSimulator
      assert.deepStrictEqual((yield* requests).map(({ form }) => form["client_assertion"]), [assertion])
    }).pipe(Effect.provide(SimulatorServer.layerHttps({ hosts: ["login.microsoftonline.com"] }))))
})

// -----------------------------------------------------------------------------
// its openssl commands
// -----------------------------------------------------------------------------

const commands = blocksOf(page).flatMap(({ code, info }) => info[0] === "sh" && code.includes("openssl") ? [code] : [])
const oneFile = blocksOf(page).find(({ code, info }) => info[0] === "sh" && code.includes("umask"))?.code ?? "false"

describe("the openssl commands", () => {
  beforeAll(ensureOpenssl, 120_000)

  it("are there, for RSA and for EC", () => {
    assert.deepStrictEqual(commands.map((code) => /-newkey (\w+)/.exec(code)?.[1]), ["rsa", "ec"])
  })

  for (const code of commands) {
    it.live(
      `${/-newkey \w+/.exec(code)?.[0]} makes what layerCertificate takes`,
      () =>
        Effect.gen(function*() {
          const folder = yield* Effect.acquireRelease(
            Effect.promise(() => mkdtemp(join(tmpdir(), "effect-entra-"))),
            (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
          )
          yield* Effect.promise(() => promisify(execFile)("sh", ["-ec", code], { cwd: folder }))
          const [certificate, key] = yield* Effect.promise(() =>
            Promise.all(["cert.pem", "key.pem"].map((name) => readFile(join(folder, name), "utf8")))
          )
          const credential = ClientCredential.layerCertificate({
            certificate: certificate ?? "",
            privateKey: Redacted.make(key ?? "")
          })
          yield* Effect.promise(() => promisify(execFile)("sh", ["-ec", oneFile], { cwd: folder }))
          for (const name of ["key.pem", "my-daemon.pem"]) {
            const { mode } = yield* Effect.promise(() => stat(join(folder, name)))
            assert.strictEqual((mode & 0o777).toString(8), "600", name)
          }
          const both = NodeClientCredential.layerCertificateFile({ path: join(folder, "my-daemon.pem") }).pipe(
            Layer.provide(NodeFileSystem.layer)
          )
          for (const one of [credential, both]) {
            const { accessToken } = yield* Effect.provide(
              ask(),
              World({ credential: one, app: { certificates: [certificate ?? ""] } })
            )
            assert.isDefined(rolesOf(accessToken))
          }
        })
    )
  }
})
