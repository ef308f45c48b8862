/** An identity provider within the process: it takes its time, counts, and gives each request a token of its own. */
import { createHttpHeaders, type HttpClient as AzureHttpClient } from "@azure/core-rest-pipeline"
import type { INetworkModule, NetworkResponse } from "@azure/msal-node"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { setTimeout } from "node:timers/promises"
import { tokenLength } from "./keys.ts"

export interface Provider {
  /** Requests that came in so far. */
  readonly requests: () => number
  /** Requests that are not answered yet. */
  readonly pending: () => number
  readonly answer: () => Promise<string>
}

/** `latency` in milliseconds; times of the token in seconds, that of its life by the number of its request. */
export const make = (options: {
  readonly latency: number
  readonly expiresIn: number | ((request: number) => number)
  readonly refreshIn?: number | undefined
}): Provider => {
  let requests = 0
  let pending = 0
  return {
    requests: () => requests,
    pending: () => pending,
    answer: async () => {
      const request = ++requests
      const access_token = `token ${request} `.padEnd(tokenLength, "x")
      pending++
      await setTimeout(options.latency)
      pending--
      return JSON.stringify({
        token_type: "Bearer",
        expires_in: typeof options.expiresIn === "number" ? options.expiresIn : options.expiresIn(request),
        ...(options.refreshIn === undefined ? {} : { refresh_in: options.refreshIn }),
        access_token
      })
    }
  }
}

const headers = { "content-type": "application/json" }

/** With its length, as an HTTP server sends it that has the whole text at hand. */
export const response = async (provider: Provider): Promise<Response> => {
  const body = await provider.answer()
  return new Response(body, { headers: { ...headers, "content-length": String(body.length) } })
}

export const layer = (provider: Provider): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.map(Effect.promise(() => response(provider)), (answer) => HttpClientResponse.fromWeb(request, answer))
    )
  )

export const msalNetwork = (provider: Provider): INetworkModule => {
  const answer = async <T>(): Promise<NetworkResponse<T>> => {
    const body: T = JSON.parse(await provider.answer())
    return { headers: {}, status: 200, body }
  }
  return { sendGetRequestAsync: answer, sendPostRequestAsync: answer }
}

export const azureClient = (provider: Provider): AzureHttpClient => ({
  sendRequest: async (request) => ({
    request,
    status: 200,
    headers: createHttpHeaders(headers),
    bodyAsText: await provider.answer()
  })
})
