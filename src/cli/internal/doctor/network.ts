/** The findings about the connection to the authority: proxy, name, connection, TLS and clock. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isIP } from "node:net"
import type { NetworkError } from "../../../EntraError.ts"
import { isLoopback } from "../../../internal/shared/text.ts"
import { clockFinding } from "./clock.ts"
import { type Address, addressesOf, addressWords, type Connection } from "./connection.ts"
import { fail, type Finding, ok, type Step, warn } from "./finding.ts"
import { checksCertificates, tlsFailure, tlsFinding } from "./tls.ts"

/** Returns the findings of the steps from `proxy` to `clock`, in their order, up to the first failure. */
export const networkFindings = (
  target: Address,
  connection: Connection,
  signsAssertions: boolean
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function*() {
    const failed = failedStep(connection)
    const findings: Array<Finding> = []
    const proxied = yield* proxyFinding(target, connection, failed)
    findings.push(proxied)
    if (proxied.status === "fail") return findings
    const named = yield* dnsFinding(connection.proxy ?? target, connection)
    findings.push(named)
    if (named.status === "fail") return findings
    if (failed !== undefined && failed.step !== "tls") {
      return [...findings, connectFailure(connection.proxy ?? target, failed)]
    }
    findings.push(ok("connect", `Connected to ${addressWords(connection.proxy ?? target)}`))
    if (failed !== undefined) return [...findings, yield* tlsFailure(target, connection, failed)]
    const secured = tlsFinding(connection.tls, target, connection.receivedAt, yield* checksCertificates)
    findings.push(secured)
    if (secured.status === "fail") return findings
    const date = Result.isSuccess(connection.response) ? connection.response.success.headers["date"] : undefined
    return [...findings, clockFinding({ ...connection, date, signsAssertions })]
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
const failedStep = ({ response, tls }: Connection): Failed | undefined => {
  if (Result.isSuccess(response) || tls !== undefined) return undefined
  const { failure } = response
  return failure === "timeout"
    ? { step: "connect", reason: "TIMEOUT", remedy: "" }
    : { step: stepOfReason(failure.reason), reason: failure.reason, remedy: failure.remedy }
}

/** Returns the step that failed with a reason of a `NetworkError` before the TLS handshake had succeeded. */
export const stepOfReason = (reason: NetworkError["reason"]): Failed["step"] =>
  /^PROXY_|UND_ERR_PRX/.test(reason)
    ? "proxy"
    : /^(?:ENOTFOUND|EAI_\w+|ENODATA|ESERVFAIL)$/.test(reason)
    ? "dns"
    : /CERT|UNABLE_TO|HOSTNAME_MISMATCH|ERR_SSL|ERR_TLS|EPROTO|CRL|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH/.test(reason)
    ? "tls"
    : "connect"

const connectFailure = (address: Address, { reason }: Failed): Finding =>
  fail(
    "connect",
    `No connection to ${addressWords(address)} (${reason})`,
    reason === "ECONNREFUSED"
      ? `Check that ${addressWords(address)} is the right host and port (AZURE_AUTHORITY_HOST), and that it runs.`
      : `Let this machine reach ${
        addressWords(address)
      } through the firewall. If the network has a proxy, set HTTPS_PROXY.`,
    { code: reason }
  )

// -----------------------------------------------------------------------------
// proxy
// -----------------------------------------------------------------------------

/** The variables of `NodeTransport`. */
const proxyVariables = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"]

const isSet = (name: string) =>
  Effect.map(
    Effect.option(Config.option(Config.Redacted(name))),
    (value) => Option.isSome(Option.flatten(value))
  )

/** For variables like those that `simulate` prints, which stay in a shell when it has stopped. */
const simulatorRemedy = "If it is a simulator that has stopped, start npx effect-entra simulate again, or remove its "
  + "variables HTTPS_PROXY, NO_PROXY, NODE_USE_ENV_PROXY and NODE_EXTRA_CA_CERTS from this shell (unset)."

const proxyFinding = Effect.fnUntraced(function*(target: Address, { proxy }: Connection, failed: Failed | undefined) {
  const variables = yield* Effect.filter(proxyVariables, isSet)
  if (failed?.step === "proxy") {
    const through = proxy === undefined ? "The proxy" : `The proxy ${addressWords(proxy)}`
    const isSimulator = failed.reason === "PROXY_ECONNREFUSED" && proxy !== undefined &&
      isLoopback(isIP(proxy.hostname) === 6 ? `[${proxy.hostname}]` : proxy.hostname) &&
      (yield* isSet("NODE_USE_ENV_PROXY"))
    return fail(
      "proxy",
      `${through} does not connect to ${addressWords(target)} (${failed.reason})`,
      isSimulator ? `${failed.remedy} ${simulatorRemedy}` : failed.remedy,
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

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

const dnsFinding = Effect.fnUntraced(function*({ hostname }: Address, { remoteAddress }: Connection) {
  if (isIP(hostname) !== 0) return ok("dns", `${hostname} is an address`)
  if (remoteAddress !== undefined) return ok("dns", `${hostname} is ${remoteAddress}`)
  const addresses = yield* addressesOf(hostname)
  return Result.isSuccess(addresses)
    ? ok("dns", `${hostname} is ${addresses.success.join(", ")}`)
    : fail(
      "dns",
      `The name ${hostname} has no address (${addresses.failure})`,
      "Check the host for typing errors (AZURE_AUTHORITY_HOST), and the name server of this machine. If only a proxy can "
        + "resolve names, set HTTPS_PROXY.",
      { code: addresses.failure }
    )
})
