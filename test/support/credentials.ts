/** Acquisitions and attempts for tests that use a credential without a client. */
import { Effect } from "effect"
import type { ClientCredential, EntraError } from "effect-entra"

type Credential = ClientCredential.ClientCredential["Service"]

export const acquisition: ClientCredential.Acquisition = {
  clientId: "c",
  tenantId: "t",
  scope: "api://orders/.default",
  authority: "https://h/t",
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId: "1"
}

export const attempt: ClientCredential.Attempt = {
  ...acquisition,
  tokenEndpoint: "https://h/token",
  audience: "https://h/token",
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  secretMethod: undefined
}

/** The authentication of one acquisition for each correlation id; `revision` is that of an acquisition that begins now. */
export const sessions = (credential: Credential) => {
  const begun = new Map<string, ClientCredential.ClientAuthentication>()
  const session = (correlationId: string): ClientCredential.ClientAuthentication => {
    const known = begun.get(correlationId) ?? credential.begin({ ...acquisition, correlationId })
    begun.set(correlationId, known)
    return known
  }
  return {
    revision: () => credential.begin(acquisition).revision(),
    authenticate: (attempt: ClientCredential.Attempt) =>
      Effect.suspend(() => session(attempt.correlationId).authenticate(attempt)),
    refused: (error: EntraError.InvalidClientError) =>
      Effect.suspend(() => session(error.correlationId ?? "").refused(error))
  }
}

/** The credential with other members of its authentication. */
export const wrapped = (
  base: Credential,
  change: (
    authentication: ClientCredential.ClientAuthentication
  ) => Partial<ClientCredential.ClientAuthentication>
): Credential => ({
  ...base,
  begin: (acquisition) => {
    const authentication = base.begin(acquisition)
    return { ...authentication, ...change(authentication) }
  }
})

/** One attempt in an acquisition of its own. */
export const authenticate = (credential: Credential, attempt: ClientCredential.Attempt) =>
  Effect.suspend(() => credential.begin(attempt).authenticate(attempt))

/** The revision of an acquisition that begins now. */
export const revisionOf = (credential: Credential): string => credential.begin(acquisition).revision()
