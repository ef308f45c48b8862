/** The findings about the connection to the authority: proxy, name, connection, TLS and clock. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { isIP } from "node:net"
import type { NetworkError } from "../../../EntraError.ts"
import { isLoopback } from "../../../internal/shared/text.ts"
import { clockFinding } from "./clock.ts"
import { type Address, addressesOf, addressWords, type Connection } from "./connection.ts"
import { fail, type Finding, ok, skipped, type Step, warn } from "./finding.ts"
import { checksCertificates, tlsFailure, tlsFinding } from "./tls.ts"

/** Returns the findings of the steps from `proxy` to `clock`, in their order, up to the first failure. */
export const networkFindings = (
  target: Address,
  connection: Connection,
  signsAssertions: boolean
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function*() {
    const { proxy, response } = connection
    const failed = failedStep(connection)
    const route = yield* routeOf(proxy)
    const findings: Array<Finding> = []
    const proxied = yield* proxyFinding(target, route, failed)
    findings.push(proxied)
    if (proxied.status === "fail") return findings
    const named = yield* dnsFinding(target, route, connection)
    findings.push(named)
    if (named.status === "fail") return findings
    if (failed !== undefined && failed.step !== "tls") {
      return [
        ...findings,
        fail(
          "connect",
          `No connection to ${addressWords(target)} (${failed.reason})`,
          connectRemedy(target, failed.reason, route),
          { code: failed.reason }
        )
      ]
    }
    findings.push(ok("connect", `Connected to ${addressWords(proxy ?? target)}`))
    if (failed !== undefined) {
      return [...findings, yield* tlsFailure(target, proxy, failed, isLocal(target) || route.isSimulators)]
    }
    const secured = tlsFinding(connection.tls, target, connection.receivedAt, yield* checksCertificates)
    findings.push(secured)
    if (secured.status === "fail") return findings
    return [
      ...findings,
      Result.isSuccess(response)
        ? clockFinding({ ...connection, date: response.success.headers["date"], signsAssertions })
        : skipped("clock", "Not compared, because there was no response")
    ]
  })

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

interface Failed {
  readonly step: Extract<Step, "proxy" | "dns" | "connect" | "tls">
  readonly reason: string
  readonly remedy: string
}

/** Returns the step at which a request failed, or undefined if the TLS handshake succeeded. */
const failedStep = ({ proxy, response, tls }: Connection): Failed | undefined => {
  if (Result.isSuccess(response) || tls !== undefined) return undefined
  const { reason, remedy } = response.failure === "timeout" ? { reason: "TIMEOUT", remedy: "" } : response.failure
  return { step: stepOfReason(reason, proxy !== undefined), reason, remedy }
}

/**
 * Returns the step that failed with a reason of a `NetworkError` before the TLS handshake had succeeded. Through a proxy
 * this machine connects to the proxy only, so the proxy did not lead on.
 */
export const stepOfReason = (reason: NetworkError["reason"], isProxied: boolean): Failed["step"] =>
  /^PROXY_|UND_ERR_PRX/.test(reason)
    ? "proxy"
    : /^(?:ENOTFOUND|EAI_\w+|ENODATA|ESERVFAIL)$/.test(reason)
    ? "dns"
    : /CERT|UNABLE_TO|HOSTNAME_MISMATCH|ERR_SSL|ERR_TLS|EPROTO|CRL|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH/.test(reason)
    ? "tls"
    : isProxied
    ? "proxy"
    : "connect"

/** Returns the remedy for a host to which there is no direct connection. */
export const connectRemedy = (target: Address, reason: string, route: Route): string => {
  const address = addressWords(target)
  if (reason !== "ECONNREFUSED") {
    return `Let this machine reach ${address} through the firewall.${throughProxy(target, route, "reach the host")}`
  }
  const check = `Check that ${address} is the right host and port (AZURE_AUTHORITY_HOST), and that it runs.`
  return isLocal(target) ? `${check} ${stopped}` : `${check}${throughProxy(target, route, "reach the host")}`
}

/** Returns a sentence about a request that should go through a proxy. This machine is never reached through a proxy. */
const throughProxy = (target: Address, { exceptions, variables }: Route, ability: string): string =>
  isLocal(target)
    ? ""
    : variables.length > 0
    ? ` If only a proxy can ${ability}, remove ${target.hostname} from ${exceptions}.`
    : ` If only a proxy can ${ability}, set HTTPS_PROXY.`

/** For variables like those that `simulate` prints, which stay in a shell when it has stopped. */
const stopped = "If it is a simulator that has stopped, start npx effect-entra simulate again, or remove its "
  + "variables HTTPS_PROXY, NO_PROXY, NODE_USE_ENV_PROXY, NODE_EXTRA_CA_CERTS and AZURE_AUTHORITY_HOST from this shell "
  + "(unset)."

