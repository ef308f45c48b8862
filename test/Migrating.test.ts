/**
 * `docs/migrating.md` against the code: every name of ours in its tables is an export, a field, a code or a variable of ours,
 * every name of the packages that are installed is one of theirs, and every link leads somewhere. Its examples are run with
 * those of the other pages.
 */
import { ConfidentialClientApplication } from "@azure/msal-node"
import { assert, describe, it } from "@effect/vitest"
import * as effect from "effect"
import * as library from "effect-entra"
import * as node from "effect-entra/node"
import * as http from "effect/http"
import { existsSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { posix } from "node:path"
import { blocksOf } from "./docs/fences.ts"
import { anchorsOf } from "./docs/links.ts"
import { filesAt, readText, sources } from "./docs/repository.ts"

const path = "docs/migrating.md"
const page = readText(path) ?? ""
const prose = page.replace(/^```[\s\S]*?^```/gm, "")

// -----------------------------------------------------------------------------
// what there is
// -----------------------------------------------------------------------------

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")
const code = new Map([...sources()].map(([file, text]) => [file, withoutComments(text)]))
const allCode = [...code].flatMap(([file, text]) => file.includes("/testing/") ? [] : [text]).join("\n")

/** The fields of an interface, type or service, as its source declares them. */
const fieldsOf = (file: string, name: string): ReadonlyArray<string> => {
  const body = new RegExp(`export (?:interface|type|class) ${name}\\b[\\s\\S]*?^(?=export |\\}\\)|/)`, "m")
    .exec(`${code.get(file) ?? ""}\nexport `)?.[0] ?? ""
  return [...body.matchAll(/readonly (\w+)\??:/g)].map(([, field]) => field ?? "")
}

const request = fieldsOf("src/TokenRequest.ts", "TokenRequest")
const result = [
  ...fieldsOf("src/AccessToken.ts", "AuthenticationResult"),
  ...fieldsOf("src/AccessToken.ts", "ResultMetadata").map((field) => `metadata.${field}`)
]
const errors: ReadonlySet<string> = new Set([
  ...["Problem", "ServiceDetails", "InputProblem", "Durations"].flatMap((name) => fieldsOf("src/EntraError.ts", name)),
  ...["isRetryable", "endpoint", "reason"] satisfies ReadonlyArray<keyof library.EntraError.NetworkError>,
  ...["claims"] satisfies ReadonlyArray<keyof library.EntraError.ClaimsChallengeError>
])
const client = fieldsOf("src/ConfidentialClient.ts", "Options")
const endpoint = fieldsOf("src/TokenEndpoint.ts", "Options")
const resolver = fieldsOf("src/AuthorityResolver.ts", "Options")
const cache = fieldsOf("src/TokenCache.ts", "MemoryOptions")
const certificate = fieldsOf("src/ClientCredential.ts", "CertificateOptions")
const attempt = [...(code.get("src/internal/credential/credential.ts") ?? "").matchAll(/readonly (\w+)\??:/g)]
  .map(([, field]) => field ?? "")
const identity = [
  ...(code.get("src/node/internal/managedIdentity/platform.ts") ?? "").matchAll(/\{ readonly (\w+): string \}/g)
]
  .map(([, field]) => field ?? "")

/** The options of each constructor. The page may only name these between its braces. */
const optionsOf: { readonly [name: string]: ReadonlyArray<string> } = {
  "ConfidentialClient.layer": client,
  "ConfidentialClient.layerDefault": [...client, ...fieldsOf("src/ConfidentialClient.ts", "DefaultOptions")],
  "ConfidentialClient.acquireToken": request,
  "AuthorityResolver.layerWith": resolver,
  "AuthorityResolver.layerStatic": ["token", "audience"] satisfies ReadonlyArray<
    keyof Parameters<typeof library.AuthorityResolver.layerStatic>[0]
  >,
  "TokenEndpoint.layerWith": endpoint,
  "ClientCredential.certificate": certificate,
  "ClientCredential.layerCertificate": certificate,
  "NodeClientCredential.layerCertificate": [
    ...certificate,
    ...fieldsOf("src/node/NodeClientCredential.ts", "Certificate")
  ],
  "NodeClientCredential.layerCertificateFile": [
    ...certificate,
    ...fieldsOf("src/node/NodeClientCredential.ts", "CertificateFile")
  ],
  "NodeClientCredential.layerFromEnv": ["credential"] satisfies ReadonlyArray<
    keyof NonNullable<Parameters<typeof node.NodeClientCredential.layerFromEnv>[0]>
  >,
  "NodeTransport.layerWith": fieldsOf("src/node/NodeTransport.ts", "Options"),
  "ManagedIdentity.layer": ["identity", "source"] satisfies ReadonlyArray<keyof node.ManagedIdentity.ClientOptions>,
  "ManagedIdentity.layerAssertion": ["identity", "source", "audience"] satisfies ReadonlyArray<
    keyof node.ManagedIdentity.AssertionOptions
  >
}

const only = (fields: ReadonlyArray<string> | undefined, name: string): ReadonlyArray<string> =>
  fields?.includes(name) === true ? [name] : []

/** The fields that a section's cells are about; a name that stands alone is one of them. */
const fieldsIn: { readonly [section: string]: ReadonlyArray<string> } = {
  "Building the application": [...client, ...certificate, ...only(request, "cachePartition")],
  "Acquiring a token": [...request, ...only(certificate, "assertionClaims")],
  "Managed identity": only(optionsOf["ManagedIdentity.layer"], "source"),
  Configuration: [...client, ...only(certificate, "sendCertificateChain")],
  "Requests of msal-node": request,
  Credentials: [],
  "Options of @azure/identity": [
    ...client,
    ...request,
    ...only(optionsOf["NodeClientCredential.layerCertificateFile"], "password"),
    ...only(optionsOf["NodeClientCredential.layerFromEnv"], "credential")
  ],
  Requests: request,
  Results: [...result, ...only(fieldsOf("src/EntraError.ts", "ServiceDetails"), "durations")],
  Types: [],
  "Codes of MSAL.NET": [],
  "Codes of msal-node": [],
  "Defaults and metrics": [...client, ...endpoint, ...cache]
}

const tags = [...(code.get("src/EntraError.ts") ?? "").matchAll(/TaggedError\("(\w+)"\)/g)].map(([, tag]) => tag ?? "")

/** Beside those that are there at run time: types, and what `effect-entra/node` exports by itself. */
const types: ReadonlySet<string> = new Set([
  ...[...(code.get("src/EntraError.ts") ?? "").matchAll(/export type (\w+)/g)].map(([, name]) => `EntraError.${name}`),
  "layerFromEnv"
])

const memberOf = (space: unknown, name: string): unknown =>
  (typeof space === "object" && space !== null) || typeof space === "function" ? Reflect.get(space, name) : undefined

const isExport = (dotted: string): boolean =>
  types.has(dotted) ||
  [library, node, http, effect].some((space) => {
    const found = dotted.split(".").reduce(memberOf, space)
    return found !== undefined
  })

const isCode = (name: string): boolean => /^[a-z]+(?:_[a-z]+)*$/.test(name) && allCode.includes(`"${name}"`)

const namesIn = (braces: string): ReadonlyArray<string> => [...braces.matchAll(/[A-Za-z]\w*/g)].map(([name]) => name)

/** Returns the problem with a name of this package, or `undefined` if the name exists. */
const complaint = (section: string, span: string): string | undefined => {
  const [, callee, braces] = /^([A-Z]\w*(?:\.\w+)+)\((?:\{ (.+) \})?\)$/.exec(span) ?? []
  if (callee !== undefined) {
    if (!isExport(callee)) return `${callee} is not exported`
    const unknown = namesIn(braces ?? "").filter((name) => optionsOf[callee]?.includes(name) !== true)
    return unknown.length === 0 ? undefined : `${callee} takes no ${unknown.join(", ")}`
  }
  const [, owner] = /^(\w+): \{ [\w, ]+ \}$/.exec(span) ?? []
  if (owner !== undefined) return owner === "extraBodyParameters" ? undefined : `${owner} takes no object`
  if (/^"[^"]*"$/.test(span)) return allCode.includes(span) ? undefined : `${span} is no word of ours`
  if (/^AZURE_\w+$/.test(span)) return allCode.includes(span) ? undefined : `${span} is not read`
  if (/^Entra\w+Error$/.test(span)) return tags.includes(span) ? undefined : `${span} is no tag`
  if (fieldsIn[section]?.includes(span) === true) return undefined
  if (section === "Types" || section.startsWith("Codes")) {
    if (isCode(span) || errors.has(span)) return undefined
  }
  return isExport(span) ? undefined : `${span} is neither exported nor a field here`
}

// -----------------------------------------------------------------------------
// the tables
// -----------------------------------------------------------------------------

interface Cell {
  readonly section: string
  readonly column: string
  readonly text: string
}

const coded = (text: string): ReadonlyArray<string> => [...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span ?? "")

const cells: ReadonlyArray<Cell> = prose.split(/^#+ /m).flatMap((text) => {
  const section = text.slice(0, text.indexOf("\n"))
  const [header, , ...rows] = (/(?:^\|.*\n)+/m.exec(text)?.[0] ?? "").trim().split("\n").map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  )
  return rows.flatMap((row) => row.map((text, index): Cell => ({ section, column: header?.[index] ?? "", text })))
})

