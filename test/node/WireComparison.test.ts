/**
 * Our token request and that of `@azure/msal-node`, for the same app and the same wish, recorded by one server behind the
 * names of Microsoft's hosts. Both libraries run in processes that differ in nothing else, over the same `fetch`.
 *
 * In a value, `<correlation id>` is the caller's, `<version>` a library's own, `<now>` the time of the request in whole
 * seconds and as a number, `<GUID>` a random one, `<verified>` a signature that the certificate's key has made.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto"
import {
  capableChallenge,
  type Case,
  cases,
  challenge,
  clientId,
  Comparison,
  extraQueryParameters,
  host,
  layerComparison,
  regionalHost,
  scope,
  secret,
  sovereignHost,
  sovereignRegionalHost,
  tenant,
  tokenEndpoint
} from "./wire/compare.ts"
import { type Difference, differencesOf, encodingsOf, membersOf } from "./wire/members.ts"
import type { Recorded } from "./wire/recorder.ts"

interface Row extends Difference {
  readonly cases: ReadonlyArray<Case>
  readonly reason: string
}

const bySecret: ReadonlyArray<Case> = [
  "secret",
  "claims",
  "capabilities",
  "claims and capabilities",
  "claims that name capabilities",
  "region",
  "region of another cloud",
  "extra query parameters"
]
const withClaims: ReadonlyArray<Case> = [
  "claims",
  "capabilities",
  "claims and capabilities",
  "claims that name capabilities"
]
const challenged: ReadonlyArray<Case> = ["claims", "claims and capabilities", "claims that name capabilities"]
const regional: ReadonlyArray<Case> = ["region", "region with certificate", "region of another cloud"]

/** Every difference there is, and why. */
const table: ReadonlyArray<Row> = [
  {
    cases,
    member: "header accept",
    ours: "application/json",
    theirs: "*/*",
    reason: "As MSAL.NET: a proxy or gateway on the way should answer in JSON too. Theirs is the default of fetch."
  },
  {
    cases,
    member: "header accept-encoding",
    ours: "identity",
    theirs: "br, gzip, deflate",
    reason: "Without this header a server may use any coding, and only some transports decode it. Theirs is fetch's."
  },
  {
    cases,
    member: "header content-type",
    ours: "application/x-www-form-urlencoded",
    theirs: "application/x-www-form-urlencoded;charset=utf-8",
    reason: "The media type has no parameters; its bytes are UTF-8 either way (RFC 6749 appendix B)."
  },
  {
    cases,
    member: "header client-request-id",
    ours: "<correlation id>",
    theirs: undefined,
    reason: "As MSAL.NET: the id is about the request, so it is a header. They say it twice, elsewhere."
  },
  {
    cases,
    member: "header return-client-request-id",
    ours: "true",
    theirs: undefined,
    reason: "As MSAL.NET: the service then says in a header of the answer which request it was."
  },
  {
    cases,
    member: "query client-request-id",
    ours: undefined,
    theirs: "<correlation id>",
    reason: "Ours is in the header: a query makes each address another one for proxies and their logs."
  },
  {
    cases,
    member: "form client-request-id",
    ours: undefined,
    theirs: "<correlation id>",
    reason: "Ours is in the header."
  },
  {
    cases,
    member: "header x-client-sku",
    ours: "effect-entra",
    theirs: undefined,
    reason: "The library's name: we are not MSAL. In the header, as MSAL.NET has it."
  },
  {
    cases,
    member: "header x-client-ver",
    ours: "<version>",
    theirs: undefined,
    reason: "The library's version, in the header, as MSAL.NET has it."
  },
  {
    cases,
    member: "form x-client-SKU",
    ours: undefined,
    theirs: "msal.js.node",
    reason: "The library's name: ours is in the header."
  },
  {
    cases,
    member: "form x-client-VER",
    ours: undefined,
    theirs: "<version>",
    reason: "The library's version: ours is in the header."
  },
  {
    cases,
    member: "form x-client-OS",
    ours: undefined,
    theirs: process.platform,
    reason: "The machine is no business of the token service, and the core knows no operating system."
  },
  {
    cases,
    member: "form x-client-CPU",
    ours: undefined,
    theirs: process.arch,
    reason: "The machine is no business of the token service, and the core knows no processor."
  },
  {
    cases,
    member: "header x-ms-lib-capability",
    ours: "retry-after, h429",
    theirs: undefined,
    reason: "The same promise, to heed Retry-After and 429, in the header, as MSAL.NET has it."
  },
  {
    cases,
    member: "form x-ms-lib-capability",
    ours: undefined,
    theirs: "retry-after, h429",
    reason: "The same promise: ours is in the header."
  },
  {
    cases: cases.filter((name) => !challenged.includes(name) && !regional.includes(name)),
    member: "form x-client-current-telemetry",
    ours: undefined,
    theirs: "5|771,2,,,|,",
    reason: "Telemetry of MSAL's own (schema 5): client credentials, no token was cached."
  },
  {
    cases: challenged,
    member: "form x-client-current-telemetry",
    ours: undefined,
    theirs: "5|771,0,,,|,",
    reason: "Telemetry of MSAL's own (schema 5): client credentials, the cache was not looked at."
  },
  {
    cases: ["region", "region with certificate"],
    member: "form x-client-current-telemetry",
    ours: undefined,
    theirs: "5|771,2,westus2,,2|,",
    reason: "Telemetry of MSAL's own (schema 5): client credentials, in a region that was configured."
  },
  {
    cases: ["region of another cloud"],
    member: "form x-client-current-telemetry",
    ours: undefined,
    theirs: "5|771,2,usgovvirginia,,2|,",
    reason: "Telemetry of MSAL's own (schema 5): client credentials, in a region that was configured."
  },
  {
    cases,
    member: "form x-client-last-telemetry",
    ours: undefined,
    theirs: "5|0|||0,0",
    reason: "Telemetry of MSAL's own (schema 5) about earlier requests; MSAL.NET has given it up."
  },
  {
    cases: bySecret,
    member: "form client_secret, encoded",
    ours: "client_secret=a+secret%2Bwith%2541+all+%26+that+%3D+needs+%7E+care%3A+*%27%28%29%21+%C3%BC+%E2%82%AC",
    theirs:
      "client_secret=a%20secret%2Bwith%2541%20all%20%26%20that%20%3D%20needs%20~%20care%3A%20*'()!%20%C3%BC%20%E2%82%AC",
    reason: "Ours is the form encoding of RFC 6749 appendix B, theirs that of a URL's parts. Both decode to the same."
  },
  ...["signin_state", "login_hint", "tenant_region_sub_scope"].map((name): Row => ({
    cases: withClaims,
    member: `form claims.id_token.${name}.essential`,
    ours: undefined,
    theirs: "false",
    reason: "MSAL wishes for this in the id tokens of people who sign in; an app that acts as itself gets none."
  })),
  {
    cases: ["claims that name capabilities"],
    member: "form claims.access_token.xms_cc.values",
    ours: `["cp1","protapp","cp2"]`,
    theirs: `["cp1","protapp"]`,
    reason: "As MSAL.NET: arrays are joined. Theirs loses what the challenge asked for."
  },
  {
    cases: regional,
    member: "path",
    ours: `/${tenant}/oauth2/v2.0/token`,
    theirs: `/${tenant}/oauth2/v2.0/token/`,
    reason: "MSAL.NET has no slash at the end either; msal-node's comes from the way it puts the URL together."
  },
  {
    cases: ["region with certificate"],
    member: "assertion claim.aud",
    ours: `"https://${regionalHost}/${tenant}/oauth2/v2.0/token"`,
    theirs: `"https://${regionalHost}/${tenant}/oauth2/v2.0/token/"`,
    reason: "The audience is the address that is posted to, with each library's own idea of its end."
  },
  {
    cases: ["extra query parameters"],
    member: "query a name & more",
    ours: "x",
    theirs: undefined,
    reason: "msal-node encodes the values and not the names, so that this name becomes two parameters."
  },
  {
    cases: ["extra query parameters"],
    member: "query a name ",
    ours: undefined,
    theirs: "",
    reason: "What msal-node makes of that name: the part before the &."
  },
  {
    cases: ["extra query parameters"],
    member: "query  more",
    ours: undefined,
    theirs: "x",
    reason: "What msal-node makes of that name: the part after the &."
  }
]

