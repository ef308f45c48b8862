/** Credentials that sign a new assertion for each attempt, with a certificate or with a key alone. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialCode, CredentialError } from "../../EntraError.ts"
import { randomId } from "../shared/randomId.ts"
import { logSafely } from "../shared/safeLog.ts"
import { isText } from "../shared/validate.ts"
import { type Certificate, clockTolerance, loadCertificate, type Signer, validityProblem } from "./certificate.ts"
import {
  type AdditionalClaims,
  type Algorithm,
  algorithmFor,
  algorithms,
  assertionClaims,
  assertionForm,
  assertionHeader,
  isAlgorithmOfKey,
  parseAdditionalClaims,
  withAdditionalClaims
} from "./clientAssertion.ts"
import type { Attempt } from "./credential.ts"
import type { MaterialKind } from "./credentialSource.ts"
import { algorithmMismatch, credentialFieldError, loadJose, loadKey, type SigningKey } from "./privateKey.ts"

export interface KeyOptions {
  readonly privateKey: Redacted.Redacted<string>
  readonly audience?: string | undefined
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
}

/** Options of a certificate. The environment of `sign` has been provided already. */
export interface CertificateOptions {
  readonly certificate: string
  readonly privateKey?: Redacted.Redacted<string> | undefined
  readonly sign?: Signer | undefined
  readonly sendCertificateChain?: boolean | undefined
  readonly audience?: string | undefined
  readonly assertionClaims?: Readonly<Record<string, unknown>> | undefined
  readonly mergeWithDefaultClaims?: boolean | undefined
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
}

interface KeyMaterial {
  readonly options: KeyOptions
  readonly key: SigningKey
}

interface CertificateMaterial {
  readonly options: CertificateOptions
  readonly certificate: Certificate
  readonly additional: AdditionalClaims | undefined
  /** The content as one string. Certificates with the same string make the same assertions. */
  readonly content: string
}

/** The kind of credential that signs with a key alone. */
export const keys: Effect.Effect<MaterialKind<KeyOptions, KeyMaterial>> = /*#__PURE__*/ Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const newId = yield* randomId
  return {
    read: Effect.forEach((options) =>
      Effect.gen(function*() {
        const key = yield* loadKey(yield* loadJose, options.privateKey)
        yield* checkAlgorithm(options.algorithm, key.rsa)
        yield* checkText("keyId", options.keyId, "key_id_malformed")
        yield* checkText("audience", options.audience, "field_malformed")
        return { options, key }
      })
    ),
    same: (one, other) =>
      Redacted.value(one.options.privateKey) === Redacted.value(other.options.privateKey) &&
      one.options.keyId === other.options.keyId && one.options.algorithm === other.options.algorithm &&
      one.options.audience === other.options.audience,
    prove: ({ key, options }, attempt) => {
      const header = assertionHeader({
        algorithm: algorithmFor(key.rsa, options.algorithm, attempt.assertion),
        keyId: options.keyId
      })
      const claims = assertionClaims({
        audience: audienceOf(options, attempt),
        clientId: attempt.clientId,
        now: clock.currentTimeMillisUnsafe(),
        id: newId()
      })
      return Effect.map(key.sign(header, claims), (jwt) => ({ form: assertionForm(jwt) }))
    }
  }
})

/** The kind of credential that signs with a certificate's key. */
export const certificates: Effect.Effect<MaterialKind<CertificateOptions, CertificateMaterial>> = /*#__PURE__*/ Effect
  .gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    let warnedAbout = ""
    const warn = ({ certificate: { validFrom }, content }: CertificateMaterial): Effect.Effect<void> => {
      if (content === warnedAbout || validFrom === undefined) return Effect.void
      warnedAbout = content
      return logSafely(
        Effect.logWarning(
          `the certificate is not valid before ${
            new Date(validFrom).toISOString()
          } by the clock of this machine, and is used already. Check that clock`
        )
      )
    }
    return {
      read: (input) =>
        Effect.gen(function*() {
          const all = yield* Effect.forEach(input, certificateMaterialOf)
          const now = clock.currentTimeMillisUnsafe()
          const valid = currentlyValid(all, now)
          if (Result.isSuccess(valid)) return valid.success
          // The clock of this machine may be slow.
          const early = yield* Effect.mapError(
            Effect.fromResult(currentlyValid(all, now + clockTolerance)),
            () => valid.failure
          )
          yield* Effect.forEach(early, warn, { discard: true })
          return early
        }),
      same: (one, other) => one.content === other.content,
      expiresOn: ({ certificate }) => certificate.expiresOn,
      prove: ({ additional, certificate, options }, attempt) => {
        const isChainSent = attempt.sendCertificateChain ?? options.sendCertificateChain ?? false
        const header = assertionHeader({
          algorithm: algorithmFor(certificate.rsa, options.algorithm, attempt.assertion),
          thumbprint: attempt.assertion.thumbprint,
          also: attempt.assertion.also,
          thumbprints: certificate.thumbprints,
          keyId: options.keyId,
          chain: isChainSent ? certificate.chain : undefined
        })
        const claims = assertionClaims({
          audience: audienceOf(options, attempt),
          clientId: attempt.clientId,
          now: clock.currentTimeMillisUnsafe(),
          id: newId()
        })
        return Effect.map(
          certificate.sign(header, withAdditionalClaims(claims, additional)),
          (jwt) => ({ form: assertionForm(jwt) })
        )
      }
    }
  })

