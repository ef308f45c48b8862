/** The reason why a request got no response, and its remedy. */

/**
 * Returns the reason of a failure: the transport's error code, from the chain of causes. undici has no code for a proxy
 * that refuses to open a tunnel, and `fetch` none for the status 407, so these reasons are made from the proxy's
 * status.
 */
export const reasonOf = (failure: unknown): string | undefined => {
  let cause = failure
  for (let depth = 0; depth < 8 && typeof cause === "object" && cause !== null; depth++) {
    const status = proxyStatus(cause)
    if (status !== undefined) return `PROXY_RESPONSE_${status}`
    const code = "code" in cause ? cause.code : undefined
    if (typeof code === "string" && /^(?:[A-Z][A-Z0-9_]{2,60}|(?:[A-Z][a-z]{1,15}){2,4})$/.test(code)) return code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return undefined
}

/**
 * Returns the transport's own words for a failure without a code: the message of the innermost cause. Its quoted parts,
 * URLs and long words are left out, because they may come from the request, and `scrub` removes the secrets of the
 * request.
 */
export const wordsOf = (failure: unknown, scrub: (text: string) => string): string | undefined => {
  let words = ""
  let cause = failure
  for (let depth = 0; depth < 8 && typeof cause === "object" && cause !== null; depth++) {
    if (depth > 0 && "message" in cause && typeof cause.message === "string" && cause.message.trim() !== "") {
      words = cause.message
    }
    if ("description" in cause && typeof cause.description === "string") words ||= cause.description
    cause = "cause" in cause ? cause.cause : undefined
  }
  const plain = scrub(words.slice(0, 1000))
    .replace(/"[^"]*"?|'[^']*'?|`[^`]*`?|\b[a-z][a-z0-9+.-]*:\/\/\S*/gi, "...")
    .replace(/[^\s]{25,}/g, "...")
    .replace(/[^\w.,:()-]+/g, " ")
    .replaceAll(" ,", ",")
    .trim()
    .slice(0, 100)
  return plain === "" ? undefined : plain
}

/**
 * Returns the status of a proxy's response. For CONNECT undici has it in the message, `node:http` in a property.
 * `fetch` turns every other response with the status 407 into a network error (Fetch standard, section 4.6). Only that
 * error has one of `messagesOf407`.
 */
const proxyStatus = (cause: object): string | undefined => {
  const code = "code" in cause ? cause.code : undefined
  if (code === "UND_ERR_ABORTED" && "message" in cause && typeof cause.message === "string") {
    return /^Proxy response \((\d{3})\)/.exec(cause.message)?.[1]
  }
  if (isFetchFailed(cause) && cause.cause instanceof Error && messagesOf407.has(cause.cause.message)) {
    return "code" in cause.cause || cause.cause.cause !== undefined ? undefined : "407"
  }
  return code === "ERR_PROXY_TUNNEL" && "statusCode" in cause ? /^\d{3}$/.exec(`${cause.statusCode}`)?.[0] : undefined
}

const isFetchFailed = (cause: object): cause is Error => cause instanceof TypeError && cause.message === "fetch failed"

const messagesOf407: ReadonlySet<string> = new Set(["", "proxy authentication required"])

/** Returns the remedy for a reason. */
export const remedyOf = (reason: string): string =>
  remedies.find(([pattern]) => pattern.test(reason))?.[1] ??
    "Check name resolution, the proxy and the firewall. For a certificate reason, check the trusted authorities."

/** The first matching entry applies. A reason that begins with `PROXY_` concerns the connection to the proxy itself. */
const remedies: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /^PROXY_RESPONSE_407$/,
    "The proxy requires a user name and password, or refused those that it got. Set them percent-encoded in the proxy's "
    + "URL (HTTPS_PROXY), or in the proxy option of the transport."
  ],
  [
    /^PROXY_RESPONSE_(?:3\d\d|511)$/,
    "A portal of the network responds in place of the proxy. Sign in to the network with a browser."
  ],
  [
    /^PROXY_RESPONSE_50[0234]$/,
    "The proxy could not resolve or reach this host. Check the host (AZURE_AUTHORITY_HOST) for typing errors, then the "
    + "network behind the proxy."
  ],
  [
    /^PROXY_RESPONSE_\d{3}$/,
    "The proxy refuses connections to this host. Allow the host in the proxy's configuration, or add it to NO_PROXY if it "
    + "can be reached directly."
  ],
  [
    /(?:^|_)(?:SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE)$/,
    "This process does not trust the authority that issued the certificate, such as that of a proxy that inspects TLS. "
    + "Set NODE_EXTRA_CA_CERTS to a file with the authority's certificate (PEM) before Node starts, or pass the "
    + "certificate as certificateAuthorities to NodeTransport.layerWith."
  ],
  [
    /(?:^|_)CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/,
    "The certificate is not valid now. Check this machine's clock, then the certificate."
  ],
  [
    /(?:^|_)(?:ERR_TLS_CERT_ALTNAME_INVALID|UND_ERR_PRX_TLS)$/,
    "The certificate is for another host. Check the host name, and check for a proxy that responds in the host's place."
  ],
  [
    /^(?:PROXY_|UND_ERR_PRX_CONN$)/,
    "The proxy could not be reached, or it closed the connection. Check that it runs, and check its address (HTTPS_PROXY, "
    + "HTTP_PROXY, or the proxy option of the transport)."
  ]
]
