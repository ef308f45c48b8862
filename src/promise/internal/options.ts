/** Checks the options of a client, and creates its layers. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as AuthorityResolver from "../../AuthorityResolver.ts"
import * as ClientCredential from "../../ClientCredential.ts"
import * as ConfidentialClient from "../../ConfidentialClient.ts"
import type { ConfigurationError, InvalidRequestError } from "../../EntraError.ts"
import { parseRegion } from "../../internal/authority/endpointLayout.ts"
import { secretsOf } from "../../internal/credential/secret.ts"
import { type OriginLookup, readOriginTable } from "../../internal/http/originTable.ts"
import { clientSettingsOf } from "../../internal/request/clientOptions.ts"
import { type ClientSettings, planOf } from "../../internal/request/requestPlan.ts"
import { credentialError, invalidRequest, notA } from "../../internal/shared/errors.ts"
import { quote } from "../../internal/shared/text.ts"
import { boundOf, membersWithin, timeoutOf, unknownMember } from "../../internal/shared/validate.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import * as TokenCache from "../../TokenCache.ts"
import * as TokenEndpoint from "../../TokenEndpoint.ts"
import type { Certificate, ClientOptions, Loaded, LogEntry } from "../ClientOptions.ts"

/** The parts of a client. */
export interface Parts {
  readonly layer: Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError>
  readonly lookUp: OriginLookup
  readonly send: typeof globalThis.fetch
}

/** Returns the parts, or the first problem of the options. */
export const partsOf = (options: ClientOptions): Result.Result<Parts, ConfigurationError> =>
  Result.gen(function*() {
    if (typeof options !== "object" || options === null) return yield* Result.fail(notA("an object", "options"))
    const unknown = unknownMember("options", options, optionNames)
    if (unknown !== undefined) return yield* Result.fail(unknown)
    const {
      assertion,
      attemptTimeout,
      budget,
      cache = {},
      certificate,
      log,
      origins,
      region,
      retry,
      secret,
      ...client
    } = options
    const clientSettings = yield* clientSettingsOf(client)
    const lookUp = origins === undefined ? (): undefined => undefined : yield* lookUpOf(origins, clientSettings)
    const { maxBytes, maxEntries } = yield* membersWithin("cache", cache, cacheNames)
    if (maxBytes !== undefined) yield* boundOf("cache.maxBytes", maxBytes)
    if (maxEntries !== undefined) yield* boundOf("cache.maxEntries", maxEntries)
    if (region !== undefined) yield* parseRegion(region)
    const endpoint = {
      retry: yield* retryOf(retry),
      ...(attemptTimeout === undefined ? {} : { attemptTimeout: yield* timeoutOf("attemptTimeout", attemptTimeout) }),
      ...(budget === undefined ? {} : { budget: yield* timeoutOf("budget", budget) })
    }
    if (log !== undefined && typeof log !== "function") return yield* Result.fail(notA("a function", "log"))
    if (client.fetch !== undefined && typeof client.fetch !== "function") {
      return yield* Result.fail(notA("a function", "fetch"))
    }
    const credential = yield* credentialOf({ assertion, certificate, secret })
    const { fetch: send = currentFetch, ...settings } = client
    const layer = ConfidentialClient.layer(settings).pipe(
      Layer.provide([
        Layer.effect(ClientCredential.ClientCredential, credential),
        AuthorityResolver.layerWith({ region }),
        TokenEndpoint.layerWith(endpoint),
        TokenCache.layerMemory(cache)
      ]),
      Layer.provide(FetchHttpClient.layer),
      // The transport reads `fetch` from the fiber of the request.
      Layer.provideMerge(Layer.succeed(FetchHttpClient.Fetch, send))
    )
    return {
      lookUp,
      send,
      layer: log === undefined ? layer : Layer.provideMerge(layer, Logger.layer([loggerOf(log)]))
    }
  })

const optionNames = {
  clientId: true,
  tenantId: true,
  authority: true,
  issuer: true,
  allowedTenants: true,
  clientCapabilities: true,
  region: true,
  secret: true,
  certificate: true,
  assertion: true,
  origins: true,
  retry: true,
  attemptTimeout: true,
  budget: true,
  cache: true,
  onThrottled: true,
  fetch: true,
  log: true
} satisfies Record<keyof ClientOptions, true>

const cacheNames = { maxEntries: true, maxBytes: true } satisfies Record<keyof Given<"cache">, true>

const retryNames = { times: true, base: true, cap: true } satisfies Record<keyof Given<"retry">, true>

const certificateNames = {
  certificate: true,
  privateKey: true,
  sendCertificateChain: true
} satisfies Record<keyof Certificate, true>

type Given<K extends keyof ClientOptions> = Exclude<ClientOptions[K], undefined>

