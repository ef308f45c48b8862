/**
 * Verifies certificates that an app trusts by subject name and issuer. The `x5c` of the assertion contains the chain.
 */
import type { X509Certificate } from "@peculiar/x509"
import * as Effect from "effect/Effect"
import { type Refusal, untrustedSubject, unverifiedAssertion } from "../http/refusal.ts"
import { readCertificate, type RegisteredCertificate } from "../world/certificates.ts"
import type { TrustedSubject } from "../world/world.ts"
import { x509 } from "../world/x509.ts"

/** Returns the leaf of `x5c` if its name is trusted and its chain leads to the issuer; undefined without chain or trust. */
export const certificateByName = Effect.fnUntraced(function*(
  x5c: string | ReadonlyArray<string>,
  trusted: ReadonlyArray<TrustedSubject>,
  now: number
): Effect.fn.Return<RegisteredCertificate | undefined, Refusal> {
  const [first, ...rest] = typeof x5c === "string" ? [x5c] : x5c
  if (first === undefined || trusted.length === 0) return undefined
  const { X509Certificate } = yield* x509
  const read = (text: string) =>
    Effect.try({
      try: () => new X509Certificate(text),
      catch: () => unverifiedAssertion("its 'x5c' holds what is no certificate")
    })
  const leaf = yield* read(first)
  const chain = yield* Effect.forEach(rest, read)
  const names = yield* namesOf(leaf)
  const named = trusted.filter(({ subject }) => names.includes(subject))
  if (named.length === 0) return yield* Effect.fail(untrustedSubject(names))
  for (const { issuerCertificate } of named) {
    if (yield* leadsTo(leaf, chain, new X509Certificate(issuerCertificate), now)) {
      return yield* readCertificate(leaf.toString("pem"))
    }
  }
  return yield* Effect.fail(unverifiedAssertion("its 'x5c' does not lead to the issuer that the app trusts"))
})

const namesOf = (certificate: X509Certificate): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(x509, ({ SubjectAlternativeNameExtension }) => [
    certificate.subject,
    ...certificate.subjectName.getField("CN"),
    ...(certificate.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [])
      .flatMap(({ type, value }) => type === "dns" ? [value] : [])
  ])

/** Returns whether the chain leads to `issuer`: each certificate was issued by the next one, and the last by `issuer`. */
const leadsTo = Effect.fnUntraced(function*(
  leaf: X509Certificate,
  chain: ReadonlyArray<X509Certificate>,
  issuer: X509Certificate,
  now: number
): Effect.fn.Return<boolean> {
  let current = leaf
  for (const next of chain) {
    if (yield* isIssuedBy(current, issuer, now)) return true
    if (!(yield* isIssuedBy(current, next, now))) return false
    current = next
  }
  return yield* isIssuedBy(current, issuer, now)
})

const isIssuedBy = (subject: X509Certificate, issuer: X509Certificate, now: number): Effect.Effect<boolean> =>
  Effect.flatMap(x509, ({ BasicConstraintsExtension }) => {
    const isAuthority = issuer.getExtension(BasicConstraintsExtension)?.ca === true
    const isValid = now >= issuer.notBefore.getTime() && now < issuer.notAfter.getTime()
    return isAuthority && isValid && subject.issuer === issuer.subject
      ? Effect.orElseSucceed(
        Effect.tryPromise(() => subject.verify({ publicKey: issuer.publicKey, signatureOnly: true })),
        () => false
      )
      : Effect.succeed(false)
  })
