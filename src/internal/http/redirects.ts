/**
 * Requests whose redirects `fetch` returns instead of following them. `fetch` reads this option from the context of the fiber
 * in which the transport sends, and a middleware may send in another fiber, in another runtime, or with options of its own. So
 * the fiber that computes the URL or reads the headers sets the option, which a transport does immediately before it reads
 * the options. A middleware may replace the hash with the URL, or copy the headers; if it does both in another runtime, or with
 * options of its own, only {@link followedTo} is left.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"

type Request = HttpClientRequest.HttpClientRequest

/**
 * Returns a request whose redirects `fetch` does not follow, also if it is sent elsewhere than in the running fiber, with
 * another URL or with other headers.
 */
export const withoutRedirects = (request: Request): Effect.Effect<Request> =>
  Effect.sync(() => {
    stay()
    const { body, hash, headers, method, url, urlParams } = request
    return HttpClientRequest.makeWith(method, url, urlParams, staying(hash), staying(headers), body)
  })

/** Sets the option for the running fiber. Other options of `fetch` are kept. */
const stay = (): void => {
  const fiber = Fiber.getCurrent()
  if (fiber === undefined) return
  const options = Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit)
  if (options?.redirect !== "manual") {
    fiber.setContext(Context.add(fiber.context, FetchHttpClient.RequestInit, { ...options, redirect: "manual" }))
  }
}

/** Returns a part of a request that sets the option for the fiber that reads it. */
const staying = <Part extends object>(part: Part): Part =>
  new Proxy(part, {
    get: (target, name) => {
      stay()
      return Reflect.get(target, name)
    }
  })

/** Returns the URL to which a `fetch` has followed a redirect, although it was told not to. */
export const followedTo = (response: HttpClientResponse.HttpClientResponse): string | undefined => {
  const sentTo = Option.getOrUndefined(HttpClientRequest.toUrl(response.request))?.href.split("#", 1)[0]
  // `toWeb` takes the body over, so it is called only in the rare case.
  if (response.url === "" || response.url === sentTo) return undefined
  return Option.exists(HttpClientResponse.toWeb(response), ({ redirected }) => redirected) ? response.url : undefined
}
