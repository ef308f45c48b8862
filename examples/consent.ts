/**
 * The callback of a multitenant app: an administrator of a customer has followed the consent link, and the browser comes
 * back with the name of a tenant. The sample runs against the simulator.
 */
import { Console, Effect, Layer, Redacted } from "effect"
import { Authority, ClientCredential, ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { decodeJwt } from "jose"

/** The session of the browser: the customer who has signed in, by a validated ID token, and the state of the link. */
interface Session {
  readonly customer: string
  /** `tid` of the ID token. */
  readonly tenantId: string
  readonly state: string
}

/** The tenants of the customers. A real app has a database. */
const tenants = new Map<string, string>()

const installed = (url: URL, session: Session) =>
  Effect.gen(function*() {
    const { claimedTenantId } = yield* Effect.fromResult(Authority.parseConsentResponse(url, { state: session.state }))
    // The tenant is a claim of the browser. It must be the tenant of the customer who has signed in.
    if (claimedTenantId !== session.tenantId) return yield* Effect.fail("This is not your tenant.")
    // A token with roles proves that the app is installed there and that an administrator has consented.
    const { accessToken } = yield* ConfidentialClient.acquireToken({
      scopes: "https://graph.microsoft.com/.default",
      tenantId: claimedTenantId
    })
    const { roles } = decodeJwt<{ readonly roles?: ReadonlyArray<string> }>(Redacted.value(accessToken))
    if (roles === undefined || roles.length === 0) return yield* Effect.fail("An administrator has not consented yet.")
    tenants.set(session.customer, claimedTenantId)
    return `${session.customer} has granted ${roles.join(", ")}`
  })

const session: Session = { customer: "Fabrikam", tenantId: EntraSimulator.fabrikamTenantId, state: crypto.randomUUID() }
const callback = (query: Readonly<Record<string, string>>) => {
  const url = new URL("https://orders.contoso.com/installed")
  for (const [name, value] of Object.entries({ admin_consent: "True", ...query })) url.searchParams.set(name, value)
  return installed(url, session).pipe(
    Effect.catch((error) => Effect.succeed(typeof error === "string" ? error : error.message)),
    Effect.flatMap(Console.log)
  )
}

const program = Effect.gen(function*() {
  const { state, tenantId: tenant } = session
  yield* callback({ tenant, state, error: "access_denied", error_description: "The administrator declined." })
  yield* callback({ tenant, state: "of another browser" })
  yield* callback({ tenant: EntraSimulator.contosoTenantId, state })
  yield* callback({ tenant, state })
  yield* Console.log(`${tenants.size} customer`)
})

const App = ConfidentialClient.layerDefault({ clientId: EntraSimulator.daemonClientId }).pipe(
  Layer.provide([ClientCredential.layerSecret(EntraSimulator.daemonSecret), EntraSimulator.layerMemory()])
)

await Effect.runPromise(Effect.provide(program, App))
