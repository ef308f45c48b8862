/**
 * The state of a tenant's sync, and how it changes. Microsoft Graph sends all users of a tenant in pages (a full round),
 * and a link for the changes that follow. The state is stored with each page, so a restart goes on with the next page: a
 * round that was interrupted is still due.
 */
import { Schema } from "effect"

/** The next request: the first page of all users, the next page of a round, or the first page of the changes. */
export const Cursor = Schema.Union([
  Schema.Struct({ at: Schema.Literal("start") }),
  Schema.Struct({ at: Schema.Literals(["page", "changes"]), link: Schema.String })
])
export type Cursor = typeof Cursor.Type

/** The reason why the last attempt ended early. `code` is that of the library or of Microsoft Graph. */
export const Problem = Schema.Struct({
  at: Schema.Int,
  code: Schema.String,
  message: Schema.String,
  remedy: Schema.String
})
export type Problem = typeof Problem.Type

/**
 * - `phase`: `queued` before the first attempt and after a request for a sync; `waiting` for the time of `Retry-After`.
 * - `kind`, `pages`, `changed`: the running or last round, the pages read in it, and the users in these pages.
 * - `fullRounds`: the number of full rounds that began. Users that a full round does not list are deleted.
 * - `failures`: failed attempts in a row.
 * - `dueAt`, `syncedAt`: milliseconds of the Unix epoch.
 */
export const SyncState = Schema.Struct({
  phase: Schema.Literals(["queued", "syncing", "upToDate", "waiting", "failed"]),
  kind: Schema.Literals(["full", "changes"]),
  cursor: Cursor,
  fullRounds: Schema.Int,
  pages: Schema.Int,
  changed: Schema.Int,
  failures: Schema.Int,
  dueAt: Schema.Int,
  syncedAt: Schema.NullOr(Schema.Int),
  problem: Schema.NullOr(Problem)
})
export type SyncState = typeof SyncState.Type

export type SyncEvent =
  | { readonly _tag: "Started" }
  | { readonly _tag: "PageRead"; readonly changed: number; readonly next: Exclude<Cursor, { readonly at: "start" }> }
  /** The link has expired. All users are read again. */
  | { readonly _tag: "LinkExpired" }
  /** The service throttles for `retryAfter` milliseconds. */
  | {
    readonly _tag: "Throttled"
    readonly by: "Microsoft Graph" | "Microsoft Entra ID"
    readonly retryAfter: number
  }
  | {
    readonly _tag: "Failed"
    readonly problem: Omit<Problem, "at">
    /** True if the same request may succeed later without a change. */
    readonly isRetryable: boolean
  }
  /** A customer requests a sync now. */
  | { readonly _tag: "Wanted" }

/** Times in milliseconds. */
export interface Pace {
  /** From the end of a round to the next. */
  readonly interval: number
  /** After the first failure; doubles with each further failure. */
  readonly firstDelay: number
  /** The longest time to the next attempt, and the time after a failure that is not retryable. */
  readonly longestDelay: number
}

export const initial = (now: number): SyncState => ({
  phase: "queued",
  kind: "full",
  cursor: { at: "start" },
  fullRounds: 0,
  pages: 0,
  changed: 0,
  failures: 0,
  dueAt: now,
  syncedAt: null,
  problem: null
})

export const transition = (state: SyncState, event: SyncEvent, now: number, pace: Pace): SyncState => {
  switch (event._tag) {
    case "Started":
      return { ...state, phase: "syncing", ...newRound(state) }
    case "PageRead": {
      const read = {
        ...state,
        cursor: event.next,
        pages: state.pages + 1,
        changed: state.changed + event.changed,
        problem: null
      }
      return event.next.at === "page"
        ? read
        : { ...read, phase: "upToDate", failures: 0, syncedAt: now, dueAt: now + pace.interval }
    }
    case "LinkExpired":
      return {
        ...state,
        phase: "queued",
        cursor: { at: "start" },
        failures: state.failures + 1,
        // A link that expires again and again must not become a loop without pauses.
        dueAt: state.failures === 0 ? now : now + delayOf(state.failures, pace),
        problem: {
          at: now,
          code: "link_expired",
          message: "The link of Microsoft Graph to the next changes has expired.",
          remedy: "There is nothing to do: all users are read again."
        }
      }
    case "Throttled": {
      const delay = Math.min(Math.max(event.retryAfter, 1000), longestThrottle)
      return {
        ...state,
        phase: "waiting",
        dueAt: now + delay,
        problem: {
          at: now,
          code: "throttled",
          message: `${event.by} has throttled this tenant for ${Math.ceil(delay / 1000)} s.`,
          remedy: "There is nothing to do: the sync goes on after that time."
        }
      }
    }
    case "Failed":
      return {
        ...state,
        phase: "failed",
        failures: state.failures + 1,
        dueAt: now + (event.isRetryable ? delayOf(state.failures, pace) : pace.longestDelay),
        problem: { ...event.problem, at: now }
      }
    case "Wanted":
      // No request may be sent before the time that Graph has set.
      return state.phase === "waiting" || state.phase === "syncing" ? state : { ...state, phase: "queued", dueAt: now }
  }
}

/** Returns the milliseconds until the next attempt; 0 for a time that no event sets, which comes from a wrong clock. */
export const untilDue = ({ dueAt }: SyncState, now: number, pace: Pace): number => {
  const left = Math.max(0, dueAt - now)
  return left > Math.max(pace.interval, pace.longestDelay, longestThrottle) ? 0 : left
}

const longestThrottle = 3_600_000

/** Returns whether the event ends a full round. Users that the round did not list are then deleted. */
export const endsFullRound = (state: SyncState, event: SyncEvent): boolean =>
  event._tag === "PageRead" && state.kind === "full" && event.next.at === "changes"

/** Returns the changes at the start of a round. A page link continues its round. */
const newRound = ({ cursor, fullRounds }: SyncState): Partial<SyncState> => {
  if (cursor.at === "page") return {}
  const isFull = cursor.at === "start"
  return { kind: isFull ? "full" : "changes", fullRounds: isFull ? fullRounds + 1 : fullRounds, pages: 0, changed: 0 }
}

const delayOf = (failures: number, pace: Pace): number =>
  Math.min(pace.firstDelay * 2 ** Math.min(failures, 30), pace.longestDelay)
