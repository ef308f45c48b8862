/**
 * What the AADSTS numbers mean for this flow. Entra advises programs to rely on `error`; the numbers refine it, and an
 * unknown number falls back to it.
 */
export interface Meaning {
  readonly kind: "authority" | "client" | "throttled" | "unavailable" | "refused"
  readonly code: string
  readonly remedy: string
}

/** A remedy, and the place in the page that ships with the package where it is explained. */
const meaning = (kind: Meaning["kind"]) => (code: string, remedy: string, anchor?: string): Meaning => ({
  kind,
  code,
  remedy: anchor === undefined ? remedy : `${remedy} See docs/registering.md#${anchor} of effect-entra.`
})

const client = meaning("client")
const authority = meaning("authority")
const refused = meaning("refused")

const unknownClient = client(
  "client_unknown",
  "Check the client id, and that an administrator of this tenant has installed the app there (admin consent).",
  "aadsts700016"
)
const wrongAssertion = client(
  "assertion_refused",
  "Register this certificate (or federated credential) with the app, or send the one that is registered.",
  "aadsts700027"
)
const noFederation = client(
  "assertion_refused",
  "Compare the assertion's iss, sub and aud with the federated credentials of the app, letter by letter.",
  "a-federated-credential"
)
const tenantUnknown = authority(
  "tenant_unknown",
  "Check the tenant id or domain name, and that the authority is the cloud in which the tenant lives.",
  "aadsts90002"
)
const notTenanted = authority("tenant_not_tenanted", "Name the tenant: its id or domain name as tenantId.")
const noConsent = refused(
  "consent_missing",
  "An administrator of the tenant must grant the app its permissions.",
  "aadsts65001"
)
const unknownResource = refused(
  "resource_unknown",
  "Check the resource in the scope, and that it is installed in this tenant and in this cloud.",
  "aadsts500011"
)
const blocked = refused(
  "blocked_by_policy",
  "A conditional access policy for workload identities blocks this app: ask an administrator.",
  "aadsts53003"
)
const regionRefused = refused(
  "region_refused",
  "Leave the region out (AZURE_REGIONAL_AUTHORITY_NAME, option region): regional endpoints serve only some callers.",
  "aadsts100007"
)
const throttled: Meaning = {
  kind: "throttled",
  code: "throttled",
  remedy: "Build one client and keep it, so that its cache answers; until retryAfter has passed nothing is sent."
}
const transient: Meaning = { kind: "unavailable", code: "service_unavailable", remedy: "Try again later." }

const meanings: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [
    7000215,
    client(
      "secret_wrong",
      "Pass the secret's value, not its id; the portal shows the value only once, when it is made.",
      "aadsts7000215"
    )
  ],
  [
    7000222,
    client(
      "secret_expired",
      "Make a new secret or, better, register a certificate, and configure it.",
      "aadsts7000222"
    )
  ],
  [7000218, client("client_refused", "Send a secret or an assertion: the app is registered as a confidential client.")],
  [
    7000112,
    client(
      "client_disabled",
      "The app is disabled in this tenant: ask an administrator to enable it.",
      "aadsts7000112"
    )
  ],
  [700016, unknownClient],
  [700038, unknownClient],
  [700011, unknownClient],
  [
    7000229,
    client(
      "service_principal_missing",
      "The app is registered but not installed in this tenant: create its service principal there.",
      "aadsts7000229"
    )
  ],
  [
    700024,
    client(
      "assertion_time",
      "Check this machine's clock, or renew the platform's token: the assertion was outside its time range.",
      "aadsts700024"
    )
  ],
  [700027, wrongAssertion],
  [7000214, wrongAssertion],
  [1000502, wrongAssertion],
  [700030, wrongAssertion],
  [700021, wrongAssertion],
  [700023, wrongAssertion],
  [70021, noFederation],
  [700211, noFederation],
  [700212, noFederation],
  [700213, noFederation],
  [7002137, noFederation],
  [7002138, noFederation],
  [50012, wrongAssertion],
  [50013, wrongAssertion],
  [50027, wrongAssertion],
  [50048, wrongAssertion],
  [90002, tenantUnknown],
  [900023, tenantUnknown],
  [50059, notTenanted],
  [50194, notTenanted],
  [9001023, notTenanted],
  [50049, authority("instance_invalid", "Check the authority's host: it is none of a Microsoft cloud.")],
  [65001, noConsent],
  [
    501051,
    refused(
      "consent_missing",
      "The API demands that an app is assigned one of its roles: have an administrator do that.",
      "aadsts501051"
    )
  ],
  [650056, noConsent],
  [650057, noConsent],
  [500011, unknownResource],
  [50001, unknownResource],
  [53003, blocked],
  [530032, blocked],
  [100007, regionRefused],
  [50196, throttled],
  [90055, throttled],
  [90006, transient],
  [90012, transient],
  [90024, transient],
  [90033, transient],
  [50033, transient]
])

/** The codes for which an administrator's consent is the remedy, so that its link helps. */
export const consentHelps: ReadonlySet<string> = new Set(["consent_missing", "service_principal_missing"])

/** Asking too often, in a loop, without a cache. */
export const loopDetected = 50196

const byError: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  [
    "invalid_client",
    client("client_refused", "Check the client id and the credential, and that both belong to this tenant.")
  ],
  [
    "unauthorized_client",
    client("client_refused", "Check the client id, and that the app may use client credentials in this tenant.")
  ],
  ["invalid_tenant", tenantUnknown],
  ["invalid_instance", authority("instance_invalid", "Check the authority's host: it is none of a Microsoft cloud.")],
  ["temporarily_unavailable", transient],
  ["server_error", transient]
])

const other = refused(
  "request_refused",
  "Read the description; its AADSTS number is explained at https://login.microsoftonline.com/error."
)

/** The first number that is known decides, then `error`. */
export const meaningOf = (error: string, errorCodes: ReadonlyArray<number>): Meaning => {
  for (const code of errorCodes) {
    const meaning = meanings.get(code)
    // 700023 is said of assertions and of scopes; `error` knows which.
    if (meaning !== undefined && !(code === 700023 && error === "invalid_scope")) return meaning
  }
  return byError.get(error) ?? other
}
