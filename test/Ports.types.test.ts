/**
 * The types of the services and of the client. They are compiled with everything else (`npm run check:types`), where each
 * line can fail.
 */
import type { DateTime, Duration, Effect, Layer, Redacted, Stream } from "effect"
import {
  type AccessToken,
  type Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint,
  type TokenRequest
} from "effect-entra"
import type { HttpClient } from "effect/http"
import type { Scope } from "effect/Scope"
import { describe, expectTypeOf, it } from "vitest"

type Credential = ClientCredential.ClientCredential["Service"]
type Resolver = AuthorityResolver.AuthorityResolver["Service"]
type Endpoint = TokenEndpoint.TokenEndpoint["Service"]
type Cache = TokenCache.TokenCache["Service"]
type Client = ConfidentialClient.ConfidentialClient["Service"]

interface Boom {
  readonly _tag: "Boom"
}

describe("ClientCredential", () => {
  it("begins one authentication per acquisition, which runs once an attempt and fails with CredentialError only", () => {
    expectTypeOf<Credential["begin"]>().toEqualTypeOf<
      (acquisition: ClientCredential.Acquisition) => ClientCredential.ClientAuthentication
    >()
    type Authentication = ClientCredential.ClientAuthentication
    expectTypeOf<Authentication["authenticate"]>().toEqualTypeOf<
      (attempt: ClientCredential.Attempt) => Effect.Effect<ClientCredential.Authentication, EntraError.CredentialError>
    >()
    expectTypeOf<Authentication["revision"]>().toEqualTypeOf<() => string>()
    expectTypeOf<Authentication["refused"]>().toEqualTypeOf<
      (error: EntraError.InvalidClientError) => Effect.Effect<boolean>
    >()
    expectTypeOf<keyof Authentication>().toEqualTypeOf<"revision" | "authenticate" | "refused">()
    expectTypeOf<keyof ClientCredential.Authentication>().toEqualTypeOf<"form" | "headers" | "client">()
    expectTypeOf<ClientCredential.Authentication["form"][string]>().toEqualTypeOf<string | Redacted.Redacted<string>>()
    expectTypeOf<ClientCredential.Authentication["client"]>().toEqualTypeOf<HttpClient.HttpClient | undefined>()
  })

  it("names what its tokens are bound to, synchronously", () => {
    expectTypeOf<Credential["channel"]>().toEqualTypeOf<"standard" | "mtls">()
    expectTypeOf<Credential["binding"]>().toEqualTypeOf<
      () => { readonly tokenType: string; readonly keyId: string } | undefined
    >()
  })

  it("may know when its material expires", () => {
    expectTypeOf<Credential["expiresOn"]>().toEqualTypeOf<(() => DateTime.Utc | undefined) | undefined>()
  })

  it("has no other members", () => {
    expectTypeOf<keyof Credential>().toEqualTypeOf<
      "channel" | "binding" | "begin" | "expiresOn"
    >()
  })

  it("has layers that need nothing but what the caller's own function needs", () => {
    type Made = Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError>
    const secret = (value: Redacted.Redacted<string>) => ClientCredential.layerSecret(value)
    expectTypeOf(secret).returns.toEqualTypeOf<Made>()
    const secrets = (values: ReadonlyArray<Redacted.Redacted<string>>) => ClientCredential.layerSecret(values)
    expectTypeOf(secrets).returns.toEqualTypeOf<Made>()
    const certificate = (value: ClientCredential.CertificateOptions) => ClientCredential.layerCertificate(value)
    expectTypeOf(certificate).returns.toEqualTypeOf<Made>()
    const key = (value: ClientCredential.PrivateKeyOptions) => ClientCredential.layerPrivateKeyJwt(value)
    expectTypeOf(key).returns.toEqualTypeOf<Made>()
    expectTypeOf(ClientCredential.layerFromEnv).toEqualTypeOf<
      Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError | EntraError.InvalidRequestError>
    >()
    const federated = (make: () => Effect.Effect<string, Boom, Scope>) => ClientCredential.layerAssertion(make)
    expectTypeOf(federated).returns.toEqualTypeOf<Layer.Layer<ClientCredential.ClientCredential, never, Scope>>()
  })

  it("takes its secrets redacted", () => {
    expectTypeOf<Parameters<typeof ClientCredential.secret<never, never>>[0]>().toEqualTypeOf<
      ClientCredential.Source<Redacted.Redacted<string>>
    >()
    expectTypeOf<ClientCredential.CertificateOptions["privateKey"]>().toEqualTypeOf<
      Redacted.Redacted<string> | undefined
    >()
    expectTypeOf<ClientCredential.PrivateKeyOptions["privateKey"]>().toEqualTypeOf<Redacted.Redacted<string>>()
  })

  it("a source needs what its effect needs, and its failures become ours", () => {
    type Vault = Effect.Effect<Redacted.Redacted<string>, Boom, Scope>
    const stored = (vault: Vault) => ClientCredential.layerSecret(vault)
    expectTypeOf(stored).returns.toEqualTypeOf<
      Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError, Scope>
    >()
    const chosen = (vault: Vault) =>
      ClientCredential.firstOf([ClientCredential.secret(vault), ClientCredential.assertion("a.b.c")])
    expectTypeOf(chosen).returns.toEqualTypeOf<Effect.Effect<Credential, EntraError.CredentialError, Scope>>()
  })
})

