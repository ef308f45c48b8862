/**
 * The certificate of a file that may also contain a private key, in any order.
 */
import { X509Certificate } from "node:crypto"

/** The registered part of a certificate file. */
export interface CertificateText {
  /** PEM, the leaf first, without keys. */
  readonly certificate: string
  readonly hasKey: boolean
}

/** Returns the certificate of a text, or undefined if the text has no readable certificate. */
export const readCertificateText = (text: string): CertificateText | undefined => {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  try {
    for (const block of blocks) void new X509Certificate(block)
  } catch {
    return undefined
  }
  return blocks.length === 0
    ? undefined
    : { certificate: `${blocks.join("\n")}\n`, hasKey: /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) }
}
