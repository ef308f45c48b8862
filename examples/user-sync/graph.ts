/** Reads the users of a tenant from Microsoft Graph, one page a call, with the token of that tenant. */
import { Clock, Context, Duration, Effect, Layer, Schema } from "effect"
import { BearerHttpClient, type ConfidentialClient, type EntraError, TokenScope } from "effect-entra"
import { type HttpClient, HttpClientRequest } from "effect/http"
import type { UserChange } from "./store.ts"
import type { Cursor, SyncEvent } from "./syncState.ts"

/** The scope of all requests of the app. */
export const scopes = TokenScope.fromResource("https://graph.microsoft.com")

export interface Page {
  readonly _tag: "Page"
  readonly users: ReadonlyArray<UserChange>
  readonly next: Exclude<Cursor, { readonly at: "start" }>
}

/** The reason why there is no page, as an event of the sync. */
export type NoPage = Extract<SyncEvent, { readonly _tag: "LinkExpired" | "Throttled" | "Failed" }>

export class Graph extends Context.Service<Graph, {
  /** Reads a page: the first page of all users, or the page of a link. It never fails and never takes over 30 seconds. */
  readonly readPage: (tenantId: string, cursor: Cursor) => Effect.Effect<Page | NoPage>
}>()("user-sync/Graph") {}

/** Creates the client of Graph at `origin`. */
export const layer = (origin: string): Layer.Layer<
  Graph,
  EntraError.InvalidRequestError,
  ConfidentialClient.ConfidentialClient | HttpClient.HttpClient
> =>
  Layer.effect(
    Graph,
    Effect.gen(function*() {
      // Adds the token of the tenant to requests to Graph, and to no others. After a 401 it replaces the token.
      const client = yield* BearerHttpClient.make({ [origin]: scopes })
      const first = `${origin}/v1.0/users/delta?$select=id,displayName,userPrincipalName`
      const readPage = Effect.fn("Graph.readPage")(
        function*(tenantId: string, cursor: Cursor) {
          const url = cursor.at === "start" ? first : cursor.link
          // A link of another cloud or simulator, from an earlier run.
          if (new URL(url).origin !== origin) return { _tag: "LinkExpired" } as const
          const response = yield* client.execute(
            HttpClientRequest.get(url, { headers: { accept: "application/json", prefer: "odata.maxpagesize=100" } })
          ).pipe(Effect.provideService(BearerHttpClient.CurrentTenantId, tenantId))
          const body = yield* response.text
          return outcomeOf(
            { status: response.status, headers: response.headers, body, origin },
            yield* Clock.currentTimeMillis
          )
        },
        Effect.timeoutOrElse({
          duration: "30 seconds",
          orElse: () => Effect.succeed(noAnswer("took over 30 seconds"))
        }),
        Effect.catch((error) =>
          Effect.succeed(
            error._tag === "HttpClientError" ? noAnswer(`was not complete (${error.reason._tag})`) : withoutToken(error)
          )
        )
      )
      return Graph.of({ readPage })
    })
  )

/** Returns the page of a response of Graph, or the reason why there is no page. */
export const outcomeOf = (
  response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly body: string
    readonly origin: string
  },
  now: number
): Page | NoPage => {
  const { body, headers, origin, status } = response
  if (status === 200) {
    const page = Schema.decodeUnknownOption(PageBody)(body)
    return page._tag === "Some"
      ? pageOf(page.value, origin)
      : invalidAnswer("the answer of Graph is not a page of users")
  }
  const error = Schema.decodeUnknownOption(ErrorBody)(body)
  const { code, message } = error._tag === "Some" ? error.value.error : { code: `http_${status}`, message: "" }
  if (status === 410 || expiredCodes.has(code.toLowerCase())) return { _tag: "LinkExpired" }
  const retryAfter = readRetryAfter(headers["retry-after"], now)
  if (status === 429 || (status === 503 && retryAfter !== undefined)) {
    return { _tag: "Throttled", by: "Microsoft Graph", retryAfter: retryAfter ?? 30_000 }
  }
  const isRetryable = status >= 500 || status === 408
  return {
    _tag: "Failed",
    isRetryable,
    problem: {
      code,
      message: `Microsoft Graph responded with ${status} ${code}.${message === "" ? "" : ` ${message}`}`,
      remedy: isRetryable ? waits : remedies[status] ?? "Look up the code in the documentation of Microsoft Graph."
    }
  }
}