/** Headers that Node's `fetch` adds by itself. They are compared like all others, but their values are not asserted. */
const ofFetch = new Set(
  ["connection", "accept-language", "sec-fetch-mode", "user-agent"].map((name) => `header ${name}`)
)

const always = {
  method: "POST",
  "http version": "1.1",
  "header host": host,
  "header content-length": "<length of the body>",
  "form client_id": clientId,
  "form grant_type": "client_credentials",
  "form scope": scope
}
const atTheEndpoint = { path: new URL(tokenEndpoint).pathname }
const inRegion = { "header host": regionalHost }
const ofSecret = { "form client_secret": secret }
const byAssertion = { "form client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" }
const inAccessToken = {
  "form claims.access_token.nbf.essential": "true",
  "form claims.access_token.nbf.value": `"1790000000"`,
  "form claims.access_token.acrs.values": `["c1","\u00fc"]`
}
const ofClient = { "form claims.access_token.xms_cc.values": `["cp1","protapp"]` }

const derOf = (pem: string): Buffer => new X509Certificate(pem).raw

/** Of an assertion that the library signs with the certificate. */
const signedWith = (chain: ReadonlyArray<string>) => ({
  ...byAssertion,
  "assertion header.alg": `"PS256"`,
  "assertion header.typ": `"JWT"`,
  "assertion header.x5t#S256": JSON.stringify(createHash("sha256").update(derOf(chain[0] ?? "")).digest("base64url")),
  "assertion claim.iss": JSON.stringify(clientId),
  "assertion claim.sub": JSON.stringify(clientId),
  "assertion claim.jti": "<GUID>",
  "assertion claim.nbf": "<now>",
  "assertion claim.iat": "<now>",
  "assertion claim.exp": "<nbf + 600>",
  "assertion signature": "<verified>"
})
const toTheEndpoint = { ...atTheEndpoint, "assertion claim.aud": JSON.stringify(tokenEndpoint) }
const withChain = (chain: ReadonlyArray<string>) => ({
  "assertion header.x5c": JSON.stringify(chain.map((pem) => derOf(pem).toString("base64")))
})

