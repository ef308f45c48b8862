/**
 * Every credential against every kind of authority, on the simulator. A cell is either a token, verified as an API would,
 * or a refusal that the table below names with its reason.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Redacted, References, Schema } from "effect"
import { ClientCredential, ConfidentialClient, RetryPolicy, TokenCache, TokenEndpoint } from "effect-entra"
import { ManagedIdentity, NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import * as jose from "jose"
import { readdirSync, readFileSync, rmSync } from "node:fs"
import { afterAll } from "vitest"
import { audienceAt, type Column, columns, type Kind, type Place } from "./matrix/columns.ts"
import { clientId, job, make, type Material, secret } from "./matrix/material.ts"
import { type Proof, type Row, rows } from "./matrix/rows.ts"
import { contoso } from "./support/world.ts"

interface Refused {
  readonly tag: string
  readonly code: string
  /** AADSTS numbers: of Entra alone. */
  readonly numbers: ReadonlyArray<number>
  readonly because: string
}
type Verdict = "Accepted" | Refused

const refused = (code: string, because: string, numbers: ReadonlyArray<number> = []): Refused => ({
  tag: "EntraInvalidClientError",
  code,
  numbers,
  because
})

const nameless = refused("assertion_refused", "Entra knows keys by their certificates' thumbprints alone", [700027])
const adfsKeys = refused("client_refused", "AD FS takes RS256, with the thumbprint of a registered certificate")
const unknownKey = refused("client_refused", "an issuer takes the keys that are registered for the client")

const entra = {
  secret: "Accepted",
  rsa: "Accepted",
  ec: "Accepted",
  subjectName: "Accepted",
  rsaKey: nameless,
  ecKey: nameless,
  platform: "Accepted"
} as const

/** The expected verdict of each authority on each proof. The compiler checks that the table is complete. */
const verdicts: Readonly<Record<Kind, Readonly<Record<Proof, Verdict>>>> = {
  Entra: entra,
  Ciam: entra,
  Region: entra,
  Adfs: {
    secret: "Accepted",
    rsa: "Accepted",
    ec: adfsKeys,
    subjectName: adfsKeys,
    rsaKey: adfsKeys,
    ecKey: adfsKeys,
    platform: adfsKeys
  },
  Oidc: {
    secret: "Accepted",
    rsa: "Accepted",
    ec: "Accepted",
    subjectName: unknownKey,
    rsaKey: "Accepted",
    ecKey: "Accepted",
    platform: unknownKey
  }
}

/** How an assertion has to look: what RSA keys sign with, and which thumbprint names the certificate. */
const looks = {
  Entra: { rsa: "PS256", thumbprint: "x5t#S256" },
  Ciam: { rsa: "PS256", thumbprint: "x5t#S256" },
  Region: { rsa: "PS256", thumbprint: "x5t#S256" },
  Adfs: { rsa: "RS256", thumbprint: "x5t" },
  Oidc: { rsa: "RS256", thumbprint: "x5t" }
} as const

// -----------------------------------------------------------------------------
// the world
// -----------------------------------------------------------------------------

interface World {
  readonly material: Material
  readonly simulators: ReadonlyMap<Column, EntraSimulator.EntraSimulator["Service"]>
}

let made: Promise<World> | undefined
const makeWorld = async (): Promise<World> => {
  const material = await make()
  const simulators = new Map<Column, EntraSimulator.EntraSimulator["Service"]>()
  for (const column of columns) {
    // Each has keys of its own, so that a token of another is none of its tokens.
    const options: EntraSimulator.Options = {
      signer: EntraSimulator.makeSignerRs256(),
      apps: [material.app],
      issuers: material.issuers,
      ...column.simulator(material)
    }
    simulators.set(column, await Effect.runPromise(EntraSimulator.make(options)))
  }
  return { material, simulators }
}
const world = Effect.promise(() => made ??= makeWorld())

afterAll(async () => {
  if (made !== undefined) rmSync((await made).material.folder, { recursive: true, force: true })
})