describe("AuthorityResolver", () => {
  it("resolves an authority for a channel", () => {
    expectTypeOf<Resolver["resolve"]>().toEqualTypeOf<
      (
        authority: Authority.Authority,
        options: { readonly channel: "standard" | "mtls" }
      ) => Effect.Effect<
        AuthorityResolver.Endpoints,
        EntraError.InvalidAuthorityError | EntraError.ServiceUnavailableError | EntraError.NetworkError
      >
    >()
    expectTypeOf<keyof Resolver>().toEqualTypeOf<"resolve">()
  })

  it("answers with addresses and the assertion that is wanted there", () => {
    expectTypeOf<AuthorityResolver.Endpoints>().toEqualTypeOf<{
      readonly token: string
      readonly audience: string
      readonly assertion: {
        readonly thumbprint: "x5t#S256" | "x5t"
        readonly also?: "x5t#S256" | "x5t" | undefined
        readonly rsa: "PS256" | "RS256"
      }
      readonly secretMethod?: "client_secret_post" | "client_secret_basic" | undefined
      readonly fallback?: AuthorityResolver.Endpoints | undefined
    }>()
  })

  it("fails to build for a region that can be none, for bad metadata and for contradictions, and only then", () => {
    expectTypeOf(AuthorityResolver.layerWith()).toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, never, HttpClient.HttpClient>
    >()
    expectTypeOf(AuthorityResolver.layerWith({ region: "westus2" })).toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, EntraError.InvalidAuthorityError, HttpClient.HttpClient>
    >()
    expectTypeOf(AuthorityResolver.layerWith({ instanceMetadata: "{}" })).toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, EntraError.InvalidAuthorityError, HttpClient.HttpClient>
    >()
    expectTypeOf(AuthorityResolver.layerWith({ validateAuthority: false, discoveryHost: "login.example" }))
      .toEqualTypeOf<
        Layer.Layer<AuthorityResolver.AuthorityResolver, EntraError.InvalidAuthorityError, HttpClient.HttpClient>
      >()
  })

  it("needs an HttpClient for discovery, and nothing without it", () => {
    expectTypeOf(AuthorityResolver.layer).toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, never, HttpClient.HttpClient>
    >()
    expectTypeOf(AuthorityResolver.layerWith({ transformClient: (client) => client })).toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, never, HttpClient.HttpClient>
    >()
    expectTypeOf(AuthorityResolver.layerKnownClouds).toEqualTypeOf<Layer.Layer<AuthorityResolver.AuthorityResolver>>()
    expectTypeOf(AuthorityResolver.layerStatic).returns.toEqualTypeOf<
      Layer.Layer<AuthorityResolver.AuthorityResolver, EntraError.InvalidAuthorityError>
    >()
  })
})

describe("TokenEndpoint", () => {
  it("sends", () => {
    expectTypeOf<Endpoint["request"]>().toEqualTypeOf<
      (
        request: TokenEndpoint.EndpointRequest
      ) => Effect.Effect<AccessToken.AccessToken, EntraError.AcquireTokenError>
    >()
    expectTypeOf<keyof Endpoint>().toEqualTypeOf<"request" | "forget" | "stats">()
  })

  it("gets the endpoints as an effect, and the authentication of the credential", () => {
    expectTypeOf<Pick<TokenEndpoint.EndpointRequest, "gate" | "endpoints" | "form" | "authentication">>().toEqualTypeOf<
      {
        readonly gate: { readonly key: TokenCache.CacheKey; readonly sent: string; readonly forced: boolean }
        readonly endpoints: ReturnType<Resolver["resolve"]>
        readonly form: ClientCredential.Authentication["form"]
        readonly authentication: ClientCredential.ClientAuthentication
      }
    >()
  })

  it("needs an HttpClient", () => {
    expectTypeOf(TokenEndpoint.layer).toEqualTypeOf<
      Layer.Layer<TokenEndpoint.TokenEndpoint, never, HttpClient.HttpClient>
    >()
    expectTypeOf(TokenEndpoint.layerWith).toEqualTypeOf<
      (
        options: TokenEndpoint.Options
      ) => Layer.Layer<TokenEndpoint.TokenEndpoint, EntraError.InvalidRequestError, HttpClient.HttpClient>
    >()
  })
})