/** Returns the lookup of a table whose requests can succeed. The tenants that are allowed may change later. */
const lookUpOf = (
  origins: Given<"origins">,
  settings: ClientSettings
): Result.Result<OriginLookup, InvalidRequestError> =>
  Result.gen(function*() {
    const lookUp = yield* readOriginTable(origins)
    for (const origin of Object.keys(origins)) {
      const request = lookUp(origin)
      const plan = request === undefined ? undefined : planOf(request, { ...settings, allows: undefined })
      if (plan !== undefined && Result.isFailure(plan)) {
        const { message, remedy } = plan.failure
        return yield* Result.fail(
          invalidRequest("field_malformed", "origins", `origins has ${quote(origin)}, but ${message}`, remedy)
        )
      }
    }
    return lookUp
  })

/** Calls the global `fetch` of the moment, because programs and their tests replace it. */
const currentFetch: typeof globalThis.fetch = (...parameters) =>
  // oxlint-disable-next-line no-restricted-globals -- users of this module expect it
  globalThis.fetch(...parameters)

/** Returns the policy of further attempts, with full jitter. */
const retryOf = (retry: ClientOptions["retry"] = {}): Result.Result<RetryPolicy.RetryPolicy, ConfigurationError> =>
  Result.gen(function*() {
    const { base = 250, cap = 4000, times = 3 } = yield* membersWithin("retry", retry, retryNames)
    if (!Number.isSafeInteger(times) || times < 0) {
      return yield* Result.fail(notA("a whole number from 0 on", "retry.times"))
    }
    return RetryPolicy.exponential({
      times,
      base: yield* timeoutOf("retry.base", base),
      cap: yield* timeoutOf("retry.cap", cap)
    })
  })

// -----------------------------------------------------------------------------
// the credential
// -----------------------------------------------------------------------------

type Credential = Effect.Effect<ClientCredential.ClientCredential["Service"], ConfigurationError>

/** Returns the only credential. Secrets are redacted here, before they are passed on. */
const credentialOf = (
  { assertion, certificate, secret }: Pick<ClientOptions, "secret" | "certificate" | "assertion">
): Result.Result<Credential, ConfigurationError> => {
  const names = Object.entries({ secret, certificate, assertion }).flatMap(([name, value]) =>
    value === undefined ? [] : [name]
  )
  if (names.length > 1) {
    return Result.fail(
      invalidRequest(
        "field_malformed",
        names.join(", "),
        `${names.join(" and ")} are set, but a client has one credential`,
        "Pass one of them. For a rotation pass a function, which returns the current value."
      )
    )
  }
  if (secret !== undefined) {
    return typeof secret === "function"
      ? Result.succeed(ClientCredential.secret(Effect.map(loading(secret), hide)))
      : typeof secret === "string"
      ? Result.map(secretsOf([hide(secret)]), (secrets) => ClientCredential.secret(secrets))
      : Result.fail(notA("a string, or a function that returns a string", "secret"))
  }
  if (certificate !== undefined) {
    return typeof certificate === "function"
      ? Result.succeed(ClientCredential.certificate(Effect.map(loading(certificate), hideKey)))
      : typeof certificate === "object" && certificate !== null
      ? Result.map(
        membersWithin("certificate", certificate, certificateNames),
        (known) => ClientCredential.certificate(hideKey(known))
      )
      : Result.fail(notA("an object with certificate and privateKey, or a function that returns one", "certificate"))
  }
  if (assertion === undefined) return Result.fail(noCredential())
  return typeof assertion === "function"
    ? Result.succeed(ClientCredential.assertion((attempt) => {
      const { audience, clientId, correlationId, scope, tenantId, tokenEndpoint } = attempt
      return loading(() => assertion({ audience, clientId, correlationId, scope, tenantId, tokenEndpoint }))
    }))
    : Result.fail(notA("a function that returns a signed JWT", "assertion"))
}

const hide = (secret: string) => Redacted.make(secret, { label: "client_secret" })

/** A function in JavaScript may return anything, which is then no certificate. */
const hideKey = (certificate: Certificate) => {
  const isObject = typeof certificate === "object" && certificate !== null
  const { privateKey, ...rest } = isObject ? certificate : { certificate: "", privateKey: "" }
  return { ...rest, privateKey: Redacted.make(privateKey, { label: "private_key" }) }
}

/** Runs a function. Its failure is kept, because the error shows the class of the failure but not its message. */
const loading = <A>(load: Loaded<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: async () => await load(), catch: (error) => error })

const noCredential = () =>
  credentialError(
    "credential_missing",
    "secret, certificate, assertion",
    "No credential is set: neither secret nor certificate nor assertion",
    "Pass one of them to createClient."
  )

// -----------------------------------------------------------------------------
// logs
// -----------------------------------------------------------------------------

const loggerOf = (log: (entry: LogEntry) => void) =>
  Logger.make(({ date, fiber, logLevel, message }) =>
    log({
      level: logLevel,
      message: [message].flat().map(String).join(" "),
      date,
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
  )
