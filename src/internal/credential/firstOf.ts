/** Several credentials, tried in their order; the one that worked is used until it fails. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { type CredentialError, type InvalidClientError, type InvalidRequestError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import type { Acquisition, Attempt, Authentication, ClientAuthentication, Credential } from "./credential.ts"
import { mends } from "./rotationState.ts"

/** Why each was passed over, by its place in the list. */
type Reasons = ReadonlyMap<number, string>

/** The members that one acquisition has tried. */
interface Tried {
  readonly refused: Map<number, string>
  /** The authentication of each member that the acquisition has begun with. */
  readonly begun: Map<number, ClientAuthentication>
  /** The member of the last attempt. */
  sent: number | undefined
}

/** Members are made when their turn comes, and kept once they are. */
export const make = (
  members: ReadonlyArray<Effect.Effect<Credential, CredentialError | InvalidRequestError>>
): Effect.Effect<Credential, CredentialError> =>
  Effect.gen(function*() {
    const made = new Map<number, Credential>()
    let inUse = 0
    const making = members.map(() => Semaphore.makeUnsafe(1))

    /** Made once, however many want it at the same time. */
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

    const memberOnce = (index: number): Effect.Effect<Credential, string> =>
      made.has(index) ? member(index) : making[index]?.withPermit(member(index)) ?? member(index)

    /** The one in use, then the others from the top. */
    const order = (): ReadonlyArray<number> => [inUse, ...[...members.keys()].filter((index) => index !== inUse)]

    /** The first that does it, and why those before did not. */
    const first = <A>(
      passed: Reasons,
      use: (credential: Credential, index: number) => Effect.Effect<A, string>
    ): Effect.Effect<{ readonly index: number; readonly value: A }, CredentialError> =>
      Effect.gen(function*() {
        const reasons = new Map(passed)
        const left = order().filter((index) => !passed.has(index))
        for (const index of left) {
          const used = Effect.catchCause(
            Effect.flatMap(memberOnce(index), (credential) => use(credential, index)),
            (cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), () => "it died"))
          )
          const tried = yield* Effect.result(index === left.at(-1) ? used : bounded(used))
          if (Result.isSuccess(tried)) return { index, value: tried.success }
          reasons.set(index, tried.failure)
        }
        inUse = 0
        return yield* exhausted(reasons)
      })

    inUse = (yield* first(new Map(), Effect.succeed)).index
    const current = () => made.get(inUse)

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
                `it authenticates over the channel ${credential.channel}, and this request goes over ${channel}`
              )
          return Effect.map(first(tried.refused, prove), ({ index, value }) => {
            inUse = index
            tried.sent = index
            return value
          })
        })

      /** The member that takes the turn of one that was refused. A member that is not made yet may turn out to fit. */
      const successor = (): number | undefined => {
        const channel = channelOf()
        return [...members.keys()].find((index) =>
          !tried.refused.has(index) && (made.get(index)?.channel ?? channel) === channel
        )
      }

      const refused = (error: InvalidClientError): Effect.Effect<boolean> =>
        Effect.suspend(() => {
          const index = tried.sent ?? inUse
          const credential = made.get(index)
          const asked = credential === undefined ? no : begun(index, credential).refused(error)
          return Effect.map(
            Effect.catchCause(Effect.timeoutOrElse(asked, { duration: memberTimeout, orElse: () => no }), () => no),
            (again) => {
              if (again) {
                inUse = index
                return true
              }
              if (!mends(error)) return false
              tried.refused.set(index, `the service refused it (${error.code}): ${error.message}`)
              const next = successor()
              inUse = next ?? 0
              tried.sent = undefined
              return next !== undefined
            }
          )
        })

      const revision = (): string => {
        const index = tried.sent ?? inUse
        const credential = made.get(index)
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

/** Whoever has others behind it may not use up their time. */
const bounded = <A>(used: Effect.Effect<A, string>): Effect.Effect<A, string> =>
  Effect.timeoutOrElse(used, {
    duration: memberTimeout,
    orElse: () => Effect.fail(`it took longer than ${memberTimeout / 1000} s`)
  })

/** Milliseconds. */
const memberTimeout = 4000

const no = /*#__PURE__*/ Effect.succeed(false)

const reasonOf = ({ code, message }: CredentialError | InvalidRequestError): string => `${code}: ${message}`

const exhausted = (reasons: Reasons): CredentialError =>
  credentialError(
    "credentials_exhausted",
    "credential",
    reasons.size === 0
      ? "the list of credentials is empty"
      : `none of ${reasons.size} credentials works: ${
        [...reasons].toSorted(([one], [other]) => one - other).map(([index, reason]) => `[${index}] ${reason}`).join(
          "; "
        )
      }`,
    "Mend the one that is meant to work here; the reasons are in the order of the list."
  )
