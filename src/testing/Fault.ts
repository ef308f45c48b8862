/**
 * Scripted misbehaviour of an `EntraSimulator`: what it answers instead of, or before, the ordinary answer. Hand a fault to the service's `fail`.
 */
import type * as Duration from "effect/Duration"
import type { Refusal } from "./internal/http/refusal.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * How a `Retry-After` is written.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryAfterFormat = "seconds" | "date"

/**
 * One scripted misbehaviour.
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
  | { readonly _tag: "Malformed"; readonly kind: "notJson" | "noAccessToken" }
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
 * 429, with `Retry-After` in seconds, as an HTTP-date, or without the header when `retryAfter` is absent.
 *
 * **Example** (Throttling once)
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
 * A failure of the service: 503 unless another status is given, in Entra's JSON or as the HTML page of a proxy.
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
 * 400 `invalid_grant` AADSTS50196: the service thinks the client is in a loop.
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
 * Any other refusal in Entra's shape, such as missing consent or a claims challenge.
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
 * Waits, then answers as usual.
 *
 * @category constructors
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): Fault => ({ _tag: "Delay", duration })

/**
 * Closes the connection without an answer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dropped: Fault = { _tag: "Dropped" }

/**
 * 200 with a body that is no JSON, or with JSON that has no `access_token`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const malformed = (kind: "notJson" | "noAccessToken" = "notJson"): Fault => ({ _tag: "Malformed", kind })

/**
 * Sends the client elsewhere: 307 unless another status is given.
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
 * 401 `invalid_client` AADSTS7000215 whose description repeats the credential that was sent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const echo: Fault = { _tag: "Echo" }

/**
 * 200 with a token answer padded to the size, 2 MiB unless told, in chunks and without a length.
 *
 * @category constructors
 * @since 0.1.0
 */
export const hugeBody = (bytes = 2 * 1024 * 1024): Fault => ({ _tag: "HugeBody", bytes })

/**
 * Any answer at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const custom = (options: {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}): Fault => ({ _tag: "Custom", status: options.status, headers: options.headers ?? {}, body: options.body ?? "" })
