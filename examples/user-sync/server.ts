/** The web server: sessions, checks of forms, the consent answer, and the headers of every response. */
import { ByteSize, type Cause, Effect, Layer, Result } from "effect"
import { Authority, ConfidentialClient } from "effect-entra"
import {
  HttpIncomingMessage,
  HttpRouter,
  HttpServer,
  HttpServerError,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { readFileSync } from "node:fs"
import { Api, CurrentSession, WithSession } from "./api.ts"
import type { Html } from "./html.ts"
import * as Pages from "./pages.ts"
import { type Account, isSame, type Session, Sessions } from "./sessions.ts"
import { Store } from "./store.ts"
import { Sync } from "./sync.ts"

export interface Options {
  readonly clientId: string
  /** The host of the identity provider, as a URL. */
  readonly authorityHost: string
  /** The accounts of the demo sign-in. A real app has none: see `sessions.ts`. */
  readonly accounts: ReadonlyArray<Account>
  /** The address of the app as browsers see it; default: `http://localhost:<port>`. */
  readonly publicUrl?: string | undefined
  /** Replaces the link to the consent page, for the simulator. */
  readonly consentLink?: ((link: string) => string) | undefined
}

type Response = HttpServerResponse.HttpServerResponse

/** Returns the address of the app as browsers see it, without a slash at its end. */
export const originOf = ({ publicUrl }: Pick<Options, "publicUrl">) =>
  Effect.map(HttpServer.HttpServer, ({ address }) =>
    publicUrl === undefined
      ? `http://localhost:${"port" in address ? address.port : 0}`
      : new URL(publicUrl).origin)

/** Serves the app, with further routes. */
export const layer = <E, R>(options: Options, more: Layer.Layer<never, E, R>) =>
  Layer.unwrap(
    Effect.gen(function*() {
      const routes = Layer.mergeAll(HttpApiBuilder.layer(Api), assets, more).pipe(
        Layer.provide(handlers(options)),
        Layer.provide(withSession(options))
      )
      return HttpServer.serve(everyResponse(options, yield* originOf(options))(yield* HttpRouter.toHttpEffect(routes)))
    })
  )

/** Returns the response with a page. */
export const page = (content: Html, status = 200): Response =>
  HttpServerResponse.text(content.text, { status, contentType: "text/html; charset=utf-8" })

/**
 * Runs `next` only for a form of this session. Another site can send a form, but does not have the secret of the
 * session.
 */
export const ifOwnForm = <E, R>(
  session: Session,
  { csrf }: { readonly csrf: string },
  next: Effect.Effect<Response, E, R>
): Effect.Effect<Response, E, R> =>
  isSame(csrf, session.csrf) ? next : Effect.succeed(page(
    Pages.message(session, {
      title: "The form is not valid any more",
      text: "It was not sent by a page of your present session.",
      remedy: "Go back, load the page again, and send it once more."
    }),
    403
  ))

// -----------------------------------------------------------------------------
// pages
// -----------------------------------------------------------------------------

/** Returns the redirect after a form. */
export const see = (address: string): Response => HttpServerResponse.redirect(address, { status: 303 })
const home = (notice: Pages.Notice): Response => see(`/?done=${notice}`)

const handlers = (options: Options) =>
  HttpApiBuilder.group(
    Api,
    "pages",
    Effect.fnUntraced(function*(handlers) {
      const store = yield* Store
      const sync = yield* Sync
      const sessions = yield* Sessions
      const client = yield* ConfidentialClient.ConfidentialClient
      const origin = yield* originOf(options)
      const cookie = setCookie(origin)

      /** Runs `next` with the customer of the session. Other visitors are sent to the sign-in or to their own page. */
      const asCustomer = <E, R>(
        next: (customer: Extract<Account, { kind: "customer" }>, session: Session) => Effect.Effect<Response, E, R>,
        otherwise = (session: Session) => see(session.account === undefined ? "/sign-in" : "/")
      ) =>
        Effect.flatMap(CurrentSession, (session) =>
          session.account?.kind === "customer"
            ? next(session.account, session)
            : Effect.succeed(otherwise(session)))

      const followed = (isFollowed: boolean) => (response: Response) =>
        isFollowed ? HttpServerResponse.setHeader(response, "refresh", "2") : response

      return handlers.handleAll({
        home: ({ query }) =>
          Effect.gen(function*() {
            const session = yield* CurrentSession
            const { account } = session
            if (account === undefined) return see("/sign-in")
            const isFollowed = query.follow === "1"
            if (account.kind === "operator") {
              return followed(isFollowed)(
                page(Pages.overview(session, yield* store.all, yield* client.stats, isFollowed))
              )
            }
            const tenant = yield* store.find(account.tenantId)
            // Another tab may have changed the connection since the notice.
            const notice = (query.done === "disconnected") === (tenant === undefined) ? query.done : undefined
            if (tenant === undefined) return page(Pages.connect(session, account.name, notice))
            const text = query.q?.trim() ?? ""
            const found = yield* store.search({ text, page: query.page ?? 1, tenantId: account.tenantId })
            return followed(isFollowed)(
              page(Pages.tenant(session, tenant, { text, ...found }, { notice, isFollowed }))
            )
          }),
        signInPage: () => Effect.map(CurrentSession, (session) => page(Pages.signIn(session, options.accounts))),
        signIn: ({ payload }) =>
          Effect.gen(function*() {
            const session = yield* CurrentSession
            const account = options.accounts[payload.account]
            if (account === undefined) return see("/sign-in")
            return yield* ifOwnForm(
              session,
              payload,
              Effect.map(sessions.signIn(session, account), ({ id }) => cookie(see("/"), id))
            )
          }),
        signOut: ({ payload }) =>
          Effect.flatMap(CurrentSession, (session) =>
            ifOwnForm(session, payload, Effect.as(sessions.signOut(session), cookie(see("/sign-in"), "")))),
        connect: ({ payload }) =>
          asCustomer(({ tenantId }, session) =>
            ifOwnForm(
              session,
              payload,
              Effect.gen(function*() {
                const authority = yield* Effect.orDie(
                  Effect.fromResult(Authority.parse(new URL(tenantId, options.authorityHost)))
                )
                const link = Authority.adminConsentUrl(authority, {
                  clientId: options.clientId,
                  redirectUri: `${origin}/connected`,
                  state: yield* sessions.beginConsent(session)
                })
                return see(options.consentLink?.(link) ?? link)
              })
            )
          ),
        connected: ({ request }) =>
          asCustomer((customer, session) =>
            Effect.gen(function*() {
              const query = new URL(request.url, origin).searchParams
              const [state = "", ...others] = query.getAll("state")
              const isOurs = others.length === 0 && (yield* sessions.endConsent(session, state))
              if (!isOurs) {
                return page(Pages.message(session, refusals.state), 403)
              }
              const answer = Authority.parseConsentResponse(query, { state })
              if (Result.isFailure(answer)) {
                const { code, message, remedy } = answer.failure
                return page(Pages.message(session, { title: "Not connected", text: message, remedy, code }), 400)
              }
              // The browser only claims the tenant. It must be the tenant of the signed-in customer.
              if (answer.success.claimedTenantId !== customer.tenantId) {
                return page(Pages.message(session, refusals.tenant), 403)
              }
              // The first round proves the consent: without it there is no token, and the page says what to do.
              yield* sync.connect({ tenantId: customer.tenantId, customer: customer.name })
              return home("connected")
            }), (session) =>
            page(Pages.message(session, refusals.account), 403)),
        syncNow: ({ payload }) =>
          asCustomer(({ tenantId }, session) =>
            ifOwnForm(session, payload, Effect.as(sync.syncNow(tenantId), home("wanted")))
          ),
        disconnectPage: () =>
          asCustomer(({ tenantId }, session) =>
            Effect.map(store.find(tenantId), (tenant) =>
              tenant === undefined ? see("/") : page(Pages.disconnect(session, tenant)))
          ),
        disconnect: ({ payload }) =>
          asCustomer(({ tenantId }, session) =>
            ifOwnForm(session, payload, Effect.as(sync.disconnect(tenantId), home("disconnected")))
          )
      })
    })
  )

const refusals = {
  account: {
    title: "The connection was refused",
    text: "No customer is signed in here, so this answer of the consent page belongs to no customer.",
    remedy: "Sign in as a customer, and connect your organization from the start page."
  },
  state: {
    title: "The connection was refused",
    text: "This answer of the consent page does not belong to your session: another customer or another browser began "
      + "it, it was used before, or it is older than 10 minutes.",
    remedy: "Go to the start page and connect your organization from there."
  },
  tenant: {
    title: "The connection was refused",
    text: "The administrator agreed for another organization than the one you signed in with.",
    remedy: "Connect again, with an administrator of your own organization."
  }
}

// -----------------------------------------------------------------------------
// sessions
// -----------------------------------------------------------------------------

const isSecure = (origin: string): boolean => origin.startsWith("https:")
const cookieName = (origin: string): string => isSecure(origin) ? "__Host-session" : "session"

/** Sets the cookie. It is `lax`, not `strict`, because the browser returns from the consent page of another site. */
const setCookie = (origin: string) => (response: Response, id: string): Response =>
  HttpServerResponse.setCookieUnsafe(response, cookieName(origin), id, {
    httpOnly: true,
    sameSite: "lax",
    secure: isSecure(origin),
    path: "/",
    ...(id === "" ? { maxAge: 0 } : {})
  })

const withSession = (options: Options) =>
  Layer.effect(
    WithSession,
    Effect.gen(function*() {
      const sessions = yield* Sessions
      const origin = yield* originOf(options)
      const name = cookieName(origin)
      return WithSession.of((handle) =>
        Effect.gen(function*() {
          const { cookies } = yield* HttpServerRequest.HttpServerRequest
          const session = yield* sessions.get(cookies[name])
          const response = yield* Effect.provideService(handle, CurrentSession, session)
          const isNew = session.id !== cookies[name] && !(name in response.cookies.cookies)
          return isNew ? setCookie(origin)(response, session.id) : response
        })
      )
    })
  )

// -----------------------------------------------------------------------------
// every response
// -----------------------------------------------------------------------------

const everyResponse = (options: Options, origin: string) => {
  const host = new URL(origin).host
  const headers = {
    "content-security-policy": [
      "default-src 'none'",
      "style-src 'self'",
      "img-src 'self'",
      // Browsers also check where a form redirects to: the consent page.
      `form-action 'self' ${new URL(options.authorityHost).origin}`,
      "base-uri 'none'",
      "frame-ancestors 'none'"
    ].join("; "),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    // The address of the consent answer holds its state.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    ...(isSecure(origin) ? { "strict-transport-security": "max-age=31536000" } : {})
  }
  return <E, R>(handle: Effect.Effect<Response, E, R>) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      // A page of another name that leads to this machine (DNS rebinding) gets nothing.
      if (request.headers["host"] !== host) return HttpServerResponse.empty({ status: 421 })
      const response = yield* handle.pipe(
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(16)),
        Effect.catchCause(failed)
      )
      return HttpServerResponse.setHeaders(withPage(response), headers)
    })
}

