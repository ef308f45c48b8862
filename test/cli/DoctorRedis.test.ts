/** The finding of `doctor` about Redis, with real servers that each have one fault. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { connect, type Socket } from "node:net"
import { type Failure, failureOf, problem, redisFinding } from "../../src/cli/internal/doctor/redis.ts"
import { standalone } from "../support/redis.ts"
import { startServer } from "../support/redisServer.ts"
import { trusting } from "./doctorWorld.ts"

const found = (REDIS_URL: string, more: Readonly<Record<string, string>> = {}) =>
  redisFinding.pipe(
    Effect.map((finding) => ({ remedy: "", ...finding })),
    Effect.provideService(
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env: { REDIS_URL, ...more } })
    )
  )

describe("the certificate of Redis", () => {
  it.live("that is not checked is a failure, and the password is not sent", () =>
    Effect.gen(function*() {
      const { authority = "", url } = yield* standalone({ tls: true })
      yield* trusting(authority)
      assert.strictEqual((yield* found(url)).status, "ok")
      const { detail, remedy, status } = yield* found(url, { NODE_TLS_REJECT_UNAUTHORIZED: "0" })
      assert.strictEqual(status, "fail")
      assert.match(
        detail,
        /^NODE_TLS_REJECT_UNAUTHORIZED=0 turns off .* in place of 127\.0\.0\.1 would get the password\.$/
      )
      assert.match(remedy, /^Unset NODE_TLS_REJECT_UNAUTHORIZED\./)
    }).pipe(Effect.scoped))
})

/** A server whose certificate is of an authority that this process trusts. */
const trusted = Effect.fnUntraced(function*(options: TestCertificate.Options) {
  const root = yield* TestCertificate.makeAuthority({ algorithm: "EC", commonName: "the authority of Redis" })
  const { certificate, privateKey } = yield* root.issue({ algorithm: "EC", ...options })
  yield* trusting(root.certificate)
  return yield* startServer({
    tls: { certificate, privateKey: Redacted.value(privateKey), authority: root.certificate }
  })
})

