/**
 * A program on an Azure virtual machine: first as the machine itself, then as an app that trusts the machine's user-assigned
 * identity. The machine and Entra are simulated.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Console, Effect, Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { ManagedIdentity } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"

const { contosoTenantId, daemonClientId } = EntraSimulator
const { clientId, objectId } = MetadataService.userAssigned

const program = (scopes: string) =>
  Effect.gen(function*() {
    const token = yield* ConfidentialClient.acquireToken({ scopes })
    yield* Console.log(`a ${token.tokenType} token for ${token.scopes.join(" ")}, tenant ${token.tenantId}`)
  })

/** Needs no registration and no secret: the permissions are those of the machine. */
const Machine = ManagedIdentity.layer()

/** Needs a registration that trusts the identity, and no secret either. */
const App = ConfidentialClient.layerDefault({ clientId: daemonClientId, tenantId: contosoTenantId }).pipe(
  Layer.provide(ManagedIdentity.layerAssertion({ identity: { clientId } }))
)

// In Azure use FetchHttpClient.layer instead.
const Azure = MetadataService.layerHttpClient.pipe(
  Layer.provideMerge(MetadataService.layer()),
  Layer.provide(EntraSimulator.layerMemory({
    apps: [{
      clientId: daemonClientId,
      federatedCredentials: [{
        issuer: `https://login.microsoftonline.com/${contosoTenantId}/v2.0`,
        subject: objectId
      }]
    }]
  }))
)

await Effect.runPromise(
  Effect.all([
    Effect.provide(program("https://vault.azure.net/.default"), Machine),
    Effect.provide(program("https://graph.microsoft.com/.default"), App)
  ]).pipe(Effect.provide([Azure, NodeFileSystem.layer]))
)
