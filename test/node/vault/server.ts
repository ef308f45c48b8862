/**
 * As much of Azure Key Vault as `SecretClient.getSecret` of `@azure/keyvault-secrets` needs: a vault at
 * `https://contoso.vault.azure.net`, on this machine, with a certificate of its own authority. It is strict: whoever comes
 * without a token is told where to get one, and a token must be signed by the simulator, for the vault, and of an app that
 * may read.
 */
import { Effect, Redacted, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { type EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import * as jose from "jose"
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { createServer } from "node:https"
import { temporaryFile } from "../../support/child.ts"
import { listening } from "../../support/server.ts"

export const host = "contoso.vault.azure.net"

/** The resource of tokens for vaults. The simulator needs it among its resources. */
export const resource: EntraSimulator.Resource = {
  appId: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
  identifierUris: ["https://vault.azure.net"],
  audience: "https://vault.azure.net"
}

export interface Options {
  readonly tenant: string
  /** Client ids of those who may read secrets. */
  readonly readers: ReadonlyArray<string>
  /** Milliseconds before each answer. */
  readonly latency?: number | undefined
}

/** One request, as it was answered. */
export interface Read {
  readonly path: string
  readonly status: number
}

interface Version {
  readonly id: string
  readonly value: string
  readonly contentType: string
  readonly created: number
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const failure = (
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): Answer => ({
  status,
  headers,
  body: { error: { code, message } }
})

const Keys = Schema.Struct({
  keys: Schema.Array(
    Schema.Struct({ kty: Schema.Literal("RSA"), kid: Schema.String, n: Schema.String, e: Schema.String })
  )
})

/** A vault for as long as the scope is open. */
export const make = Effect.fnUntraced(function*({ latency = 0, readers, tenant }: Options) {
  const { origin } = yield* SimulatorServer.SimulatorServer
  const response = yield* HttpClient.get(`${origin}/${tenant}/discovery/v2.0/keys`)
  const { keys } = yield* Schema.decodeUnknownEffect(Keys)(yield* response.json)
  const keySet = jose.createLocalJWKSet({ keys: [...keys] })
  const secrets = new Map<string, ReadonlyArray<Version>>()
  const reads: Array<Read> = []

  const challenged = (message: string): Answer =>
    failure(401, "Unauthorized", message, {
      "www-authenticate":
        `Bearer authorization="https://login.microsoftonline.com/${tenant}", resource="https://vault.azure.net"`
    })

  const find = (path: string): Answer => {
    const [, collection, name = "", id = ""] = path.split("/")
    const versions = collection === "secrets" ? secrets.get(name) : undefined
    const found = id === "" ? versions?.at(-1) : versions?.find((version) => version.id === id)
    if (found === undefined) return failure(404, "SecretNotFound", `A secret with (name/id) ${name} was not found.`)
    const { contentType, created, value } = found
    return {
      status: 200,
      body: {
        value,
        contentType,
        id: `https://${host}/secrets/${name}/${found.id}`,
        managed: true,
        attributes: { enabled: true, created, updated: created, recoveryLevel: "Recoverable+Purgeable" }
      }
    }
  }

  const answer = async ({ headers, method }: IncomingMessage, url: URL): Promise<Answer> => {
    const [scheme, token] = (headers.authorization ?? "").split(" ")
    if (scheme !== "Bearer" || token === undefined) {
      return challenged("AKV10000: Request is missing a Bearer or PoP token.")
    }
    const verified = await jose.jwtVerify(token, keySet, {
      issuer: `${origin}/${tenant}/v2.0`,
      audience: "https://vault.azure.net",
      algorithms: ["RS256"]
    }).catch(() => undefined)
    if (verified === undefined) return challenged("AKV10022: Invalid audience, issuer, signature or lifetime.")
    const reader = verified.payload["azp"]
    if (typeof reader !== "string" || !readers.includes(reader)) {
      return failure(403, "Forbidden", `Caller is not authorized to perform action. Caller: appid=${reader}`)
    }
    if (!url.searchParams.has("api-version")) {
      return failure(400, "BadParameter", "AKV10042: The api-version parameter is missing.")
    }
    return method === "GET" ? find(url.pathname) : failure(405, "MethodNotAllowed", "Only GET is simulated.")
  }

  const now = Date.now()
  const lifetime = { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 86_400_000) }
  // The authority has its own name, so that a client that also trusts the simulator's authority can tell them apart.
  const issuing = yield* TestCertificate.makeAuthority({ commonName: "authority of the vault", ...lifetime })
  const tls = yield* issuing.issue({ commonName: host, algorithm: "EC", subjectAltNames: [host], ...lifetime })
  const server = createServer(
    { key: Redacted.value(tls.privateKey), cert: tls.certificate },
    (request, response) => {
      const url = new URL(request.url ?? "/", `https://${host}`)
      request.resume()
      void answer(request, url).then(({ body, headers, status }) => {
        reads.push({ path: url.pathname, status })
        setTimeout(() => {
          response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers })
          response.end(JSON.stringify(body))
        }, latency)
      })
    }
  )
  const port = yield* listening(server)
  return {
    port,
    /** The certificate (PEM) of the authority that a client has to trust. */
    authority: tls.authority,
    /** Every request that came, and how it was answered. */
    reads,
    /** A new version; older ones can still be read by their ids. */
    put: (name: string, value: string, contentType = "application/x-pkcs12") =>
      Effect.sync(() => {
        const id = randomBytes(16).toString("hex")
        const created = Math.floor(Date.now() / 1000)
        secrets.set(name, [...secrets.get(name) ?? [], { id, value, contentType, created }])
        return id
      })
  }
})

/** A certificate and its key as a vault keeps them: PKCS#12 without a password, in base64. */
export const pkcs12 = ({ certificate, privateKey }: TestCertificate.TestCertificate): Effect.Effect<string> =>
  temporaryFile(certificate + Redacted.value(privateKey)).pipe(
    Effect.flatMap((file) =>
      Effect.callback<string>((resume) => {
        execFile(
          "openssl",
          ["pkcs12", "-export", "-in", file, "-passout", "pass:"],
          { encoding: "buffer" },
          (error, stdout) => resume(error === null ? Effect.succeed(stdout.toString("base64")) : Effect.die(error))
        )
      })
    ),
    Effect.scoped
  )
