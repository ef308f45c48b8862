/** Texts that were meant to be values: quotes, references that nobody replaced, placeholders, names of other libraries. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted, Result } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenScope
} from "effect-entra"
import { ManagedIdentity, NodeClientCredential, NodeConfidentialClient } from "effect-entra/node"
import * as Entra from "effect-entra/promise"
import { HttpClient } from "effect/http"
import fc from "fast-check"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nonValueOf } from "../src/internal/shared/nonValue.ts"
import { attempt, authenticate } from "./support/credentials.ts"

const id = "11111111-2222-4333-8444-555555555555"
const secret = "aBc8Q~x1Y2z3A4b5C6d7E8f9G0h1I2j3K4l5M6n7"
const folder = mkdtempSync(join(tmpdir(), "non-values-"))
process.once("exit", () => rmSync(folder, { recursive: true }))

/** No request may be sent. */
const noNetwork = Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.die("a request was sent")))

const name = fc.stringMatching(/^[A-Z][A-Z_]{0,12}[A-Z]$/)

const references: ReadonlyArray<readonly [remedy: string, text: fc.Arbitrary<string>]> = [
  [
    "portal",
    fc.tuple(name, name).map(([vault, item]) =>
      `@Microsoft.KeyVault(SecretUri=https://${
        vault.toLowerCase().replaceAll("_", "-")
      }.vault.azure.net/secrets/${item}/)`
    )
  ],
  ["portal", name.map((vault) => `@Microsoft.KeyVault(VaultName=${vault};SecretName=daemon)`)],
  ["portal", name.map((item) => `@Microsoft.AppConfiguration(Endpoint=https://a.azconfig.io; Key=${item})`)],
  ["Azure Pipelines", name.map((variable) => `$(${variable})`)],
  ["Azure Pipelines", name.map((variable) => `$(daemon.${variable.toLowerCase()})`)],
  ["template", name.map((variable) => `\${${variable}}`)],
  ["template", name.map((variable) => `\${${variable}:-}`)],
  ["template", name.map((variable) => `\${{ secrets.${variable} }}`)],
  ["template", name.map((variable) => `$${variable}`)],
  ["template", name.map((variable) => `%${variable}%`)],
  ["template", name.map((variable) => `{{ .Values.${variable} }}`)],
  ["template", name.map((variable) => `{{${variable}}}`)],
  ["template", name.map((variable) => `#{${variable}}#`)],
  ["template", name.map((variable) => `__${variable}__`)],
  ["tool", name.map((item) => `op://vault/${item}/password`)],
  ["tool", name.map((item) => `secretref:${item.toLowerCase()}`)],
  ["portal", name.map((vault) => `Microsoft.KeyVault(VaultName=${vault};SecretName=daemon)`)],
  ["template", name.map((variable) => `%{APP_${variable}}`)],
  ["template", name.map((variable) => `@APP_${variable}@`)],
  ["template", name.map((variable) => `!APP_${variable}!`)],
  ["template", name.map((variable) => `##APP_${variable}##`)],
  ["template", name.map((variable) => `__${variable.toLowerCase().replaceAll("_", "-")}__`)],
  ["template", name.map((variable) => `[[APP_${variable}]]`)],
  ["template", name.map((variable) => `<<APP_${variable}>>`)],
  ["template", name.map((variable) => `$Env:${variable}`)],
  ["template", name.map((variable) => `\\$${variable}`)],
  ["template", name.map((variable) => `$(cat /run/secrets/${variable})`)],
  ["template", name.map((variable) => `process.env.${variable}`)],
  ["template", name.map((variable) => `os.environ['${variable}']`)],
  ["template", name.map((variable) => `env('${variable}')`)],
  ["template", name.map((variable) => `var.azure_${variable.toLowerCase()}`)],
  ["tool", name.map((item) => `arn:aws:secretsmanager:eu-west-1:1:secret:${item}`)],
  ["tool", name.map((item) => `azurekeyvault://vault/${item}`)],
  ["tool", name.map((item) => `keyvaultref:https://a.vault.azure.net/secrets/${item},identityref:system`)],
  ["tool", name.map((item) => `[listSecrets(resourceId('${item}'), '2020').primaryKey]`)],
  ["tool", name.map((item) => `@parameters('${item}')`)],
  ["tool", fc.constantFrom("ENC[AES256_GCM,data:abc,iv:abc,tag:abc,type:str]", "{cipher}abcdef", "!vault |")]
]

