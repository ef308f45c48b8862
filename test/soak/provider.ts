/**
 * The token endpoint of the soak: an `HttpClient` without sockets that misbehaves at random. A token says by itself whom it
 * is for and until when, so that nothing has to be remembered.
 */
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientError, type HttpClientRequest, HttpServerResponse } from "effect/http"

export interface Provider {
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  /** True while every request is refused with 503. Faults at random end when `healed` is true. */
  outage: boolean
  healed: boolean
  requests: number
  faults: number
  open: number
}

export interface Claimed {
  readonly app: string
  readonly tenant: string
  readonly scope: string
  readonly claims: string
  /** Milliseconds since the epoch. */
  readonly expiresOn: number
}

export const readToken = (token: string): Claimed => {
  const [app = "", tenant = "", scope = "", claims = "", expiresOn = "0"] = token.split("|")
  return { app, tenant, scope, claims, expiresOn: Number(expiresOn) }
}

export const make = (now: () => number): Provider => {
  let serial = 0
  const answer = (request: HttpClientRequest.HttpClientRequest, url: URL) =>
    Effect.gen(function*() {
      const form = new URLSearchParams(
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      )
      const tenant = url.pathname.split("/")[1] ?? ""
      yield* Effect.sleep(20 + Math.random() * 400)
      const luck = provider.healed ? 1 : Math.random()
      if (luck >= 0.12 && !provider.outage && (provider.healed || !tenant.endsWith("7"))) {
        const lifetime = Math.random() < 0.2 ? 300 : 3599
        const token = [
          form.get("client_id"),
          tenant,
          form.get("scope")?.toLowerCase(),
          form.get("claims") ?? "",
          now() + lifetime * 1000,
          ++serial,
          padding
        ].join("|")
        return reply(request, 200, {
          access_token: token,
          token_type: "Bearer",
          expires_in: lifetime,
          ...(serial % 3 === 0 ? { refresh_in: lifetime / 3 } : {})
        })
      }
      provider.faults++
      if (provider.outage) return reply(request, 503, "down")
      if (luck < 0.02) return reply(request, 503, "down for a moment", { "retry-after": "3" })
      if (luck < 0.04) return reply(request, 500, { error: "server_error" })
      if (luck < 0.05) {
        return reply(request, 429, { error: "temporarily_unavailable" }, {
          "retry-after": luck < 0.045 ? "20" : new Date(now() + 20_000).toUTCString()
        })
      }
      if (luck < 0.06) return reply(request, 200, "<html>a sign-in page</html>")
      if (luck < 0.07) {
        return yield* Effect.andThen(Effect.sleep("15 seconds"), Effect.succeed(reply(request, 504, "slow")))
      }
      if (luck < 0.09) {
        return yield* new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({ request, description: "dropped" })
        })
      }
      return reply(request, 400, {
        error: "invalid_request",
        error_description: "AADSTS90002: there is no such tenant",
        error_codes: [90002]
      })
    })

  const provider: Provider = {
    outage: false,
    healed: false,
    requests: 0,
    faults: 0,
    open: 0,
    layer: Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request, url) =>
        Effect.suspend(() => {
          provider.requests++
          provider.open++
          return Effect.ensuring(answer(request, url), Effect.sync(() => provider.open--))
        })
      )
    )
  }
  return provider
}

/** Tokens of Entra are longer than a kilobyte. */
const padding = "x".repeat(1000)

const reply = (
  request: HttpClientRequest.HttpClientRequest,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
) =>
  HttpServerResponse.toClientResponse(
    HttpServerResponse.text(typeof body === "string" ? body : JSON.stringify(body), { status, headers }),
    { request }
  )