/** GitHub's endpoint, in front of everybody else. */
const GitHub = (material: Material) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (others) =>
      HttpClient.make((request, url) =>
        url.host !== "pipelines.actions.githubusercontent.com"
          ? others.execute(request)
          : request.headers["authorization"] !== "Bearer the-token-of-the-job"
          ? Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}", { status: 401 })))
          : Effect.map(
            material.gitHub.issue({ subject: job, audience: url.searchParams.get("audience") ?? "" }),
            (token) =>
              HttpClientResponse.fromWeb(request, Response.json({ value: Redacted.value(token) }))
          )
      ))
  )

const transportOf = (material: Material, simulator: EntraSimulator.EntraSimulator["Service"]) =>
  GitHub(material).pipe(
    Layer.provide(MetadataService.layerHttpClient),
    Layer.provide(Layer.succeed(MetadataService.MetadataService, material.machine.service)),
    Layer.provide(EntraSimulator.layerHttpClient),
    Layer.provide(Layer.succeed(EntraSimulator.EntraSimulator, simulator))
  )

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** The cell: its simulator, and a client for each place of the column, over one cache. */
const enter = Effect.fnUntraced(function*(row: Row, column: Column) {
  const { material, simulators } = yield* world
  const simulator = simulators.get(column)
  if (simulator === undefined) return yield* Effect.die(new Error(`there is no simulator of ${column.name}`))
  const transport = transportOf(material, simulator)
  const cache = Layer.succeedContext(yield* Layer.build(TokenCache.layerMemory()))
  const clientAt = (place: Place) => {
    const client = ConfidentialClient.layer({ clientId, ...place.client }).pipe(
      Layer.provide([row.credential(material, place), column.resolver, TokenEndpoint.layer, cache]),
      Layer.provide([transport, NodeFileSystem.layer])
    )
    return Effect.map(
      Layer.build(client),
      (context) => Context.get(context, ConfidentialClient.ConfidentialClient)
    )
  }
  /** Runs an effect, and returns its result and the requests that the simulator received meanwhile. */
  const watched = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    yield* simulator.reset
    const result = yield* effect
    return { result, seen: yield* simulator.requests }
  })
  return { clientAt, watched, transport }
})

const Document = Schema.Struct({ jwks_uri: Schema.String })
const Keys = Schema.Struct({
  keys: Schema.Array(
    Schema.Struct({ kty: Schema.Literal("RSA"), kid: Schema.String, n: Schema.String, e: Schema.String })
  )
})

/** Verifies a token as an API does: the keys from the issuer's own document, the issuer, the audience and the times. */
const verify = Effect.fnUntraced(function*(token: string, place: Place) {
  const { jwks_uri } = yield* HttpClient.get(place.document).pipe(
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Document))
  )
  const { keys } = yield* HttpClient.get(jwks_uri).pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Keys)))
  const jwks = jose.createLocalJWKSet({ keys: [...keys] })
  const { audience, issuer } = place
  const { payload } = yield* Effect.promise(() =>
    jose.jwtVerify(token, jwks, { issuer, audience, algorithms: ["RS256"], requiredClaims: ["exp", "nbf"] })
  )
  return payload
})

// -----------------------------------------------------------------------------
// what was sent
// -----------------------------------------------------------------------------

const assertSent = (
  row: Row,
  column: Column,
  place: Place,
  { form, headers, method, url }: EntraSimulator.RecordedRequest
) => {
  assert.deepStrictEqual([method, url], ["POST", place.token])
  assert.strictEqual(form["grant_type"], "client_credentials")
  assert.strictEqual(form["scope"], place.scopes)
  const { client_assertion: assertion, client_secret: sent } = form
  if (row.proof === "secret") {
    assert.isUndefined(assertion)
    const inForm = place.secretMethod === "client_secret_post"
    assert.strictEqual(sent, inForm ? Redacted.value(secret) : undefined)
    assert.strictEqual(headers["authorization"]?.startsWith("Basic ") ?? false, !inForm)
    return
  }
  assert.isUndefined(sent)
  assert.isUndefined(headers["authorization"])
  const claims = jose.decodeJwt(assertion ?? "")
  const header = jose.decodeProtectedHeader(assertion ?? "")
  if (row.proof === "platform") {
    assert.notStrictEqual(claims.iss, clientId)
    return
  }
  assert.deepStrictEqual([claims.iss, claims.sub, claims.aud], [clientId, clientId, audienceAt(place)])
  assert.deepInclude(claims, { ...row.claims })
  const { rsa, thumbprint } = looks[column.kind]
  const isEc = row.proof === "ec" || row.proof === "ecKey"
  assert.strictEqual(header.alg, isEc ? "ES256" : rsa)
  const named = ["x5t", "x5t#S256"].filter((name) => name in header)
  // An issuer may look for either thumbprint; an assertion of the user's has the one that its code wrote.
  const both = column.kind === "Oidc" && !row.by.includes("ClientCredential.assertion")
  const expected = both ? ["x5t", "x5t#S256"] : [thumbprint]
  assert.deepStrictEqual(named, row.proof === "rsaKey" || row.proof === "ecKey" ? [] : expected)
  assert.strictEqual(header.x5c?.length, row.chain)
}