// -----------------------------------------------------------------------------
// proxy
// -----------------------------------------------------------------------------

/** The way to the authority, and the variables that decide it. */
export interface Route {
  readonly proxy: Address | undefined
  /** The names of the variables that name a proxy. The first one applies. */
  readonly variables: ReadonlyArray<string>
  /** The name of the variable with the hosts that are reached directly. */
  readonly exceptions: string
  /** Whether the proxy may be a simulator, whose variables include `NODE_USE_ENV_PROXY`. */
  readonly isSimulators: boolean
}

/** The variables of `NodeTransport`. */
const proxyVariables = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"]

const isSet = (name: string) =>
  Effect.map(
    Effect.option(Config.option(Config.Redacted(name))),
    (value) => Option.exists(Option.flatten(value), (text) => Redacted.value(text).trim() !== "")
  )

const routeOf = Effect.fnUntraced(function*(proxy: Address | undefined) {
  return {
    proxy,
    variables: yield* Effect.filter(proxyVariables, isSet),
    exceptions: (yield* isSet("no_proxy")) ? "no_proxy" : "NO_PROXY",
    isSimulators: proxy !== undefined && isLocal(proxy) && (yield* isSet("NODE_USE_ENV_PROXY"))
  } satisfies Route
})

const isLocal = ({ hostname }: Address): boolean => isLoopback(isIP(hostname) === 6 ? `[${hostname}]` : hostname)

const proxyFinding = Effect.fnUntraced(function*(target: Address, route: Route, failed: Failed | undefined) {
  const { proxy, variables } = route
  if (failed?.step === "proxy") {
    const through = proxy === undefined ? "The proxy" : `The proxy ${addressWords(proxy)}`
    return fail(
      "proxy",
      `${through} does not connect to ${addressWords(target)} (${failed.reason})`,
      proxyRemedy(target, failed, route),
      { code: failed.reason }
    )
  }
  if (proxy !== undefined) {
    return ok(
      "proxy",
      `Requests go through ${addressWords(proxy)}. A program with FetchHttpClient needs NODE_USE_ENV_PROXY=1 for this`
    )
  }
  if (variables.length > 0) {
    return ok(
      "proxy",
      `${target.hostname} is reached without ${variables.join(" or ")}, because it is this machine or in NO_PROXY`
    )
  }
  return (yield* isSet("ALL_PROXY")) || (yield* isSet("all_proxy"))
    ? warn(
      "proxy",
      "ALL_PROXY is set, but it is not read",
      "Set HTTPS_PROXY, if requests have to go through that proxy."
    )
    : ok("proxy", "No proxy is set (HTTPS_PROXY, HTTP_PROXY)")
})

/** Returns the remedy for a proxy that does not lead to the host. */
export const proxyRemedy = (
  target: Address,
  { reason, remedy }: Pick<Failed, "reason" | "remedy">,
  { isSimulators, proxy, variables: [variable = "HTTPS_PROXY"] }: Route
): string => {
  const place = proxy === undefined ? "that place" : addressWords(proxy)
  if (/^PROXY_(?:ERR_SSL_|EPROTO$)/.test(reason)) {
    return `Write http:// instead of https:// in ${variable}. The proxy does not use TLS at ${place}.`
  }
  // The second is undici's message for a response without a code of the parser.
  if (/^HPE_|does not match the HTTP/.test(reason)) {
    return `Set ${variable} to the host and the HTTP port of the proxy. ${place} does not speak HTTP. If that is a port `
      + "with TLS, write https://."
  }
  if (/^PROXY_|UND_ERR_PRX/.test(reason)) {
    return reason === "PROXY_ECONNREFUSED" && isSimulators ? `${remedy} ${stopped}` : remedy
  }
  return `Check that ${variable} names the HTTP port of a proxy, and that the proxy reaches ${
    addressWords(target)
  }. The proxy accepted the connection, but did not lead to the host.`
}

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

const dnsFinding = Effect.fnUntraced(function*(target: Address, route: Route, { remoteAddress }: Connection) {
  const { hostname } = route.proxy ?? target
  if (isIP(hostname) !== 0) return ok("dns", `${hostname} is an address`)
  if (remoteAddress !== undefined) return ok("dns", `${hostname} is ${remoteAddress}`)
  const addresses = yield* addressesOf(hostname)
  return Result.isSuccess(addresses)
    ? ok("dns", `${hostname} is ${addresses.success.join(", ")}`)
    : fail(
      "dns",
      `The name ${hostname} has no address (${addresses.failure})`,
      "Check the host for typing errors (AZURE_AUTHORITY_HOST), and the name server of this machine."
        + throughProxy(target, route, "resolve names"),
      { code: addresses.failure }
    )
})
