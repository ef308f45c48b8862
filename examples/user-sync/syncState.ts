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

/** Why the last attempt ended early. `code` is that of the library or of Microsoft Graph. */
export const Problem = Schema.Struct({
  at: Schema.Int,
  code: Schema.String,
  message: Schema.String,
  remedy: Schema.String
})
export type Problem = typeof Problem.Type

/**
 * - `phase`: `queued` before the first attempt and after a wish; `waiting` because the service said when to come back.
 * - `kind`, `pages`, `changed`: the running or last round, the pages read in it, and the users in these pages.
 * - `fullRounds`: the number of full rounds that began. A user who is not seen in a full round is gone.
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
  /** Graph does not know the link any more. All users are read again. */
  | { readonly _tag: "LinkExpired" }
  /** The service said when to come back, in milliseconds. */
  | {
    readonly _tag: "Throttled"
    readonly by: "Microsoft Graph" | "Microsoft Entra ID"
    readonly retryAfter: number
  }
  | {
    readonly _tag: "Failed"
    readonly problem: Omit<Problem, "at">
    /** Whether the same request may succeed later without help. */
    readonly isRetryable: boolean
  }
  /** Somebody wants to see the newest state now. */
  | { readonly _tag: "Wanted" }

/** Times in milliseconds. */
export interface Pace {
  /** From the end of a round to the next. */
  readonly interval: number
  /** After the first failure; doubles with each further failure. */
  readonly firstDelay: number
  /** The longest time to the next attempt, and the time after a failure that needs help. */
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
          message: "Microsoft Graph does not know the link to the next changes any more.",
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
      // Nobody may come back earlier than Graph has said.
      return state.phase === "waiting" || state.phase === "syncing" ? state : { ...state, phase: "queued", dueAt: now }
  }
}

/** Returns the milliseconds until the next attempt. A time that no event sets comes from a clock that was wrong: now. */
export const untilDue = ({ dueAt }: SyncState, now: number, pace: Pace): number => {
  const left = Math.max(0, dueAt - now)
  return left > Math.max(pace.interval, pace.longestDelay, longestThrottle) ? 0 : left
}

const longestThrottle = 3_600_000

/** Whether the event ends a full round, after which the users that were not seen in it are gone. */
export const endsFullRound = (state: SyncState, event: SyncEvent): boolean =>
  event._tag === "PageRead" && state.kind === "full" && event.next.at === "changes"

/** A page link goes on with the round that it belongs to. */
const newRound = ({ cursor, fullRounds }: SyncState): Partial<SyncState> => {
  if (cursor.at === "page") return {}
  const isFull = cursor.at === "start"
  return { kind: isFull ? "full" : "changes", fullRounds: isFull ? fullRounds + 1 : fullRounds, pages: 0, changed: 0 }
}

const delayOf = (failures: number, pace: Pace): number =>
  Math.min(pace.firstDelay * 2 ** Math.min(failures, 30), pace.longestDelay)
