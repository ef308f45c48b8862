/** The certificate authorities that connections trust. */
import * as Arr from "effect/Array"
import * as Result from "effect/Result"
import { X509Certificate } from "node:crypto"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"
import type { InvalidRequestError } from "../../../EntraError.ts"
import { type Fault, faultOf, readPem } from "../../../internal/credential/pem.ts"
import { invalidRequest } from "../../../internal/shared/errors.ts"
import { withRemedy } from "../../../internal/shared/text.ts"
import { isText } from "../../../internal/shared/validate.ts"

/**
 * Creates one TLS context for all connections, because reading some 150 certificates per connection is slow. Undefined: no
 * additional authorities.
 */
export const secureContextOf = (
  authorities: string | ReadonlyArray<string> | undefined
): Result.Result<SecureContext | undefined, InvalidRequestError> => {
  if (authorities === undefined) return Result.succeed(undefined)
  const texts = Arr.ensure(authorities)
  if (!texts.every(isText)) return Result.fail(unreadableAuthority(""))
  const read = texts.map(readPem)
  const certificates = read.map(({ blocks }) => blocks.filter(({ label }) => label === "CERTIFICATE"))
  const invalidIndex = certificates.findIndex((blocks) =>
    blocks.length === 0 || !blocks.every(({ pem }) => isCertificate(pem))
  )
  const damaged = certificates[invalidIndex]?.find(({ pem }) => !isCertificate(pem))
  return invalidIndex === -1
    ? Result.succeed(createSecureContext({
      ca: [...getCACertificates("default"), ...certificates.flat().map(({ pem }) => pem)]
    }))
    : Result.fail(
      unreadableAuthority(
        typeof authorities === "string" ? "" : `[${invalidIndex}]`,
        damaged === undefined ? read[invalidIndex]?.fault : faultOf(damaged)
      )
    )
}

const isCertificate = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

const unreadableAuthority = (index: string, fault?: Fault): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    `certificateAuthorities${index}`,
    `certificateAuthorities${index} ${fault?.what ?? "contains no certificate, or a certificate that cannot be read"}`,
    withRemedy(
      fault?.remedy,
      "Pass the text of a PEM file from -----BEGIN CERTIFICATE----- on, not the path of the file."
    )
  )
