/**
 * Decides whether a request to the page or to its controls comes from the page or from a program on this machine. Pages
 * of other origins in the developer's browser are refused.
 */

/** The host names of the page. Another `Host` is a DNS name that was rebound to this machine. */
const hostNames = ["localhost", "127.0.0.1", "[::1]"]

const hostsOf = (port: number): ReadonlyArray<string> =>
  hostNames.flatMap((name) => port === 80 || port === 443 ? [name, `${name}:${port}`] : [`${name}:${port}`])

type Headers = Readonly<Record<string, string | undefined>>

/** Returns true if the request names this machine. */
export const isOwnHost = (headers: Headers, port: number): boolean =>
  hostsOf(port).includes((headers["host"] ?? "").toLowerCase())

/**
 * Returns true if the request does not come from a page of another origin. Browsers send `Sec-Fetch-Site` and `Origin`;
 * programs such as curl send neither header.
 */
export const isOwnOrigin = (headers: Headers, port: number): boolean => {
  const { origin, "sec-fetch-site": site = "same-origin" } = headers
  return isOwnHost(headers, port) && (site === "same-origin" || site === "none") &&
    (origin === undefined || hostsOf(port).some((host) => origin === `http://${host}` || origin === `https://${host}`))
}
