/** Where the material of a credential comes from: a value, several of them, or an effect of either. */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type CredentialCode, type CredentialError, isEntraError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { duration, millisOf } from "../shared/validate.ts"
import type { Credential } from "./credential.ts"
import * as Rotation from "./rotation.ts"

export type Materials<A> = A | ReadonlyArray<A>

export interface Options {
  readonly reloadEvery?: Duration.Input | undefined
}

/** How what was given becomes what is used. */
export interface Kind<A, M> extends Pick<Rotation.Source<M>, "same" | "prove" | "expiresOn"> {
  readonly read: (given: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<M>, CredentialError>
}

/** Read now, so that what is wrong is known at once. */
export const fixed = <A, M>(
  given: Materials<A>,
  kind: Kind<A, M>,
  options: Options = {}
): Effect.Effect<Credential, CredentialError> =>
  Effect.gen(function*() {
    const reloadEvery = yield* reloadEveryOf(options)
    const initial = yield* read(given, kind)
    return yield* Rotation.make({ ...kind, initial, load: Effect.suspend(() => read(given, kind)), reloadEvery })
  })

/** Read when it is needed. */
export const loaded = <A, M, E, R>(
  source: Effect.Effect<Materials<A>, E, R>,
  field: string,
  kind: Kind<A, M>,
  options: Options = {}
): Effect.Effect<Credential, CredentialError, R> =>
  Effect.gen(function*() {
    const reloadEvery = yield* reloadEveryOf(options)
    const context = yield* Effect.context<R>()
    return yield* Rotation.make({
      ...kind,
      reloadEvery,
      load: source.pipe(
        Effect.provideContext(context),
        Effect.mapError((error) =>
          foreign(error, {
            code: "source_failed",
            field,
            what: `the effect that loads the ${field}`,
            remedy:
              "Look at that effect: nothing was sent to the service. What it said is not shown, since it may hold a "
              + "secret: give its errors a tag, or log them there."
          })
        ),
        Effect.flatMap((given) => read(given, kind))
      )
    })
  })

const read = <A, M>(given: Materials<A>, kind: Kind<A, M>): Effect.Effect<ReadonlyArray<M>, CredentialError> => {
  const list = Arr.ensure(given)
  if (list.length > most) return Effect.fail(tooMany(list.length))
  return list.some(Predicate.isNullish) ? Effect.fail(missing()) : kind.read(list)
}

/** An acquisition tries no more, so a longer list would have some that are never tried. */
const most = 8

const missing = () =>
  credentialError(
    "credential_missing",
    "credential",
    "there is nothing where a credential should be (undefined or null)",
    "Look at where it comes from: a variable that is not set, or a store that does not have it."
  )

const tooMany = (number: number): CredentialError =>
  credentialError(
    "source_too_long",
    "credential",
    `the list of credentials has ${number} entries, more than ${most}`,
    "Leave out what is no longer valid: a rotation needs two."
  )

/** Milliseconds; never, unless it is said how often. */
export const reloadEveryOf = (
  { reloadEvery = Duration.infinity }: Options
): Effect.Effect<number, CredentialError> => {
  const millis = millisOf(reloadEvery)
  return millis === undefined ? Effect.fail(notReloadable()) : Effect.succeed(millis)
}

const notReloadable = () =>
  credentialError(
    "field_malformed",
    "reloadEvery",
    `reloadEvery is not ${duration}`,
    `Pass how often to look for a newer credential, such as "1 minute", or leave it out.`
  )

/** What somebody else's code failed with: which tag or class it was, never what was in it. */
export const foreign = (
  error: unknown,
  as: { readonly code: CredentialCode; readonly field: string; readonly what: string; readonly remedy: string }
): CredentialError =>
  isEntraError(error) && error._tag === "EntraCredentialError"
    ? error
    : credentialError(as.code, as.field, `${as.what} failed with ${quote(nameOf(error))}`, as.remedy)

/** What kind of error it was; its text may hold what must not be seen. */
const nameOf = (error: unknown): string =>
  typeof error === "object" && error !== null
    ? "_tag" in error && typeof error._tag === "string" ? error._tag : error instanceof Error ? error.name : "an object"
    : `a ${typeof error}`
