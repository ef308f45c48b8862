/**
 * The certificates that are registered for an app, with their thumbprints and key types.
 */
import * as Effect from "effect/Effect"
import * as jose from "jose"
import { x509 } from "./x509.ts"

/** A certificate that is registered for an app. Times are in milliseconds since the epoch. */
export interface RegisteredCertificate {
  readonly pem: string
  /** The SHA-1 of the DER in base64url, which is the header parameter `x5t`. */
  readonly sha1: string
  /** The SHA-256 of the DER in base64url, which is the header parameter `x5t#S256`. */
  readonly sha256: string
  readonly keyType: "RSA" | "EC"
  readonly notBefore: number
  readonly notAfter: number
}

/** Reads the first certificate of a PEM text; an unreadable certificate is a defect, because it is an error of the test. */
export const readCertificate = (pem: string): Effect.Effect<RegisteredCertificate> =>
  Effect.flatMap(x509, ({ X509Certificate }) =>
    Effect.promise(async () => {
      const [leaf] = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(pem) ?? []
      if (leaf === undefined) throw new Error("EntraSimulator: a registered certificate is not PEM.")
      const certificate = new X509Certificate(leaf)
      const [sha1, sha256] = await Promise.all([
        globalThis.crypto.subtle.digest("SHA-1", certificate.rawData),
        globalThis.crypto.subtle.digest("SHA-256", certificate.rawData)
      ])
      return {
        pem: leaf,
        sha1: jose.base64url.encode(new Uint8Array(sha1)),
        sha256: jose.base64url.encode(new Uint8Array(sha256)),
        keyType: certificate.publicKey.algorithm.name.startsWith("EC") ? "EC" : "RSA",
        notBefore: certificate.notBefore.getTime(),
        notAfter: certificate.notAfter.getTime()
      }
    }))
