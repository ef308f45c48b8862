/** A token endpoint for any tenant and any scope that counts its requests by key, in memory or over HTTP. */
import { Duration, Effect, Layer } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { listening } from "./server.ts"

export interface ProviderOptions {
  /** The time until the answer; default: none. */
  readonly delay?: Duration.Input | undefined
  readonly expiresIn?: number | undefined
  /** `refresh_in` of the first token of each key. */
  readonly refreshIn?: number | undefined
}

export interface Provider {
  /** The number of requests by `<tenant> <scope>`. */
  readonly requests: Map<string, number>
  readonly total: () => number
}

const answerTo = (requests: Map<string, number>, url: string, form: string, options: ProviderOptions) => {
  const [, tenant = ""] = new URL(url, "http://localhost").pathname.split("/")
  const key = `${tenant} ${new URLSearchParams(form).get("scope")}`
  const count = (requests.get(key) ?? 0) + 1
  requests.set(key, count)
  return JSON.stringify({
    access_token: `token ${key} ${count} ${crypto.randomUUID()}`.padEnd(1500, "."),
    token_type: "Bearer",
    expires_in: options.expiresIn ?? 3599,
    ...(options.refreshIn === undefined || count > 1 ? {} : { refresh_in: options.refreshIn })
  })
}

const providerOf = (requests: Map<string, number>): Provider => ({
  requests,
  total: () => [...requests.values()].reduce((sum, count) => sum + count, 0)
})

/** An `HttpClient` without sockets. */
export const memoryProvider = (options: ProviderOptions = {}) => {
  const requests = new Map<string, number>()
  const delay = Duration.fromInputUnsafe(options.delay ?? 0)
  const client = HttpClient.make((request, url) =>
    Effect.gen(function*() {
      const form = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const body = answerTo(requests, url.href, form, options)
      if (Duration.toMillis(delay) > 0) yield* Effect.sleep(delay)
      return HttpServerResponse.toClientResponse(
        HttpServerResponse.text(body, { contentType: "application/json" }),
        { request }
      )
    })
  )
  return { ...providerOf(requests), layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** A server of this process. `url` is that of its token endpoint for a tenant. */
export const httpProvider = Effect.fnUntraced(function*(options: ProviderOptions = {}) {
  const requests = new Map<string, number>()
  const delay = Duration.toMillis(options.delay ?? 0)
  const server = createServer((request, response) => {
    let form = ""
    request.setEncoding("utf8")
    request.on("data", (chunk: string) => form += chunk)
    request.on("end", () => {
      const body = answerTo(requests, request.url ?? "", form, options)
      setTimeout(() => response.setHeader("content-type", "application/json").end(body), delay)
    })
  })
  server.keepAliveTimeout = 60_000
  const port = yield* listening(server)
  return { ...providerOf(requests), origin: `http://127.0.0.1:${port}` }
})
