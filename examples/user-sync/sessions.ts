/**
 * The sessions of browsers: the signed-in account, the secret of the forms, and the consent links that were opened.
 *
 * **Your own sign-in goes here.** The sample has a list of accounts to choose from, without a password. A real app calls
 * `signIn` after it has validated an ID token of the customer, and takes the tenant from its `tid`, never from a request.
 * It also keeps sessions in a store that all its processes share. These sessions are in memory, so a restart ends them.
 */
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"

/** A customer sees and connects one tenant. The operator sees the states of all tenants, but no users. */
export type Account =
  | { readonly kind: "customer"; readonly name: string; readonly tenantId: string }
  | { readonly kind: "operator"; readonly name: string }

export interface Session {
  /** The value of the cookie. */
  readonly id: string
  /** The value of the hidden field that every form has. */
  readonly csrf: string
  /** Undefined: no account is signed in. */
  readonly account: Account | undefined
  readonly expiresAt: number
  readonly consents: ReadonlyArray<PendingConsent>
}

interface PendingConsent {
  readonly state: string
  readonly expiresAt: number
}

export class Sessions extends Context.Service<Sessions, {
  /** Returns the session of a cookie, or a new one. */
  readonly get: (cookie: string | undefined) => Effect.Effect<Session>
  /** Replaces the session by one with another id, so that an id from before the sign-in is not valid. */
  readonly signIn: (session: Session, account: Account) => Effect.Effect<Session>
  readonly signOut: (session: Session) => Effect.Effect<void>
  /** Returns the state for a consent link. It is valid for 10 minutes, once, and in this session only. */
  readonly beginConsent: (session: Session) => Effect.Effect<string>
  /** Returns whether the state belongs to the session. The result is true only once for a state. */
  readonly endConsent: (session: Session, state: string) => Effect.Effect<boolean>
}>()("user-sync/Sessions") {}

export const lifetimes = { session: Duration.hours(8), anonymous: Duration.minutes(30), consent: Duration.minutes(10) }
export const mostSessions = 10_000
const mostConsents = 5

/** Creates sessions. `newSecret` returns a text that cannot be guessed. */
export const layerWith = (newSecret: () => string): Layer.Layer<Sessions> =>
  Layer.effect(
    Sessions,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const sessions = new Map<string, Session>()
      const isAlive = ({ expiresAt }: { readonly expiresAt: number }) => expiresAt > clock.currentTimeMillisUnsafe()
      const after = (lifetime: Duration.Duration) => clock.currentTimeMillisUnsafe() + Duration.toMillis(lifetime)

      const open = (account: Account | undefined): Session => {
        if (sessions.size >= mostSessions) makeRoom()
        const expiresAt = after(account === undefined ? lifetimes.anonymous : lifetimes.session)
        const session: Session = { id: newSecret(), csrf: newSecret(), account, expiresAt, consents: [] }
        sessions.set(session.id, session)
        return session
      }
      /** Removes expired sessions, otherwise the oldest, anonymous first: visitors must not end the sessions of customers. */
      const makeRoom = () => {
        for (const session of sessions.values()) if (!isAlive(session)) sessions.delete(session.id)
        const oldest = [...sessions.values()].find(({ account }) => account === undefined) ??
          sessions.values().next().value
        if (sessions.size >= mostSessions && oldest !== undefined) sessions.delete(oldest.id)
      }
      /** Returns the consents of the session as it is now: the caller's copy may be older. */
      const consentsOf = ({ id }: Session) => (sessions.get(id)?.consents ?? []).filter(isAlive)
      const update = (session: Session, consents: ReadonlyArray<PendingConsent>) => {
        const current = sessions.get(session.id)
        if (current !== undefined) sessions.set(session.id, { ...current, consents })
      }

      return Sessions.of({
        get: (cookie) =>
          Effect.sync(() => {
            const known = cookie === undefined ? undefined : sessions.get(cookie)
            return known !== undefined && isAlive(known) ? known : open(undefined)
          }),
        signIn: (session, account) =>
          Effect.sync(() => {
            sessions.delete(session.id)
            return open(account)
          }),
        signOut: (session) => Effect.sync(() => void sessions.delete(session.id)),
        beginConsent: (session) =>
          Effect.sync(() => {
            const pending = { state: newSecret(), expiresAt: after(lifetimes.consent) }
            update(session, [...consentsOf(session), pending].slice(-mostConsents))
            return pending.state
          }),
        endConsent: (session, state) =>
          Effect.sync(() => {
            const pending = consentsOf(session)
            const found = pending.find((consent) => isSame(consent.state, state))
            if (found !== undefined) update(session, pending.filter((consent) => consent !== found))
            return found !== undefined
          })
      })
    })
  )

export const layer: Layer.Layer<Sessions> = layerWith(() => randomBytes(32).toString("base64url"))

/** Compares two secrets in a time that depends on neither. */
export const isSame = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const digest = (text: string) => createHash("sha256").update(text).digest()
