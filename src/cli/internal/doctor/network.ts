/** The findings about the connection to the authority: proxy, name, connection, TLS and clock. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import type { NetworkError } from "../../../EntraError.ts"
import { isLoopback, quote } from "../../../internal/shared/text.ts"
import { type Address, addressesOf, certificatesIn, type Connection, type Peer, untrustedPeer } from "./connection.ts"
import { fail, type Finding, ok, type Step, warn } from "./finding.ts"

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
    findings.push(ok("connect", `Connected to ${words(connection.proxy ?? target)}`))
    if (failed !== undefined) return [...findings, yield* tlsFailure(target, connection, failed)]
    findings.push(tlsFinding(connection.tls, target, connection.receivedAt))
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

const words = ({ hostname, port }: Address): string => `${isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${port}`

const connectFailure = (address: Address, { reason }: Failed): Finding =>
  fail(
    "connect",
    `No connection to ${words(address)} (${reason})`,
    reason === "ECONNREFUSED"
      ? `Check that ${words(address)} is the right host and port (AZURE_AUTHORITY_HOST), and that it runs.`
      : `Let this machine reach ${words(address)} through the firewall. If the network has a proxy, set HTTPS_PROXY.`,
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
    const through = proxy === undefined ? "The proxy" : `The proxy ${words(proxy)}`
    const isSimulator = failed.reason === "PROXY_ECONNREFUSED" && proxy !== undefined &&
      isLoopback(isIP(proxy.hostname) === 6 ? `[${proxy.hostname}]` : proxy.hostname) &&
      (yield* isSet("NODE_USE_ENV_PROXY"))
    return fail(
      "proxy",
      `${through} does not connect to ${words(target)} (${failed.reason})`,
      isSimulator ? `${failed.remedy} ${simulatorRemedy}` : failed.remedy,
      { code: failed.reason }
    )
  }
  if (proxy !== undefined) {
    return ok(
      "proxy",
      `Requests go through ${words(proxy)}. A program with FetchHttpClient needs NODE_USE_ENV_PROXY=1 for this`
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

// -----------------------------------------------------------------------------
// TLS
// -----------------------------------------------------------------------------

const tlsFinding = (
  tls: Connection["tls"],
  { hostname }: Address,
  now: number
): Finding => {
  const peer = tls?.peer
  if (tls === undefined || peer === undefined) {
    return ok("tls", "The certificate is trusted. This runtime does not show it")
  }
  const detail = `${tls.protocol}. ${peerWords(hostname, peer)}`
  // Servers renew certificates long before the last tenth of their lifetime, which is a year, 90 days or six days.
  return peer.validTo - now < (peer.validTo - peer.validFrom) / 10
    ? warn("tls", detail, `Ask the operator of ${hostname} to renew the certificate. The renewal is overdue.`)
    : ok("tls", detail)
}

const tlsFailure = Effect.fnUntraced(function*(
  target: Address,
  { proxy }: Connection,
  { reason, remedy }: Failed
) {
  const peer = yield* untrustedPeer(target, proxy)
  const extra = yield* extraAuthorities
  const detail = [
    `The TLS handshake with ${words(target)} failed (${reason})`,
    ...(peer === undefined ? [] : [peerWords(target.hostname, peer)]),
    ...(extra === undefined ? [] : [extra])
  ].join(". ")
  return fail(
    "tls",
    detail,
    /ERR_SSL|EPROTO/.test(reason)
      ? `Check that ${words(target)} serves https, and that no other program answers there.`
      : remedy,
    { code: reason }
  )
})

/** Returns a sentence about the file of `NODE_EXTRA_CA_CERTS`, whose absence Node does not treat as an error. */
const extraAuthorities = Effect.gen(function*() {
  const path = Option.getOrUndefined(
    Option.flatten(yield* Effect.option(Config.option(Config.String("NODE_EXTRA_CA_CERTS"))))
  )
  if (path === undefined || path === "") return undefined
  const content = yield* Effect.option(Effect.try(() => readFileSync(path, "utf8")))
  if (Option.isNone(content)) return `NODE_EXTRA_CA_CERTS names ${quote(path)}, which cannot be read`
  const subjects = certificatesIn(content.value)
  return subjects.length === 0
    ? `NODE_EXTRA_CA_CERTS names ${quote(path)}, which has no certificate in PEM`
    : `The certificates of NODE_EXTRA_CA_CERTS are those of ${subjects.join("; ")}`
})

const peerWords = (hostname: string, { issuer, subject, validTo }: Peer): string =>
  `The certificate of ${hostname} (${subject}) was issued by ${issuer}, and expires at ${
    new Date(validTo).toISOString()
  }`

// -----------------------------------------------------------------------------
// clock
// -----------------------------------------------------------------------------

/** The milliseconds of difference that Entra accepts for the times of an assertion. */
const toleratedSkew = 300_000
const noticedSkew = 60_000

/** Compares this machine's clock with the `Date` of a response, which has whole seconds. Times are in milliseconds. */
export const clockFinding = ({ date, receivedAt, sentAt, signsAssertions }: {
  readonly date: string | undefined
  readonly sentAt: number
  readonly receivedAt: number
  /** Whether the credential makes assertions, which the service compares with its own clock. */
  readonly signsAssertions: boolean
}): Finding => {
  const server = date === undefined ? NaN : Date.parse(date)
  if (Number.isNaN(server)) {
    return warn(
      "clock",
      "The clock was not compared, because the response has no Date",
      "Compare the clock of this machine with another one: date -u."
    )
  }
  const skew = (sentAt + receivedAt) / 2 - server
  const size = Math.abs(skew)
  const detail = `This machine's clock is ${Math.round(size / 1000)} s ${
    skew < 0 ? "behind" : "ahead of"
  } the service's`
  const remedy = "Set the clock of this machine, and keep it right with NTP (timedatectl set-ntp true, w32tm /resync)."
  if (size >= toleratedSkew && signsAssertions) {
    return fail("clock", `${detail}, so the service refuses assertions`, remedy)
  }
  return size >= noticedSkew ? warn("clock", detail, remedy) : ok("clock", detail)
}
