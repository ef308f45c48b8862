/** A credential that tries several credentials in order. The credential that works stays in use until it fails. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { type CredentialError, type InvalidClientError, type InvalidRequestError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import type { Acquisition, Attempt, Authentication, ClientAuthentication, Credential } from "./credential.ts"
import { isCredentialFault } from "./rotationState.ts"

/** The reason why a member was skipped, by its index in the list. */
type Reasons = ReadonlyMap<number, string>

/** The members that one acquisition has tried. */
interface Tried {
  readonly refused: Map<number, string>
  /** The authentication of each member that the acquisition has begun with. */
  readonly begun: Map<number, ClientAuthentication>
  /** The member of the last attempt. */
  sent: number | undefined
}

/** Creates a credential of several members. A member is created at its first use, and kept. */
export const make = (
  members: ReadonlyArray<Effect.Effect<Credential, CredentialError | InvalidRequestError>>
): Effect.Effect<Credential, CredentialError> =>
  Effect.gen(function*() {
    const created = new Map<number, Credential>()
    let inUse = 0
    // The scope of a credential is the program, so nothing closes it.
    const creations = yield* Scope.provide(
      SingleFlight.make<Credential, string>({ closed: () => "It has ended.", limit: memberTimeout }),
      yield* Scope.make()
    )

    /** Returns a member, and creates it if it does not exist yet. */
    const member = (index: number): Effect.Effect<Credential, string> =>
      Effect.suspend(() => {
        const known = created.get(index)
        const member = members[index]
        if (known !== undefined) return Effect.succeed(known)
        if (member === undefined) return Effect.fail("The list has no such credential.")
        return member.pipe(
          Effect.tap((credential) => Effect.sync(() => created.set(index, credential))),
          Effect.mapError(reasonOf)
        )
      })

    /** Returns a member. Concurrent callers create it only once. */
    const memberOnce = (index: number): Effect.Effect<Credential, string> =>
      created.has(index)
        ? member(index)
        : creations.join(String(index), withTimeLimit(member(index), longestCreation))

    /** Returns the order of trials: the member in use, then the others in list order. */
    const order = (): ReadonlyArray<number> => [inUse, ...[...members.keys()].filter((index) => index !== inUse)]

    /**
     * Returns the result of the first member for which `use` succeeds. If all fail, the error has the reason of each
     * member.
     */
    const first = <A>(
      skipped: Reasons,
      memberOf: (index: number) => Effect.Effect<Credential, string>,
      use: (credential: Credential, index: number) => Effect.Effect<A, string>
    ): Effect.Effect<{ readonly index: number; readonly value: A }, CredentialError> =>
      Effect.gen(function*() {
        const reasons = new Map(skipped)
        const left = order().filter((index) => index < members.length && !skipped.has(index))
        for (const index of left) {
          const attempted = Effect.catchCause(
            Effect.flatMap(memberOf(index), (credential) => use(credential, index)),
            (cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), () => "It failed with a defect."))
          )
          const tried = yield* Effect.result(
            index === left.at(-1) ? attempted : withTimeLimit(attempted, memberTimeout)
          )
          if (Result.isSuccess(tried)) return { index, value: tried.success }
          reasons.set(index, tried.failure)
        }
        inUse = 0
        return yield* exhausted(reasons)
      })

    inUse = (yield* first(new Map(), member, Effect.succeed)).index
    const current = () => created.get(inUse)

    const channelOf = () => current()?.channel ?? "standard"

    const begin = (acquisition: Acquisition): ClientAuthentication => {
      const tried: Tried = { refused: new Map(), begun: new Map(), sent: undefined }

      const begun = (index: number, credential: Credential): ClientAuthentication => {
        const known = tried.begun.get(index) ?? credential.begin(acquisition)
        tried.begun.set(index, known)
        return known
      }

      const authenticate = (attempt: Attempt): Effect.Effect<Authentication, CredentialError> =>
        Effect.suspend(() => {
          const channel = channelOf()
          const prove = (credential: Credential, index: number) =>
            credential.channel === channel
              ? Effect.mapError(begun(index, credential).authenticate(attempt), reasonOf)
              : Effect.fail(
                `It authenticates over the channel ${credential.channel}, but this request uses ${channel}.`
              )
          return Effect.map(first(tried.refused, memberOnce, prove), ({ index, value }) => {
            inUse = index
            tried.sent = index
            return value
          })
        })

      /** Returns the member to try after a refused member. A member that does not exist yet may have the right channel. */
      const successor = (): number | undefined => {
        const channel = channelOf()
        return [...members.keys()].find((index) =>
          !tried.refused.has(index) && (created.get(index)?.channel ?? channel) === channel
        )
      }

      const refused = (error: InvalidClientError): Effect.Effect<boolean> =>
        Effect.suspend(() => {
          const index = tried.sent ?? inUse
          const credential = created.get(index)
          const hasOther = credential === undefined ? noOther : begun(index, credential).refused(error)
          return Effect.map(
            Effect.catchCause(
              Effect.timeoutOrElse(hasOther, { duration: memberTimeout, orElse: () => noOther }),
              () => noOther
            ),
            (again) => {
              if (again) {
                inUse = index
                return true
              }
              if (!isCredentialFault(error)) return false
              tried.refused.set(index, `The service refused it (${error.code}): ${error.message}`)
              const next = successor()
              inUse = next ?? 0
              tried.sent = undefined
              return next !== undefined
            }
          )
        })

      const revision = (): string => {
        const index = tried.sent ?? inUse
        const credential = created.get(index)
        return credential === undefined ? "" : `${index}.${begun(index, credential).revision()}`
      }

      return { revision, authenticate, refused }
    }

    return {
      get channel() {
        return channelOf()
      },
      binding: () => current()?.binding(),
      begin,
      expiresOn: () => current()?.expiresOn?.()
    }
  })

const withTimeLimit = <A>(attempted: Effect.Effect<A, string>, limit: number): Effect.Effect<A, string> =>
  Effect.timeoutOrElse(attempted, {
    duration: limit,
    orElse: () => Effect.fail(`It took longer than ${limit / 1000} s.`)
  })

/** The milliseconds of a member that others follow, so that time remains for them. */
const memberTimeout = 4000

/** The milliseconds after which a creation ends that no caller waits for. */
const longestCreation = 60_000

const noOther = /*#__PURE__*/ Effect.succeed(false)

const reasonOf = ({ code, message }: CredentialError | InvalidRequestError): string => `${code}: ${message}`

const exhausted = (reasons: Reasons): CredentialError =>
  credentialError(
    "credentials_exhausted",
    "credential",
    reasons.size === 0
      ? "The list of credentials is empty"
      : `None of the ${reasons.size} credentials works: ${
        [...reasons].toSorted(([one], [other]) => one - other).map(([index, reason]) => `[${index}] ${reason}`).join(
          " "
        )
      }`,
    reasons.size === 0
      ? "Pass at least one credential."
      : "Fix the credential that should work here. The reasons are in the order of the list."
  )