/** Errors of the router and of the API have no page. */
const withPage = (response: Response): Response =>
  response.status < 400 || response.headers["content-type"]?.startsWith("text/html") === true
    ? response
    : page(Pages.message(undefined, errors[response.status] ?? errors.default), response.status)

const errors: Readonly<Record<number, Parameters<typeof Pages.message>[1]>> & {
  readonly default: Parameters<typeof Pages.message>[1]
} = {
  404: { title: "There is no such page", text: "The address is wrong.", remedy: "Check the address." },
  405: { title: "There is no such page", text: "The address is wrong.", remedy: "Check the address." },
  500: {
    title: "Something went wrong",
    text: "The app could not do this.",
    remedy: "Try again. The operator finds the reason in the log of the app."
  },
  default: {
    title: "The request cannot be used",
    text: "A part of the address or of the form is missing or wrong.",
    remedy: "Go back, load the page again, and send it once more."
  }
}

const failed = <E>(cause: Cause.Cause<E>): Effect.Effect<Response> =>
  Effect.flatMap(
    HttpServerError.causeResponse(cause),
    ([response]) =>
      Effect.as(response.status < 500 ? Effect.void : Effect.logError("A request failed", cause), response)
  )

const assets = HttpRouter.addAll(
  [["/style.css", "text/css"] as const, ["/icon.svg", "image/svg+xml"] as const].map(([path, contentType]) =>
    HttpRouter.route(
      "GET",
      path,
      HttpServerResponse.text(readFileSync(new URL(`.${path}`, import.meta.url), "utf8"), { contentType })
    )
  )
)
