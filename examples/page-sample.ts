/**
 * The sample of MSAL.NET's page "Client credential flows", line by line: each comment says what stands there.
 * `USE_CERTIFICATE=true` takes the certificate; without it the secret is taken. In a clone, after `npm ci`, run it with
 * `node --conditions=@effect-entra/source examples/page-sample.ts`: without the condition `effect-entra` means `dist`.
 */
import { Config, Console, Effect, Layer } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  TokenScope
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"

const Credential = Layer.unwrap(Effect.gen(function*() {
  if (!(yield* Config.Boolean("USE_CERTIFICATE").pipe(Config.withDefault(false)))) {
    // .WithClientSecret(secret): good for a first try
    yield* Console.log("the app proves itself with a secret")
    return ClientCredential.layerSecret(EntraSimulator.daemonSecret)
  }
  // The certificate is made on the spot and registered; a program reads it from its secrets.
  const certificate = yield* TestCertificate.make()
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.addCertificate(EntraSimulator.daemonClientId, certificate.certificate)
  // .WithCertificate(certificate)
  yield* Console.log("the app proves itself with a certificate")
  return ClientCredential.layerCertificate(certificate)
}))

// var singletonApp = ConfidentialClientApplicationBuilder.Create(clientId), with no authority: requests name the tenant
const SingletonApp = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId }).pipe(
  // .Build(); it holds the tokens in memory (TokenCache), so it is kept as long as the process lives
  Layer.provide([Credential, AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()])
)

// var scopes = new[] { ResourceId + "/.default" }
const scopes = TokenScope.fromResource(EntraSimulator.graphResource)

const handle = Effect.fnUntraced(
  function*(request: { readonly scopes: string; readonly tenantId?: string; readonly authority?: string }) {
    // app.AcquireTokenForClient(scopes).ExecuteAsync(): it looks into the cache itself, so no AcquireTokenSilent before it
    const authResult = yield* ConfidentialClient.acquireToken(request)
    // authResult.AuthenticationResultMetadata.TokenSource == TokenSource.Cache
    yield* Console.log(`a token for ${authResult.tenantId} from ${authResult.metadata.tokenSource}`)
  },
  // catch (MsalServiceException ex) when (ex.Message.Contains("AADSTS70011")), or AADSTS1002012: found before it is sent
  Effect.catchTag("EntraInvalidScopeError", (error) => Console.log(`wrong scope: ${error.message}`)),
  // catch (MsalServiceException ex): any other, each with a tag of its own
  Effect.catch((error) => Console.log(`${error._tag} (${error.code}): ${error.remedy}`))
)

const program = Effect.gen(function*() {
  // .WithTenantId(tenantId): the first time from the service, then from the cache
  yield* handle({ scopes, tenantId: EntraSimulator.contosoTenantId })
  yield* handle({ scopes, tenantId: EntraSimulator.contosoTenantId })
  // .WithTenantIdFromAuthority(new Uri(authority))
  yield* handle({ scopes, authority: `https://login.microsoftonline.com/${EntraSimulator.fabrikamDomain}` })
  // never "common" nor "organizations": they stand for no tenant
  yield* handle({ scopes, tenantId: "common" })
  yield* handle({ scopes: "User.Read", tenantId: EntraSimulator.contosoTenantId })
  // the hit rate, which MSAL.NET leaves to be counted from the metadata
  const { hits, misses } = yield* ConfidentialClient.stats
  yield* Console.log(`${hits} of ${hits + misses} tokens came from the cache`)
})

// In memory, so that this runs anywhere; a program provides FetchHttpClient.layer instead.
await Effect.runPromise(program.pipe(Effect.provide(SingletonApp), Effect.provide(EntraSimulator.layerMemory())))
