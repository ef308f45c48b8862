/** Sends a command to a Redis server over a connection of its own, without a client library. */
import { Data, Effect } from "effect"
import { connect } from "node:net"
import { connect as connectTls } from "node:tls"

export type Reply = string | number | null | ReadonlyArray<Reply>

/** The server replied with an error, or not at all. */
export class RedisCommandError extends Data.TaggedError("RedisCommandError")<{
  readonly reason: "reply" | "connection" | "timeout"
  readonly message: string
}> {}

export interface Address {
  readonly port: number
  readonly credentials?: { readonly user: string; readonly password: string } | undefined
  /** The certificate of the authority (PEM) of a server with TLS. */
  readonly authority?: string | undefined
}

export const sendCommand = (
  { authority, credentials, port }: Address,
  command: ReadonlyArray<string>
): Effect.Effect<Reply, RedisCommandError> =>
  Effect.callback<Reply, RedisCommandError>((resume) => {
    const fail = (reason: RedisCommandError["reason"], message: string) => {
      resume(Effect.fail(new RedisCommandError({ reason, message })))
      socket.destroy()
    }
    const commands = credentials === undefined ? [command] : [
      ["AUTH", credentials.user, credentials.password],
      command
    ]
    const socket = authority === undefined
      ? connect(port, "127.0.0.1")
      : connectTls({ port, host: "127.0.0.1", ca: authority })
    let received = Buffer.alloc(0)
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk])
      try {
        const replies = parseReplies(received, 0, commands.length)
        const last = replies?.values.at(-1)
        if (last === undefined) return
        resume(Effect.succeed(last))
        socket.destroy()
      } catch (error) {
        fail("reply", error instanceof Error ? error.message : String(error))
      }
    })
    socket.on("error", (error) => fail("connection", error.message))
    socket.on("close", () => fail("connection", "closed before the reply"))
    socket.write(commands.map(encode).join(""))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: "2 seconds",
      orElse: () => Effect.fail(new RedisCommandError({ reason: "timeout", message: "no reply after 2 seconds" }))
    })
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const encode = (command: ReadonlyArray<string>): string =>
  `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join("")}`

/** Parses a reply of RESP 2. Returns undefined if it is not complete, and throws the message of an error. */
const parseReply = (bytes: Buffer, start: number): { readonly value: Reply; readonly end: number } | undefined => {
  const lineEnd = bytes.indexOf("\r\n", start)
  if (lineEnd === -1) return undefined
  const type = bytes.toString("latin1", start, start + 1)
  const line = bytes.toString("utf8", start + 1, lineEnd)
  const next = lineEnd + 2
  switch (type) {
    case "+":
      return { value: line, end: next }
    case ":":
      return { value: Number(line), end: next }
    case "$": {
      if (line === "-1") return { value: null, end: next }
      const end = next + Number(line)
      return bytes.length < end + 2 ? undefined : { value: bytes.toString("utf8", next, end), end: end + 2 }
    }
    case "*": {
      if (line === "-1") return { value: null, end: next }
      const parsed = parseReplies(bytes, next, Number(line))
      return parsed === undefined ? undefined : { value: parsed.values, end: parsed.end }
    }
    case "-":
      throw new Error(line)
    default:
      throw new Error(`not a reply of RESP 2: ${type}${line}`)
  }
}

const parseReplies = (
  bytes: Buffer,
  start: number,
  count: number
): { readonly values: ReadonlyArray<Reply>; readonly end: number } | undefined => {
  const values: Array<Reply> = []
  let end = start
  while (values.length < count) {
    const parsed = parseReply(bytes, end)
    if (parsed === undefined) return undefined
    values.push(parsed.value)
    end = parsed.end
  }
  return { values, end }
}