// -----------------------------------------------------------------------------
// the matrix
// -----------------------------------------------------------------------------

const accepted = Effect.fnUntraced(function*(row: Row, column: Column) {
  const { clientAt, transport, watched } = yield* enter(row, column)
  const tokens = new Set<string>()
  for (const place of column.places) {
    const client = yield* clientAt(place)
    const request = { scopes: place.scopes, ...row.request }
    const { result, seen } = yield* watched(client.acquireToken(request))
    assert.strictEqual(result.metadata.tokenSource, "IdentityProvider")
    const last = seen.at(-1)
    assert.strictEqual(seen.length, 1 + (row.before ?? 0))
    if (last !== undefined) assertSent(row, column, place, last)

    const token = Redacted.value(result.accessToken)
    assert.isFalse(tokens.has(token))
    tokens.add(token)
    const claims = yield* Effect.provide(verify(token, place), transport)
    if (column.kind === "Adfs") assert.strictEqual(claims["appid"], clientId)
    else if (column.kind === "Oidc") assert.strictEqual(claims["client_id"], clientId)
    else assert.deepInclude(claims, { azp: clientId, tid: contoso, azpacr: row.proof === "secret" ? "1" : "2" })

    const again = yield* watched(client.acquireToken(request))
    assert.strictEqual(again.result.metadata.tokenSource, "Cache")
    assert.strictEqual(Redacted.value(again.result.accessToken), token)
    assert.deepStrictEqual(again.seen, [])
  }
})

const isRefused = Effect.fnUntraced(function*(row: Row, column: Column, { code, numbers, tag }: Refused) {
  const { clientAt, watched } = yield* enter(row, column)
  for (const place of column.places) {
    const client = yield* clientAt(place)
    const { result, seen } = yield* watched(
      Effect.flip(client.acquireToken({ scopes: place.scopes, ...row.request })).pipe(
        Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
      )
    )
    assert.deepStrictEqual([result._tag, result.code], [tag, code], result.message)
    assert.deepStrictEqual("errorCodes" in result ? result.errorCodes : undefined, numbers)
    assert.deepStrictEqual(seen.map(({ url }) => url), Array.from({ length: 1 + (row.before ?? 0) }, () => place.token))
  }
})

const cells = columns.flatMap((column) =>
  rows.map((row) => ({ row, column, verdict: verdicts[column.kind][row.proof] }))
)
const seenCells = new Set<string>()
const nameOf = (row: Row, column: Column) => `${column.name} / ${row.name}`

for (const column of columns) {
  describe(column.name, () => {
    for (const { row, verdict } of cells.filter((cell) => cell.column === column)) {
      const title = verdict === "Accepted" ? row.name : `${row.name}: refused, because ${verdict.because}`
      it.live(title, () =>
        Effect.gen(function*() {
          seenCells.add(nameOf(row, column))
          if (verdict === "Accepted") yield* accepted(row, column)
          else yield* isRefused(row, column, verdict)
        }).pipe(Effect.scoped, quiet))
    }
  })
}

