/** The interface of a client credential, and the data about a token request that it gets. */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type { CredentialError, InvalidClientError } from "../../EntraError.ts"
import type { Endpoints } from "../authority/endpointLayout.ts"
import type { Fields } from "../http/fields.ts"
import type { Transport } from "../http/identityHttp.ts"

/** One acquisition: its client, its token and its correlation id. It is assembled once, when a flight starts. */
export interface Acquisition {
  readonly clientId: string
  readonly tenantId: string
  readonly scope: string
  readonly authority: string
  readonly claims: string
  readonly clientCapabilities: ReadonlyArray<string>
  readonly sendCertificateChain: boolean | undefined
  readonly correlationId: string
}

/** One request of an acquisition, to one token endpoint. */
export interface Attempt extends Acquisition {
  readonly tokenEndpoint: string
  readonly audience: string
  readonly assertion: Endpoints["assertion"]
  readonly secretMethod?: Endpoints["secretMethod"]
}

/** The parameters, headers and transport that a credential adds to a request. */
export interface Authentication {
  readonly form: Fields
  readonly headers?: Fields | undefined
  readonly client?: Transport | undefined
}

/** The client authentication of one acquisition (RFC 6749 section 2.3). */
export interface ClientAuthentication {
  readonly revision: () => string
  readonly authenticate: (attempt: Attempt) => Effect.Effect<Authentication, CredentialError>
  readonly refused: (error: InvalidClientError) => Effect.Effect<boolean>
}

/** The service `ClientCredential`; its docstring explains the members. */
export interface Credential {
  readonly channel: "standard" | "mtls"
  readonly binding: () => { readonly tokenType: string; readonly keyId: string } | undefined
  readonly begin: (acquisition: Acquisition) => ClientAuthentication
  readonly expiresOn?: (() => DateTime.Utc | undefined) | undefined
}