const ours = cells.filter(({ column }) => column === "Here" || column === "Tag")

describe("our names", () => {
  it("are in tables, each section with the fields that it is about", () => {
    assert.isAtLeast(ours.length, 150)
    assert.deepStrictEqual([...new Set(ours.map(({ section }) => section))].sort(), Object.keys(fieldsIn).sort())
    for (const fields of [request, result, client, endpoint, resolver, cache, certificate, attempt]) {
      assert.isAtLeast(fields.length, 2)
    }
    assert.strictEqual(tags.length, 11)
    assert.strictEqual(identity.length, 3)
  })

  it("exist", () => {
    assert.deepStrictEqual(
      ours.flatMap(({ section, text }) =>
        coded(text).flatMap((span) => {
          const wrong = complaint(section, span)
          return wrong === undefined || span === "Retry-After" || span === "refresh_in" ? [] : [`${section}: ${wrong}`]
        })
      ),
      []
    )
  })

  it("that do not exist are found", () => {
    assert.deepStrictEqual(
      [
        ["Credentials", "ClientCredential.layerPassword"],
        ["Configuration", "AuthorityResolver.layerWith({ region, colour })"],
        ["Configuration", "forceRefresh"],
        ["Results", "metadata.colour"],
        ["Codes of msal-node", "secret_green"],
        ["Types", "EntraGreenError"],
        ["Configuration", `"green"`],
        ["Configuration", "AZURE_GREEN"]
      ].map(([section = "", span = ""]) => complaint(section, span)),
      [
        "ClientCredential.layerPassword is neither exported nor a field here",
        "AuthorityResolver.layerWith takes no colour",
        "forceRefresh is neither exported nor a field here",
        "metadata.colour is neither exported nor a field here",
        "secret_green is neither exported nor a field here",
        "EntraGreenError is no tag",
        `"green" is no word of ours`,
        "AZURE_GREEN is not read"
      ]
    )
  })

  it("are there, or it says none", () => {
    assert.deepStrictEqual(
      cells.filter(({ column, text }) => column === "Here" && coded(text).length === 0 && text !== "none")
        .map(({ text }) => text),
      ["interruption, which is not an error", "PS256, ES256 for EC keys; RS256 at AD FS", "10 minutes, one per attempt"]
    )
  })

  it("of fields stand in the remarks too", () => {
    const remarks = cells.filter(({ column }) => column === "Remarks").flatMap(({ text }) => coded(text))
    for (const field of ["clientId", "tokenEndpoint", "tenantId", "authority", "claims", "clientCapabilities"]) {
      assert.include(attempt, field)
      assert.include(remarks, field)
    }
    for (const field of identity) assert.include(remarks, `{ ${field} }`)
  })

  it("of everything that a request can say, are all there", () => {
    const said = new Set(
      cells.filter(({ column, section }) =>
        column === "Here" && ["Acquiring a token", "Requests of msal-node", "Requests"].includes(section)
      ).flatMap(({ text }) => coded(text))
    )
    assert.deepStrictEqual(request.filter((field) => !said.has(field)), [])
  })

  it("of every field of a result, are all there", () => {
    const said = new Set(
      cells.filter(({ column, section }) => column === "Here" && section === "Results").flatMap(({ text }) =>
        coded(text)
      )
    )
    assert.deepStrictEqual(result.filter((field) => field !== "metadata" && !said.has(field)), [])
  })

  it("of errors: every tag is somewhere", () => {
    assert.deepStrictEqual(tags.filter((tag) => !ours.some(({ text }) => coded(text).includes(tag))), [])
  })

  it("of codes in the text, in brackets, exist", () => {
    const codes = [...prose.matchAll(/\(`([a-z]+(?:_[a-z]+)+)`\)/g)].map(([, name]) => name ?? "")
    assert.isAtLeast(codes.length, 5)
    assert.deepStrictEqual(codes.filter((name) => !isCode(name)), [])
  })
})

