/**
 * Sends one request to the authority over `NodeTransport`, and observes its connections: the proxy, the addresses and the
 * certificate. The findings are therefore about the transport itself, and not about a second implementation of its rules.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { X509Certificate } from "node:crypto"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { lookup } from "node:dns/promises"
import { request } from "node:http"
import { isIP, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { connect as connectTls, TLSSocket } from "node:tls"
import type { NetworkError } from "../../../EntraError.ts"
import type { IdentityRequest, IdentityResponse } from "../../../internal/http/fields.ts"
import type { IdentityHttp } from "../../../internal/http/identityHttp.ts"

/** A host and its port. */
export interface Address {
  readonly hostname: string
  readonly port: number
}

/** The certificate of a server, in words for a finding. */
export interface Peer {
  readonly subject: string
  readonly issuer: string
  /** Milliseconds since the epoch. */
  readonly validFrom: number
  readonly validTo: number
}

/** A request and its connections. */
export interface Connection {
  readonly response: Result.Result<IdentityResponse, NetworkError | "timeout">
  /** Milliseconds since the epoch, by this machine's clock. */
  readonly sentAt: number
  readonly receivedAt: number
  /** The proxy through which the request went. */
  readonly proxy: Address | undefined
  /** The IP address of the server or of the proxy, if a connection was made. */
  readonly remoteAddress: string | undefined
  /** The protocol and the certificate, if the TLS handshake with the host has succeeded. */
  readonly tls: { readonly protocol: string; readonly peer: Peer | undefined } | undefined
}

/** The milliseconds for the request, which is more than the connect timeout of `NodeTransport`. */
const requestLimit = 6000

/** The milliseconds for a lookup of a name, and for reading a certificate. */
const lookLimit = 3000

/** Sends the request and observes its connections. */
export const observed = (http: IdentityHttp, request: IdentityRequest): Effect.Effect<Connection> =>
  Effect.scoped(Effect.gen(function*() {
    const target = addressOf(new URL(request.url))
    const isTarget = (one: Address) => one.hostname === target.hostname && one.port === target.port
    const sockets = yield* observeConnections
    const sentAt = yield* Clock.currentTimeMillis
    const response = yield* Effect.result(
      http.send(request).pipe(
        Effect.timeoutOrElse({ duration: requestLimit, orElse: () => Effect.fail("timeout" as const) })
      )
    )
    const receivedAt = yield* Clock.currentTimeMillis
    const ofTarget = sockets.connected.find(({ address, socket }) => isTarget(address) && socket instanceof TLSSocket)
    const isProxied = sockets.attempted.some(isTarget)
    const proxy = isProxied ? sockets.attempted.find((address) => !isTarget(address)) : undefined
    return {
      response,
      sentAt,
      receivedAt,
      proxy,
      remoteAddress: (proxy === undefined ? ofTarget : sockets.connected[0])?.socket.remoteAddress,
      tls: ofTarget?.socket instanceof TLSSocket
        ? { protocol: ofTarget.socket.getProtocol() ?? "TLS", peer: peerOf(ofTarget.socket.getPeerX509Certificate()) }
        : undefined
    }
  }))

/** Returns the host and the port of a URL. An IPv6 address has no brackets. */
export const addressOf = (
  { hostname, port, protocol }: { readonly hostname: string; readonly port: string; readonly protocol: string }
): Address => ({
  hostname: hostname.replace(/^\[|\]$/g, ""),
  port: port === "" ? (protocol === "http:" ? 80 : 443) : Number(port)
})

/** Returns the text of a host and its port. */
export const addressWords = ({ hostname, port }: Address): string =>
  `${isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${port}`

/** Returns the IP addresses of a name, or the code of the failure. */
export const addressesOf = (hostname: string): Effect.Effect<Result.Result<ReadonlyArray<string>, string>> =>
  Effect.tryPromise({
    try: () => lookup(hostname, { all: true }),
    catch: (cause) => Option.getOrElse(codeOf(cause), () => "UNKNOWN")
  }).pipe(
    Effect.map((addresses) => addresses.map(({ address }) => address)),
    Effect.timeoutOrElse({ duration: lookLimit, orElse: () => Effect.fail("TIMEOUT") }),
    Effect.result
  )

/**
 * Returns the certificate of a server that this process does not trust, such as that of a proxy which inspects TLS. Nothing
 * is sent to the server, and nothing that it sends is used. A proxy gets no credentials.
 */
