/**
 * The certificate of a file that may also contain a private key, in any order.
 */
import { X509Certificate } from "node:crypto"
import { keyFault } from "../../../internal/credential/keyFault.ts"

/** The registered part of a certificate file. */
export interface CertificateText {
  /** PEM, the leaf first, without keys. */
  readonly certificate: string
  readonly hasKey: boolean
  /** The reason why a client cannot use the key of the certificate. */
  readonly keyFault?: string | undefined
}

/** Returns the certificate of a text, or undefined if the text has no readable certificate. */
export const readCertificateText = (text: string): CertificateText | undefined => {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  try {
    const [leaf] = blocks.map((block) => new X509Certificate(block))
    return leaf === undefined ? undefined : {
      certificate: `${blocks.join("\n")}\n`,
      hasKey: /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text),
      keyFault: keyFault(leaf.publicKey)
    }
  } catch {
    return undefined
  }
}