/** Everything that both send alike. */
const agreements: Record<Case, (chain: ReadonlyArray<string>) => Readonly<Record<string, string>>> = {
  secret: () => ({ ...always, ...atTheEndpoint, ...ofSecret }),
  certificate: (chain) => ({ ...always, ...toTheEndpoint, ...signedWith(chain) }),
  "certificate with chain": (chain) => ({
    ...always,
    ...toTheEndpoint,
    ...signedWith(chain),
    ...withChain(chain)
  }),
  "certificate with chain for one request": (chain) => ({
    ...always,
    ...toTheEndpoint,
    ...signedWith(chain),
    ...withChain(chain)
  }),
  "certificate without chain for one request": (chain) => ({ ...always, ...toTheEndpoint, ...signedWith(chain) }),
  // They add nothing to it, take nothing away, and do not look inside.
  assertion: () => ({
    ...always,
    ...atTheEndpoint,
    ...byAssertion,
    "assertion header.alg": `"RS256"`,
    "assertion header.kid": `"the-platform"`,
    "assertion claim.aud": `"api://AzureADTokenExchange"`,
    "assertion claim.iss": `"https://platform.example"`,
    "assertion claim.sub": `"repo:contoso/orders"`,
    "assertion claim.jti": "<GUID>",
    "assertion claim.nbf": "<now>",
    "assertion claim.exp": "<nbf + 300>",
    "assertion signature": "<verified>"
  }),
  claims: () => ({ ...always, ...atTheEndpoint, ...ofSecret, ...inAccessToken }),
  capabilities: () => ({ ...always, ...atTheEndpoint, ...ofSecret, ...ofClient }),
  "claims and capabilities": () => ({ ...always, ...atTheEndpoint, ...ofSecret, ...ofClient, ...inAccessToken }),
  "claims that name capabilities": () => ({ ...always, ...atTheEndpoint, ...ofSecret }),
  region: () => ({ ...always, ...inRegion, ...ofSecret }),
  "region with certificate": (chain) => ({ ...always, ...inRegion, ...signedWith(chain) }),
  // Both go to the host that Microsoft prefers.
  "alias of the cloud": (chain) => ({ ...always, ...toTheEndpoint, ...signedWith(chain) }),
  "other cloud": (chain) => ({
    ...always,
    ...atTheEndpoint,
    ...signedWith(chain),
    "header host": sovereignHost,
    "assertion claim.aud": JSON.stringify(tokenEndpoint.replace(host, sovereignHost))
  }),
  "region of another cloud": () => ({ ...always, ...ofSecret, "header host": sovereignRegionalHost }),
  "extra query parameters": () => ({
    ...always,
    ...atTheEndpoint,
    ...ofSecret,
    "query slice": extraQueryParameters.slice,
    "query awkward": extraQueryParameters.awkward
  })
}