describe("TokenCache", () => {
  it("drops and counts, and cannot fail at that", () => {
    expectTypeOf<Cache["invalidate"]>().toEqualTypeOf<(selector: TokenCache.Selector) => Effect.Effect<void>>()
    expectTypeOf<Cache["stats"]>().toEqualTypeOf<Effect.Effect<TokenCache.CacheStats>>()
    expectTypeOf<Cache["disabled"]>().toEqualTypeOf<boolean>()
    expectTypeOf<Cache>().toEqualTypeOf<TokenCache.TokenCacheService>()
    expectTypeOf<Exclude<keyof Cache, symbol | `~${string}`>>().toEqualTypeOf<
      | "peek"
      | "find"
      | "lead"
      | "unshared"
      | "invalidate"
      | "invalidations"
      | "onInvalidated"
      | "stats"
      | "evictions"
      | "disabled"
    >()
  })

  it("in memory, or not at all, needs nothing", () => {
    expectTypeOf(TokenCache.layerMemory()).toEqualTypeOf<Layer.Layer<TokenCache.TokenCache>>()
    expectTypeOf(TokenCache.layerMemory({ maxEntries: 1 })).toEqualTypeOf<
      Layer.Layer<TokenCache.TokenCache, EntraError.InvalidRequestError>
    >()
    expectTypeOf(TokenCache.layerNoop).toEqualTypeOf<Layer.Layer<TokenCache.TokenCache>>()
  })
})

describe("ConfidentialClient", () => {
  it("acquires", () => {
    const acquired = () => ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
    expectTypeOf(acquired).returns.toEqualTypeOf<
      Effect.Effect<
        AccessToken.AuthenticationResult,
        EntraError.AcquireTokenError,
        ConfidentialClient.ConfidentialClient
      >
    >()
    expectTypeOf(ConfidentialClient.acquireToken).parameters.toEqualTypeOf<[TokenRequest.TokenRequest]>()
    expectTypeOf<Client["acquireToken"]>().toEqualTypeOf<
      (
        request: TokenRequest.TokenRequest
      ) => Effect.Effect<AccessToken.AuthenticationResult, EntraError.AcquireTokenError>
    >()
  })

  it("peeks synchronously as a service", () => {
    expectTypeOf<Client["peek"]>().toEqualTypeOf<
      (request: TokenRequest.TokenRequest) => AccessToken.AuthenticationResult | undefined
    >()
    expectTypeOf(ConfidentialClient.peek).returns.toEqualTypeOf<
      Effect.Effect<AccessToken.AuthenticationResult | undefined, never, ConfidentialClient.ConfidentialClient>
    >()
  })

  it("invalidates with the caller's own mistakes as its only errors", () => {
    expectTypeOf(ConfidentialClient.invalidate).returns.toEqualTypeOf<
      Effect.Effect<void, EntraError.ConfigurationError, ConfidentialClient.ConfidentialClient>
    >()
    expectTypeOf(ConfidentialClient.tokens).returns.toEqualTypeOf<
      Stream.Stream<
        AccessToken.AuthenticationResult,
        EntraError.AcquireTokenError,
        ConfidentialClient.ConfidentialClient
      >
    >()
    expectTypeOf(ConfidentialClient.stats).toEqualTypeOf<
      Effect.Effect<ConfidentialClient.ClientStats, never, ConfidentialClient.ConfidentialClient>
    >()
  })

  it("layer needs the four services", () => {
    expectTypeOf(ConfidentialClient.layer).toEqualTypeOf<
      (options: ConfidentialClient.Options) => Layer.Layer<
        ConfidentialClient.ConfidentialClient,
        EntraError.ConfigurationError,
        | ClientCredential.ClientCredential
        | AuthorityResolver.AuthorityResolver
        | TokenEndpoint.TokenEndpoint
        | TokenCache.TokenCache
      >
    >()
  })

  it("layerDefault needs a credential and an HttpClient", () => {
    expectTypeOf(ConfidentialClient.layerDefault).toEqualTypeOf<
      (options: ConfidentialClient.DefaultOptions) => Layer.Layer<
        ConfidentialClient.ConfidentialClient,
        EntraError.ConfigurationError,
        ClientCredential.ClientCredential | HttpClient.HttpClient
      >
    >()
  })

  it("layerFromEnv needs an HttpClient", () => {
    expectTypeOf(ConfidentialClient.layerFromEnv).toEqualTypeOf<
      (
        options?: ConfidentialClient.EnvOptions
      ) => Layer.Layer<ConfidentialClient.ConfidentialClient, EntraError.ConfigurationError, HttpClient.HttpClient>
    >()
  })

  it("layerTest needs nothing", () => {
    expectTypeOf(ConfidentialClient.layerTest).returns.toEqualTypeOf<
      Layer.Layer<ConfidentialClient.ConfidentialClient | ConfidentialClient.TestCalls>
    >()
    expectTypeOf(ConfidentialClient.layerTest).parameter(0).toEqualTypeOf<
      string | ((request: TokenRequest.TokenRequest) => Effect.Effect<string, EntraError.AcquireTokenError>)
    >()
  })

  it("make needs a scope, a credential in hand and the other three services", () => {
    expectTypeOf(ConfidentialClient.make).toEqualTypeOf<
      (options: ConfidentialClient.Options & { readonly credential: Credential }) => Effect.Effect<
        Client,
        EntraError.ConfigurationError,
        Scope | AuthorityResolver.AuthorityResolver | TokenEndpoint.TokenEndpoint | TokenCache.TokenCache
      >
    >()
  })
})

