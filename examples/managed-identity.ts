/**
 * A program on an Azure virtual machine: first as the machine itself, then as an app that trusts the machine's user-assigned
 * identity. Machine and Entra are simulated.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Console, Effect, Layer } from "effect"
import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { ManagedIdentity } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"

const { contosoTenantId, daemonClientId } = EntraSimulator
const { clientId, objectId } = MetadataService.userAssigned

const program = (scopes: string) =>
  Effect.gen(function*() {
    const token = yield* ConfidentialClient.acquireToken({ scopes })
    yield* Console.log(`a ${token.tokenType} token for ${token.scopes.join(" ")}, tenant ${token.tenantId}`)
  })

/** No registration, no secret: the machine's own permissions. */
const Machine = ManagedIdentity.layer()

/** A registration that trusts the identity, and so needs no secret either. */
const App = ConfidentialClient.layer({ clientId: daemonClientId, tenantId: contosoTenantId }).pipe(
  Layer.provide([
    ManagedIdentity.layerAssertion({ identity: { clientId } }),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ])
)

// A program in Azure has FetchHttpClient.layer here, and nothing else.
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