export const untrustedPeer = (
  target: Address,
  proxy: Address | undefined
): Effect.Effect<Peer | undefined> =>
  Effect.scoped(Effect.gen(function*() {
    const tunnel = proxy === undefined ? undefined : yield* tunnelOf(target, proxy)
    const { hostname: host, port } = target
    const servername = isIP(host) === 0 ? { servername: host } : {}
    const socket = yield* opened(() =>
      connectTls({
        ...(tunnel === undefined ? { host, port } : { socket: tunnel }),
        ...servername,
        rejectUnauthorized: false
      })
    )
    yield* Effect.callback<void, void>((resume) => {
      socket.once("secureConnect", () => resume(Effect.void)).once("error", () => resume(Effect.fail(undefined)))
    })
    return peerOf(socket.getPeerX509Certificate())
  })).pipe(
    Effect.timeout(lookLimit),
    Effect.catch(() => Effect.undefined)
  )

/** Opens a tunnel through a proxy. */
const tunnelOf = (target: Address, proxy: Address): Effect.Effect<Duplex, void, Scope.Scope> =>
  Effect.flatMap(
    Effect.callback<Duplex, void>((resume) => {
      const asked = request({ host: proxy.hostname, port: proxy.port, method: "CONNECT", path: addressWords(target) })
        .once("connect", ({ statusCode }, socket) => {
          socket.on("error", () => {})
          resume(statusCode === 200 ? Effect.succeed(socket) : Effect.fail(undefined))
        })
        .once("error", () => resume(Effect.fail(undefined)))
        .end()
      return Effect.sync(() => asked.destroy())
    }),
    (socket) => opened(() => socket)
  )

/** Opens a socket that is destroyed with the scope. */
const opened = <S extends Duplex>(open: () => S): Effect.Effect<S, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(open), (socket) => Effect.sync(() => socket.on("error", () => {}).destroy()))

// -----------------------------------------------------------------------------
// observation
// -----------------------------------------------------------------------------

interface Observed {
  readonly attempted: Array<Address>
  readonly connected: Array<{ readonly address: Address; readonly socket: Socket }>
}

const Attempt = Schema.Struct({
  connectParams: Schema.Struct({ hostname: Schema.String, port: Schema.String, protocol: Schema.String })
})

const Connected = Schema.Struct({ ...Attempt.fields, socket: Schema.instanceOf(Socket) })

/** Collects the connections of undici, which publishes them on these channels, while the scope is open. */
const observeConnections: Effect.Effect<Observed, never, Scope.Scope> = Effect.gen(function*() {
  const observed: Observed = { attempted: [], connected: [] }
  yield* listening("undici:client:beforeConnect", (message) => {
    const attempt = Option.getOrUndefined(Schema.decodeUnknownOption(Attempt)(message))
    if (attempt !== undefined) observed.attempted.push(addressOf(attempt.connectParams))
  })
  yield* listening("undici:client:connected", (message) => {
    const connected = Option.getOrUndefined(Schema.decodeUnknownOption(Connected)(message))
    if (connected !== undefined) {
      observed.connected.push({ address: addressOf(connected.connectParams), socket: connected.socket })
    }
  })
  return observed
})

const listening = (channel: string, listener: (message: unknown) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => subscribe(channel, listener)),
    () => Effect.sync(() => unsubscribe(channel, listener))
  )

const peerOf = (certificate: X509Certificate | undefined): Peer | undefined =>
  certificate === undefined ? undefined : {
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    validFrom: certificate.validFromDate.getTime(),
    validTo: certificate.validToDate.getTime()
  }

/** The certificates that Node reads from a file, by their names, and the number of the block at which it stops. */
export interface Bundle {
  readonly names: ReadonlyArray<string>
  readonly broken: number | undefined
}

/** Reads certificates (PEM) as Node reads the file of `NODE_EXTRA_CA_CERTS`: up to the first that is broken. */
export const bundleOf = (pem: string): Bundle => {
  const names: Array<string> = []
  for (const [block] of pem.matchAll(/-----BEGIN (?:X509 )?CERTIFICATE-----(?:(?!-----BEGIN )[^])*/g)) {
    try {
      names.push(nameOf(new X509Certificate(block).subject))
    } catch {
      return { names, broken: names.length + 1 }
    }
  }
  return { names, broken: undefined }
}

/** Returns the organization and the common name of a distinguished name, which has one attribute a line. */
const nameOf = (distinguishedName: string): string => {
  const attributes = distinguishedName.split("\n").flatMap((line) => /^(?:O|CN)=(.+)$/.exec(line)?.[1] ?? [])
  return attributes.length === 0 ? "no name" : attributes.join(", ")
}

const codeOf = (cause: unknown): Option.Option<string> =>
  Option.map(Schema.decodeUnknownOption(Schema.Struct({ code: Schema.String }))(cause), ({ code }) => code)
