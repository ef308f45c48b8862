/** Both libraries do the same tasks over the same recorder; what they sent, side by side. */
import { Array, Context, Effect, Layer, Redacted, Schema } from "effect"
import { TestCertificate } from "effect-entra/testing"
import * as jose from "jose"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { fileURLToPath } from "node:url"
import { runChild, temporaryFile } from "../../support/child.ts"
import { blocks } from "../material.ts"
import { type Difference, differencesOf, encodingsOf, type Members, membersOf } from "./members.ts"
import { type Recorded, recorder } from "./recorder.ts"
import { type Outcome, Outcomes, type Task, Tasks } from "./task.ts"

export const tenant = "11112222-aaaa-bbbb-cccc-ddddeeeeffff"
export const clientId = "00001111-2222-3333-4444-555566667777"
export const scope = "https://graph.microsoft.com/.default"
export const host = "login.microsoftonline.com"
export const regionalHost = "westus2.login.microsoft.com"
export const sovereignHost = "login.microsoftonline.us"
export const sovereignRegionalHost = "usgovvirginia.login.microsoftonline.us"
export const tokenEndpoint = `https://${host}/${tenant}/oauth2/v2.0/token`

/** Everything that comes out otherwise when a form is encoded carelessly. */
export const secret = "a secret+with%41 all & that = needs ~ care: *'()! \u00fc \u20ac"

export const challenge =
  `{ "access_token" : { "nbf": {"essential":true, "value":"1790000000"}, "acrs": {"values":["c1","\u00fc"]} } }`

export const extraQueryParameters = { slice: "test", awkward: secret, "a name & more": "x" }

/** It names a capability itself. */
export const capableChallenge = `{"access_token":{"xms_cc":{"values":["cp2"]}}}`

export const cases = [
  "secret",
  "certificate",
  "certificate with chain",
  "certificate with chain for one request",
  "certificate without chain for one request",
  "assertion",
  "claims",
  "capabilities",
  "claims and capabilities",
  "claims that name capabilities",
  "region",
  "region with certificate",
  "alias of the cloud",
  "other cloud",
  "region of another cloud",
  "extra query parameters"
] as const
export type Case = typeof cases[number]

/** The request of one library, and the outcome of its response. */
export interface Side {
  readonly request: Recorded
  readonly outcome: Outcome
  readonly members: Members
}

export interface Compared {
  readonly ours: Side
  readonly theirs: Side
  readonly differences: ReadonlyArray<Difference>
}

/** All cases, done once. */
export class Comparison extends Context.Service<Comparison, {
  readonly of: (name: Case) => Effect.Effect<Compared>
  readonly correlationId: (name: Case) => string
  /** The destinations that each library connected to. */
  readonly connections: { readonly ours: ReadonlyArray<string>; readonly theirs: ReadonlyArray<string> }
  /** PEM, the leaf first. */
  readonly chain: ReadonlyArray<string>
  /** The assertion that somebody else has signed. */
  readonly assertion: string
}>()("effect-entra/test/node/wire/Comparison") {}

class ChildFailed extends Schema.TaggedError<ChildFailed>()("ChildFailed", { message: Schema.String }) {}