describe("a managed identity's own tokens", () => {
  // There is no authority to sign in at and no credential to choose: this is a column without rows. Azure Arc, which
  // needs a file of the machine's, is in test/node/ManagedIdentity.test.ts.
  for (const platform of ["imds", "appService"] as const) {
    it.live(platform, () =>
      Effect.gen(function*() {
        const signer = EntraSimulator.makeSignerRs256()
        const service = yield* MetadataService.make({ platform, signer })
        const machine = ManagedIdentity.layer().pipe(
          Layer.provide([
            MetadataService.layerHttpClient.pipe(
              Layer.provide(EntraSimulator.layerMemory()),
              Layer.provide(Layer.succeed(MetadataService.MetadataService, service))
            ),
            NodeFileSystem.layer,
            ConfigProvider.layer(ConfigProvider.fromEnvRecord(service.environment))
          ])
        )
        yield* Effect.gen(function*() {
          const acquire = ConfidentialClient.acquireToken({ scopes: "https://vault.azure.net/.default" })
          const first = yield* acquire
          const asked = yield* service.requests
          // The probe of the metadata service lacks the header of a token request.
          const proven = asked.filter(({ headers }) => "metadata" in headers || "x-identity-header" in headers)
          assert.strictEqual(proven.length, 1)
          const jwks = jose.createLocalJWKSet(yield* signer.jwks)
          const { payload } = yield* Effect.promise(() =>
            jose.jwtVerify(Redacted.value(first.accessToken), jwks, {
              issuer: service.issuer,
              audience: "https://vault.azure.net"
            })
          )
          assert.strictEqual(payload.sub, MetadataService.systemAssigned.objectId)
          const again = yield* acquire
          assert.strictEqual(again.metadata.tokenSource, "Cache")
          assert.deepStrictEqual(yield* service.requests, asked)
        }).pipe(Effect.provide(machine))
      }).pipe(quiet))
  }
})

describe("the matrix", () => {
  it("has every cell once, and every cell was run", () => {
    const names = cells.map(({ column, row }) => nameOf(row, column))
    assert.strictEqual(new Set(names).size, rows.length * columns.length)
    assert.deepStrictEqual([...seenCells].sort(), [...names].sort())
    const refusals = cells.filter(({ verdict }) => verdict !== "Accepted")
    assert.isAbove(refusals.length, 0)
    for (const { verdict } of refusals) if (verdict !== "Accepted") assert.isNotEmpty(verdict.because)
  })

  it("has every kind of authority, and every proof", () => {
    assert.sameMembers([...new Set(columns.map(({ kind }) => kind))], Object.keys(verdicts))
    assert.sameMembers([...new Set(rows.map(({ proof }) => proof))], Object.keys(entra))
  })
})

// -----------------------------------------------------------------------------
// the exports
// -----------------------------------------------------------------------------

describe("every public credential", () => {
  const modules = { ClientCredential, NodeClientCredential, ManagedIdentity }
  /** The key of the service is no credential. */
  const isCredential = (name: string) => name !== "ClientCredential.ClientCredential"
  const exported = Object.entries(modules).flatMap(([module, exports]) =>
    Object.keys(exports).map((name) => `${module}.${name}`)
  ).filter(isCredential)

  it("has a row", () => {
    // Its own tokens are a column.
    const shown = new Set(["ManagedIdentity.layer", ...rows.flatMap(({ by }) => by)])
    assert.sameMembers([...shown], exported)
  })

  const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const files: Readonly<Record<string, string>> = {
    ClientCredential: "../src/ClientCredential.ts",
    NodeClientCredential: "../src/node/NodeClientCredential.ts",
    ManagedIdentity: "../src/node/ManagedIdentity.ts"
  }
  const examples = [
    ...readdirSync(new URL("../examples", import.meta.url))
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(`../examples/${name}`)),
    ...Object.values(files).flatMap((path) => read(path).match(/^ \* ```ts\n[^]*?^ \* ```$/gm) ?? [])
  ]

  it.each(exported)("%s has an example", (name) => {
    const [module = "", member = ""] = name.split(".")
    const [before = "", found] = read(files[module] ?? "").split(new RegExp(`^export const ${member}\\b`, "m"))
    assert.isDefined(found, `${name} is not declared in its file`)
    const docstring = before.slice(before.lastIndexOf("/**"))
    assert.match(docstring, /\*\*Example\*\* \([^)]+\)\n \*\n \* ```ts\n[^]*```/)
    // In its own example or in another's: test/docs.test.ts runs them all.
    const shown = new RegExp(`\\b${module}\\.${member}\\b`)
    assert.isTrue(examples.some((text) => shown.test(text)), `no example shows ${name}`)
  })
})
