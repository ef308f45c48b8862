/** What those who wait hear when the layer they wait on is closed. */
import { ServiceUnavailableError } from "../EntraError.ts"

export const closedError = (what: string): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code: "client_closed",
    message: `${what} was closed before an answer came`,
    remedy: "Keep the layer open for as long as the program runs: build it at the edge, or in a ManagedRuntime.",
    origin: "local"
  })
