/**
 * A Node server for http and https on one port. As a proxy it serves some hosts itself: `CONNECT` to one of them ends
 * at this server. `CONNECT` to any other host is forwarded.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import type { Duplex } from "node:stream"

/** The certificate for https, and the hosts that the server serves as a proxy. */
export interface Tls {
  /** PEM. */
  readonly certificate: string
  readonly key: string
  /** The hosts, in lower case, whose port 443 is served here. */
  readonly hosts: ReadonlySet<string>
}

export interface Port {
  /** The server that listens. It gets the requests of both protocols. */
  readonly server: Http.Server
  /** Closes every connection, also one with an open request. */
  readonly closeConnections: () => void
}

/** The first byte of a TLS connection: a handshake record (RFC 8446 section 5.1). */
const handshake = 0x16

/** Creates the server, which does not listen yet. */
export const makePort = (tls: Tls | undefined): Port => {
  const sockets = new Set<Net.Socket>()
  const track = (socket: Net.Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    // A connection that breaks is closed, and its request is interrupted.
    socket.on("error", () => socket.destroy())
  }
  const server = Http.createServer()
  const closeConnections = () => {
    for (const socket of sockets) socket.destroy()
  }
  server.on("connection", track)
  if (tls === undefined) return { server, closeConnections }

  const secure = Https.createServer({ cert: tls.certificate, key: tls.key })
  for (const event of ["request", "checkContinue", "upgrade"]) {
    secure.on(event, (...parameters) => server.emit(event, ...parameters))
  }
  secure.on("tlsClientError", (_error, socket) => socket.destroy())

  // A listener of the server itself begins to parse http; it gets only the connections that do not begin with TLS.
  const [parseHttp] = server.listeners("connection")
  server.removeAllListeners("connection")
  server.on("connection", track)
  server.on("connection", (socket: Net.Socket) => {
    socket.once("readable", () => {
      const first: Buffer | null = socket.read()
      if (first === null) {
        // The client closed the connection before it sent a byte.
        socket.destroy()
        return
      }
      socket.unshift(first)
      if (first[0] === handshake) secure.emit("connection", socket)
      else parseHttp?.call(server, socket)
    })
  })

  server.on("connect", (request: Http.IncomingMessage, client: Duplex, head: Buffer) => {
    const [, host = "", port = ""] = /^\[?([\w.:-]+)\]?:(\d{1,5})$/.exec(request.url ?? "") ?? []
    client.on("error", () => client.destroy())
    if (host === "" || Number(port) > 65535) {
      client.end(malformed)
      return
    }
    if (head.length > 0) client.unshift(head)
    if (port === "443" && tls.hosts.has(host.toLowerCase())) {
      client.write(established)
      secure.emit("connection", client)
      return
    }
    const target = Net.connect({ host, port: Number(port) })
    track(target)
    const refuse = () => client.end(unreachable)
    target.once("error", refuse)
    target.on("connect", () => {
      // From here on every byte is one of the host, and an error of the host is one of the tunnel.
      target.off("error", refuse)
      target.on("error", () => client.destroy())
      client.write(established)
      client.pipe(target).pipe(client)
    })
    client.on("close", () => target.destroy())
  })
  return { server, closeConnections }
}

const established = "HTTP/1.1 200 Connection established\r\n\r\n"
const malformed = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
const unreachable = "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