/** Returns the milliseconds of a `Retry-After` header, which has seconds or a date. */
export const readRetryAfter = (header: string | undefined, now: number): number | undefined => {
  if (header === undefined) return undefined
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const Text = Schema.optionalKey(Schema.NullOr(Schema.String))

const PageBody = Schema.fromJsonString(Schema.Struct({
  value: Schema.Array(Schema.Struct({
    id: Schema.NonEmptyString,
    displayName: Text,
    userPrincipalName: Text,
    "@removed": Schema.optionalKey(Schema.Unknown)
  })),
  "@odata.nextLink": Schema.optionalKey(Schema.String),
  "@odata.deltaLink": Schema.optionalKey(Schema.String)
}))

const ErrorBody = Schema.fromJsonString(
  Schema.Struct({ error: Schema.Struct({ code: Schema.String, message: Schema.String }) })
)

/** The codes of Graph, in lower case, for a link that has expired. */
const expiredCodes = new Set(["syncstatenotfound", "syncstateinvalid", "resyncrequired", "directory_expiredpagetoken"])

const pageOf = (body: Schema.Schema.Type<typeof PageBody>, origin: string): Page | NoPage => {
  const nextLink = body["@odata.nextLink"]
  const link = nextLink ?? body["@odata.deltaLink"]
  if (link === undefined) return invalidAnswer("the page of Graph has no link")
  // The client sends no token to another origin, and a response from there must not count as Graph's.
  if (!URL.canParse(link) || new URL(link).origin !== origin) {
    return invalidAnswer("the link in a page of Graph leads to another place")
  }
  return {
    _tag: "Page",
    next: { at: nextLink === undefined ? "changes" : "page", link },
    users: body.value.map((user) =>
      user["@removed"] === undefined
        ? { id: user.id, name: textOf(user.displayName), principalName: textOf(user.userPrincipalName) }
        : { id: user.id, isRemoved: true }
    )
  }
}

/** Returns undefined for an absent value, which has not changed, and an empty text for null, which means removed. */
const textOf = (value: string | null | undefined): string | undefined => value === null ? "" : value

const waits = "There is nothing to do: the sync tries again on its own."

const remedies: Readonly<Record<number, string>> = {
  401: "Connect the tenant again.",
  403: "An administrator of the tenant has to grant User.Read.All: connect the tenant again. A grant may take some "
    + "minutes until it works."
}

const noAnswer = (problem: string): NoPage => ({
  _tag: "Failed",
  isRetryable: true,
  problem: { code: "no_answer", message: `The answer of Microsoft Graph ${problem}.`, remedy: waits }
})

const invalidAnswer = (problem: string): NoPage => ({
  _tag: "Failed",
  isRetryable: true,
  problem: { code: "invalid_answer", message: `The sync stopped because ${problem}.`, remedy: waits }
})

/** Returns the event of an error of the library, with its remedy. The ids of the request are only for the log. */
const withoutToken = (error: EntraError.AcquireTokenError): NoPage =>
  error._tag === "EntraThrottledError"
    ? { _tag: "Throttled", by: "Microsoft Entra ID", retryAfter: Duration.toMillis(error.retryAfter) }
    : {
      _tag: "Failed",
      isRetryable: error.isRetryable,
      problem: { code: error.code, message: error.message.split(" Trace ID:")[0] ?? "", remedy: error.remedy }
    }
