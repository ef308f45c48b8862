/** Credentials that sign an assertion of their own for each attempt: with a certificate, or with a key alone. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { assertionForm } from "../endpoint/tokenForm.ts"
import { randomId } from "../shared/randomId.ts"
import { isText } from "../shared/validate.ts"
import { type Certificate, loadCertificate, type Signer, untimely } from "./certificate.ts"
import {
  type Additional,
  additionalClaims,
  type Algorithm,
  algorithmFor,
  algorithms,
  assertionClaims,
  assertionHeader,
  fits,
  withAdditional
} from "./clientAssertion.ts"
import type { Kind } from "./credentialSource.ts"
import { loadJose, loadKey, problem, type SigningKey, unfit } from "./privateKey.ts"

export interface KeyOptions {
  readonly privateKey: Redacted.Redacted<string>
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
}

/** With its function that signs, if it has one, free of what that needs. */
export interface CertificateOptions {
  readonly certificate: string
  readonly privateKey?: Redacted.Redacted<string> | undefined
  readonly sign?: Signer | undefined
  readonly sendCertificateChain?: boolean | undefined
  readonly assertionClaims?: Readonly<Record<string, unknown>> | undefined
  readonly mergeWithDefaultClaims?: boolean | undefined
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
}

interface Key {
  readonly options: KeyOptions
  readonly key: SigningKey
}

interface Certified {
  readonly options: CertificateOptions
  readonly certificate: Certificate
  readonly additional: Additional | undefined
  /** What it is, in one word: two with the same word make the same assertions. */
  readonly content: string
}

export const keys: Effect.Effect<Kind<KeyOptions, Key>> = /*#__PURE__*/ Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const newId = yield* randomId
  return {
    read: Effect.forEach((options) =>
      Effect.gen(function*() {
        const key = yield* loadKey(yield* loadJose, options.privateKey)
        yield* checkAlgorithm(options.algorithm, key.rsa)
        yield* checkKeyId(options.keyId)
        return { options, key }
      })
    ),
    same: (one, other) =>
      Redacted.value(one.options.privateKey) === Redacted.value(other.options.privateKey) &&
      one.options.keyId === other.options.keyId && one.options.algorithm === other.options.algorithm,
    prove: ({ key, options }, attempt) => {
      const header = assertionHeader({
        algorithm: algorithmFor(key.rsa, options.algorithm, attempt.assertion),
        keyId: options.keyId
      })
      const claims = assertionClaims({
        audience: attempt.audience,
        clientId: attempt.clientId,
        now: clock.currentTimeMillisUnsafe(),
        id: newId()
      })
      return Effect.map(key.sign(header, claims), (jwt) => ({ form: assertionForm(jwt) }))
    }
  }
})

export const certificates: Effect.Effect<Kind<CertificateOptions, Certified>> = /*#__PURE__*/ Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const newId = yield* randomId
  return {
    read: (given) =>
      Effect.flatMap(
        Effect.forEach(given, certified),
        (all) => Effect.fromResult(timely(all, clock.currentTimeMillisUnsafe()))
      ),
    same: (one, other) => one.content === other.content,
    expiresOn: ({ certificate }) => certificate.expiresOn,
    prove: ({ additional, certificate, options }, attempt) => {
      const isChainSent = attempt.sendCertificateChain ?? options.sendCertificateChain ?? false
      const header = assertionHeader({
        algorithm: algorithmFor(certificate.rsa, options.algorithm, attempt.assertion),
        thumbprint: attempt.assertion.thumbprint,
        thumbprints: certificate.thumbprints,
        keyId: options.keyId,
        chain: isChainSent ? certificate.chain : undefined
      })
      const claims = assertionClaims({
        audience: attempt.audience,
        clientId: attempt.clientId,
        now: clock.currentTimeMillisUnsafe(),
        id: newId()
      })
      return Effect.map(
        certificate.sign(header, withAdditional(claims, additional)),
        (jwt) => ({ form: assertionForm(jwt) })
      )
    }
  }
})

const certified = (options: CertificateOptions): Effect.Effect<Certified, CredentialError> =>
  Effect.gen(function*() {
    const additional = yield* Effect.fromResult(additionalOf(options))
    const certificate = yield* loadCertificate(options)
    yield* checkAlgorithm(options.algorithm, certificate.rsa)
    yield* checkKeyId(options.keyId)
    const { algorithm, keyId, sendCertificateChain } = options
    return {
      options,
      certificate,
      additional,
      content: JSON.stringify([
        certificate.chain,
        algorithm ?? "",
        keyId ?? "",
        sendCertificateChain ?? false,
        additional ?? ""
      ])
    }
  })

const additionalOf = (
  { assertionClaims: given, mergeWithDefaultClaims }: CertificateOptions
): Result.Result<Additional | undefined, CredentialError> =>
  given === undefined ? Result.succeed(undefined) : additionalClaims(given).pipe(
    Result.map((claims) => ({ claims, merge: mergeWithDefaultClaims ?? true })),
    // Who replaces the defaults answers for all of the claims.
    Result.filterOrFail(
      ({ claims, merge }) => !merge || !Object.hasOwn(claims, "jti"),
      () => ({ field: "assertionClaims.jti", what: "is set, and would give each assertion the same id" })
    ),
    Result.mapError(({ field, what }) =>
      problem("claims_malformed", field, what, "Pass an object of JSON; its times are seconds since 1970, as numbers.")
    )
  )

const checkAlgorithm = (algorithm: Algorithm | undefined, rsa: boolean): Effect.Effect<void, CredentialError> =>
  algorithm === undefined
    ? Effect.void
    // JavaScript passes what it likes.
    : !algorithms.includes(algorithm)
    ? Effect.fail(
      problem("algorithm_unsupported", "algorithm", `is none of ${algorithms.join(", ")}`, "Use one, or leave it out.")
    )
    : fits(algorithm, rsa)
    ? Effect.void
    : Effect.fail(unfit(algorithm, rsa))

const checkKeyId = (keyId: unknown): Effect.Effect<void, CredentialError> =>
  keyId === undefined || isText(keyId)
    ? Effect.void
    : Effect.fail(problem("key_id_malformed", "keyId", "is no text", "Pass the key's id as a string, or leave it out."))

/** Of several, those are left out that are not valid now, unless none is: a new one waits, an old one is about to go. */
const timely = (
  all: ReadonlyArray<Certified>,
  now: number
): Result.Result<ReadonlyArray<Certified>, CredentialError> => {
  const judged = all.map((certified) => ({ certified, fault: untimely(certified.certificate, now) }))
  const valid = judged.flatMap(({ certified, fault }) => fault === undefined ? [certified] : [])
  const fault = judged[0]?.fault
  return valid.length === 0 && fault !== undefined ? Result.fail(fault) : Result.succeed(valid)
}
