/** A client credential and what it is told, for the modules that make one. */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type { CredentialError, InvalidClientError } from "../../EntraError.ts"
import type { Endpoints } from "../authority/endpointLayout.ts"
import type { Authentication } from "../http/identityHttp.ts"

export interface Attempt {
  readonly clientId: string
  readonly tenantId: string
  readonly authority: string
  readonly tokenEndpoint: string
  readonly audience: string
  readonly assertion: Endpoints["assertion"]
  readonly secretMethod?: Endpoints["secretMethod"]
  readonly claims: string
  readonly clientCapabilities: ReadonlyArray<string>
  readonly sendCertificateChain: boolean | undefined
  readonly correlationId: string
  readonly acquisition?: object | undefined
}

/** The service `ClientCredential`; its docstring says what the members mean. */
export interface Credential {
  readonly channel: "standard" | "mtls"
  readonly binding: () => { readonly tokenType: string; readonly keyId: string } | undefined
  readonly revision: () => string
  readonly authenticate: (attempt: Attempt) => Effect.Effect<Authentication, CredentialError>
  readonly refused: (error: InvalidClientError, acquisition?: object) => Effect.Effect<boolean>
  readonly expiresOn?: (() => DateTime.Utc | undefined) | undefined
}
