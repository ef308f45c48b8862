/**
 * The addresses of the app with their fields. The response to a request with invalid fields is a page with status 400.
 */
import { Context, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema } from "effect/http-api"
import { type Notice, notices } from "./pages.ts"
import type { Session } from "./sessions.ts"

/** The session of the browser that sent the request. */
export class CurrentSession extends Context.Service<CurrentSession, Session>()("user-sync/CurrentSession") {}

/** Finds the session by the cookie, and begins one for a browser without a cookie. */
export class WithSession extends HttpApiMiddleware.Service<WithSession, { provides: CurrentSession }>()(
  "user-sync/WithSession"
) {}

const Page = Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html; charset=utf-8" }))

const form = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ csrf: Schema.String, ...fields }).pipe(HttpApiSchema.asFormUrlEncoded())

/** Digits only: an empty field is no zero. */
const whole = (from: number, to: number) =>
  Schema.String.pipe(
    Schema.check(Schema.isPattern(/^\d{1,9}$/)),
    Schema.decodeTo(Schema.FiniteFromString),
    Schema.check(Schema.isBetween({ minimum: from, maximum: to }))
  )

const isNotice = (name: string): name is Notice => Object.hasOwn(notices, name)

class Pages extends HttpApiGroup.make("pages")
  .add(
    HttpApiEndpoint.get("home", "/", {
      query: {
        q: Schema.optionalKey(Schema.String.pipe(Schema.check(Schema.isMaxLength(200)))),
        page: Schema.optionalKey(whole(1, 1_000_000)),
        follow: Schema.optionalKey(Schema.Literal("1")),
        done: Schema.optionalKey(Schema.String.pipe(Schema.refine(isNotice)))
      },
      success: Page
    }),
    HttpApiEndpoint.get("signInPage", "/sign-in", { success: Page }),
    HttpApiEndpoint.post("signIn", "/sign-in", { payload: form({ account: whole(0, 10_000) }), success: Page }),
    HttpApiEndpoint.post("signOut", "/sign-out", { payload: form({}), success: Page }),
    HttpApiEndpoint.post("connect", "/connect", { payload: form({}), success: Page }),
    // The consent page sends the browser here. The library parses the query, because no part of the query is trusted.
    HttpApiEndpoint.get("connected", "/connected", { success: Page }),
    HttpApiEndpoint.post("syncNow", "/sync", { payload: form({}), success: Page }),
    HttpApiEndpoint.get("disconnectPage", "/disconnect", { success: Page }),
    HttpApiEndpoint.post("disconnect", "/disconnect", { payload: form({}), success: Page })
  )
  .middleware(WithSession)
{}

export class Api extends HttpApi.make("user-sync").add(Pages) {}
