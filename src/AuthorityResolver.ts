/**
 * From an authority to the addresses of its endpoints. Known clouds are answered from a table; any other host is asked
 * whether it belongs to a cloud (instance discovery), once; an issuer's discovery document says where its endpoints are.
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
import { isAhead } from "./internal/shared/cooldown.ts"
import { closedError, invalidAuthority } from "./internal/shared/errors.ts"
import { randomId } from "./internal/shared/randomId.ts"
import * as SingleFlight from "./internal/shared/singleFlight.ts"

export {
  /**
   * Where a token request goes, how its assertion is to look, and how a secret is sent.
   *
   * @category models
   * @since 0.1.0
   */
  type Endpoints
}

export {
  /**
   * The answer of instance discovery, given instead of being asked for: which hosts are the same cloud, and which of them
   * requests go to.
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
 * Resolves authorities.
 *
 * **Details**
 *
 * `channel` tells whether the client proves itself in the TLS handshake (`"mtls"`), which has hosts of its own.
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
 * Known clouds from the table, other hosts by instance discovery at the host itself, issuers by their discovery document.
 *
 * **Details**
 *
 * Discovery can refuse (`instance_invalid`) or name the host to use; when it cannot be had, the host is used as it is and
 * asked again after five minutes. It is asked once a host, whatever the number of callers; the answers for 1,000 hosts
 * are kept.
 *
 * An issuer's document (`/.well-known/openid-configuration`) has to name that issuer, but for a slash at its end; at hosts
 * of Microsoft it may name the same tenant by its id. It is asked for once, with the retries of `RetryPolicy` within 10
 * seconds, and kept for a day; then it is renewed in the background, and used on if that fails. Without a document there is
 * no token: `issuer_unknown`, `issuer_mismatch` and `discovery_malformed` are what can be wrong with it. A failure stands for
 * three seconds, or for as long as its `Retry-After` says, at most an hour.
 *
 * **Example** (The usual resolver over fetch)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { AuthorityResolver } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Resolver = AuthorityResolver.layer.pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<AuthorityResolver, never, IdentityHttp.Transport> = /*#__PURE__*/ Layer.suspend(() =>
  layerWith()
)

/**
 * Options of {@link layerWith}.
 *
 * **Details**
 *
 * - `transformClient`: wraps the HTTP client (a proxy, a log).
 * - `discoveryHost`: is asked about unknown hosts instead of themselves, for example `login.microsoftonline.com`, which knows
 *   the hosts of Microsoft's clouds only.
 * - `validateAuthority`: false uses unknown hosts as they are, without asking anybody: for clouds without discovery, and for
 *   an external tenant behind a domain of its own. Default true.
 * - `instanceMetadata`: the answer of instance discovery, as its JSON text or parsed, for clouds where nobody can be asked. It
 *   stands for the table of known clouds too: a host that it does not name is an `InvalidAuthorityError`
 *   `instance_invalid`. Tokens are filed under the client's own host, whatever `preferred_cache` says.
 * - `region`: the short name of an Azure region (`westus2`).
 *
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
 * Like {@link layer}, with a say about the HTTP client, the host that is asked, whether it is asked, and the region.
 *
 * **Details**
 *
 * With a `region` token requests go to the endpoint of that region, and to the cloud's global one while that cannot be
 * reached or answers 5xx, which a warning says. A name that can be none fails when the layer is built; an authority that has
 * no regions (another host, an external tenant, AD FS, an issuer) fails when it is resolved. Entra admits few apps to its
 * regional endpoints, mostly Microsoft's own.
 *
 * A host or metadata that is malformed, and options that contradict each other (`instanceMetadata` with any other but
 * `transformClient`, `discoveryHost` without validation), fail when the layer is built.
 *
 * **Example** (A cloud that cannot be asked)
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
 * Only known clouds and the layout that all share: no discovery call, whatever the host. A client with an `issuer` needs
 * {@link layer}: where its endpoints are can only be asked.
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
 * One token endpoint for everything, without any rule about hosts: for gateways and tests.
 *
 * **Details**
 *
 * `token` is an absolute URL, http too; what is none fails the layer with an `InvalidAuthorityError` `endpoint_malformed`.
 * `audience` is the `aud` of assertions; default: the endpoint.
 *
 * **Example** (A gateway that stands for the service)
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

/** Hosts whose answer is kept, and for how many milliseconds. */
const keptHosts = 1000
const lasts = { Valid: Infinity, Invalid: 86_400_000, Unknown: 300_000 } as const

interface Known {
  readonly verdict: InstanceDiscovery.Verdict
  readonly since: number
}

/** What can be wrong when the layer is built. */
type Fallible = Pick<Options, "discoveryHost" | "validateAuthority" | "instanceMetadata" | "region">

interface Settings {
  readonly transformClient: Options["transformClient"]
  readonly discoveryHost: string | undefined
  readonly validates: boolean
  readonly instances: InstanceDiscovery.Instances | undefined
  readonly region: string | undefined
}

const settingsOf = (options: Options): Result.Result<Settings, InvalidAuthorityError> =>
  Result.gen(function*() {
    const { discoveryHost, instanceMetadata, region, transformClient } = options
    const validates = options.validateAuthority !== false
    const beside = instanceMetadata !== undefined
      ? [validates ? undefined : "validateAuthority", discoveryHost && "discoveryHost", region && "region"]
      : [validates || discoveryHost === undefined ? undefined : "discoveryHost"]
    const other = beside.find((field) => field !== undefined && field !== "")
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
      closed: () => closedError("the authority resolver")
    })

    const ask = (authority: Authority.Authority): Effect.Effect<InstanceDiscovery.Verdict> =>
      http.send(InstanceDiscovery.discoveryRequest(authority, settings.discoveryHost ?? authority.host, newId())).pipe(
        Effect.timeout("10 seconds"),
        Effect.map((answer) => InstanceDiscovery.readVerdict(authority, answer)),
        Effect.catch(() => Effect.succeed(InstanceDiscovery.unknownVerdict)),
        Effect.tap((verdict) =>
          Effect.sync(() => {
            const now = clock.currentTimeMillisUnsafe()
            if (known.size >= keptHosts) known.delete(known.keys().next().value ?? "")
            known.set(authority.host, { verdict, since: now })
          })
        )
      )

    /** Not what is from before the clock was put back. */
    const stands = ({ since, verdict }: Known): boolean =>
      isAhead(since + lasts[verdict._tag], clock.currentTimeMillisUnsafe(), lasts[verdict._tag])

    const verdictOn = (authority: Authority.Authority) => {
      const kept = known.get(authority.host)
      return kept !== undefined && stands(kept)
        ? Effect.succeed(kept.verdict)
        : flights.join(authority.host, ask(authority))
    }

    return AuthorityResolver.of({
      resolve: (authority, { channel }) => {
        const at = (host: string) => Effect.fromResult(endpointsOf(authority, host, channel, region))
        if (authority.kind === "Oidc") {
          if (region !== undefined) return Effect.fail(noRegions(authority, "region"))
          return channel === "mtls" ? Effect.fail(noMtls(authority)) : documentOf(authority)
        }
        if (instances !== undefined && authority.kind === "Entra") {
          const host = instances.get(authority.host)
          return host === undefined ? Effect.fail(invalidInstance(authority, "local")) : at(host)
        }
        // With a region a host that no table knows is refused anyway: nobody needs to be asked about it.
        if (authority.cloud !== undefined || authority.kind !== "Entra" || region !== undefined || !validates) {
          return at(Authority.networkHost(authority))
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
      ? "Leave validateAuthority out: with instanceMetadata nobody is asked, and other hosts are refused."
      : `Leave ${other} out: with ${field} there is no use for it.`
  )

const invalidInstance = (authority: Authority.Authority, origin: "local" | "service"): InvalidAuthorityError =>
  invalidAuthority(
    "instance_invalid",
    "authority",
    `authority names the host ${authority.host}, which ${
      origin === "local" ? "instanceMetadata" : "instance discovery"
    } does not know`,
    "Check the authority's host name; it should be one of a Microsoft cloud or of your own installation.",
    { origin }
  )
