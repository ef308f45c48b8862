/** What a request that got no answer died of, and what to do about it. */

/**
 * A word in capitals, never a message: the transport's own code, found along its chain of causes, or the status with which a
 * proxy refused to open a tunnel, for which undici has no code of its own.
 */
export const reasonOf = (failure: unknown): string | undefined => {
  let cause = failure
  for (let depth = 0; depth < 8 && typeof cause === "object" && cause !== null; depth++) {
    const status = proxyStatus(cause)
    if (status !== undefined) return `PROXY_RESPONSE_${status}`
    const code = "code" in cause ? cause.code : undefined
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) return code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return undefined
}

/** What the proxy answered to CONNECT: undici says it in a message, `node:http` in a member. */
const proxyStatus = (cause: object): string | undefined => {
  const code = "code" in cause ? cause.code : undefined
  if (code === "UND_ERR_ABORTED" && "message" in cause && typeof cause.message === "string") {
    return /^Proxy response \((\d{3})\)/.exec(cause.message)?.[1]
  }
  return code === "ERR_PROXY_TUNNEL" && "statusCode" in cause ? /^\d{3}$/.exec(`${cause.statusCode}`)?.[0] : undefined
}

export const remedyOf = (reason: string): string =>
  remedies.find(([pattern]) => pattern.test(reason))?.[1] ??
    "Check name resolution, the proxy, the firewall and, for certificate reasons, the trusted authorities."

/** The first that fits. What begins with `PROXY_` is about the way to the proxy itself. */
const remedies: ReadonlyArray<readonly [RegExp, string]> = [
  [
    /^PROXY_RESPONSE_407$/,
    "The proxy wants a user name and a password, or other ones: put them into the proxy's URL (HTTPS_PROXY), percent-encoded, "
    + "or into the option of the transport."
  ],
  [
    /^PROXY_RESPONSE_\d{3}$/,
    "The proxy does not open the way to this host: have it allowed there, or name the host in NO_PROXY if it can be reached "
    + "directly."
  ],
  [
    /(?:^|_)(?:SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/,
    "The certificate comes from an authority that this process does not trust, such as that of a proxy that looks into TLS: "
    + "name a file with the authority's certificate (PEM) in NODE_EXTRA_CA_CERTS before Node starts, or pass it as "
    + "certificateAuthorities to NodeTransport.layerWith."
  ],
  [
    /(?:^|_)CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/,
    "The certificate is not valid now: check this machine's clock, then the certificate."
  ],
  [
    /(?:^|_)(?:ERR_TLS_CERT_ALTNAME_INVALID|UND_ERR_PRX_TLS)$/,
    "The certificate is for another host: check the name, and whether something on the way answers in its place."
  ],
  [
    /^(?:PROXY_|UND_ERR_PRX_CONN$)/,
    "The proxy itself could not be reached, or hung up: check its address (HTTPS_PROXY, HTTP_PROXY, or the option of the "
    + "transport), and that it runs."
  ]
]
