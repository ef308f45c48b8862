/** A certificate of this run, as ours and the peers take it. */
import { Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { X509Certificate } from "node:crypto"

export interface Certificate {
  readonly certificate: string
  readonly privateKey: string
  /** Of SHA-256, in hexadecimal, as msal-node asks for it. */
  readonly thumbprint: string
}

export const make = async (algorithm: "RSA" | "EC"): Promise<Certificate> => {
  const { certificate, privateKey } = await Effect.runPromise(TestCertificate.make({ algorithm }))
  const thumbprint = new X509Certificate(certificate).fingerprint256.replaceAll(":", "").toLowerCase()
  return { certificate, privateKey: Redacted.value(privateKey), thumbprint }
}