describe("a Redis", () => {
  it.live("that has fewer databases names its reason", () =>
    Effect.gen(function*() {
      const { url } = yield* standalone({ password: "redis~password", config: ["databases 2"] })
      assert.strictEqual((yield* found(`${url}/1`)).status, "ok")
      const { detail, remedy } = yield* found(`${url}/7`)
      assert.strictEqual(detail, "The Redis of REDIS_URL responded with an error: ERR DB index is out of range.")
      assert.match(remedy, /^Set the path of REDIS_URL to the number of a database that the server has/)
    }).pipe(Effect.scoped))

  it.live("that has its most clients names its reason", () =>
    Effect.gen(function*() {
      const { command, url } = yield* standalone()
      yield* command("CONFIG", "SET", "maxclients", "1")
      yield* holding(url)
      const { detail, remedy } = yield* found(url)
      assert.strictEqual(detail, "The Redis of REDIS_URL responded with an error: ERR max number of clients reached.")
      assert.match(remedy, /raise maxclients/)
    }).pipe(Effect.scoped))

  it.live("at an IPv6 address is reached", () =>
    Effect.gen(function*() {
      const { port } = yield* standalone({ config: ["bind 127.0.0.1 ::1"] })
      const { detail, status } = yield* found(`redis://[::1]:${port}`)
      assert.strictEqual(status, "ok", detail)
      assert.strictEqual(detail, `Connected to [::1]:${port}. A key was written, read and removed.`)
    }).pipe(Effect.scoped))

  it.live("without TLS is not reached with rediss://", () =>
    Effect.gen(function*() {
      const { url } = yield* standalone()
      const { detail, remedy } = yield* found(url.replace("redis:", "rediss:"))
      assert.strictEqual(detail, "The Redis of REDIS_URL does not work (TIMEOUT).")
      assert.match(remedy, /^If this port has no TLS, write redis:\/\/ instead of rediss:\/\//)
    }).pipe(Effect.scoped))

  it.live("with TLS is not reached with redis://", () =>
    Effect.gen(function*() {
      const { url } = yield* standalone({ tls: true })
      const { detail, remedy } = yield* found(url.replace("rediss:", "redis:"))
      assert.match(detail, /\((?:ECONNRESET|SOCKET_CLOSED)\)\.$/)
      assert.match(remedy, /^If this port requires TLS, write rediss:\/\/ instead of redis:\/\//)
    }).pipe(Effect.scoped))

  it.live("with the certificate of another host names that host", () =>
    Effect.gen(function*() {
      const { url } = yield* trusted({ subjectAltNames: ["127.0.0.1", "redis.example"] })
      assert.strictEqual((yield* found(url)).status, "ok")
      const { detail, remedy } = yield* found(url.replace("127.0.0.1", "localhost"))
      assert.match(detail, /\(ERR_TLS_CERT_ALTNAME_INVALID\)\. Its certificate is for .*DNS:redis\.example/)
      assert.match(remedy, /^Set the host in REDIS_URL to a name in the certificate of Redis\.$/)
    }).pipe(Effect.scoped))

  it.live("that requires a certificate of its clients says so", () =>
    Effect.gen(function*() {
      const { command, url } = yield* trusted({ subjectAltNames: ["127.0.0.1"] })
      // The reply to this command may come over a connection that the server then closes.
      yield* Effect.ignore(command("CONFIG", "SET", "tls-auth-clients", "yes"))
      const { remedy } = yield* found(url)
      assert.match(remedy, /^If the server requires a certificate of its clients \(tls-auth-clients\)/)
    }).pipe(Effect.scoped))
})

/** Keeps a connection until the scope is closed. */
const holding = (url: string) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname, () => socket.write("PING\r\n"))
      socket.on("error", () => {}).once("data", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a failure of Redis", () => {
  const coded = (code: string, rest: object = {}) => Object.assign(new Error(code), { code, ...rest })
  it.each<[string, unknown, Failure]>([
    ["a code", coded("ECONNRESET"), { _tag: "Connection", code: "ECONNRESET" }],
    [
      "a certificate of another host",
      coded("ERR_TLS_CERT_ALTNAME_INVALID", { cert: { subjectaltname: "DNS:a" } }),
      { _tag: "Connection", code: "ERR_TLS_CERT_ALTNAME_INVALID", names: "DNS:a" }
    ],
    ["a timeout of node-redis", new Error("Connection timeout"), { _tag: "Connection", code: "TIMEOUT" }],
    ["a closed socket", new Error("Socket closed unexpectedly"), { _tag: "Connection", code: "SOCKET_CLOSED" }],
    ["another message", new Error("no idea"), { _tag: "Connection", code: "UNKNOWN" }],
    ["nothing", undefined, { _tag: "Connection", code: "UNKNOWN" }],
    ["a reply", new Error("LOADING Redis is loading"), { _tag: "Reply", code: "LOADING", text: "Redis is loading" }],
    [
      "a reply that repeats a command",
      new Error("ERR unknown command 'AUTH', with args beginning with: 'app' 'redis~password'"),
      { _tag: "Reply", code: "ERR", text: "unknown command 'AUTH'" }
    ],
    [
      "a reply with the password",
      new Error("ERR what is redis~password?"),
      { _tag: "Reply", code: "ERR", text: "what is ...?" }
    ]
  ])("%s", (_, cause, expected) => assert.deepStrictEqual(failureOf(cause, [undefined, "redis~password"]), expected))

  const remedyFor = (failure: Failure, isTls: boolean) => ({ remedy: "", ...problem(failure, { isTls }) }).remedy

  it.each<[code: string, isTls: boolean, remedy: RegExp]>([
    ["ENOTFOUND", true, /typing errors/],
    ["TIMEOUT", false, /^Check the host and the port/],
    ["TIMEOUT", true, /write redis:\/\//],
    ["ECONNREFUSED", true, /^Check the host and the port/],
    ["ECONNRESET", true, /^Check the host and the port/],
    ["ECONNRESET", false, /write rediss:\/\//],
    ["SOCKET_CLOSED", false, /write rediss:\/\//],
    ["ERR_SSL_WRONG_VERSION_NUMBER", true, /^Write redis:\/\//],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", true, /tls-auth-clients/],
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", true, /tls-auth-clients/],
    ["CERT_HAS_EXPIRED", true, /^Renew the certificate of Redis, which has expired/],
    ["CERT_NOT_YET_VALID", true, /clock/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", true, /a name in the certificate/],
    ["SELF_SIGNED_CERT_IN_CHAIN", true, /NODE_EXTRA_CA_CERTS/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", true, /NODE_EXTRA_CA_CERTS/],
    ["UNKNOWN", true, /redis-cli/]
  ])(
    "of the connection, %s (TLS: %s)",
    (code, isTls, remedy) => assert.match(remedyFor({ _tag: "Connection", code }, isTls), remedy)
  )

  it.each<[code: string, text: string, remedy: RegExp]>([
    ["NOAUTH", "Authentication required.", /^Set the user name and the password/],
    ["ERR", "DB index is out of range", /^Set the path of REDIS_URL/],
    ["ERR", "SELECT is not allowed in cluster mode", /^Remove the number of the database/],
    ["ERR", "max number of clients reached", /maxclients/],
    ["ERR", "unknown command 'HELLO'", /Redis 6/],
    ["ERR", "another reason", /^The server was reached, so fix the error there/],
    ["DENIED", "Redis is running in protected mode", /password/],
    ["OOM", "command not allowed when used memory > 'maxmemory'", /maxmemory/],
    ["MISCONF", "Redis is configured to save RDB snapshots", /log of the server/],
    ["LOADING", "Redis is loading the dataset in memory", /^Wait/]
  ])(
    "of the server, %s %s",
    (code, text, remedy) => assert.match(remedyFor({ _tag: "Reply", code, text }, false), remedy)
  )
})
