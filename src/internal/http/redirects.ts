/**
 * Requests whose redirects `fetch` returns instead of following them. `fetch` reads this option from the context of the
 * fiber that sends the request, and a middleware may send it in another fiber, in another runtime, or with other
 * options. A transport computes the URL and reads the headers immediately before it reads the options, so both set the
 * option for the fiber that runs them. A middleware that sets the URL replaces the hash, and a middleware may copy the
 * headers. If it does both, and sends in another runtime or with other options, only {@link followedTo} detects the
 * redirect.
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"

type Request = HttpClientRequest.HttpClientRequest

/**
 * Returns a request whose redirects `fetch` does not follow, also if it is sent elsewhere than in the running fiber,
 * with another URL or with other headers.
 */
export const withoutRedirects = ({ body, hash, headers, method, url, urlParams }: Request): Request => {
  stay()
  return HttpClientRequest.makeWith(
    method,
    url,
    urlParams,
    new Proxy<typeof hash>(hash, staying),
    new Proxy<typeof headers>(headers, staying),
    body
  )
}

/** Sets the option for the running fiber. Other options of `fetch` are kept. */
const stay = (): void => {
  const fiber = Fiber.getCurrent()
  if (fiber === undefined) return
  const options = Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit)
  if (options?.redirect !== "manual") {
    fiber.setContext(Context.add(fiber.context, FetchHttpClient.RequestInit, { ...options, redirect: "manual" }))
  }
}

/** Sets the option for the fiber that reads a part of a request. */
const staying: ProxyHandler<object> = {
  get: (target, name) => {
    stay()
    return Reflect.get(target, name)
  }
}

/** Returns the URL to which `fetch` has followed a redirect in spite of the option, or undefined. */
export const followedTo = (response: HttpClientResponse.HttpClientResponse): string | undefined => {
  const { request, url } = response
  if (url === "" || (url === request.url && request.urlParams.params.length === 0)) return undefined
  const sentTo = Option.getOrUndefined(HttpClientRequest.toUrl(request))?.href.split("#", 1)[0]
  // `toWeb` consumes the body, so it is called only if the URL differs.
  return url !== sentTo && Option.exists(HttpClientResponse.toWeb(response), ({ redirected }) => redirected)
    ? url
    : undefined
}
