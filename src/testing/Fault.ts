/**
 * Scripted faults of an `EntraSimulator`, which replace or delay its ordinary response. Pass a fault to `fail` of the service.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Refusal } from "./internal/http/refusal.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * The format of a `Retry-After` header: seconds, or an HTTP-date.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryAfterFormat = "seconds" | "date"

/**
 * A scripted fault.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  | {
    readonly _tag: "Refused"
    readonly refusal: Refusal
    readonly retryAfter: Duration.Input | undefined
    readonly format: RetryAfterFormat
    readonly html: boolean
  }
  | { readonly _tag: "Delay"; readonly duration: Duration.Input }
  | { readonly _tag: "Dropped" }
  | { readonly _tag: "Malformed"; readonly kind: "notJson" | "noAccessToken" | "cut" }
  | { readonly _tag: "Redirect"; readonly location: string; readonly status: 301 | 302 | 303 | 307 | 308 }
  | { readonly _tag: "Echo" }
  | { readonly _tag: "HugeBody"; readonly bytes: number }
  | {
    readonly _tag: "Custom"
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a fault that responds with status 429.
 *
 * **Details**
 *
 * - `retryAfter`: the value of `Retry-After`; default: no header.
 * - `format`: the format of the header; default: `"seconds"`.
 *
 * **Example** (Throttling one request)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient } from "effect/http"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const simulator = yield* EntraSimulator.EntraSimulator
 *   yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }))
 *   const url = `https://login.microsoftonline.com/${EntraSimulator.contosoTenantId}/oauth2/v2.0/token`
 *   const response = yield* HttpClient.post(url)
 *   assert.equal(response.status, 429)
 *   assert.equal(response.headers["retry-after"], "30")
 * })
 *
 * await Effect.runPromise(program.pipe(
 *   Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake }))
 * ))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const throttled = (options: {
  readonly retryAfter?: Duration.Input | undefined
  readonly format?: RetryAfterFormat | undefined
} = {}): Fault => ({
  _tag: "Refused",
  refusal: {
    status: 429,
    error: "temporarily_unavailable",
    code: 90055,
    text: "There are too many incoming requests."
  },
  retryAfter: options.retryAfter,
  format: options.format ?? "seconds",
  html: false
})

/**
 * Creates a fault that responds as a service that is unavailable.
 *
 * **Details**
 *
 * - `status`: the HTTP status; default: 503.
 * - `retryAfter`: the value of `Retry-After`; default: no header.
 * - `format`: the format of the header; default: `"seconds"`.
 * - `body`: an error in Entra's JSON, or the HTML page of a proxy; default: `"json"`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unavailable = (options: {
  readonly status?: number | undefined
  readonly retryAfter?: Duration.Input | undefined
  readonly format?: RetryAfterFormat | undefined
  readonly body?: "json" | "html" | undefined
} = {}): Fault => ({
  _tag: "Refused",
  refusal: {
    status: options.status ?? 503,
    error: "temporarily_unavailable",
    code: 90033,
    text: "A transient error has occurred. Please try again."
  },
  retryAfter: options.retryAfter,
  format: options.format ?? "seconds",
  html: options.body === "html"
})

/**
 * A fault that responds with status 400 `invalid_grant` AADSTS50196: the service detected a loop of the client.
 *
 * @category constructors
 * @since 0.1.0
 */
export const loopDetected: Fault = {
  _tag: "Refused",
  refusal: {
    status: 400,
    error: "invalid_grant",
    code: 50196,
    text: "The server terminated an operation because it encountered a client request loop."
  },
  retryAfter: undefined,
  format: "seconds",
  html: false
}

/**
 * Creates a fault that responds with a refusal in Entra's format, such as missing consent or a claims challenge.
 *
 * **Details**
 *
 * - `code`: the AADSTS code.
 * - `error`: the OAuth error code.
 * - `status`: the HTTP status; default: 400.
 * - `text`: the description after the code; default: a fixed sentence.
 * - `suberror`, `claims`: the members of the same name; default: absent.
 * - `retryAfter`: the value of `Retry-After`, in seconds; default: no header.
 *
 * @category constructors
 * @since 0.1.0
 */
export const refused = (options: {
  readonly code: number
  readonly error: string
  readonly status?: number | undefined
  readonly text?: string | undefined
  readonly suberror?: string | undefined
  readonly claims?: string | undefined
  readonly retryAfter?: Duration.Input | undefined
}): Fault => ({
  _tag: "Refused",
  refusal: {
    status: options.status ?? 400,
    error: options.error,
    code: options.code,
    text: options.text ?? "The request was refused by a script.",
    suberror: options.suberror,
    claims: options.claims
  },
  retryAfter: options.retryAfter,
  format: "seconds",
  html: false
})

/**
 * Creates a fault that delays the ordinary response.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): Fault => ({ _tag: "Delay", duration })

/**
 * A fault that closes the connection without a response.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dropped: Fault = { _tag: "Dropped" }

/**
 * Creates a fault that responds with status 200 and a body that is not JSON (the default), JSON without `access_token`,
 * or truncated JSON, which a client may retry.
 *
 * @category constructors
 * @since 0.1.0
 */
export const malformed = (kind: "notJson" | "noAccessToken" | "cut" = "notJson"): Fault => ({
  _tag: "Malformed",
  kind
})

/**
 * Creates a fault that redirects the client to `location`. The default status is 307.
 *
 * @category constructors
 * @since 0.1.0
 */
export const redirect = (location: string, status: 301 | 302 | 303 | 307 | 308 = 307): Fault => ({
  _tag: "Redirect",
  location,
  status
})

/**
 * A fault that responds with status 401 `invalid_client` AADSTS7000215 and repeats the sent credential in the description.
 *
 * @category constructors
 * @since 0.1.0
 */
export const echo: Fault = { _tag: "Echo" }

/**
 * Creates a fault that responds with status 200 and a token response of the given size in bytes, in chunks and without
 * `Content-Length`. The default size is 2 MiB.
 *
 * @category constructors
 * @since 0.1.0
 */
export const hugeBody = (bytes = 2 * 1024 * 1024): Fault => ({ _tag: "HugeBody", bytes })

/**
 * Creates a fault that responds with any status, headers and body. Headers and body are empty by default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const custom = (options: {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}): Fault => ({ _tag: "Custom", status: options.status, headers: options.headers ?? {}, body: options.body ?? "" })