// -----------------------------------------------------------------------------
// theirs
// -----------------------------------------------------------------------------

/** The declarations and messages of a package as it is installed, in one text. */
const textOf = (patterns: ReadonlyArray<string>): string => [...filesAt(patterns).values()].join("\n")

const theirs = {
  "msal-node": textOf([
    "node_modules/@azure/msal-node/{src,lib}/**/*.{ts,cjs}",
    "node_modules/@azure/msal-common/{src,lib}/**/*.{ts,cjs}"
  ]),
  "@azure/identity": textOf([
    "node_modules/@azure/identity/dist/esm/**/*.{d.ts,js}",
    "node_modules/@azure/core-auth/dist/esm/**/*.d.ts",
    "node_modules/@azure/core-rest-pipeline/dist/esm/**/*.d.ts",
    "node_modules/@azure/core-client/dist/esm/**/*.d.ts",
    "node_modules/@azure/logger/dist/esm/**/*.{d.ts,js}"
  ])
}

/** Of earlier versions: the page says so. */
const gone: ReadonlyArray<string> = ["proxyUrl", "customAgentOptions"]

describe("their names", () => {
  it.each(["msal-node", "@azure/identity"] as const)("of %s are in the package that is installed", (column) => {
    const names = cells.filter((cell) => cell.column === column).flatMap(({ text }) => coded(text)).flatMap((span) =>
      span.match(/[A-Za-z]\w*/g) ?? []
    ).filter((name) => !gone.includes(name) && !["Retry", "After", "refresh_in"].includes(name))
    assert.isAtLeast(names.length, 20)
    const text = theirs[column]
    assert.deepStrictEqual(
      [...new Set(names)].filter((name) => !new RegExp(`\\b${name}\\b`).test(text) && name !== "fetch"),
      []
    )
  })

  it("that are gone are gone", () => {
    for (const name of gone) assert.notMatch(theirs["msal-node"], new RegExp(`\\b${name}\\b`))
  })

  it("examples in JavaScript are JavaScript", () => {
    const scripts = blocksOf(page).filter(({ info: [language] }) => language === "js")
    assert.strictEqual(scripts.length, 2)
    for (const { code } of scripts) stripTypeScriptTypes(code)
    assert.throws(() => stripTypeScriptTypes("const = 1"))
  })
})