const compare = Effect.gen(function*() {
  const made = yield* TestCertificate.makeChain({ commonName: "daemon" })
  const chain = blocks(made.certificate)
  const leaf = new X509Certificate(chain[0] ?? "")
  const certificate = {
    chain: made.certificate,
    privateKey: Redacted.value(made.privateKey),
    thumbprintSha256: leaf.fingerprint256.replaceAll(":", "").toLowerCase()
  }
  const assertion = yield* signed(certificate.privateKey)

  const withSecret = { _tag: "Secret", secret } as const
  const withCertificate = (sendCertificateChain: "no" | "app" | "request" | "not this request") =>
    ({ _tag: "Certificate", certificate, sendCertificateChain }) as const
  const clientCapabilities = ["cp1", "protapp"]
  const wishes: Record<Case, Wish> = {
    secret: { credential: withSecret },
    certificate: { credential: withCertificate("no") },
    "certificate with chain": { credential: withCertificate("app") },
    "certificate with chain for one request": { credential: withCertificate("request") },
    "certificate without chain for one request": { credential: withCertificate("not this request") },
    assertion: { credential: { _tag: "Assertion", assertion } },
    claims: { credential: withSecret, claims: challenge },
    capabilities: { credential: withSecret, clientCapabilities },
    "claims and capabilities": { credential: withSecret, clientCapabilities, claims: challenge },
    "claims that name capabilities": { credential: withSecret, clientCapabilities, claims: capableChallenge },
    region: { credential: withSecret, region: "westus2" },
    "region with certificate": { credential: withCertificate("no"), region: "westus2" },
    "alias of the cloud": { credential: withCertificate("no"), authority: `https://login.windows.net/${tenant}` },
    "other cloud": { credential: withCertificate("no"), authority: `https://${sovereignHost}/${tenant}` },
    "region of another cloud": {
      credential: withSecret,
      authority: `https://${sovereignHost}/${tenant}`,
      region: "usgovvirginia"
    },
    "extra query parameters": { credential: withSecret, extraQueryParameters }
  }
  const tasks = cases.map((name) => {
    const correlationId = crypto.randomUUID()
    return { authority: `https://${host}/${tenant}`, clientId, scopes: [scope], correlationId, ...wishes[name] }
  })

  const { certificate: authority, proxy, take } = yield* recorder([
    host,
    regionalHost,
    sovereignHost,
    sovereignRegionalHost
  ])
  const environment = {
    HTTPS_PROXY: proxy,
    NODE_EXTRA_CA_CERTS: yield* temporaryFile(authority),
    NODE_USE_ENV_PROXY: "1",
    PARAMETERS: yield* Schema.encodeEffect(Tasks)(tasks)
  }

  const run = Effect.fnUntraced(function*(script: "entra" | "msal") {
    const path = fileURLToPath(new URL(`./${script}.ts`, import.meta.url))
    const { status, stderr, stdout } = yield* runChild(["--conditions=@effect-entra/source", path], environment)
    const { connections, requests } = yield* take
    if (status !== 0) return yield* new ChildFailed({ message: `${script}: ${stderr}` })
    const outcomes = yield* Schema.decodeUnknownEffect(Outcomes)(stdout)
    // One request a task and no other: no discovery, no second try.
    if (requests.length !== tasks.length || outcomes.length !== tasks.length) {
      return yield* new ChildFailed({
        message: `${script}: ${requests.length} requests for ${tasks.length} tasks: ${requests.map(({ url }) => url)}`
      })
    }
    const sides = yield* Effect.forEach(
      Array.zip(Array.zip(requests, outcomes), tasks),
      ([[request, outcome], { correlationId }]) =>
        Effect.map(
          Effect.promise(() => membersOf(request, { correlationId, publicKey: leaf.publicKey })),
          (members): Side => ({ request, outcome, members })
        )
    )
    return { sides, connections }
  })

  const ours = yield* run("entra")
  const theirs = yield* run("msal")
  const compared = new Map(Array.zip(
    cases,
    Array.zipWith(ours.sides, theirs.sides, (ours, theirs): Compared => ({
      ours,
      theirs,
      differences: [...differencesOf(ours.members, theirs.members), ...encodingsOf(ours.request, theirs.request)]
    }))
  ))
  return Comparison.of({
    of: (name) => Effect.orDie(Effect.fromNullishOr(compared.get(name))),
    correlationId: (name) => tasks[cases.indexOf(name)]?.correlationId ?? "",
    connections: { ours: ours.connections, theirs: theirs.connections },
    chain,
    assertion
  })
})

export const layerComparison = Layer.effect(Comparison, compare)

type Wish = Pick<Task, "credential"> & Partial<Task>

/** As a platform would that the app federates with. */
const signed = (privateKey: string) =>
  Effect.promise(() =>
    new jose.SignJWT({ aud: "api://AzureADTokenExchange" })
      .setProtectedHeader({ alg: "RS256", kid: "the-platform" })
      .setIssuer("https://platform.example")
      .setSubject("repo:contoso/orders")
      .setJti(crypto.randomUUID())
      .setNotBefore("0 seconds")
      .setExpirationTime("5 minutes")
      .sign(createPrivateKey(privateKey))
  )
