/**
 * Answers and errors of a request that carried a token, as if it had not. Effect redacts what it prints, but Node prints
 * what nobody caught without asking it.
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

/** `request` is the one that did not have the token yet. */
export const veilResponse = (response: Response, request: Request): Response => new Veiled(response, request)

/** A middleware may add errors that the type of its client does not show; those stay as they are. */
export const veilError = (
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
  veiled: Response | undefined
): HttpClientError.HttpClientErrorReason => {
  // An error's cause is no property that a spread copies.
  const cause = "cause" in reason && reason.cause !== undefined ? { cause: veilCause(reason.cause, request) } : {}
  switch (reason._tag) {
    case "TransportError":
      return new HttpClientError.TransportError({ ...reason, ...cause, request })
    case "EncodeError":
      return new HttpClientError.EncodeError({ ...reason, ...cause, request })
    case "InvalidUrlError":
      return new HttpClientError.InvalidUrlError({ ...reason, ...cause, request })
  }
  const parts = { ...reason, ...cause, request, response: veiled ?? veilResponse(reason.response, request) }
  switch (reason._tag) {
    case "StatusCodeError":
      return new HttpClientError.StatusCodeError(parts)
    case "DecodeError":
      return new HttpClientError.DecodeError(parts)
    case "EmptyBodyError":
      return new HttpClientError.EmptyBodyError(parts)
  }
}

const veilCause = (cause: unknown, request: Request): unknown =>
  HttpClientError.isHttpClientError(cause) ? veilError(cause, request) : cause

class Veiled extends Inspectable.Class implements Response {
  readonly [HttpClientResponse.TypeId]: typeof HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: typeof HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly request: Request
  readonly #original: Response

  constructor(original: Response, request: Request) {
    super()
    this.#original = original
    this.request = request
  }

  #veiled<A>(body: Effect.Effect<A, HttpClientError.HttpClientError>): typeof body {
    return Effect.mapError(body, (error) => veilError(error, this.request, this))
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
    return this.#veiled(this.#original.text)
  }
  get json() {
    return this.#veiled(this.#original.json)
  }
  get urlParamsBody() {
    return this.#veiled(this.#original.urlParamsBody)
  }
  get formData() {
    return this.#veiled(this.#original.formData)
  }
  get arrayBuffer() {
    return this.#veiled(this.#original.arrayBuffer)
  }
  get upgrade() {
    return this.#veiled(this.#original.upgrade)
  }
  get stream(): Stream.Stream<Uint8Array, HttpClientError.HttpClientError> {
    return Stream.mapError(this.#original.stream, (error) => veilError(error, this.request, this))
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
