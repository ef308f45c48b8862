import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted, Result, SchemaAST } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { loadWorld } from "../../src/cli/internal/simulator/world.ts"
import { parseWorld, World } from "../../src/cli/internal/simulator/worldFile.ts"
import { temporaryFolder } from "./command.ts"

const clientId = "11111111-1111-4111-8111-111111111111"
const id = "22222222-2222-4222-8222-222222222222"

/** The public key of RFC 7517, appendix A.1. */
const publicKey = {
  kty: "EC",
  crv: "P-256",
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
}

const problemsOf = (world: unknown) =>
  Result.match(parseWorld(typeof world === "string" ? world : JSON.stringify(world)), {
    onFailure: (problems) => problems.map(({ message, path }) => `${path}: ${message}`),
    onSuccess: () => []
  })

describe("the file of a world", () => {
  it("has everything that a simulator can have", () => {
    const world = Result.getOrThrow(parseWorld(`\uFEFF${
      JSON.stringify(
        {
          tenants: [{
            id,
            domain: "Woodgrove.com",
            hosts: ["woodgrove.ciamlogin.com"],
            displayName: "Woodgrove",
            users: [{ id: "1", displayName: "Ada", userPrincipalName: "ada@woodgrove.com" }]
          }],
          apps: [{
            clientId,
            secrets: ["s1", "s2"],
            federatedCredentials: [{ issuer: "https://i.example", subject: "s", audiences: ["a"] }],
            tenants: ["WOODGROVE.COM"],
            home: id,
            disabled: false,
            roles: { "api://one": ["Read"], "https://graph.microsoft.com": ["User.Read.All"] },
            consents: [id.toUpperCase()],
            redirectUris: ["https://app.example/consent"]
          }],
          resources: [{
            appId: "33333333-3333-4333-8333-333333333333",
            identifierUris: ["api://one"],
            audience: "api://one",
            tenants: [id],
            withoutRole: "unassigned"
          }],
          aliases: ["login.example:8443"],
          tokenLifetime: "5 minutes",
          refreshIn: "1 minute",
          adfs: true,
          realms: [{
            name: "one",
            clients: [clientId],
            authMethods: ["private_key_jwt"],
            scopes: ["read"],
            audience: "a"
          }],
          issuers: [{
            issuer: "https://i.example",
            jwks: { keys: [{ ...publicKey, kid: "1" }] }
          }]
        },
        undefined,
        2
      ).replaceAll("\n", "\r\n")
    }`))
    assert.strictEqual(world.apps?.[0]?.secrets?.map(Redacted.value).join(), "s1,s2")
    assert.strictEqual(Duration.toSeconds(world.tokenLifetime ?? 0), 300)
    assert.notInclude(JSON.stringify(world), "s1")
  })

  it("may be empty", () => {
    assert.deepStrictEqual(problemsOf({}), [])
  })

  const parts = {
    tenants: [{ id, domain: "woodgrove.com" }],
    apps: [{ clientId, roles: { "https://vault.azure.net": ["R"] } }],
    resources: [{ appId: "33333333-3333-4333-8333-333333333333", identifierUris: ["api://billing"] }],
    aliases: ["login.example"],
    tokenLifetime: "3650 days",
    adfs: true,
    realms: [{ name: "one" }],
    issuers: [{ issuer: "https://i.example", jwks: { keys: [publicKey] } }]
  }
  const names = Object.entries(parts)
  const selections = names.flatMap(([name, part]) =>
    names.filter(([other]) => name <= other).map(([other, otherPart]) => ({ [name]: part, [other]: otherPart }))
  )

  it.live.each(selections.map((world) => [Object.keys(world).join(" and "), world] as const))(
    "may have only %s",
    ([, world]) =>
      Effect.gen(function*() {
        const file = join(yield* temporaryFolder, "world.json")
        writeFileSync(file, JSON.stringify(world))
        yield* EntraSimulator.make(yield* loadWorld(file))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  const expectedKey = "Expected a public key: kty RSA with n and e, EC with crv, x and y, or OKP with crv and x"
  const app = (fields: object) => ({ apps: [{ clientId, ...fields }] })
  const cases: ReadonlyArray<readonly [name: string, world: unknown, problems: ReadonlyArray<string>]> = [
    ["no text", "", [": Expected JSON"]],
    ["text that is not JSON", "{\n  \"apps\": []\n  \"x\": 1\n}", [": Expected JSON (line 3 column 3)"]],
    ["a list", [], [": Expected object"]],
    ["null", null, [": Expected object"]],
    ["an unknown property", { app: [] }, ["app: There is no such property"]],
    ["a property of the prototype", "{\"__proto__\": {}}", ["__proto__: There is no such property"]],
    ["no tenant", { tenants: [] }, ["tenants: Expected an array that is not empty, or no such part"]],
    ["no app", { apps: [] }, ["apps: Expected an array that is not empty, or no such part"]],
    ["hosts with ports that no host has", { tenants: [{ id, hosts: ["a.com:0", "b.com:65536", "c.com:443"] }] }, [
      "tenants[0].hosts[0]: Expected a port from 1 to 65535",
      "tenants[0].hosts[1]: Expected a port from 1 to 65535"
    ]],
    ["an alias with a port that no host has", { aliases: ["login.example:99999"] }, [
      "aliases[0]: Expected a port from 1 to 65535"
    ]],
    ["lifetimes of more than ten years", { tokenLifetime: "3651 days", refreshIn: "9000 weeks" }, [
      "tokenLifetime: Expected a duration from a second to ten years, such as \"1 hour\"",
      "refreshIn: Expected a duration from a second to ten years, such as \"1 hour\""
    ]],
    ["a lifetime without end", { tokenLifetime: "Infinity" }, [
      "tokenLifetime: Expected a duration from a second to ten years, such as \"1 hour\""
    ]],
    ["several problems", { tenants: [{ id: "x", name: "y" }, { id, domain: "no dots" }] }, [
      "tenants[0].name: There is no such property",
      "tenants[0].id: Expected a GUID, such as 11111111-1111-1111-1111-111111111111",
      "tenants[1].domain: Expected a domain, such as contoso.com"
    ]],
    ["an app without an id", { apps: [{}] }, ["apps[0].clientId: Missing key"]],
    ["secrets that are no texts", app({ secrets: [7, "", "ok"] }), [
      "apps[0].secrets[0]: Expected string",
      "apps[0].secrets[1]: Expected a value with a length of at least 1"
    ]],
    ["a role that is no text", app({ roles: { "api://x y": [1] } }), [
      "apps[0].roles[\"api://x y\"][0]: Expected string"
    ]],
    [
      "unknown names",
      app({ tenants: ["contoso.onmicrosoft.com", "nobody.com"], home: "x", roles: { "api://no": ["R"] } }),
      [
        "apps[0].tenants[1]: There is no tenant with this name",
        "apps[0].home: There is no tenant with this name",
        "apps[0].roles[\"api://no\"]: There is no API with this name"
      ]
    ],
    ["consents for an unknown tenant", app({ consents: ["nobody.com"] }), [
      "apps[0].consents[0]: There is no tenant with this name"
    ]],
    ["one id twice", {
      tenants: [{ id }, { id: id.toUpperCase(), domain: "a.com" }, { id: clientId, domain: "A.com" }]
    }, [
      "tenants[1].id: Another entry has this name",
      "tenants[2].domain: Another entry has this name"
    ]],
    ["one app twice", { apps: [{ clientId }, { clientId }] }, ["apps[1].clientId: Another entry has this name"]],
    ["a realm for an unknown app", { realms: [{ name: "a", clients: [clientId] }] }, [
      "realms[0].clients[0]: There is no app with this name"
    ]],
    ["a realm that is no part of a path", { realms: [{ name: "a/b" }] }, [
      "realms[0].name: Expected a name of letters, digits and the characters . _ ~ -, but not . or .."
    ]],
    ["realms that are steps in a path", { realms: [{ name: "." }, { name: ".." }] }, [
      "realms[0].name: Expected a name of letters, digits and the characters . _ ~ -, but not . or ..",
      "realms[1].name: Expected a name of letters, digits and the characters . _ ~ -, but not . or .."
    ]],
    ["one realm twice, in a path with upper and lower case", { realms: ["a", "A", "a"].map((name) => ({ name })) }, [
      "realms[2].name: Another entry has this name"
    ]],
    ["keys that are not public keys", {
      issuers: [{
        issuer: "https://i.example",
        jwks: {
          keys: [
            publicKey,
            { kty: "bogus" },
            { kty: "RSA", n: "AQAB" },
            { ...publicKey, x: "x" },
            { ...publicKey, crv: "P-9" }
          ]
        }
      }]
    }, [1, 2, 3, 4].map((index) => `issuers[0].jwks.keys[${index}]: ${expectedKey}`)],
    ["one issuer twice", {
      issuers: ["https://i.example", "https://i.example"].map((issuer) => ({ issuer, jwks: { keys: [publicKey] } }))
    }, ["issuers[1].issuer: Another entry has this name"]],
    ["one host twice", {
      tenants: [{ id, hosts: ["a.ciamlogin.com"] }, { id: clientId, hosts: ["b.com", "A.ciamlogin.com"] }]
    }, ["tenants[1].hosts[1]: Another entry has this name"]],
    ["one API twice", {
      ...app({}),
      resources: [
        { appId: id, identifierUris: ["api://a", "api://a/"] },
        { appId: id, identifierUris: ["api://b", "API://a"] }
      ]
    }, [
      "resources[1].appId: Another entry has this name",
      "resources[1].identifierUris[1]: Another entry has this name"
    ]],
    ["one API twice in a tenant, by its domain and by its id", {
      ...app({}),
      tenants: [{ id, domain: "a.com" }, { id: clientId }],
      resources: [
        { appId: id, identifierUris: [], tenants: ["a.com"] },
        { appId: id, identifierUris: [], tenants: [clientId] },
        { appId: id, identifierUris: [], tenants: [id] }
      ]
    }, ["resources[2].appId: Another entry has this name"]],
    ["a lifetime as a number", { tokenLifetime: 300 }, ["tokenLifetime: Expected string"]],
    ["a lifetime that is not a duration", { tokenLifetime: "soon" }, [
      "tokenLifetime: Expected a valid Duration string"
    ]],
    ["a negative lifetime", { tokenLifetime: "-1 hour" }, [
      "tokenLifetime: Expected a duration from a second to ten years, such as \"1 hour\""
    ]]
  ]
  it.each(cases)("names the path of the problem: %s", (_name, world, problems) => {
    assert.deepStrictEqual(problemsOf(world), problems)
  })

  it("repeats no value", () => {
    const secret = "not-to-be-shown"
    for (
      const world of [
        `{"apps":[{"clientId":"${secret}","secrets":"${secret}"}]}`,
        `{"apps": ${secret}`,
        `"${secret}"`,
        JSON.stringify(app({ secrets: [[secret]], tenants: [secret] }))
      ]
    ) {
      const problems = problemsOf(world)
      assert.isAbove(problems.length, 0)
      assert.notInclude(problems.join(), secret)
    }
  })
})

describe("the certificates of a world", () => {
  it.live("are PEM texts, or files beside the file", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { certificate, privateKey } = yield* TestCertificate.make({ algorithm: "EC" })
      // The key may come first, and lines may end as on Windows.
      writeFileSync(join(folder, "app.pem"), (Redacted.value(privateKey) + certificate).replaceAll("\n", "\r\n"))
      const file = join(folder, "world.json")
      const load = (app: object) => {
        writeFileSync(file, JSON.stringify({ apps: [{ clientId, ...app }] }))
        return loadWorld(file)
      }
      const { apps } = yield* load({
        certificates: ["app.pem", certificate],
        trustedSubjects: [{ subject: "a", issuerCertificate: "./app.pem" }]
      })
      assert.strictEqual(apps?.[0]?.certificates?.length, 2)
      assert.notInclude(JSON.stringify(apps), "PRIVATE KEY")
      yield* EntraSimulator.make({ apps })

      const error = yield* Effect.flip(load({
        certificates: ["missing.pem", "world.json", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
      }))
      for (const index of [0, 1, 2]) {
        assert.include(error.message, `apps[0].certificates[${index}]: Expected a certificate`)
      }
      const key = Redacted.value(privateKey).replaceAll(/-----[^-]+-----/g, "")
      assert.notInclude((yield* Effect.flip(load({ certificates: [key, "M".repeat(300)] }))).message, "MM")
      assert.notInclude((yield* Effect.flip(load({ certificates: [key] }))).message, key.trim().slice(0, 20))
      const other = (yield* TestCertificate.make({ algorithm: "EC", curve: "P-384" })).certificate
      writeFileSync(join(folder, "other.pem"), other)
      const weak = (yield* Effect.flip(load({ certificates: ["other.pem", other] }))).message
      for (const index of [0, 1]) {
        assert.include(
          weak,
          `apps[0].certificates[${index}]: Expected a certificate (PEM), or the path of its file, but its key is neither RSA`
        )
      }
      // Authorities may have keys of any kind.
      yield* load({ trustedSubjects: [{ subject: "a", issuerCertificate: "other.pem" }] })
      assert.include((yield* Effect.flip(load({ certificates: ["."] }))).message, "cannot be read: it is a directory")
      const [missing, unreadable] = error.message.split("\n").slice(1)
      assert.include(
        missing,
        `The certificate ${join(folder, "missing.pem")} cannot be read: the file or its folder does`
      )
      assert.include(unreadable, `${file} has no certificate in PEM format.`)
      assert.include(
        yield* Effect.map(Effect.flip(loadWorld("/nowhere.json")), ({ message }) => message),
        "does not exist"
      )
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("docs/command.md", () => {
  const whole = readFileSync(new URL("../../docs/command.md", import.meta.url), "utf8")
  const section = /^### The world file$[^]*?(?=^## )/m.exec(whole)?.[0] ?? ""

  it.live("has an example that runs when it is copied", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "world.json")
      writeFileSync(file, /```json\n([^]*?)```/.exec(section)?.[1] ?? "")
      const { apps } = yield* loadWorld(file)
      assert.strictEqual(apps?.[0]?.secrets?.length, 1)
      yield* EntraSimulator.make({ apps })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it("lists every member of the file", () => {
    /** Returns the members in the notation of the table. The keys of an issuer are a format of their own. */
    const membersOf = (ast: SchemaAST.AST, place: string): ReadonlyArray<string> => {
      if (SchemaAST.isArrays(ast)) return ast.rest.slice(0, 1).flatMap((item) => membersOf(item, `${place}[]`))
      if (!SchemaAST.isObjects(ast) || place.endsWith("jwks")) return []
      return ast.propertySignatures.flatMap(({ name, type }) => {
        const path = `${place === "" ? "" : `${place}.`}${String(name)}`
        return [SchemaAST.isOptional(type) ? `\`${path}\`` : `**\`${path}\`**`, ...membersOf(type, path)]
      })
    }
    const listed = [...section.matchAll(/^\| (\**`[\w.[\]]+`\**) +\|/gm)].map(([, member]) => member)
    assert.sameMembers(listed, [...membersOf(SchemaAST.toEncoded(World.ast), "")])
  })
})
