/**
 * The routes of the simulator's page and of its controls, which scripts may also use: `/_simulator/faults` switches
 * faults on and off.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { assignments, type Environment } from "./environment.ts"
import { parseFault } from "./faultInput.ts"
import type { Monitor } from "./monitor.ts"
import { isOwnHost, isOwnOrigin } from "./origins.ts"
import { page, script, styles } from "./page.ts"

export interface Control {
  readonly monitor: Monitor
  readonly port: number
  readonly environment: Environment
  /** The names to which a fault may be limited: ids and domains of tenants, and names of realms. */
  readonly tenants: ReadonlyArray<string>
}

/** Names in the path of a request that are no tenant of the world. */
const pathNames = ["common", "organizations", "adfs"]

const isKnown = (name: string, tenants: ReadonlyArray<string>): boolean =>
  [...tenants, ...pathNames].some((known) => known.toLowerCase() === name.toLowerCase())

/** Creates the routes. `get` returns the control, which exists when the server has its port. */
export const controlRoutes = <R>(get: Effect.Effect<Control, never, R>) => {
  /** Creates a route for requests from this machine. A link on another site may lead to the page itself. */
  const guarded = (
    method: "GET" | "POST" | "DELETE",
    path: HttpRouter.PathInput,
    isAllowed: typeof isOwnOrigin,
    handle: (
      control: Control,
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpRouter.Provided>
  ) =>
    HttpRouter.route(
      method,
      path,
      Effect.gen(function*() {
        const control = yield* get
        const request = yield* HttpServerRequest.HttpServerRequest
        const response = isAllowed(request.headers, control.port)
          ? yield* handle(control, request)
          : text(403, `Send this request to http://localhost:${control.port}, from its own page or from a program.`)
        return HttpServerResponse.setHeaders(response, headers)
      })
    )
  const shown = (path: HttpRouter.PathInput, contentType: string, body: string) =>
    guarded("GET", path, isOwnHost, () => Effect.succeed(HttpServerResponse.text(body, { contentType })))

  return HttpRouter.addAll([
    shown("/", "text/html; charset=utf-8", page),
    shown("/_simulator/page.css", "text/css; charset=utf-8", styles),
    shown("/_simulator/page.js", "text/javascript; charset=utf-8", script),
    guarded("GET", "/_simulator/events", isOwnOrigin, ({ monitor }) =>
      Effect.succeed(HttpServerResponse.stream(
        Stream.encodeText(Stream.map(monitor.messages, (message) => `data: ${JSON.stringify(message)}\n\n`)),
        { contentType: "text/event-stream" }
      ))),
    guarded("GET", "/_simulator/environment", isOwnOrigin, ({ environment }, { url }) => {
      const shell = new URL(url, "http://localhost").searchParams.get("shell") === "powershell" ? "powershell" : "posix"
      return Effect.succeed(text(200, assignments(environment, shell).join("\n")))
    }),
    guarded("GET", "/_simulator/faults", isOwnOrigin, ({ monitor }) => listed(monitor)),
    guarded("POST", "/_simulator/faults", isOwnOrigin, ({ monitor, tenants }, request) =>
      Effect.gen(function*() {
        // A form of another origin cannot send this type.
        if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
          return text(415, "Send a fault as application/json.")
        }
        const input = parseFault(yield* Effect.catch(request.text, () => Effect.succeed("")))
        if (Result.isFailure(input)) return text(400, input.failure.join("\n"))
        const { fault, ...options } = input.success
        if (options.tenant !== undefined && !isKnown(options.tenant, tenants)) {
          return text(400, `tenant: The world has no such tenant. It has ${tenants.join(", ")}`)
        }
        yield* monitor.simulator.fail(fault, options)
        yield* monitor.changed
        return yield* listed(monitor)
      })),
    guarded(
      "DELETE",
      "/_simulator/faults",
      isOwnOrigin,
      ({ monitor }) => Effect.andThen(Effect.andThen(monitor.simulator.clearFaults, monitor.changed), listed(monitor))
    ),
    guarded("DELETE", "/_simulator/faults/:id", isOwnOrigin, ({ monitor }) =>
      Effect.gen(function*() {
        const { id } = yield* HttpRouter.params
        if (!(yield* monitor.faults).some((fault) => String(fault.id) === id)) {
          return text(404, "There is no fault with this id. GET /_simulator/faults lists the faults.")
        }
        yield* monitor.simulator.removeFault(Number(id))
        yield* monitor.changed
        return yield* listed(monitor)
      }))
  ])
}

const text = (status: number, body: string) => HttpServerResponse.text(`${body}\n`, { status })

const listed = ({ faults }: Monitor) => Effect.map(faults, (list) => text(200, JSON.stringify(list)))

/** The page loads its own files only, and no other page may frame it. */
const headers = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    + "form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
}
