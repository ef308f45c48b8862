/**
 * Certificates registered for an app: what their thumbprints and keys are.
 */
import * as Effect from "effect/Effect"
import * as jose from "jose"
import { x509 } from "./x509.ts"

/** A certificate as registered for an app. */
export interface RegisteredCertificate {
  readonly pem: string
  /** base64url of the SHA-1 of the DER, the header parameter `x5t`. */
  readonly sha1: string
  /** base64url of the SHA-256 of the DER, the header parameter `x5t#S256`. */
  readonly sha256: string
  readonly keyType: "RSA" | "EC"
  readonly notBefore: number
  readonly notAfter: number
}

/** Reads the first certificate of a PEM text; one that cannot be read is a defect of the test. */
export const readCertificate = (pem: string): Effect.Effect<RegisteredCertificate> =>
  Effect.flatMap(x509, ({ X509Certificate }) =>
    Effect.promise(async () => {
      const [leaf] = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(pem) ?? []
      if (leaf === undefined) throw new Error("EntraSimulator: a registered certificate must be PEM")
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
