/**
 * Each credential of an app, against the simulator. The token request is always the same; only the credential differs.
 * examples/managed-identity.ts and examples/key-vault.ts have two more.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { ConfigProvider, Console, Effect, FileSystem, Layer, Redacted, References } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, TestCertificate, TestIssuer } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { constants, createPrivateKey, sign } from "node:crypto"

const { contosoTenantId: tenantId, daemonClientId: clientId, daemonSecret } = EntraSimulator

/** A platform that the app trusts. The registration holds its issuer and subject, letter by letter. */
const platform = await Effect.runPromise(TestIssuer.make({ issuer: "https://token.actions.githubusercontent.com" }))
const subject = "repo:contoso/orders:ref:refs/heads/main"

/** GitHub's token service for a job with `permissions: id-token: write`. */
const GitHub = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request, url) =>
    platform.issue({ subject, audience: url.searchParams.get("audience") ?? "" }).pipe(
      Effect.map((token) => HttpClientResponse.fromWeb(request, Response.json({ value: Redacted.value(token) })))
    )
  )
)
const job = ConfigProvider.layer(ConfigProvider.fromEnvRecord({
  ACTIONS_ID_TOKEN_REQUEST_URL: "https://pipelines.actions.githubusercontent.com/token?api-version=2.0",
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: "the-jobs-own"
}))

const program = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const simulator = yield* EntraSimulator.EntraSimulator
  const { certificate, privateKey } = yield* TestCertificate.make()
  yield* simulator.addCertificate(clientId, certificate)

  const folder = yield* files.makeTempDirectoryScoped()
  const write = (name: string, text: string) =>
    Effect.as(files.writeFileString(`${folder}/${name}`, text), `${folder}/${name}`)
  const pem = Redacted.make(`${certificate}\n${Redacted.value(privateKey)}`)
  const certificatePath = yield* write("daemon.pem", Redacted.value(pem))
  const secretPath = yield* write("secret", Redacted.value(daemonSecret))
  const tokenPath = yield* write("token", Redacted.value(yield* platform.issue({ subject })))

  /** A key vault or an HSM signs; the key does not leave it. */
  const key = createPrivateKey(Redacted.value(privateKey))
  const signInTheVault = (input: Uint8Array) =>
    Effect.sync(() =>
      sign("sha256", input, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST
      })
    )

  const credentials = {
    "a secret": ClientCredential.layerSecret(daemonSecret),
    "two secrets, during a rotation": ClientCredential.layerSecret([Redacted.make("not registered yet"), daemonSecret]),
    "a secret from a store": ClientCredential.layerSecret(Effect.succeed(daemonSecret), { reloadEvery: "1 hour" }),
    "a secret in a file": NodeClientCredential.layerSecretFile({ path: secretPath }),
    "a certificate": ClientCredential.layerCertificate({ certificate, privateKey }),
    "a certificate that sends its chain": ClientCredential.layerCertificate({
      certificate,
      privateKey,
      sendCertificateChain: true
    }),
    "a certificate with a custom claim": ClientCredential.layerCertificate({
      certificate,
      privateKey,
      assertionClaims: { xms_az_claim: { source: ["a", "b"] } }
    }),
    "a certificate whose key stays in a vault": ClientCredential.layerCertificate({
      certificate,
      sign: signInTheVault
    }),
    "a certificate in any format": NodeClientCredential.layerCertificate({ content: pem }),
    "a certificate in a file": NodeClientCredential.layerCertificateFile({ path: certificatePath }),
    "a platform's token": ClientCredential.layerAssertion(() => platform.issue({ subject })),
    "a platform's token in a file": NodeClientCredential.layerFederatedTokenFile({ path: tokenPath }),
    "a job of GitHub Actions": NodeClientCredential.layerGitHubActions().pipe(Layer.provide([GitHub, job])),
    "the first that works": ClientCredential.layerFirstOf([
      NodeClientCredential.certificateFile({ path: "/run/secrets/on-another-machine.pem" }),
      ClientCredential.secret(daemonSecret)
    ])
  }

  for (const [name, credential] of Object.entries(credentials)) {
    const { tokenType } = yield* tokenWith({ clientId, tenantId }, credential, "https://graph.microsoft.com/.default")
    yield* Console.log(`${name}: a ${tokenType} token`)
  }

  // A provider that is not Microsoft's finds a key by its `kid` (option `keyId`), or tries all keys of the app.
  const { tokenType } = yield* tokenWith(
    { clientId, issuer: "https://login.microsoftonline.com/realms/one" },
    ClientCredential.layerPrivateKeyJwt({ privateKey }),
    "orders.read"
  )
  yield* Console.log(`a key without a certificate, elsewhere: a ${tokenType} token`)
})

const tokenWith = <E, R>(
  options: ConfidentialClient.Options,
  credential: Layer.Layer<ClientCredential.ClientCredential, E, R>,
  scopes: string
) =>
  ConfidentialClient.acquireToken({ scopes }).pipe(
    Effect.provide(
      ConfidentialClient.layerDefault(options).pipe(Layer.provide(credential))
    )
  )

const Simulated = EntraSimulator.layerMemory({
  apps: [{ clientId, secrets: [daemonSecret], federatedCredentials: [{ issuer: platform.issuer, subject }] }],
  issuers: [platform],
  realms: [{ name: "one", scopes: ["orders.read"] }]
})

await Effect.runPromise(
  Effect.scoped(program).pipe(
    Effect.provide([Simulated, NodeFileSystem.layer]),
    // This program builds many clients and has one secret refused on purpose, so it hides the warnings.
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
)