/** The same mistake made with both: the page has a row with both codes. */
const mistakes: ReadonlyArray<{
  readonly mistake: string
  readonly authority: string
  readonly scopes: ReadonlyArray<string>
  readonly theirs: string
  readonly here: string
}> = [
  {
    mistake: "common",
    authority: "https://login.microsoftonline.com/common",
    scopes: ["https://graph.microsoft.com/.default"],
    theirs: "missing_tenant_id_error",
    here: "tenant_not_tenanted"
  },
  {
    mistake: "an authority without https",
    authority: "http://login.microsoftonline.com/contoso.onmicrosoft.com",
    scopes: ["https://graph.microsoft.com/.default"],
    theirs: "authority_uri_insecure",
    here: "authority_insecure"
  },
  {
    mistake: "an authority that is no URL",
    authority: "login.microsoftonline.com/contoso.onmicrosoft.com",
    scopes: ["https://graph.microsoft.com/.default"],
    theirs: "url_parse_error",
    here: "authority_malformed"
  },
  {
    mistake: "no scope",
    authority: "https://login.microsoftonline.com/contoso.onmicrosoft.com",
    scopes: [],
    theirs: "empty_input_scopes_error",
    here: "scope_missing"
  }
]

describe("codes of msal-node", () => {
  const { Effect, Layer, Redacted } = effect
  const { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } = library
  const clientId = "11111111-1111-1111-1111-111111111111"
  const nobody = () => Promise.reject(new Error("nothing is to be sent"))

  it.effect.each(mistakes)(
    "of $mistake stand beside ours",
    ({ authority, here, scopes, theirs }) =>
      Effect.gen(function*() {
        const msal: unknown = yield* Effect.flip(Effect.tryPromise({
          try: async () => {
            const app = new ConfidentialClientApplication({
              auth: { clientId, authority, clientSecret: "a-secret" },
              system: { networkClient: { sendGetRequestAsync: nobody, sendPostRequestAsync: nobody } }
            })
            return app.acquireTokenByClientCredential({ scopes: [...scopes] })
          },
          catch: (error) => error
        }))
        assert.strictEqual(memberOf(msal, "errorCode"), theirs)

        const App = ConfidentialClient.layer({ clientId, authority }).pipe(
          Layer.provide([
            ClientCredential.layerSecret(Redacted.make("a-secret")),
            AuthorityResolver.layer,
            TokenEndpoint.layer,
            TokenCache.layerMemory()
          ]),
          Layer.provide(http.FetchHttpClient.layer)
        )
        const error = yield* Effect.flip(
          ConfidentialClient.acquireToken({ scopes }).pipe(Effect.provide(App))
        )
        assert.strictEqual(error.code, here)

        const rows = prose.split("\n").filter((line) => line.startsWith(`| \`${theirs}\``))
        assert.strictEqual(rows.length, 1)
        assert.include(rows[0], `\`${here}\``)
        assert.include(rows[0], `\`${error._tag}\``)
      })
  )
})

// -----------------------------------------------------------------------------
// links
// -----------------------------------------------------------------------------

describe("links", () => {
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target)

  it("are found, and each heading is another", () => {
    assert.isAtLeast(links.length, 20)
    const headings = [...prose.matchAll(/^#+ +(.*?) *$/gm)].map(([, heading = ""]) => heading.toLowerCase())
    assert.isAtLeast(headings.length, 10)
    assert.deepStrictEqual(headings, [...new Set(headings)])
  })

  it.each([...new Set(links)])("%s leads somewhere", (link) => {
    const [file = "", anchor] = link.split("#")
    const target = file === "" ? path : posix.join("docs", file)
    assert.isTrue(existsSync(target), target)
    if (anchor !== undefined) assert.include(anchorsOf(readText(target) ?? ""), anchor)
  })

  it("lead here from the README", () => {
    assert.include(readText("README.md") ?? "", "](docs/migrating.md)")
  })
})
