/** Several credentials, tried in their order; the one that worked is used until it fails. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { CredentialError, type InvalidClientError, type InvalidRequestError } from "../EntraError.ts"
import { mends } from "./candidates.ts"
import type { Attempt, Credential } from "./credential.ts"
import type { Authentication } from "./identityHttp.ts"
import { keptIds } from "./rotation.ts"

/** Why each was passed over, by its place in the list. */
type Reasons = ReadonlyMap<number, string>

/** Members are made when their turn comes, and kept once they are. */
export const make = (
  members: ReadonlyArray<Effect.Effect<Credential, CredentialError | InvalidRequestError>>
): Effect.Effect<Credential, CredentialError> =>
  Effect.gen(function*() {
    const made = new Map<number, Credential>()
    let inUse = 0
    /** What the service has refused of an acquisition that goes on. */
    const refusedOf = new Map<string, Reasons>()
    /** Whose attempt it was that is under way. */
    const sentBy = new Map<string, number>()

    const member = (index: number): Effect.Effect<Credential, string> =>
      Effect.suspend(() => {
        const known = made.get(index)
        const member = members[index]
        if (known !== undefined) return Effect.succeed(known)
        if (member === undefined) return Effect.fail("there is no such credential")
        return member.pipe(
          Effect.tap((credential) => Effect.sync(() => made.set(index, credential))),
          Effect.mapError(reasonOf)
        )
      })

    /** The one in use, then the others from the top. */
    const order = (): ReadonlyArray<number> => [inUse, ...[...members.keys()].filter((index) => index !== inUse)]

    /** The first that does it, and why those before did not. */
    const first = <A>(
      passed: Reasons,
      use: (credential: Credential) => Effect.Effect<A, string>
    ): Effect.Effect<{ readonly index: number; readonly value: A }, CredentialError> =>
      Effect.gen(function*() {
        const reasons = new Map(passed)
        const left = order().filter((index) => !passed.has(index))
        for (const index of left) {
          const used = Effect.catchDefect(Effect.flatMap(member(index), use), () => Effect.fail("it died"))
          const tried = yield* Effect.result(index === left.at(-1) ? used : bounded(used))
          if (Result.isSuccess(tried)) return { index, value: tried.success }
          reasons.set(index, tried.failure)
        }
        inUse = 0
        return yield* exhausted(reasons)
      })

    inUse = (yield* first(new Map(), Effect.succeed)).index
    const current = () => made.get(inUse)

    const authenticate = (attempt: Attempt): Effect.Effect<Authentication, CredentialError> =>
      Effect.suspend(() => {
        const { correlationId } = attempt
        const passed = refusedOf.get(correlationId) ?? new Map()
        const channel = current()?.channel ?? "standard"
        const prove = (credential: Credential) =>
          credential.channel === channel
            ? Effect.map(
              Effect.mapError(credential.authenticate(attempt), reasonOf),
              (proof) => ({ ...proof, revision: proof.revision ?? credential.revision() })
            )
            : Effect.fail(
              `it proves itself over the channel ${credential.channel}, and this request goes over ${channel}`
            )
        return Effect.map(first(passed, prove), ({ index, value }) => {
          inUse = index
          keep(sentBy, correlationId, index)
          return { ...value, revision: `${index}.${value.revision}` }
        })
      })

    const refused = (error: InvalidClientError): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        const { correlationId = "" } = error
        const index = sentBy.get(correlationId) ?? inUse
        const passed = refusedOf.get(correlationId) ?? new Map<number, string>()
        sentBy.delete(correlationId)
        refusedOf.delete(correlationId)
        return Effect.map(made.get(index)?.refused(error) ?? Effect.succeed(false), (again) => {
          if (again) {
            inUse = index
            if (passed.size > 0) keep(refusedOf, correlationId, passed)
            return true
          }
          if (!mends(error)) return false
          const reasons = new Map(passed).set(index, `the service refused it (${error.code}): ${error.message}`)
          const next = [...members.keys()].find((index) => !reasons.has(index))
          inUse = next ?? 0
          if (next === undefined) return false
          keep(refusedOf, correlationId, reasons)
          return true
        })
      })

    return {
      get channel() {
        return current()?.channel ?? "standard"
      },
      binding: () => current()?.binding(),
      revision: () => {
        const credential = current()
        return credential === undefined ? "" : `${inUse}.${credential.revision()}`
      },
      expiresOn: () => current()?.expiresOn?.(),
      authenticate,
      refused
    }
  })

/** Whoever has others behind it may not use up their time. */
const bounded = <A>(used: Effect.Effect<A, string>): Effect.Effect<A, string> =>
  Effect.timeoutOrElse(used, {
    duration: patience,
    orElse: () => Effect.fail(`it took longer than ${patience / 1000} s`)
  })

/** Milliseconds. */
const patience = 4000

const keep = <A>(map: Map<string, A>, correlationId: string, value: A): void => {
  map.delete(correlationId)
  if (map.size >= keptIds) map.delete(map.keys().next().value ?? "")
  map.set(correlationId, value)
}

const reasonOf = ({ code, message }: CredentialError | InvalidRequestError): string => `${code}: ${message}`

const exhausted = (reasons: Reasons): CredentialError =>
  new CredentialError({
    code: "credentials_exhausted",
    field: "credential",
    origin: "local",
    message: reasons.size === 0
      ? "the list of credentials is empty"
      : `none of ${reasons.size} credentials works: ${
        [...reasons].toSorted(([one], [other]) => one - other).map(([index, reason]) => `[${index}] ${reason}`).join(
          "; "
        )
      }`,
    remedy: "Mend the one that is meant to work here; the reasons are in the order of the list."
  })