const placeholders = fc.oneof(
  fc.tuple(fc.constantFrom("<", "[", "{"), fc.constantFrom("your", "my", "the"), fc.constantFrom("-", " ", "_"))
    .map(([open, whose, gap]) => `${open}${whose}${gap}client${gap}id${{ "<": ">", "[": "]", "{": "}" }[open]}`),
  fc.constantFrom(
    "your-client-id",
    "YOUR_SECRET",
    "Your Secret",
    "replace-me",
    "INSERT_HERE",
    "enter your value",
    "xxxxxxxx"
  ),
  fc.constantFrom("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "00000000-0000-0000-0000-000000000000", "undefined", "null"),
  fc.constantFrom("[object Object]", "<redacted>", "<redacted:client_secret>", "aBc*********************", "..."),
  fc.constantFrom("********", "TODO", "put-your-secret-here", "***", "***REDACTED***", "(sensitive value)"),
  fc.constantFrom(
    "Enter_the_Application_Id_Here",
    "[Enter the Client Id (from the portal), e.g. ba74781c2]",
    "TBD",
    "N/A"
  ),
  fc.constantFrom(
    "client-id",
    "CLIENT_SECRET",
    "yourClientId",
    "myTenantId",
    "application_client_id",
    "AZURE_CLIENT_ID"
  ),
  fc.constantFrom("(your client id)", "$clientSecret", "\u2039client id\u203a", "&lt;secret&gt;"),
  fc.constantFrom("xxxxxxxx-xxxx-Mxxx-Nxxx-xxxxxxxxxxxx", "xxxx-xxxx", "changeit", "FIXME", "not-set", "fill me in")
)

const wrapped = (value: string) =>
  fc.constantFrom(`"${value}"`, `'${value}'`, `\`${value}\``, `\u201c${value}\u201d`, `\u2018${value}\u2019`)

/** Each kind with its remedy. */
const kindsOf = (value: string): ReadonlyArray<readonly [remedy: string, text: fc.Arbitrary<string>]> => [
  ["Remove the quotes", wrapped(value)],
  ["Remove the line break", fc.constantFrom("\n", "\r\n", "\n\n", " \n", "\n ").map((end) => value + end)],
  ["Remove the line break", fc.constantFrom("\n", "\r\n").map((start) => start + value)],
  [
    "Copy the value again",
    fc.constantFrom("\u200b", "\0", "\u0007").map((odd) => `${value.slice(0, 8)}${odd}${value.slice(8)}`)
  ],
  [
    "the value alone",
    fc.constantFrom(
      "AZURE_CLIENT_ID=",
      "export ARM_CLIENT_SECRET=",
      "AZURE_CLIENT_ID: ",
      "ClientSecret=",
      "client id: "
    )
      .map((it) => it + value)
  ],
  [
    "the value of a member",
    fc.constantFrom("value", "clientSecret").map((member) => JSON.stringify({ [member]: value }))
  ],
  ["Replace the placeholder", placeholders],
  ...references
]

const anyOf = (value: string) =>
  fc.oneof(...kindsOf(value).map(([remedy, texts]) => texts.map((text) => ({ remedy, text }))))

const spaces = fc.constantFrom(" ", "\t", "\u00a0").chain((space) =>
  fc.constantFrom<(value: string) => string>((it) => space + it, (it) => it + space)
)

const refusal = async <A, E>(effect: Effect.Effect<A, E>): Promise<E> => Effect.runPromise(Effect.flip(effect))

const fromEnv =
  (layer: Layer.Layer<ConfidentialClient.ConfidentialClient, EntraError.ConfigurationError, HttpClient.HttpClient>) =>
  (variables: Readonly<Record<string, string>>) =>
    refusal(
      Layer.build(layer).pipe(
        Effect.scoped,
        Effect.provide([noNetwork, ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))])
      )
    )

const core = fromEnv(ConfidentialClient.layerFromEnv())
const node = fromEnv(NodeConfidentialClient.layerFromEnv().pipe(Layer.provide(NodeFileSystem.layer)))

/** Returns the exception of a client without Effect. */
const promiseOf = async (secret: string): Promise<unknown> => {
  const fetch = () => Promise.reject(new Error("a request was sent"))
  try {
    await using client = Entra.createClient({ clientId: id, tenantId: id, secret, fetch })
    await client.getToken("https://graph.microsoft.com/.default")
    return undefined
  } catch (error) {
    return error
  }
}

const right = { AZURE_CLIENT_ID: id, AZURE_TENANT_ID: id, AZURE_CLIENT_SECRET: secret }

