/** Several credentials, tried in their order; the one that worked is used until it fails. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { CredentialError, type InvalidClientError, type InvalidRequestError } from "../../EntraError.ts"
import type { Authentication } from "../http/identityHttp.ts"
import type { Attempt, Credential } from "./credential.ts"
import { mends } from "./rotationState.ts"

/** Why each was passed over, by its place in the list. */
type Reasons = ReadonlyMap<number, string>

/** What one acquisition has tried. */
interface Tried {
  readonly refused: Map<number, string>
  /** Whose its last attempt was. */
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
    const triedBy = new WeakMap<object, Tried>()

    /** Whoever does not say which acquisition it is has tried nothing. */
    const triedIn = (acquisition: object = {}): Tried => {
      const tried = triedBy.get(acquisition) ?? { refused: new Map(), sent: undefined }
      triedBy.set(acquisition, tried)
      return tried
    }

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
      use: (credential: Credential) => Effect.Effect<A, string>
    ): Effect.Effect<{ readonly index: number; readonly value: A }, CredentialError> =>
      Effect.gen(function*() {
        const reasons = new Map(passed)
        const left = order().filter((index) => !passed.has(index))
        for (const index of left) {
          const used = Effect.catchCause(
            Effect.flatMap(memberOnce(index), use),
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

    const authenticate = (attempt: Attempt): Effect.Effect<Authentication, CredentialError> =>
      Effect.suspend(() => {
        const tried = triedIn(attempt.acquisition)
        const channel = channelOf()
        const prove = (credential: Credential) =>
          credential.channel === channel
            ? Effect.map(
              Effect.mapError(credential.authenticate(attempt), reasonOf),
              (proof) => ({ ...proof, revision: proof.revision ?? credential.revision() })
            )
            : Effect.fail(
              `it proves itself over the channel ${credential.channel}, and this request goes over ${channel}`
            )
        return Effect.map(first(tried.refused, prove), ({ index, value }) => {
          inUse = index
          tried.sent = index
          return { ...value, revision: `${index}.${value.revision}` }
        })
      })

    /** Who can take the turn of one that was refused: what is not made yet may turn out to. */
    const successor = (tried: Tried): number | undefined => {
      const channel = channelOf()
      return [...members.keys()].find((index) =>
        !tried.refused.has(index) && (made.get(index)?.channel ?? channel) === channel
      )
    }

    const refused = (error: InvalidClientError, acquisition?: object): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        const tried = triedIn(acquisition)
        const index = tried.sent ?? inUse
        const asked = made.get(index)?.refused(error, acquisition) ?? Effect.succeed(false)
        return Effect.map(
          Effect.catchCause(Effect.timeoutOrElse(asked, { duration: patience, orElse: () => no }), () => no),
          (again) => {
            if (again) {
              inUse = index
              return true
            }
            if (!mends(error)) return false
            tried.refused.set(index, `the service refused it (${error.code}): ${error.message}`)
            const next = successor(tried)
            inUse = next ?? 0
            return next !== undefined
          }
        )
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

const no = /*#__PURE__*/ Effect.succeed(false)

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
