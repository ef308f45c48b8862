/**
 * The service that resolves an authority to its endpoints. Known clouds come from a table. Other hosts are validated
 * once, by instance discovery. The endpoints of an issuer come from its discovery document.
 *
 * `layer`, `layerWith` and their options are unstable, because their types name the `HttpClient` of `effect/http`,
 * which Effect tags as unstable.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Authority from "./Authority.ts"
import { type InvalidAuthorityError, type NetworkError, type ServiceUnavailableError } from "./EntraError.ts"
import {
  type Endpoints,
  endpointsOf,
  noMtls,
  noRegions,
  parseRegion,
  staticEndpoints
} from "./internal/authority/endpointLayout.ts"
import * as InstanceDiscovery from "./internal/authority/instanceDiscovery.ts"
import * as OpenIdConfigurationCache from "./internal/authority/openIdConfigurationCache.ts"
import * as IdentityHttp from "./internal/http/identityHttp.ts"
import { closedError, invalidAuthority } from "./internal/shared/errors.ts"
import { monotonicMillis } from "./internal/shared/monotonic.ts"
import { randomId } from "./internal/shared/randomId.ts"
import * as SingleFlight from "./internal/shared/singleFlight.ts"

export {
  /**
   * The token endpoint of an authority and its requirements.
   *
   * **Details**
   *
   * - `token`: the URL of the token endpoint.
   * - `audience`: the claim `aud` of assertions (RFC 7523 section 3).
   * - `assertion`: the header of assertions that identifies the certificate, and the algorithm for RSA keys.
   * - `secretMethod`: how a secret is sent (OpenID Connect Core 1.0 section 9); default: `client_secret_post`.
   * - `fallback`: the endpoints that replace these ones during an outage; undefined when there are no others.
   *
   * @category models
   * @since 0.1.0
   */
  type Endpoints
}

export {
  /**
   * The response of instance discovery as a value.
   *
   * **Details**
   *
   * Each entry of `metadata` is a cloud. `aliases` are its hosts, and `preferred_network` is the host that requests go
   * to. `preferred_cache` has no effect.
   *
   * @category models
   * @since 0.1.0
   */
  type InstanceMetadata
} from "./internal/authority/instanceDiscovery.ts"

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The service that resolves an authority to its endpoints.
 *
 * **Details**
 *
 * `channel` is `"mtls"` when the client authenticates in the TLS handshake (RFC 8705), which has its own hosts, and
 * otherwise `"standard"`.
 *
 * @category services
 * @since 0.1.0
 */
