/**
 * The world of the demo: a simulator of Microsoft Entra ID and Graph with five customers, and the page on which an
 * administrator accepts or declines. (The simulator's own page accepts at once, and no browser trusts its certificate.)
 */
import { Effect, Layer, Schema } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { CurrentSession, WithSession } from "./api.ts"
import { html } from "./html.ts"
import * as Pages from "./pages.ts"
import * as Server from "./server.ts"
import type { Account } from "./sessions.ts"
import { Sync } from "./sync.ts"

export const clientId = EntraSimulator.daemonClientId

const customer = (name: string, tenantId: string) => ({ kind: "customer", name, tenantId }) as const
export const customers = {
  contoso: customer("Contoso", EntraSimulator.contosoTenantId),
  fabrikam: customer("Fabrikam", EntraSimulator.fabrikamTenantId),
  northwind: customer("Northwind Traders", "0f2d6c5b-1e8a-4b7c-9d3e-5a4f6b7c8d90"),
  adventure: customer("Adventure Works", "1a3b5c7d-9e0f-4a2b-8c4d-6e8f0a1b2c3d"),
  tailspin: customer("Tailspin Toys", "6b8d0f2a-4c6e-4081-a3b5-c7d9e1f30425")
}

export const accounts: ReadonlyArray<Account> = [
  ...Object.values(customers),
  { kind: "operator", name: "Operator" }
]

const { adventure, contoso, northwind, tailspin } = customers

const usersOf = (domain: string, names: ReadonlyArray<string>): ReadonlyArray<EntraSimulator.User> =>
  names.map((displayName, index) => ({
    id: `${domain}-${index + 1}`,
    displayName,
    userPrincipalName: `user${index + 1}@${domain}`
  }))

const tenantOf = ({ name, tenantId }: typeof contoso, domain: string, names: ReadonlyArray<string>) => ({
  id: tenantId,
  displayName: name,
  domain,
  users: usersOf(domain, names)
})

/** Names of people, and names that are attacks on a page or a query. */
const northwindNames = [
  "Zoë Ångström",
  "Seán O’Connor",
  "Юлия Ёлкина",
  "مريم حداد",
  "<script>document.title = 'taken over'</script>",
  "\"><img src=x onerror=alert(1)>",
  "' OR 1=1 --",
  "Ana Sofía de la Concepción Hernández-Villanueva y Montesinos de los Remedios",
  "100% _real_ Smith"
]

/** The simulator with the users and consents that exist when the app starts. */
export const Simulator = SimulatorServer.layerHttps({
  tenants: [
    ...EntraSimulator.defaultOptions.tenants,
    tenantOf(northwind, "northwind.example", northwindNames),
    tenantOf(adventure, "adventure-works.example", ["Alex Archer", "Kim Abercrombie"]),
    tenantOf(tailspin, "tailspin.example", Array.from({ length: 250 }, (_, index) => `Toy Maker ${index + 1}`))
  ],
  apps: [{
    clientId,
    roles: { [EntraSimulator.graphResource]: ["User.Read.All"] },
    tenants: [contoso.tenantId, adventure.tenantId, tailspin.tenantId],
    consents: [contoso.tenantId, tailspin.tenantId]
  }]
})

/** A client of the app at the simulator, with a certificate that is registered there. */
export const Client = Layer.unwrap(Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  const certificate = yield* TestCertificate.make({ commonName: "user-sync" })
  yield* simulator.addCertificate(clientId, certificate.certificate)
  return ConfidentialClient.layerDefault({
    clientId,
    authority: simulator.origin,
    allowedTenants: Object.values(customers).map(({ tenantId }) => tenantId)
  }).pipe(Layer.provide(ClientCredential.layerCertificate(certificate)))
}))

/** The options of the app at the simulator. */
export const options = Effect.map(EntraSimulator.EntraSimulator, ({ origin }) => ({
  clientId,
  authorityHost: origin,
  graph: origin,
  accounts,
  consentLink: (link: string) => `/demo/consent?${new URLSearchParams({ link })}`
}))

/** Tenants that were connected before: one is up to date, one has withdrawn its consent, one is throttled at first. */
export const seed = Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  const sync = yield* Sync
  yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "20 seconds" }), {
    endpoint: "graph",
    tenant: tailspin.tenantId
  })
  for (const { name, tenantId } of [contoso, adventure, tailspin]) yield* sync.connect({ tenantId, customer: name })
})

// -----------------------------------------------------------------------------
// the consent page
// -----------------------------------------------------------------------------

const Page = Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html; charset=utf-8" }))

class Consent extends HttpApiGroup.make("consent")
  .add(
    HttpApiEndpoint.get("ask", "/demo/consent", { query: { link: Schema.String }, success: Page }),
    HttpApiEndpoint.post("answer", "/demo/consent", {
      payload: Schema.Struct({
        csrf: Schema.String,
        link: Schema.String,
        answer: Schema.Literals(["accept", "decline"])
      }).pipe(HttpApiSchema.asFormUrlEncoded()),
      success: Page
    })
  )
  .middleware(WithSession)
{}

class DemoApi extends HttpApi.make("user-sync-demo").add(Consent) {}

const declined = EntraSimulator.Fault.refused({
  code: 65004,
  error: "access_denied",
  text: "The administrator declined to consent to the app."
})

/** The page of the administrator, in front of the simulator's. */
export const ConsentPage = HttpApiBuilder.layer(DemoApi).pipe(Layer.provide(HttpApiBuilder.group(
  DemoApi,
  "consent",
  Effect.fnUntraced(function*(handlers) {
    const simulator = yield* EntraSimulator.EntraSimulator
    const http = yield* HttpClient.HttpClient
    const isOurs = (link: string) => URL.canParse(link) && new URL(link).origin === simulator.origin
    return handlers.handleAll({
      ask: ({ query: { link } }) =>
        Effect.map(CurrentSession, (session) => {
          const fields = (answer: string) =>
            html`<input type="hidden" name="link" value="${link}"><input type="hidden" name="answer" value="${answer}">`
          return Server.page(Pages.layout(
            { title: "Permission requested", session },
            html`
            <p class="note">This page of the simulator stands for the page of Microsoft.</p>
            <p>You are an administrator of ${
              session.account?.name ?? "an organization"
            }. The app <strong>User sync</strong>
              would like to:</p>
            <ul><li>Read all users’ full profiles (User.Read.All)</li></ul>
            <div class="actions">
              ${Pages.button(session, "/demo/consent", "Accept", fields("accept"))}
              ${Pages.button(session, "/demo/consent", "Decline", fields("decline"))}
            </div>`
          ))
        }),
      answer: ({ payload }) =>
        Effect.flatMap(CurrentSession, (session) =>
          Server.ifOwnForm(
            session,
            payload,
            Effect.gen(function*() {
              if (!isOurs(payload.link)) return HttpServerResponse.empty({ status: 400 })
              const tenant = new URL(payload.link).pathname.split("/")[1]
              if (payload.answer === "decline") yield* simulator.fail(declined, { endpoint: "consent", tenant })
              const { headers } = yield* Effect.orDie(http.get(payload.link))
              return Server.see(headers["location"] ?? "/")
            })
          ))
    })
  })
)))