const certificateMaterialOf = (options: CertificateOptions): Effect.Effect<CertificateMaterial, CredentialError> =>
  Effect.gen(function*() {
    const additional = yield* Effect.fromResult(additionalOf(options))
    const certificate = yield* loadCertificate(options)
    yield* checkAlgorithm(options.algorithm, certificate.rsa)
    yield* checkText("keyId", options.keyId, "key_id_malformed")
    yield* checkText("audience", options.audience, "field_malformed")
    const { algorithm, audience, keyId, sendCertificateChain } = options
    return {
      options,
      certificate,
      additional,
      content: JSON.stringify([
        certificate.chain,
        algorithm ?? "",
        keyId ?? "",
        audience ?? "",
        sendCertificateChain ?? false,
        additional ?? ""
      ])
    }
  })

const additionalOf = (
  { assertionClaims: input, mergeWithDefaultClaims }: CertificateOptions
): Result.Result<AdditionalClaims | undefined, CredentialError> =>
  input === undefined ? Result.succeed(undefined) : parseAdditionalClaims(input).pipe(
    Result.map((claims) => ({ claims, merge: mergeWithDefaultClaims ?? true })),
    // Without `merge` the configured claims are sent as they are, and may have their own `jti`.
    Result.filterOrFail(
      ({ claims, merge }) => !merge || !Object.hasOwn(claims, "jti"),
      () => ({ field: "assertionClaims.jti", what: "is set, but would give each assertion the same id" })
    ),
    Result.mapError(({ field, what }) =>
      credentialFieldError(
        "claims_malformed",
        field,
        what,
        "Pass a JSON object. Its times are numbers of seconds since 1970."
      )
    )
  )

const checkAlgorithm = (algorithm: Algorithm | undefined, rsa: boolean): Effect.Effect<void, CredentialError> =>
  algorithm === undefined
    ? Effect.void
    // A JavaScript caller may pass any value.
    : !algorithms.includes(algorithm)
    ? Effect.fail(
      credentialFieldError(
        "algorithm_unsupported",
        "algorithm",
        `is not one of ${algorithms.join(", ")}`,
        "Pass one of them, or leave algorithm out."
      )
    )
    : isAlgorithmOfKey(algorithm, rsa)
    ? Effect.void
    : Effect.fail(algorithmMismatch(algorithm, rsa))

const checkText = (
  field: "keyId" | "audience",
  value: unknown,
  code: CredentialCode
): Effect.Effect<void, CredentialError> =>
  value === undefined || isText(value)
    ? Effect.void
    : Effect.fail(credentialFieldError(code, field, "is not a string", `Pass ${field} as a string, or leave it out.`))

const audienceOf = ({ audience }: { readonly audience?: string | undefined }, attempt: Attempt): string =>
  audience === undefined ? attempt.audience : audience === "tokenEndpoint" ? attempt.tokenEndpoint : audience

/**
 * Returns the certificates that are valid now. During a rotation some are not valid yet or any more, so the result fails
 * only if no certificate is valid.
 */
const currentlyValid = (
  all: ReadonlyArray<CertificateMaterial>,
  now: number
): Result.Result<ReadonlyArray<CertificateMaterial>, CredentialError> => {
  const checked = all.map((material) => ({ material, problem: validityProblem(material.certificate, now) }))
  const valid = checked.flatMap(({ material, problem }) => problem === undefined ? [material] : [])
  const problem = checked[0]?.problem
  return valid.length === 0 && problem !== undefined ? Result.fail(problem) : Result.succeed(valid)
}
