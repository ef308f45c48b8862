/** Certificates that are read again and again: what has not changed is neither parsed nor tried again. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as ClientCredential from "../../../ClientCredential.ts"
import type { CredentialError } from "../../../EntraError.ts"
import type { MaterialKind } from "../../../internal/credential/credentialSource.ts"
import { certificates } from "../../../internal/credential/signedAssertion.ts"
import { type CertificateContents, type CertificateParts, certificateParts, type Content } from "./certificateFile.ts"

/** What does not come out of the content. */
export type CertificateOptions = Omit<ClientCredential.CertificateOptions, "certificate" | "privateKey" | "sign">

export interface Piece {
  readonly contents: CertificateContents
  readonly options: CertificateOptions
}

/** As the core has it. */
type Material = Effect.Success<ReturnType<Effect.Success<typeof certificates>["read"]>>[number]

/** What the core knows of certificates, for those that it cannot read itself. */
export const pieces: Effect.Effect<MaterialKind<Piece, Material>> = /*#__PURE__*/ Effect.map(certificates, (kind) => {
  const read = parser()
  let last: ReadonlyArray<Parsed> = []
  let material: ReadonlyArray<Material> = []
  return {
    ...kind,
    read: (given: ReadonlyArray<Piece>) =>
      Effect.gen(function*() {
        const parsed = yield* read(given)
        const isKnown = material.length === parsed.length &&
          parsed.every((one, index) => isSameParsed(one, last[index]))
        if (!isKnown) {
          material = yield* kind.read(
            parsed.map(({ options, parts: { certificate, privateKey } }) => ({ ...options, certificate, privateKey }))
          )
          last = parsed
        }
        return material
      })
  }
})

interface Parsed extends Piece {
  readonly parts: CertificateParts
}

/** What stays wrong until its content is another: to find out again may take a second of the whole process. */
interface Broken {
  readonly contents: CertificateContents
  readonly failure: CredentialError
}

const parser = (): (given: ReadonlyArray<Piece>) => Effect.Effect<ReadonlyArray<Parsed>, CredentialError> => {
  let known: ReadonlyArray<Parsed> = []
  let broken: ReadonlyArray<Broken> = []

  const partsOf = (contents: CertificateContents, now: number): Effect.Effect<CertificateParts, CredentialError> => {
    const found = known.find((one) => now < one.parts.until && isSame(one.contents, contents))
    const bad = broken.find((one) => isSame(one.contents, contents))
    if (bad !== undefined) return Effect.fail(bad.failure)
    return found === undefined ? certificateParts(contents, now) : Effect.succeed(found.parts)
  }

  return (given) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const read = yield* Effect.forEach(given, (piece) =>
        Effect.map(Effect.result(partsOf(piece.contents, now)), (parts) => ({ piece, parts })))
      const usable = read.flatMap(({ parts, piece }) =>
        Result.isSuccess(parts) ? [{ ...piece, parts: parts.success }] : []
      )
      const failed = read.flatMap(({ parts, piece }) =>
        Result.isFailure(parts) ? [{ contents: piece.contents, failure: parts.failure }] : []
      )
      broken = failed.filter(({ failure }) =>
        !untimely.has(failure.code)
      )
      // Of several, some may not be valid now: that is what rotation is for.
      const failure = failed.map(({ failure }) => failure)
        .find(({ code }) => usable.length === 0 || !untimely.has(code))
      if (failure !== undefined) return yield* Effect.fail(failure)
      known = usable
      return usable
    })
}

const untimely: ReadonlySet<string> = new Set(["certificate_expired", "certificate_not_yet_valid"])

const isSameParsed = (one: Parsed, other: Parsed | undefined): boolean =>
  one.parts === other?.parts && Equal.equals(one.options, other.options)

const isSame = (one: CertificateContents, other: CertificateContents): boolean =>
  isSameContent(one.certificate, other.certificate) && isSameContent(one.key, other.key) &&
  valueOf(one.password.value) === valueOf(other.password.value)

const isSameContent = (one: Content | undefined, other: Content | undefined): boolean =>
  one === undefined || other === undefined ? one === other : Buffer.from(one.bytes).equals(other.bytes)

const valueOf = (password: Redacted.Redacted<string> | undefined): string =>
  password === undefined ? "" : Redacted.value(password)
