/** What is said of a credential or a service that does not come to an end. */
import { CredentialError, ServiceUnavailableError } from "../EntraError.ts"

const credentialProblem = (code: string, what: string): CredentialError =>
  new CredentialError({
    code,
    field: "credential",
    origin: "local",
    message: `the credential ${what}`,
    remedy: "Look at the credential's own code: nothing was sent to the service."
  })

export const credentialTimeout = (limit: number) =>
  credentialProblem("credential_timeout", `gave no proof within ${limit} ms`)

export const credentialDefect = () => credentialProblem("credential_defect", "died, or interrupted itself")

export const tooSlow = (
  code: "timeout" | "budget_exceeded",
  endpoint: string,
  correlationId: string,
  limit: number
): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code,
    message: `${endpoint} gave no answer within ${limit} ms`,
    remedy: "Try again later; raise attemptTimeout or budget of the TokenEndpoint layer if the network is that slow.",
    origin: "service",
    correlationId
  })
