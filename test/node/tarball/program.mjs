/**
 * The program that is bundled: it acquires a token in each way that differs between runtimes, and prints the results as one
 * line of JSON. It names Microsoft's hosts; a proxy of the test leads to the simulator.
 */
import { Effect, FileSystem, Layer, Redacted, Stream } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { NodeClientCredential, NodeTransport } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient } from "effect/http"

const { CERTIFICATE = "", PFX = "" } = process.env
const secret = ClientCredential.layerSecret(EntraSimulator.daemonSecret)
const pfx = NodeClientCredential.layerCertificate({
  content: Redacted.make(new Uint8Array(Buffer.from(PFX, "base64")))
})
const bytes = new TextEncoder().encode(Redacted.value(EntraSimulator.daemonSecret))
// A `FileSystem` that is not of @effect/platform-node.
const files = FileSystem.layerNoop({
  realPath: Effect.succeed,
  stat: () => Effect.succeed({ type: "File", size: BigInt(bytes.length), mode: 0o600 }),
  stream: () => Stream.make(bytes)
})

const token = (credential, transport) =>
  ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
    Effect.provide(
      ConfidentialClient.layerDefault({
        clientId: EntraSimulator.daemonClientId,
        tenantId: EntraSimulator.contosoTenantId
      }).pipe(Layer.provide([credential, transport]))
    ),
    Effect.match({
      onFailure: ({ code, message, remedy }) => ({ code, message, remedy }),
      onSuccess: ({ metadata }) => metadata.tokenSource
    }),
    Effect.catchDefect((defect) => Effect.succeed({ code: "defect", message: String(defect), remedy: "" }))
  )

const results = {
  memory: token(secret, EntraSimulator.layerMemory()),
  file: token(
    NodeClientCredential.layerSecretFile({ path: "/secret" }).pipe(Layer.provide(files)),
    EntraSimulator.layerMemory()
  ),
  fetch: token(secret, FetchHttpClient.layer),
  transport: token(secret, NodeTransport.layerWith({ certificateAuthorities: CERTIFICATE })),
  pfx: token(pfx, FetchHttpClient.layer)
}

Effect.runPromise(Effect.all(results)).then((all) => console.log(JSON.stringify(all)))
