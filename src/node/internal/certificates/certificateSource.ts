/** Parses the certificates of a source that is reloaded: unchanged content is not parsed again. */
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

/** The options that do not come from the content. */
export type CertificateOptions = Omit<ClientCredential.CertificateOptions, "certificate" | "privateKey" | "sign">

export interface Piece {
  readonly contents: CertificateContents
  readonly options: CertificateOptions
}

/** A loaded certificate of `ClientCredential.certificate`. */
type Material = Effect.Success<ReturnType<Effect.Success<typeof certificates>["read"]>>[number]

/** The `Kind` of certificates in the formats that `ClientCredential.certificate` does not read. */
export const pieces: Effect.Effect<MaterialKind<Piece, Material>> = /*#__PURE__*/ Effect.map(certificates, (kind) => {
  const parse = makeParser()
  let last: ReadonlyArray<Parsed> = []
  let material: ReadonlyArray<Material> = []
  return {
    ...kind,
    read: (values: ReadonlyArray<Piece>) =>
      Effect.gen(function*() {
        const parsed = yield* parse(values)
        const isUnchanged = material.length === parsed.length &&
          parsed.every((one, index) => isSameParsed(one, last[index]))
        if (!isUnchanged) {
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

/** Content that cannot be used until it changes: parsing it again may block the process for a second. */
interface Rejected {
  readonly contents: CertificateContents
  readonly failure: CredentialError
}

const makeParser = (): (values: ReadonlyArray<Piece>) => Effect.Effect<ReadonlyArray<Parsed>, CredentialError> => {
  let known: ReadonlyArray<Parsed> = []
  let rejected: ReadonlyArray<Rejected> = []

  const partsOf = (contents: CertificateContents, now: number): Effect.Effect<CertificateParts, CredentialError> => {
    const failed = rejected.find((one) => isSame(one.contents, contents))
    if (failed !== undefined) return Effect.fail(failed.failure)
    const parsed = known.find((one) => now < one.parts.until && isSame(one.contents, contents))
    return parsed === undefined ? certificateParts(contents, now) : Effect.succeed(parsed.parts)
  }

  return (values) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const read = yield* Effect.forEach(values, (piece) =>
        Effect.map(Effect.result(partsOf(piece.contents, now)), (parts) => ({ piece, parts })))
      const usable = read.flatMap(({ parts, piece }) =>
        Result.isSuccess(parts) ? [{ ...piece, parts: parts.success }] : []
      )
      const failed = read.flatMap(({ parts, piece }) =>
        Result.isFailure(parts) ? [{ contents: piece.contents, failure: parts.failure }] : []
      )
      rejected = failed.filter(({ failure }) =>
        !invalidNow.has(failure.code)
      )
      // During a rotation, some of the certificates may not be valid now.
      const failure = failed.map(({ failure }) => failure)
        .find(({ code }) => usable.length === 0 || !invalidNow.has(code))
      if (failure !== undefined) return yield* Effect.fail(failure)
      known = usable
      return usable
    })
}

const invalidNow: ReadonlySet<string> = new Set(["certificate_expired", "certificate_not_yet_valid"])

const isSameParsed = (one: Parsed, other: Parsed | undefined): boolean =>
  one.parts === other?.parts && Equal.equals(one.options, other.options)

const isSame = (one: CertificateContents, other: CertificateContents): boolean =>
  isSameContent(one.certificate, other.certificate) && isSameContent(one.key, other.key) &&
  valueOf(one.password.value) === valueOf(other.password.value)

const isSameContent = (one: Content | undefined, other: Content | undefined): boolean =>
  one === undefined || other === undefined ? one === other : Buffer.from(one.bytes).equals(other.bytes)

const valueOf = (password: Redacted.Redacted<string> | undefined): string =>
  password === undefined ? "" : Redacted.value(password)