const checked = (error: EntraError.ConfigurationError, field: string, remedy: string, hidden?: string) => {
  assert.strictEqual(error.field, field)
  assert.include(error.remedy, remedy)
  assert.isTrue(error.message.startsWith(hidden === undefined || field !== "secret" ? field : "The client secret"))
  if (hidden !== undefined) assert.notInclude(JSON.stringify(error) + error.message, hidden)
}

describe("a client id", () => {
  const decorated = fc.constantFrom(`{${id}}`, `<${id}>`, `(${id})`, `[${id}]`).map((text) => ({
    text,
    remedy: "Remove the brackets"
  }))
  const uri = fc.constantFrom(
    `api://${id}`,
    `api://${id}/.default`,
    `spn:${id}`,
    `${id};`,
    `${id},`,
    `"${id}`,
    `${id}@${id}`
  )
    .map((text) => ({ text, remedy: `Pass "${id}" alone` }))
  const spaced = spaces.map((space) => ({ text: space(id), remedy: "Remove the white space" }))

  it("that is no value is refused with its own remedy, as an option and as a variable", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyOf(id), decorated, uri, spaced), async ({ remedy, text }) => {
        const client = ConfidentialClient.layerDefault({ clientId: text, tenantId: id }).pipe(
          Layer.provide([ClientCredential.layerSecret(Redacted.make(secret)), noNetwork])
        )
        checked(await refusal(Effect.scoped(Layer.build(client))), "clientId", remedy)
        for (const read of [core, node]) {
          checked(await read({ ...right, AZURE_CLIENT_ID: text }), "AZURE_CLIENT_ID", remedy)
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("a tenant", () => {
  it("that is no value is refused with its own remedy", () => {
    const url = fc.constantFrom(`https://login.microsoftonline.com/${id}`, `${id},`, `tenant:${id}`)
      .map((text) => ({ text, remedy: `Pass "${id}" alone` }))
    fc.assert(
      fc.property(fc.oneof(anyOf(id), url), ({ remedy, text }) => {
        checked(Result.getOrThrow(Result.flip(Authority.parseTenant(text, "tenantId"))), "tenantId", remedy)
      }),
      { numRuns: 500 }
    )
  })
})

describe("a secret", () => {
  it("that is no value is refused with its own remedy, as a value, from an effect, from a file and as a variable", async () => {
    await fc.assert(
      fc.asyncProperty(anyOf(secret), async ({ remedy, text }) => {
        const value = Redacted.make(text)
        const hidden = secret.slice(8, 20)
        checked(await refusal(ClientCredential.secret(value)), "secret", remedy, hidden)
        checked(await refusal(ClientCredential.secret([Redacted.make(secret), value])), "secret", remedy, hidden)
        const loaded = await Effect.runPromise(ClientCredential.secret(Effect.succeed(value)))
        checked(await refusal(authenticate(loaded, attempt)), "secret", remedy, hidden)
        for (const read of [core, node]) {
          checked(await read({ ...right, AZURE_CLIENT_SECRET: text }), "AZURE_CLIENT_SECRET", remedy, hidden)
        }
        // A line break at the end of a file is removed, and a NUL or another line has a message of its own.
        if (!/[\r\n\0]/.test(text)) {
          const path = join(folder, "client-secret")
          writeFileSync(path, `${text}\n`)
          const file = NodeClientCredential.secretFile({ path }).pipe(Effect.provide(NodeFileSystem.layer))
          checked(await refusal(file), "path", remedy, hidden)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("that is a certificate or a key is refused at any length, and the remedy names the ways of certificates", async () => {
    const pem = (label: string, length: number) =>
      `-----BEGIN ${label}-----\n${"MIIEvQ+/".repeat(length / 8)}\n-----END ${label}-----\n`
    const texts = [
      pem("PRIVATE KEY", 240),
      pem("CERTIFICATE", 1200) + pem("PRIVATE KEY", 1600),
      pem("EC PRIVATE KEY", 160).replaceAll("\n", "\\n"),
      `Bag Attributes\n${pem("RSA PRIVATE KEY", 80_000)}`,
      Buffer.from(pem("PRIVATE KEY", 1600)).toString("base64")
    ]
    for (const text of texts) {
      const value = Redacted.make(text)
      const remedy =
        "set AZURE_CLIENT_CERTIFICATE_PATH to the path of its file, or use ClientCredential.layerCertificate."
      const path = join(folder, "pem-secret")
      writeFileSync(path, text)
      const loaded = await Effect.runPromise(ClientCredential.secret(Effect.succeed(value)))
      const errors = [
        await refusal(ClientCredential.secret(value)),
        await refusal(authenticate(loaded, attempt)),
        await core({ ...right, AZURE_CLIENT_SECRET: text }),
        await node({ ...right, AZURE_CLIENT_SECRET: text }),
        await refusal(NodeClientCredential.secretFile({ path }).pipe(Effect.provide(NodeFileSystem.layer))),
        await promiseOf(text)
      ]
      for (const error of errors) {
        assert.include(error, { code: "secret_malformed" })
        assert.ok(error instanceof Error && "remedy" in error && typeof error.remedy === "string")
        assert.match(error.message, /looks like the content of a certificate or key file\.$/)
        assert.include(error.remedy, remedy)
        assert.notInclude(JSON.stringify(error) + error.message, "MIIEvQ")
      }
    }
  })

  it("with white space around it is refused as a variable", async () => {
    await fc.assert(fc.asyncProperty(spaces, async (space) => {
      const error = await core({ ...right, AZURE_CLIENT_SECRET: space(secret) })
      checked(error, "AZURE_CLIENT_SECRET", "Remove the white space")
    }))
  })

  it("of random characters is a value", () => {
    const entra = fc.stringMatching(/^[\w~.-]{3}\dQ~[\w~.-]{34}$/)
    const other = fc.stringMatching(/^[A-Za-z0-9][!-~]{14,40}[A-Za-z0-9]$/).filter((text) => !/\$[{(]|\{\{/.test(text))
    const base64 = fc.uint8Array({ minLength: 16, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString("base64"))
    fc.assert(
      fc.property(fc.oneof(entra, other, base64, fc.uuid()), (text) => assert.isUndefined(nonValueOf(text))),
      { numRuns: 2000 }
    )
  })
})

it("a key in the place of another value is not shown", async () => {
  const key = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
  for (
    const text of [
      `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      `id -----BEGIN PRIVATE KEY----- ${key}`
    ]
  ) {
    const errors = [
      Result.getOrThrow(Result.flip(Authority.parseTenant(text))),
      Result.getOrThrow(Result.flip(Authority.parse(text))),
      Result.getOrThrow(Result.flip(Authority.parseIssuer(text))),
      // Scopes are split at spaces.
      Result.getOrThrow(Result.flip(TokenScope.parse([text.replace("- ", "-\n")]))),
      await core({ ...right, AZURE_CLIENT_ID: text }),
      await core({ ...right, AZURE_REGIONAL_AUTHORITY_NAME: text })
    ]
    for (const error of errors) assert.notInclude(JSON.stringify(error) + error.message, key.slice(0, 10))
  }
})

it("a long text is examined in a short time", () => {
  for (const part of ["${", "{{", "a://{", "\n", "%"]) {
    const started = performance.now()
    Authority.parseTenant(part.repeat(500_000))
    assert.isBelow(performance.now() - started, 1000)
  }
})

describe("an authority", () => {
  const clouds: ReadonlyArray<readonly [url: string, names: ReadonlyArray<string>]> = [
    ["https://login.microsoftonline.com", [
      "AzurePublicCloud",
      "AzurePublic",
      "AzureCloud",
      "Azure",
      "AzureGlobalCloud",
      "Public"
    ]],
    ["https://login.microsoftonline.us", [
      "AzureUSGovernment",
      "AzureUsGovernment",
      "AzureUSGovernmentCloud",
      "AzureGovernment",
      "USGov",
      "usgovernment",
      "AzureUSGov"
    ]],
    ["https://login.partner.microsoftonline.cn", ["AzureChina", "AzureChinaCloud", "China", "Mooncake"]],
    ["https://login.microsoftonline.de", ["AzureGermany", "AzureGermanCloud", "AzureGermanyCloud", "German"]]
  ]
  const written = fc.constantFrom<(name: string) => string>(
    (it) => it,
    (it) => it.toUpperCase(),
    (it) => it.toLowerCase(),
    (it) => it.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase(),
    (it) => it.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " "),
    (it) => it.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase(),
    (it) => `AzureAuthorityHosts.${it}`,
    (it) => `"${it}"`
  )
  const named = fc.tuple(
    fc.constantFrom(...clouds.flatMap(([url, names]) => names.map((it) => ({ it, url })))),
    written
  )
    .map(([{ it, url }, write]) => ({ text: write(it), remedy: url }))
    // The names of this library's clouds are values.
    .filter(({ text }) => !Object.hasOwn(Authority.clouds, text))

  it("by its name in another library is refused with its URL; so is a text that is no value", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(named, anyOf("https://login.microsoftonline.com")), async ({ remedy, text }) => {
        checked(Result.getOrThrow(Result.flip(Authority.parse(text))), "authority", remedy)
        for (const read of [core, node]) {
          const error = await read({ ...right, AZURE_AUTHORITY_HOST: text })
          checked(error, "AZURE_AUTHORITY_HOST", remedy)
          assert.notInclude(error.remedy, "Prepend")
        }
      }),
      { numRuns: 500 }
    )
  })

  it.each([
    "$CHINA",
    "${CHINA}",
    "$(AZURE_CLOUD)",
    "%GERMANY%",
    "__CHINA__",
    "{{ .Values.usgov }}",
    "#{PUBLIC}#",
    "<azure>"
  ])(
    "that is a reference to a variable with the name of a cloud is a reference: %s",
    (text) => {
      const { message } = Result.getOrThrow(Result.flip(Authority.parse(text)))
      assert.notInclude(message, "name of a cloud in other programs")
    }
  )
})

describe("a placeholder inside", () => {
  const open = fc.constantFrom(
    "<tenant-id>",
    "{tenant}",
    "%TENANT%",
    "your-tenant-id",
    "tenantId",
    "Enter_the_Tenant_Id_Here"
  )

  it("a URL is refused", () => {
    fc.assert(fc.property(open, (part) => {
      for (const url of [`https://login.microsoftonline.com/${part}`, `https://${part}.ciamlogin.com`]) {
        checked(Result.getOrThrow(Result.flip(Authority.parse(url))), "authority", "Replace the placeholder")
        checked(Result.getOrThrow(Result.flip(Authority.parseIssuer(url))), "issuer", "Replace the placeholder")
      }
      const scope = Result.getOrThrow(Result.flip(TokenScope.parse(`api://${part}/.default`)))
      assert.include(scope.remedy, "Replace the placeholder")
    }))
    for (const url of ["https://your-server.de", "https://idp.example/%7Ba%7D/apps", "https://a.example/a%2F%2Fb"]) {
      Result.getOrThrow(Authority.parseIssuer(url))
    }
    for (
      const scope of ["api://orders_client/.default", "https://clients.example/.default", "api://app-service/.default"]
    ) {
      Result.getOrThrow(TokenScope.parse(scope))
    }
  })

  it("the id of a resource, a region or a token endpoint is refused", async () => {
    const resourceId =
      "/subscriptions/<subscription>/resourceGroups/a/providers/Microsoft.ManagedIdentity/userAssignedIdentities/b"
    for (const identity of [{ resourceId }, { clientId: "<client-id>" }, { objectId: "your-object-id" }]) {
      const agent = ManagedIdentity.assertion({ identity })
      const error = await refusal(agent.pipe(Effect.provide([noNetwork, NodeFileSystem.layer])))
      assert.deepInclude<object>(error, { field: "identity", code: "identity_malformed" })
      assert.include(error.remedy, "Replace the placeholder")
    }
    const region = ConfidentialClient.layerFromEnv()
    checked(
      await fromEnv(region)({ ...right, AZURE_REGIONAL_AUTHORITY_NAME: "$(REGION)" }),
      "AZURE_REGIONAL_AUTHORITY_NAME",
      "Azure Pipelines"
    )
    const token = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    const endpoint = await refusal(Effect.scoped(Layer.build(AuthorityResolver.layerStatic({ token }))))
    checked(endpoint, "token", "Replace the placeholder")
  })
})

describe("a file and a password", () => {
  it("that is no value is refused, and no file is read", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(...references.map(([, text]) => text), wrapped("/run/secrets/daemon.pem")),
        async (text) => {
          for (const variable of ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"]) {
            const error = await node({ AZURE_CLIENT_ID: id, AZURE_TENANT_ID: id, [variable]: text })
            assert.deepInclude<object>(error, { field: variable, code: "path_malformed" })
          }
        }
      ),
      { numRuns: 200 }
    )
    const password = await node({
      AZURE_CLIENT_ID: id,
      AZURE_TENANT_ID: id,
      AZURE_CLIENT_CERTIFICATE_PATH: "/run/secrets/daemon.pem",
      AZURE_CLIENT_CERTIFICATE_PASSWORD: "$(PASSWORD)"
    })
    checked(password, "AZURE_CLIENT_CERTIFICATE_PASSWORD", "Azure Pipelines")
  })
})
