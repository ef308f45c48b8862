/** Types of the parts that `oidcProvider.ts` uses of a package without types. */
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http"
  import type { JWK } from "jose"

  /** Koa's context; `oidc` is there once a route has matched. */
  export interface Context {
    readonly req: IncomingMessage
    readonly path: string
    readonly oidc: {
      readonly body: unknown
      readonly params: { readonly scope?: string | undefined }
    }
    status: number
  }

  export interface Client {
    readonly client_id: string
    readonly client_secret?: string
    readonly token_endpoint_auth_method: string
    readonly token_endpoint_auth_signing_alg?: string
    readonly jwks?: { readonly keys: ReadonlyArray<JWK> }
    readonly grant_types: ReadonlyArray<string>
    readonly redirect_uris: ReadonlyArray<string>
    readonly response_types: ReadonlyArray<string>
  }

  export interface ResourceServer {
    readonly audience: string
    readonly scope: string
    readonly accessTokenFormat: "jwt" | "opaque"
    readonly jwt: { readonly sign: { readonly alg: string } }
  }

  export interface Configuration {
    readonly adapter: (model: string) => object
    readonly clients: ReadonlyArray<Client>
    readonly clientAuthMethods: ReadonlyArray<string>
    readonly clockTolerance: number
    readonly cookies: { readonly keys: ReadonlyArray<string> }
    readonly enabledJWA: { readonly clientAuthSigningAlgValues: ReadonlyArray<string> }
    readonly features: {
      readonly clientCredentials: { readonly enabled: boolean }
      readonly devInteractions: { readonly enabled: boolean }
      readonly resourceIndicators: {
        readonly enabled: boolean
        readonly defaultResource: (context: Context) => string | undefined
        readonly getResourceServerInfo: (context: Context, resource: string) => ResourceServer
      }
    }
    readonly jwks: { readonly keys: ReadonlyArray<JWK> }
    readonly routes: { readonly token: string; readonly jwks: string }
    readonly ttl: { readonly ClientCredentials: number }
  }

  export class Provider {
    constructor(issuer: string, configuration: Configuration)
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
    use(middleware: (context: Context, next: () => Promise<void>) => Promise<void>): this
    on(
      event: "grant.error" | "server_error",
      listener: (context: Context, error: Error & { readonly error_detail?: string }) => void
    ): this
  }

  export const errors: { readonly InvalidTarget: new() => Error }
}

declare module "oidc-provider/lib/adapters/memory_adapter.js" {
  export const createMemoryAdapter: (clockTolerance: number) => (model: string) => object
}
