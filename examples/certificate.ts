/** A client with a certificate, over https. The simulator runs as a server on this machine. */
import { Console, Effect, Layer } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"

const program = Effect.gen(function*() {
  const { origin } = yield* SimulatorServer.SimulatorServer
  // PEM: the certificate, its issuers after it, and an unencrypted PKCS#8 key. A program reads them from its secrets.
  const { certificate, privateKey } = yield* TestCertificate.makeChain()
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.addCertificate(EntraSimulator.daemonClientId, certificate)

  const EntraLive = ConfidentialClient.layerDefault({ clientId: EntraSimulator.daemonClientId, authority: origin })
    .pipe(
      Layer.provide(ClientCredential.layerCertificate({ certificate, privateKey, sendCertificateChain: true }))
    )
  const token = yield* ConfidentialClient.acquireToken({
    scopes: "https://graph.microsoft.com/.default",
    tenantId: EntraSimulator.fabrikamDomain
  }).pipe(Effect.provide(EntraLive))
  yield* Console.log(`${token.tenantId} issued a ${token.tokenType} token for a certificate`)
})

const Simulated = SimulatorServer.layerHttpClient.pipe(Layer.provideMerge(SimulatorServer.layerHttps()))

await Effect.runPromise(Effect.provide(program, Simulated))
