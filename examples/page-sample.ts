/**
 * The sample of MSAL.NET's page "Client credential flows", line by line: each comment quotes the line there.
 * `USE_CERTIFICATE=true` takes the certificate, otherwise the secret is taken. In a clone, after `npm ci`, run it with
 * `node --conditions=@effect-entra/source examples/page-sample.ts`; without the condition `effect-entra` means `dist`.
 */
import { Config, Console, Effect, Layer } from "effect"
import { ClientCredential, ConfidentialClient, TokenScope } from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"

const Credential = Layer.unwrap(Effect.gen(function*() {
  if (!(yield* Config.Boolean("USE_CERTIFICATE").pipe(Config.withDefault(false)))) {
    // .WithClientSecret(secret): good for a first try
    yield* Console.log("the credential is a secret")
    return ClientCredential.layerSecret(EntraSimulator.daemonSecret)
  }
  // This example creates and registers a certificate; a program reads one from its secrets.
  const certificate = yield* TestCertificate.make()
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.addCertificate(EntraSimulator.daemonClientId, certificate.certificate)
  // .WithCertificate(certificate)
  yield* Console.log("the credential is a certificate")
  return ClientCredential.layerCertificate(certificate)
}))

// var singletonApp = ConfidentialClientApplicationBuilder.Create(clientId), without an authority: requests name the tenant
const SingletonApp = ConfidentialClient.layerDefault({ clientId: EntraSimulator.daemonClientId }).pipe(
  // .Build(); the client holds the tokens in memory, so keep it as long as the process lives
  Layer.provide(Credential)
)

// var scopes = new[] { ResourceId + "/.default" }
const scopes = TokenScope.fromResource(EntraSimulator.graphResource)

const handle = Effect.fnUntraced(
  function*(request: { readonly scopes: string; readonly tenantId?: string; readonly authority?: string }) {
    // app.AcquireTokenForClient(scopes).ExecuteAsync(): it looks into the cache itself, without AcquireTokenSilent before it
    const authResult = yield* ConfidentialClient.acquireToken(request)
    // authResult.AuthenticationResultMetadata.TokenSource == TokenSource.Cache
    yield* Console.log(`a token for ${authResult.tenantId} from ${authResult.metadata.tokenSource}`)
  },
  // catch (MsalServiceException ex) when (ex.Message.Contains("AADSTS70011")), or AADSTS1002012: found before anything is sent
  Effect.catchTag("EntraInvalidScopeError", (error) => Console.log(`wrong scope: ${error.message}`)),
  // catch (MsalServiceException ex): any other error, each with its own tag
  Effect.catch((error) => Console.log(`${error._tag} (${error.code}): ${error.remedy}`))
)

const program = Effect.gen(function*() {
  // .WithTenantId(tenantId): first from the service, then from the cache
  yield* handle({ scopes, tenantId: EntraSimulator.contosoTenantId })
  yield* handle({ scopes, tenantId: EntraSimulator.contosoTenantId })
  // .WithTenantIdFromAuthority(new Uri(authority))
  yield* handle({ scopes, authority: `https://login.microsoftonline.com/${EntraSimulator.fabrikamDomain}` })
  // "common" and "organizations" are errors, because they stand for no tenant
  yield* handle({ scopes, tenantId: "common" })
  yield* handle({ scopes: "User.Read", tenantId: EntraSimulator.contosoTenantId })
  // the hit rate, which a program with MSAL.NET counts from the metadata
  const { hits, misses } = yield* ConfidentialClient.stats
  yield* Console.log(`${hits} of ${hits + misses} tokens came from the cache`)
})

// A simulator in memory, so that this example runs anywhere. A program provides FetchHttpClient.layer instead.
await Effect.runPromise(program.pipe(Effect.provide(SingletonApp), Effect.provide(EntraSimulator.layerMemory())))
