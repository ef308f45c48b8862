/** A client assertion (RFC 7523 section 3) as Entra wants it: what is signed, not how. */

/** How the assertion names the key: the digest of the certificate, in base64url. */
export interface Thumbprints {
  readonly "x5t#S256": string
  readonly x5t: string
}

export type Algorithm = "PS256" | "RS256" | "ES256"

export interface AssertionHeader {
  readonly alg: Algorithm
  readonly typ: "JWT"
  readonly x5c?: Array<string>
  readonly [thumbprint: string]: unknown
}

export interface AssertionClaims {
  readonly aud: string
  readonly iss: string
  readonly sub: string
  readonly jti: string
  readonly nbf: number
  readonly iat: number
  readonly exp: number
}

/** Seconds an assertion is valid. */
export const assertionLifetime = 600

export const assertionHeader = (options: {
  readonly algorithm: Algorithm
  readonly thumbprint: keyof Thumbprints
  readonly thumbprints: Thumbprints
  readonly chain: ReadonlyArray<string> | undefined
}): AssertionHeader => ({
  alg: options.algorithm,
  typ: "JWT",
  [options.thumbprint]: options.thumbprints[options.thumbprint],
  ...(options.chain === undefined ? {} : { x5c: [...options.chain] })
})

/** `now` in milliseconds; the claims are NumericDates: whole seconds, as numbers. */
export const assertionClaims = (options: {
  readonly audience: string
  readonly clientId: string
  readonly now: number
  readonly id: string
}): AssertionClaims => {
  const seconds = Math.floor(options.now / 1000)
  return {
    aud: options.audience,
    iss: options.clientId,
    sub: options.clientId,
    jti: options.id,
    nbf: seconds,
    iat: seconds,
    exp: seconds + assertionLifetime
  }
}

/** Three non-empty base64url parts, as RFC 7515 section 3.1 has it; whether it is true is for the service to say. */
export const isCompactJwt = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