const sorted = (differences: ReadonlyArray<Difference>) =>
  differences
    .map(({ member, ours, theirs }) => ({ member, ours, theirs }))
    .sort((one, other) => one.member < other.member ? -1 : 1)

const formOf = ({ body }: Recorded) => new URLSearchParams(body)
const assertionOf = (request: Recorded) => formOf(request).get("client_assertion")

layer(layerComparison, { excludeTestServices: true, timeout: "60 seconds" })("our request and msal-node's", (it) => {
  for (const name of cases) {
    describe(name, () => {
      it.effect("differ in what the table lists, and in all of it", () =>
        Effect.gen(function*() {
          const { differences } = yield* (yield* Comparison).of(name)
          assert.deepStrictEqual(sorted(differences), sorted(table.filter((row) => row.cases.includes(name))))
        }))

      it.effect("agree in everything else", () =>
        Effect.gen(function*() {
          const { chain, of } = yield* Comparison
          const { ours, theirs } = yield* of(name)
          const alike = [...ours.members].filter(([member, value]) =>
            theirs.members.get(member) === value && !ofFetch.has(member)
          )
          assert.deepStrictEqual(Object.fromEntries(alike), agreements[name](chain))
        }))

      it.effect("are answered, and both libraries hand the token out", () =>
        Effect.gen(function*() {
          const { ours, theirs } = yield* (yield* Comparison).of(name)
          assert.strictEqual(ours.outcome.token, ours.request.token)
          assert.strictEqual(theirs.outcome.token, theirs.request.token)
          assert.notStrictEqual(ours.request.token, theirs.request.token)
        }))
    })
  }

  it.effect("go to the same hosts", () =>
    Effect.gen(function*() {
      const { connections } = yield* Comparison
      for (const hosts of [connections.ours, connections.theirs]) {
        assert.deepStrictEqual(
          new Set(hosts),
          new Set([host, regionalHost, sovereignHost, sovereignRegionalHost].map((host) => `${host}:443`))
        )
      }
    }))

  it.effect("carry the assertion of somebody else as it is, who is told the same by both", () =>
    Effect.gen(function*() {
      const { assertion, of } = yield* Comparison
      const { ours, theirs } = yield* of("assertion")
      for (const { outcome, request } of [ours, theirs]) {
        assert.strictEqual(assertionOf(request), assertion)
        assert.deepStrictEqual(outcome.told, [{ clientId, tokenEndpoint }])
      }
    }))

  it.effect("carry claims: ours byte for byte while there is nothing to add to them", () =>
    Effect.gen(function*() {
      const { of } = yield* Comparison
      const claimsOf = (request: Recorded) => formOf(request).get("claims")
      assert.strictEqual(claimsOf((yield* of("claims")).ours.request), challenge)
      assert.strictEqual(
        claimsOf((yield* of("claims that name capabilities")).ours.request),
        capableChallenge.replace(`["cp2"]`, `["cp1","protapp","cp2"]`)
      )
      // Theirs is written anew, from what it has read.
      assert.notInclude(claimsOf((yield* of("claims")).theirs.request), challenge.slice(0, -2))
    }))

  it.effect("of ours have no assertion in common", () =>
    Effect.gen(function*() {
      const { of } = yield* Comparison
      const assertions = yield* Effect.forEach(cases, (name) => Effect.map(of(name), ({ ours }) => ours.request))
      const sent = assertions.flatMap((request) => assertionOf(request) ?? [])
      assert.strictEqual(sent.length, 8)
      assert.strictEqual(new Set(sent).size, sent.length)
    }))

  describe("what would go unnoticed otherwise", () => {
    const changes: ReadonlyArray<{
      readonly what: string
      readonly change: (request: Recorded) => Partial<Recorded>
      readonly found: ReadonlyArray<Difference>
    }> = [
      { what: "nothing", change: () => ({}), found: [] },
      {
        what: "the method",
        change: () => ({ method: "GET" }),
        found: [{ member: "method", ours: "POST", theirs: "GET" }]
      },
      {
        what: "a parameter of the query",
        change: ({ url }) => ({ url: `${url}?slice=test` }),
        found: [{ member: "query slice", ours: undefined, theirs: "test" }]
      },
      {
        what: "a header that comes twice",
        change: ({ headers }) => ({ headers: [...headers, ["accept", "text/html"]] }),
        found: [{ member: "header accept (2)", ours: undefined, theirs: "text/html" }]
      },
      {
        what: "a length that is not the body's",
        change: ({ headers }) => ({
          headers: headers.map(([name, value]) => [name, name === "content-length" ? "7" : value])
        }),
        found: [{ member: "header content-length", ours: "<length of the body>", theirs: "7" }]
      },
      {
        what: "another correlation id",
        change: ({ headers }) => ({
          headers: headers.map(([name, value]) => [name, name === "client-request-id" ? "other" : value])
        }),
        found: [{ member: "header client-request-id", ours: "<correlation id>", theirs: "other" }]
      },
      {
        what: "other bytes for the same value",
        change: ({ body }) => ({ body: body.replace("%3A", "%3a") }),
        found: [{
          member: "form scope, encoded",
          ours: "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
          theirs: "scope=https%3a%2F%2Fgraph.microsoft.com%2F.default"
        }]
      },
      {
        what: "a time that is not the request's",
        change: ({ receivedAt }) => ({ receivedAt: receivedAt - 60_000 }),
        found: ["nbf", "iat", "exp"].map((claim) => ({
          member: `assertion claim.${claim}`,
          ours: claim === "exp" ? "<nbf + 600>" : "<now>",
          theirs: "in seconds"
        }))
      }
    ]

    for (const { change, found, what } of changes) {
      it.effect(what, () =>
        Effect.gen(function*() {
          const { chain, correlationId, of } = yield* Comparison
          const { ours } = yield* of("certificate")
          const known = {
            correlationId: correlationId("certificate"),
            publicKey: new X509Certificate(chain[0] ?? "").publicKey
          }
          const changed = { ...ours.request, ...change(ours.request) }
          const members = yield* Effect.promise(() => membersOf(changed, known))
          assert.deepStrictEqual(
            [...differencesOf(ours.members, members), ...encodingsOf(ours.request, changed)].map((
              { member, ours, theirs }
            ) => ({
              member,
              ours,
              theirs: theirs?.replace(/^\d{10}$/, "in seconds")
            })),
            found
          )
        }))
    }

    it.effect("a signature of another key", () =>
      Effect.gen(function*() {
        const { correlationId, of } = yield* Comparison
        const { request } = (yield* of("certificate")).theirs
        const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
        const refused = yield* Effect.flip(Effect.tryPromise({
          try: () => membersOf(request, { correlationId: correlationId("certificate"), publicKey }),
          catch: String
        }))
        assert.include(refused, "signature verification failed")
      }))
  })
})

it("gives a reason for each difference", () => {
  assert.deepStrictEqual(table.filter(({ reason }) => reason.trim() === ""), [])
})
