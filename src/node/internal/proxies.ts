/** Selects the proxy from an option or from variables, in plain functions. No message shows a part of a proxy's URL. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { BlockList, isIP } from "node:net"
import type { InvalidRequestError } from "../../EntraError.ts"
import { invalidRequest } from "../../internal/shared/errors.ts"
import { isRedactedText } from "../../internal/shared/validate.ts"

/** The options of `EnvHttpProxyAgent`. An empty value means no proxy; without a value the agent would read the environment. */
export interface Proxies {
  readonly httpsProxy: Redacted.Redacted<string>
  readonly httpProxy: Redacted.Redacted<string>
  readonly noProxy: string
}

/** A variable that is set, and the spelling of its name. */
export interface Variable {
  readonly name: string
  readonly value: Redacted.Redacted<string>
}

export interface Variables {
  readonly httpsProxy: Variable | undefined
  readonly httpProxy: Variable | undefined
  readonly noProxy: string
}

export interface Address {
  readonly url: string | URL
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
}

/** Returns the proxies that the variables name. */
export const fromVariables = (variables: Variables): Result.Result<Proxies, InvalidRequestError> =>
  Result.gen(function*() {
    const parse = (variable: Variable | undefined) =>
      variable === undefined ? Result.succeed(none) : parseProxy(Redacted.value(variable.value), variable.name)
    return {
      httpsProxy: yield* parse(variables.httpsProxy),
      httpProxy: yield* parse(variables.httpProxy),
      noProxy: variables.noProxy
    }
  })

/** Returns one proxy for all requests, or no proxy. */
export const fromAddress = (
  address: Address | false,
  noProxy: string
): Result.Result<Proxies, InvalidRequestError> => {
  if (address === false) return Result.succeed({ httpsProxy: none, httpProxy: none, noProxy })
  if (address.password !== undefined && !isRedactedText(address.password)) return Result.fail(passwordNotRedacted())
  const proxy = Result.flatMap(parseProxy(String(address.url), "proxy.url"), (url) => {
    if (url === none) return Result.fail(malformed("proxy.url"))
    const complete = new URL(Redacted.value(url))
    if (address.username !== undefined) complete.username = encodeURIComponent(address.username.toWellFormed())
    if (address.password !== undefined) {
      complete.password = encodeURIComponent(Redacted.value(address.password).toWellFormed())
    }
    return complete.username === "" && complete.password !== ""
      ? Result.fail(missingUsername())
      : Result.succeed(redacted(complete))
  })
  return Result.map(proxy, (proxy) => ({ httpsProxy: proxy, httpProxy: proxy, noProxy }))
}

// -----------------------------------------------------------------------------
// addresses
// -----------------------------------------------------------------------------

const redacted = (url: URL): Redacted.Redacted<string> => Redacted.make(url.href, { label: "proxy" })

const none = /*#__PURE__*/ Redacted.make("")

const parseProxy = (text: string, field: string): Result.Result<Redacted.Redacted<string>, InvalidRequestError> => {
  const trimmed = text.trim()
  if (trimmed === "") return Result.succeed(none)
  // Other tools accept `proxy:8080` without a scheme too.
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`
  if (!URL.canParse(address)) return Result.fail(malformed(field))
  const url = new URL(address)
  if (url.protocol !== "http:" && url.protocol !== "https:") return Result.fail(unsupported(field))
  // An unencoded `/`, `?` or `#` in a password ends the host too early, but the URL still parses.
  const misread = url.search !== "" || url.hash !== "" || url.pathname !== "/"
  return misread || !isDecodable(url.username) || !isDecodable(url.password)
    ? Result.fail(malformed(field))
    : Result.succeed(redacted(url))
}

const isDecodable = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

// -----------------------------------------------------------------------------
// exceptions
// -----------------------------------------------------------------------------

/**
 * Returns whether a URL is on this machine or on its network link, where the services of managed identities listen. No proxy
 * can reach them, and a proxy must not see the requests.
 */
export const isNear = (url: string | URL): boolean => {
  const { hostname } = new URL(url)
  const address = hostname.replace(/^\[|\]$/g, "")
  const family = isIP(address)
  return family === 0 ? hostname === "localhost" : near.check(address, family === 4 ? "ipv4" : "ipv6")
}

/** RFC 1122 section 3.2.1.3, RFC 3927, RFC 4291 sections 2.5.3 and 2.5.6, and IPv4 addresses in IPv6 notation. */
const near = /*#__PURE__*/ (() => {
  const list = new BlockList()
  list.addSubnet("0.0.0.0", 8, "ipv4")
  list.addSubnet("127.0.0.0", 8, "ipv4")
  list.addSubnet("169.254.0.0", 16, "ipv4")
  list.addSubnet("::", 127, "ipv6")
  list.addSubnet("fe80::", 10, "ipv6")
  return list
})()

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const malformed = (field: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} is not the URL of a proxy (its value is not shown)`,
    "Use a URL such as http://user:password@proxy.example:8080, without a path. In the user name and the password, "
      + "percent-encode every character that is neither a letter nor a digit."
  )

const unsupported = (field: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} names a proxy that is neither http nor https (its value is not shown)`,
    "Use the HTTP port of the proxy. SOCKS is not supported."
  )

const passwordNotRedacted = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "proxy.password",
    "proxy.password is not redacted",
    "Wrap the password where it is read, so that it is never printed: Redacted.make(value)."
  )

const missingUsername = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "proxy.username",
    "proxy.password is set without proxy.username",
    "Set proxy.username, or leave proxy.password out."
  )