describe("errors", () => {
  it("of the caller's own program", () => {
    expectTypeOf<EntraError.ConfigurationError>().toEqualTypeOf<
      | EntraError.InvalidAuthorityError
      | EntraError.InvalidScopeError
      | EntraError.InvalidRequestError
      | EntraError.CredentialError
    >()
    expectTypeOf<EntraError.ConfigurationError["_tag"]>().toEqualTypeOf<
      "EntraInvalidAuthorityError" | "EntraInvalidScopeError" | "EntraInvalidRequestError" | "EntraCredentialError"
    >()
  })

  it("of the service and the way to it", () => {
    expectTypeOf<EntraError.ServiceError>().toEqualTypeOf<
      | EntraError.InvalidClientError
      | EntraError.ThrottledError
      | EntraError.ClaimsChallengeError
      | EntraError.TokenRequestError
      | EntraError.ServiceUnavailableError
      | EntraError.NetworkError
      | EntraError.InvalidResponseError
    >()
    expectTypeOf<EntraError.ServiceError["_tag"]>().toEqualTypeOf<
      | "EntraInvalidClientError"
      | "EntraThrottledError"
      | "EntraClaimsChallengeError"
      | "EntraTokenRequestError"
      | "EntraServiceUnavailableError"
      | "EntraNetworkError"
      | "EntraInvalidResponseError"
    >()
  })

  it("of an acquisition are these two, and every tag is the class's name after Entra", () => {
    expectTypeOf<EntraError.AcquireTokenError>().toEqualTypeOf<
      EntraError.ConfigurationError | EntraError.ServiceError
    >()
    type Classes = typeof EntraError
    type Named = {
      [Name in keyof Classes]: Classes[Name] extends new(props: never) => { readonly _tag: `Entra${Name}` } ? Name
        : never
    }[keyof Classes]
    type Tagged = {
      [Name in keyof Classes]: Classes[Name] extends new(props: never) => { readonly _tag: string } ? Name : never
    }[keyof Classes]
    expectTypeOf<Tagged>().toEqualTypeOf<Named>()
    expectTypeOf<`Entra${Named}`>().toEqualTypeOf<EntraError.AcquireTokenError["_tag"]>()
  })

  it("say what every error says", () => {
    type AnyError = EntraError.AcquireTokenError
    expectTypeOf<AnyError["code"]>().toExtend<string>()
    expectTypeOf<string>().not.toExtend<AnyError["code"]>()
    expectTypeOf<EntraError.ClaimsChallengeError["code"]>().toEqualTypeOf<"claims_required">()
    expectTypeOf<AnyError["message"]>().toEqualTypeOf<string>()
    expectTypeOf<AnyError["remedy"]>().toEqualTypeOf<string>()
    expectTypeOf<AnyError["origin"]>().toEqualTypeOf<"local" | "service">()
    expectTypeOf<AnyError["isRetryable"]>().toEqualTypeOf<boolean>()
    expectTypeOf<Extract<AnyError, { readonly isRetryable: true }>>().toEqualTypeOf<
      EntraError.ThrottledError | EntraError.ServiceUnavailableError
    >()
    expectTypeOf<AnyError["correlationId"]>().toEqualTypeOf<string | undefined>()
    expectTypeOf<AnyError["retryAfter"]>().toEqualTypeOf<Duration.Duration | undefined>()
    expectTypeOf<EntraError.ThrottledError["retryAfter"]>().toEqualTypeOf<Duration.Duration>()
    expectTypeOf<EntraError.ThrottledError["source"]>().toEqualTypeOf<"server" | "local" | "fleet">()
  })
})
