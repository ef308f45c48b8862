/**
 * From an authority to the addresses of its endpoints. Known clouds are answered from a table; any other host is asked
 * whether it belongs to a cloud (instance discovery), once.
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
import { InvalidAuthorityError, type ServiceUnavailableError } from "./EntraError.ts"
import { closedError } from "./internal/closed.ts"
import { type Endpoints, endpointsOf, parseRegion } from "./internal/endpoints.ts"
import * as IdentityHttp from "./internal/identityHttp.ts"
import * as Instance from "./internal/instanceDiscovery.ts"
import { randomId } from "./internal/randomId.ts"
import * as SingleFlight from "./internal/singleFlight.ts"

export {
  /**
   * Where a token request goes and how its assertion is to look.
   *
   * @category models
   * @since 0.1.0
   */
  type Endpoints
}

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
  ) => Effect.Effect<Endpoints, InvalidAuthorityError | ServiceUnavailableError>
}>()("effect-entra/AuthorityResolver") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Known clouds from the table, other hosts by instance discovery at the host itself.
 *
 * **Details**
 *
 * Discovery can refuse (`instance_invalid`) or name the host to use; when it cannot be had, the host is used as it is and
 * asked again after five minutes. It is asked once a host, whatever the number of callers; the answers for 1,000 hosts
 * are kept.
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
 * Like {@link layer}, with a say about the HTTP client, the host that is asked, and the region.
 *
 * **Details**
 *
 * `transformClient` wraps the client (a proxy, a log); `discoveryHost` is asked about unknown hosts instead of themselves,
 * for example `login.microsoftonline.com`, which knows the hosts of Microsoft's clouds only.
 *
 * `region` is the short name of an Azure region (`westus2`): token requests go to the endpoint of that region, and to the
 * cloud's global one while that cannot be reached or answers 5xx. A name that can be none fails when the layer is built; an authority
 * that has no regions (another host, an external tenant, AD FS) fails when it is resolved. Entra admits few apps to its
 * regional endpoints, mostly Microsoft's own.
 *
 * **Example** (Asking the public cloud about unknown hosts)
 *
 * ```ts
 * import { AuthorityResolver } from "effect-entra"
 *
 * export const Strict = AuthorityResolver.layerWith({ discoveryHost: "login.microsoftonline.com" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export function layerWith(
  options?: Options & { readonly region?: undefined }
): Layer.Layer<AuthorityResolver, never, IdentityHttp.Transport>
export function layerWith(
  options: Options & { readonly region?: string | undefined }
): Layer.Layer<AuthorityResolver, InvalidAuthorityError, IdentityHttp.Transport>
export function layerWith(
  options: Options & { readonly region?: string | undefined } = {}
): Layer.Layer<AuthorityResolver, InvalidAuthorityError, IdentityHttp.Transport> {
  const region = options.region === undefined ? Result.succeed(undefined) : parseRegion(options.region)
  return Layer.effect(
    AuthorityResolver,
    Effect.flatMap(Effect.fromResult(region), (region) => makeDiscovering({ ...options, region }))
  )
}

/**
 * Only known clouds and the layout that all share: no discovery call, whatever the host.
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
}): Layer.Layer<AuthorityResolver> =>
  Layer.succeed(AuthorityResolver, {
    resolve: () =>
      Effect.succeed({
        token: endpoints.token,
        audience: endpoints.audience ?? endpoints.token,
        assertion: { thumbprint: "x5t#S256", rsa: "PS256" }
      })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Hosts whose answer is kept, and how long one that could not be asked is left alone (milliseconds). */
const keptHosts = 1000
const retryUnknown = 300_000

interface Known {
  readonly verdict: Instance.Verdict
  readonly until: number
}

interface Options {
  readonly transformClient?: ((client: IdentityHttp.Transport) => IdentityHttp.Transport) | undefined
  readonly discoveryHost?: string | undefined
}

const makeDiscovering = (
  options: Options & { readonly region: string | undefined }
): Effect.Effect<AuthorityResolver["Service"], never, IdentityHttp.Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const http = yield* IdentityHttp.make(options)
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const known = new Map<string, Known>()
    const flights = yield* SingleFlight.make<Instance.Verdict, ServiceUnavailableError>({
      closed: () => closedError("the authority resolver")
    })

    const ask = (authority: Authority.Authority): Effect.Effect<Instance.Verdict> =>
      http.send(Instance.question(authority, options.discoveryHost ?? authority.host, newId())).pipe(
        Effect.timeout("10 seconds"),
        Effect.map((answer) => Instance.readVerdict(authority, answer)),
        Effect.catch(() => Effect.succeed(Instance.unknown)),
        Effect.tap((verdict) =>
          Effect.sync(() => {
            const now = clock.currentTimeMillisUnsafe()
            if (known.size >= keptHosts) known.delete(known.keys().next().value ?? "")
            known.set(authority.host, { verdict, until: verdict._tag === "Unknown" ? now + retryUnknown : Infinity })
          })
        )
      )

    const verdictOn = (authority: Authority.Authority) => {
      const kept = known.get(authority.host)
      return kept !== undefined && clock.currentTimeMillisUnsafe() < kept.until
        ? Effect.succeed(kept.verdict)
        : flights.join(authority.host, ask(authority))
    }

    return AuthorityResolver.of({
      resolve: (authority, { channel }) => {
        const { region } = options
        // With a region a host that no table knows is refused anyway: nobody needs to be asked about it.
        if (authority.cloud !== undefined || authority.kind !== "Entra" || region !== undefined) {
          return Effect.fromResult(endpointsOf(authority, Authority.networkHost(authority), channel, region))
        }
        return Effect.flatMap(verdictOn(authority), (verdict) =>
          Effect.fromResult(
            verdict._tag === "Invalid"
              ? Result.fail(invalidInstance(authority))
              : endpointsOf(authority, verdict._tag === "Valid" ? verdict.host : authority.host, channel)
          ))
      }
    })
  })

const invalidInstance = (authority: Authority.Authority): InvalidAuthorityError =>
  new InvalidAuthorityError({
    code: "instance_invalid",
    field: "authority",
    origin: "service",
    message: `authority names the host ${authority.host}, which instance discovery does not know`,
    remedy: "Check the authority's host name; it should be one of a Microsoft cloud or of your own installation."
  })