export class AuthorityResolver extends Context.Service<AuthorityResolver, {
  readonly resolve: (
    authority: Authority.Authority,
    options: { readonly channel: "standard" | "mtls" }
  ) => Effect.Effect<Endpoints, InvalidAuthorityError | ServiceUnavailableError | NetworkError>
}>()("effect-entra/AuthorityResolver") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Creates a resolver that uses the table of known clouds, instance discovery for other hosts, and the discovery
 * documents of issuers.
 *
 * **Details**
 *
 * Instance discovery is requested from the host itself, once per host, whatever the number of callers. The results for
 * 1,000 hosts are kept.
 * - If discovery knows the host, it returns the host that requests go to. This result is kept as long as the layer.
 * - If discovery does not know the host, the resolver fails with `instance_invalid`. This result is kept for a day.
 * - If discovery has no clear result within 10 seconds, the host is used unchanged. Discovery runs again after 5
 *   minutes.
 *
 * The discovery document of an issuer is at `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section
 * 4). If it is not there, it is requested at `/.well-known/oauth-authorization-server`, followed by the path of the
 * issuer (RFC 8414 section 3.1), where authorization servers without OpenID Connect have it.
 * - It must contain the same issuer, apart from a slash at the end. A document of a Microsoft host may name the same
 *   tenant by its id.
 * - It is requested once, with the retries of `RetryPolicy.Current` or `RetryPolicy.standard`, within 10 seconds.
 * - It is kept for a day and then refreshed in the background. If the refresh fails, the old document stays in use.
 * - Without a document the resolver fails with `issuer_unknown`, `issuer_mismatch` or `discovery_malformed`, or with an
 *   outage. The failure is kept for 3 seconds, or for as long as its `Retry-After` says, at most an hour.
 *
 * **Example** (The resolver over fetch)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { AuthorityResolver } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Resolver = AuthorityResolver.layer.pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<AuthorityResolver, never, IdentityHttp.Transport> = /*#__PURE__*/ Layer.suspend(() =>
  Layer.effect(AuthorityResolver, makeDiscovering(usualSettings))
)

/**
 * Options of {@link layerWith}.
 *
 * **Details**
 *
 * - `transformClient`: wraps the HTTP client (a proxy, a log).
 * - `discoveryHost`: the host from which instance discovery for unknown hosts is requested, for example
 *   `login.microsoftonline.com`, which knows the hosts of Microsoft's clouds only; default: the unknown host itself.
 * - `validateAuthority`: false uses unknown hosts unchanged, without instance discovery. Use it for clouds without
 *   discovery, and for an external tenant behind its own domain; default: true.
 * - `instanceMetadata`: the response of instance discovery, as JSON text or as a value, for clouds without discovery.
 *   It replaces the table of known clouds. A host that it does not contain fails with `instance_invalid`. The cache key
 *   uses the client's own host, whatever `preferred_cache` says.
 * - `region`: the short name of an Azure region, for example `westus2`; default: the global endpoint of the cloud.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly transformClient?: ((client: IdentityHttp.Transport) => IdentityHttp.Transport) | undefined
  readonly discoveryHost?: string | undefined
  readonly validateAuthority?: boolean | undefined
  readonly instanceMetadata?: string | InstanceDiscovery.InstanceMetadata | undefined
  readonly region?: string | undefined
}

/**
 * Creates a resolver like {@link layer}, with options.
 *
 * **Details**
 *
 * The layer fails with an `InvalidAuthorityError`:
 * - `host_malformed`, when `discoveryHost` is not a host name;
 * - `metadata_malformed`, when `instanceMetadata` is not a response of instance discovery;
 * - `region_malformed`, when `region` is not a short name; `region_detection`, when it requests detection;
 * - `discovery_contradictory`, when `instanceMetadata` is combined with another option than `transformClient`, or
 *   `discoveryHost` with `validateAuthority: false`.
 *
 * If `region` is set, token requests go to the endpoint of that region. During an outage of that endpoint they go to the
 * global endpoint of the cloud, and a warning is logged. An authority without regions (another host, an external
 * tenant, AD FS, an issuer) fails with `authority_unsupported` when it is resolved.
 *
 * **Gotchas**
 *
 * Entra accepts few apps at its regional endpoints, mostly Microsoft's own. It refuses other apps with
 * `region_refused`.
 *
 * **Example** (A cloud without instance discovery)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer, Result } from "effect"
 * import { Authority, AuthorityResolver } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * const Private = AuthorityResolver.layerWith({
 *   instanceMetadata: {
 *     metadata: [{
 *       preferred_network: "login.cloud.example",
 *       preferred_cache: "login.cloud.example",
 *       aliases: ["login.cloud.example", "sts.cloud.example"]
 *     }]
 *   }
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 *
 * const program = Effect.gen(function*() {
 *   const resolver = yield* AuthorityResolver.AuthorityResolver
 *   const authority = Result.getOrThrow(Authority.parse("https://sts.cloud.example/contoso.example"))
 *   const endpoints = yield* resolver.resolve(authority, { channel: "standard" })
 *   assert.strictEqual(endpoints.token, "https://login.cloud.example/contoso.example/oauth2/v2.0/token")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Private))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export function layerWith(
  options?: Options & { readonly [Field in keyof Fallible]?: undefined }
): Layer.Layer<AuthorityResolver, never, IdentityHttp.Transport>
export function layerWith(
  options: Options
): Layer.Layer<AuthorityResolver, InvalidAuthorityError, IdentityHttp.Transport>
export function layerWith(
  options: Options = {}
): Layer.Layer<AuthorityResolver, InvalidAuthorityError, IdentityHttp.Transport> {
  return Layer.effect(AuthorityResolver, Effect.flatMap(Effect.fromResult(settingsOf(options)), makeDiscovering))
}

/**
 * Creates a resolver that sends no request. It uses the table of known clouds, and every other host unchanged.
 *
 * **Gotchas**
 *
 * A client with an `issuer` needs {@link layer}, because the endpoints of an issuer are in its discovery document.
 *
 * **Example** (Resolving without network)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Result } from "effect"
 * import { Authority, AuthorityResolver } from "effect-entra"
 *
 * const program = Effect.gen(function*() {
 *   const resolver = yield* AuthorityResolver.AuthorityResolver
 *   const authority = Result.getOrThrow(Authority.parse("https://login.microsoftonline.us/contoso.us"))
 *   const endpoints = yield* resolver.resolve(authority, { channel: "standard" })
 *   assert.strictEqual(endpoints.token, "https://login.microsoftonline.us/contoso.us/oauth2/v2.0/token")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, AuthorityResolver.layerKnownClouds))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerKnownClouds: Layer.Layer<AuthorityResolver> = /*#__PURE__*/ Layer.succeed(AuthorityResolver, {
  resolve: (authority, { channel }) =>
    Effect.fromResult(endpointsOf(authority, Authority.networkHost(authority), channel))
})

/**
 * Creates a resolver that returns one token endpoint for every authority.
 *
 * **When to use**
 *
 * For a gateway in front of the service, and for tests.
 *
 * **Details**
 *
 * - `token`: the absolute URL of the token endpoint, `https` or `http`. Another text fails the layer with an
 *   `InvalidAuthorityError` `endpoint_malformed`.
 * - `audience`: the claim `aud` of assertions; default: `token`.
 *
 * **Example** (A gateway in front of the service)
 *
 * ```ts
 * import { AuthorityResolver } from "effect-entra"
 *
 * export const ThroughGateway = AuthorityResolver.layerStatic({
 *   token: "https://gateway.internal/token"
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStatic = (endpoints: {
  readonly token: string
  readonly audience?: string | undefined
}): Layer.Layer<AuthorityResolver, InvalidAuthorityError> =>
  Layer.effect(
    AuthorityResolver,
    Effect.map(Effect.fromResult(staticEndpoints(endpoints)), (found) => ({ resolve: () => Effect.succeed(found) }))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The number of hosts whose verdict is kept. */
const keptHosts = 1000
/** Milliseconds for which a verdict is kept. */
const verdictTtl = { Valid: Infinity, Invalid: 86_400_000, Unknown: 300_000 } as const

interface Known {
  readonly verdict: InstanceDiscovery.Verdict
  readonly since: number
}

/** The endpoints of an authority whose host needs no discovery. */
interface Resolved {
  readonly authority: Authority.Authority
  readonly channel: "standard" | "mtls"
  readonly endpoints: Effect.Effect<Endpoints, InvalidAuthorityError>
}

/** The options that can fail the layer. */
type Fallible = Pick<Options, "discoveryHost" | "validateAuthority" | "instanceMetadata" | "region">

interface Settings {
  readonly transformClient: Options["transformClient"]
  readonly discoveryHost: string | undefined
  readonly validates: boolean
  readonly instances: InstanceDiscovery.Instances | undefined
  readonly region: string | undefined
}

/** The settings without options. They need no check, so `layer` does not add the checks to a bundle. */
const usualSettings: Settings = {
  transformClient: undefined,
  discoveryHost: undefined,
  validates: true,
  instances: undefined,
  region: undefined
}

const settingsOf = (options: Options): Result.Result<Settings, InvalidAuthorityError> =>
  Result.gen(function*() {
    const { discoveryHost, instanceMetadata, region, transformClient } = options
    const validates = options.validateAuthority !== false
    const excluded = instanceMetadata !== undefined
      ? [validates ? undefined : "validateAuthority", discoveryHost && "discoveryHost", region && "region"]
      : [validates || discoveryHost === undefined ? undefined : "discoveryHost"]
    const other = excluded.find((field) => field !== undefined && field !== "")
    if (other !== undefined) {
      yield* Result.fail(
        contradiction(instanceMetadata === undefined ? "validateAuthority" : "instanceMetadata", other)
      )
    }
    return {
      transformClient,
      discoveryHost: discoveryHost === undefined
        ? undefined
        : yield* InstanceDiscovery.parseDiscoveryHost(discoveryHost),
      validates,
      instances: instanceMetadata === undefined ? undefined : yield* InstanceDiscovery.parseMetadata(instanceMetadata),
      region: region === undefined ? undefined : yield* parseRegion(region)
    }
  })

/** The time limit of instance discovery in milliseconds. */
const discoveryTimeout = 10_000

const makeDiscovering = (
  settings: Settings
): Effect.Effect<AuthorityResolver["Service"], never, IdentityHttp.Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const { instances, region, validates } = settings
    const http = yield* IdentityHttp.make(settings)
    const documentOf = yield* OpenIdConfigurationCache.make(http)
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const known = new Map<string, Known>()
    const flights = yield* SingleFlight.make<InstanceDiscovery.Verdict, ServiceUnavailableError>({
      closed: () => closedError("The authority resolver"),
      limit: discoveryTimeout + 1000
    })

    const discover = (authority: Authority.Authority): Effect.Effect<InstanceDiscovery.Verdict> =>
      http.send(InstanceDiscovery.discoveryRequest(authority, settings.discoveryHost ?? authority.host, newId())).pipe(
        Effect.map((answer) => InstanceDiscovery.readVerdict(authority, answer)),
        Effect.catch(() => Effect.succeed(InstanceDiscovery.unknownVerdict)),
        Effect.timeoutOrElse({
          duration: discoveryTimeout,
          orElse: () => Effect.succeed(InstanceDiscovery.unknownVerdict)
        }),
        Effect.tap((verdict) =>
          Effect.sync(() => {
            const now = monotonicMillis(clock)
            if (known.size >= keptHosts) known.delete(known.keys().next().value ?? "")
            known.set(authority.host, { verdict, since: now })
          })
        )
      )

    const isCurrent = ({ since, verdict }: Known): boolean => monotonicMillis(clock) - since < verdictTtl[verdict._tag]

    const verdictOn = (authority: Authority.Authority) => {
      const kept = known.get(authority.host)
      return kept !== undefined && isCurrent(kept)
        ? Effect.succeed(kept.verdict)
        : flights.join(authority.host, discover(authority))
    }

    // Most resolvers serve one client with one tenant.
    let last: Resolved | undefined

    return AuthorityResolver.of({
      resolve: (authority, { channel }) => {
        if (last !== undefined && last.authority === authority && last.channel === channel) return last.endpoints
        const at = (host: string) => Effect.fromResult(endpointsOf(authority, host, channel, region))
        if (authority.kind === "Oidc") {
          if (region !== undefined) return Effect.fail(noRegions(authority, "region"))
          return channel === "mtls" ? Effect.fail(noMtls(authority)) : documentOf(authority)
        }
        if (instances !== undefined && authority.kind === "Entra") {
          const host = instances.get(authority.host)
          return host === undefined ? Effect.fail(invalidInstance(authority, "local")) : at(host)
        }
        // With a region an unknown host is refused in any case, so discovery is not needed.
        if (authority.cloud !== undefined || authority.kind !== "Entra" || region !== undefined || !validates) {
          last = { authority, channel, endpoints: at(Authority.networkHost(authority)) }
          return last.endpoints
        }
        return Effect.flatMap(
          verdictOn(authority),
          (verdict) =>
            verdict._tag === "Invalid"
              ? Effect.fail(invalidInstance(authority, "service"))
              : at(verdict._tag === "Valid" ? verdict.host : authority.host)
        )
      }
    })
  })

const contradiction = (field: string, other: string): InvalidAuthorityError =>
  invalidAuthority(
    "discovery_contradictory",
    `${field}, ${other}`,
    `${field} and ${other} contradict each other`,
    other === "validateAuthority"
      ? "Leave validateAuthority out. With instanceMetadata there is no discovery, and other hosts are refused."
      : `Leave ${other} out. It cannot be combined with ${field}.`
  )

const invalidInstance = (authority: Authority.Authority, origin: "local" | "service"): InvalidAuthorityError =>
  invalidAuthority(
    "instance_invalid",
    "authority",
    `authority names the host ${authority.host}, which ${
      origin === "local" ? "instanceMetadata" : "instance discovery"
    } does not know`,
    "Check the host name of the authority. It must belong to a Microsoft cloud or to your own installation.",
    { origin }
  )
