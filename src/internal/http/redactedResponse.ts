/**
 * Responses and errors whose request no longer has the token. Effect redacts the headers that it prints, but Node prints an
 * uncaught error with all of its properties.
 */
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Inspectable from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import * as Stream from "effect/Stream"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** Returns a response that refers to `request`, the request before the token was added. */
export const redactedResponse = (response: Response, request: Request): Response =>
  new RedactedResponse(response, request)

/**
 * Returns an error that refers to `request`, the request before the token was added. A middleware may add errors that the
 * type of its client does not show, and these are returned unchanged.
 */
export const redactedError = (
  error: HttpClientError.HttpClientError,
  request: Request,
  response?: Response
): HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error)
    ? new HttpClientError.HttpClientError({ reason: reasonOf(error, request, response) })
    : error

const reasonOf = (
  { reason }: HttpClientError.HttpClientError,
  request: Request,
  redacted: Response | undefined
): HttpClientError.HttpClientErrorReason => {
  // A spread does not copy an error's cause.
  const cause = "cause" in reason && reason.cause !== undefined ? { cause: redactedCause(reason.cause, request) } : {}
  switch (reason._tag) {
    case "TransportError":
      return new HttpClientError.TransportError({ ...reason, ...cause, request })
    case "EncodeError":
      return new HttpClientError.EncodeError({ ...reason, ...cause, request })
    case "InvalidUrlError":
      return new HttpClientError.InvalidUrlError({ ...reason, ...cause, request })
  }
  const parts = { ...reason, ...cause, request, response: redacted ?? redactedResponse(reason.response, request) }
  switch (reason._tag) {
    case "StatusCodeError":
      return new HttpClientError.StatusCodeError(parts)
    case "DecodeError":
      return new HttpClientError.DecodeError(parts)
    case "EmptyBodyError":
      return new HttpClientError.EmptyBodyError(parts)
  }
}

const redactedCause = (cause: unknown, request: Request): unknown =>
  HttpClientError.isHttpClientError(cause) ? redactedError(cause, request) : cause

class RedactedResponse extends Inspectable.Class implements Response {
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly request: Request
  readonly #original: Response

  constructor(original: Response, request: Request) {
    super()
    this.#original = original
    this.request = request
  }

  #redacted<A>(body: Effect.Effect<A, HttpClientError.HttpClientError>): typeof body {
    return Effect.mapError(body, (error) => redactedError(error, this.request, this))
  }

  get url() {
    return this.#original.url
  }
  get status() {
    return this.#original.status
  }
  get headers() {
    return this.#original.headers
  }
  get cookies() {
    return this.#original.cookies
  }
  get remoteAddress() {
    return this.#original.remoteAddress
  }
  get text() {
    return this.#redacted(this.#original.text)
  }
  get json() {
    return this.#redacted(this.#original.json)
  }
  get urlParamsBody() {
    return this.#redacted(this.#original.urlParamsBody)
  }
  get formData() {
    return this.#redacted(this.#original.formData)
  }
  get arrayBuffer() {
    return this.#redacted(this.#original.arrayBuffer)
  }
  get upgrade() {
    return this.#redacted(this.#original.upgrade)
  }
  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.mapError(this.#original.stream, (error) => redactedError(error, this.request, this))
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }
}
