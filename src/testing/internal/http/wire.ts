/**
 * Reads requests (target, form, correlation id) and writes JSON responses.
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { base64url } from "jose"

/** The URL of a request as the client wrote it. */
export interface Target {
  readonly origin: string
  readonly path: string
  /** The first segment of the path. */
  readonly tenant: string
  readonly query: URLSearchParams
}

/**
 * Reads the target of a request. The host comes from the request; without it, the target has the simulator's own origin.
 */
export const readTarget = (request: HttpServerRequest.HttpServerRequest, ownOrigin: string): Target => {
  const [, absoluteOrigin] = /^(https?:\/\/[^/?#]+)/i.exec(request.originalUrl) ?? []
  const host = request.headers["host"]
  const protocol = request.protocol === undefined ? new URL(ownOrigin).protocol : `${request.protocol}:`
  const origin = absoluteOrigin ?? (host === undefined ? ownOrigin : `${protocol}//${host}`)
  const [, path = "/", search = ""] = /^([^?#]*)(\?[^#]*)?/.exec(request.url) ?? []
  return {
    origin: origin.toLowerCase(),
    path,
    tenant: path.split("/")[1] ?? "",
    query: new URLSearchParams(search)
  }
}

/** A parsed form: its fields, and the first duplicated name. */
export interface Form {
  readonly fields: Readonly<Record<string, string>>
  readonly duplicated: string | undefined
}

const emptyForm: Form = { fields: {}, duplicated: undefined }

/** Reads a form body. A body of another media type has no fields, as at the real service. */
export const readForm = (contentType: string | undefined, body: string): Form => {
  const mediaType = contentType?.split(";")[0]?.trim().toLowerCase()
  if (mediaType !== "application/x-www-form-urlencoded") return emptyForm
  const fields: Record<string, string> = Object.create(null)
  let duplicated: string | undefined
  for (const [name, value] of new URLSearchParams(body)) {
    if (name in fields) duplicated ??= name
    else fields[name] = value
  }
  return { fields, duplicated }
}

const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Returns the correlation id of a request (header, query or form) if it is a GUID, else a new one. */
export const readCorrelationId = (
  request: HttpServerRequest.HttpServerRequest,
  target: Target,
  fields: Readonly<Record<string, string>> = {}
): string =>
  [request.headers["client-request-id"], target.query.get("client-request-id"), fields["client-request-id"]]
    .find((id): id is string => typeof id === "string" && guid.test(id)) ?? newGuid()

/** Returns a random GUID. */
export const newGuid = (): string => globalThis.crypto.randomUUID()

/** Returns random bytes in base64url. */
export const newOpaque = (bytes: number): string =>
  base64url.encode(globalThis.crypto.getRandomValues(new Uint8Array(bytes)))

/** Returns a GUID that depends on the text only. */
export const stableGuid = (text: string): string => {
  let hex = ""
  for (let part = 0; part < 4; part++) {
    let hash = 0x811c9dc5 ^ part
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
    hex += (hash >>> 0).toString(16).padStart(8, "0")
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

/** Creates a JSON response that must not be cached. */
export const json = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(body), {
    status,
    contentType: "application/json; charset=utf-8",
    headers: { "cache-control": "no-store, no-cache", "pragma": "no-cache", ...headers }
  })
