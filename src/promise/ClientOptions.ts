/**
 * The options of a client of `effect-entra/promise`.
 *
 * @since 0.1.0
 */

/**
 * A function that returns a value or a promise of it.
 *
 * @category models
 * @since 0.1.0
 */
export type Loaded<A> = () => A | Promise<A>

/**
 * A certificate with its private key.
 *
 * **Details**
 *
 * - `certificate`: PEM. In a chain the certificate of the app comes first.
 * - `privateKey`: unencrypted PKCS#8 in PEM: RSA with 2,048 bits or more, or EC on P-256.
 * - `sendCertificateChain`: true sends the chain, for apps that trust a subject name and issuer; default: false.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  readonly certificate: string
  readonly privateKey: string
  readonly sendCertificateChain?: boolean | undefined
}

/**
 * The context of an attempt for which a function returns an assertion. `audience` is the claim `aud` that the service
 * expects.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssertionContext {
  readonly clientId: string
  readonly tenantId: string
  readonly scope: string
  readonly tokenEndpoint: string
  readonly audience: string
  readonly correlationId: string
}

/**
 * A line of the log, with the ids of the app, the tenant and the request as `annotations`. It contains no secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogEntry {
  readonly level: "All" | "Trace" | "Debug" | "Info" | "Warn" | "Error" | "Fatal" | "None"
  readonly message: string
  readonly date: Date
  readonly annotations: Readonly<Record<string, unknown>>
}

/**
 * Options of `createClient`. All times are milliseconds.
 *
 * **Details**
 *
 * The app and its tenant:
 * - `clientId`: the application (client) id.
 * - `tenantId`: the tenant of requests without a tenant; default: the tenant of `authority`.
 * - `authority`: a URL or the name of a cloud (`"public"`, `"usGovernment"`, `"china"`); default: the public cloud.
 * - `issuer`: instead of `authority` and `tenantId`, the issuer URL of an OpenID provider.
 * - `allowedTenants`: the tenants that requests may name; default: every tenant.
 * - `clientCapabilities`: the capabilities of the app, such as `["cp1"]`; default: none.
 * - `region`: the short name of an Azure region; default: the global endpoint.
 *
 * One credential:
 * - `secret`: the secret, or a function that loads it. The function runs at the first token request, and again when the
 *   service has refused the secret.
 * - `certificate`: the certificate with its key, or a function that loads both. The function runs when a function for
 *   `secret` would.
 * - `assertion`: a function that returns a signed JWT for each attempt, such as the token of a platform.
 *
 * Requests:
 * - `origins`: the scopes for `fetch`: a record whose keys are origins, or patterns such as
 *   `https://*.vault.azure.net`, and whose values are scopes or `{ scopes, tenantId }`; default: none. The rules are
 *   those of `BearerHttpClient.OriginTable`.
 * - `retry`: the further attempts after an outage: `times` (default: 3), with random delays up to `base` (default: 250),
 *   doubling up to `cap` (default: 4,000). `times: 0` means one attempt.
 * - `attemptTimeout`: the limit of one attempt; default: 10,000. `budget`: the limit of all attempts; default: 30,000.
 * - `cache`: the bounds of the cache; default: 50,000 tokens and 128 MiB.
 * - `onThrottled`: `"wait"` waits while the service throttles; default: `"fail"`.
 * - `fetch`: sends all requests; default: `globalThis.fetch`. A request with a token is a `Request` of the global class,
 *   which another implementation may not accept: before you pass the `fetch` of the package undici, call its `install()`.
 * - `log`: a function that gets the lines of the log; default: the lines are printed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions {
  readonly clientId: string
  readonly tenantId?: string | undefined
  readonly authority?: string | URL | undefined
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
  readonly region?: string | undefined
  readonly secret?: string | Loaded<string> | undefined
  readonly certificate?: Certificate | Loaded<Certificate> | undefined
  readonly assertion?: ((context: AssertionContext) => string | Promise<string>) | undefined
  readonly origins?: Readonly<Record<string, string | ReadonlyArray<string> | OriginRequest>> | undefined
  readonly retry?:
    | { readonly times?: number | undefined; readonly base?: number | undefined; readonly cap?: number | undefined }
    | undefined
  readonly attemptTimeout?: number | undefined
  readonly budget?: number | undefined
  readonly cache?: { readonly maxEntries?: number | undefined; readonly maxBytes?: number | undefined } | undefined
  readonly onThrottled?: "fail" | "wait" | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
  readonly log?: ((entry: LogEntry) => void) | undefined
}

/**
 * The scopes and the tenant of an origin.
 *
 * @category models
 * @since 0.1.0
 */
export interface OriginRequest {
  readonly scopes: string | ReadonlyArray<string>
  readonly tenantId?: string | undefined
}
