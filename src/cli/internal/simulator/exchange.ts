/**
 * A request to the simulator and its response as a row of the page. A row has no secret, assertion or token, and its
 * texts are short and printable for every input.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import { claimsOf } from "../jwt.ts"

/** A request, and its response if there was one. */
export interface Exchange {
  readonly part: EntraSimulator.Part
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The body of the request. */
  readonly body: string
  /** Undefined: the connection was closed without a response. */
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly body: string
  } | undefined
  /** The scripted fault that was used. */
  readonly fault: EntraSimulator.Fault.Fault["_tag"] | undefined
  /** The time of the request, in milliseconds. */
  readonly at: number
  readonly ms: number
}

/** A row of the page. */
export interface Row {
  readonly at: number
  readonly endpoint: string
  readonly client: string
  readonly tenant: string
  readonly scope: string
  readonly credential: string
  readonly outcome: "ok" | "refused" | "failed"
  readonly answer: string
  readonly fault: boolean
  readonly ms: number
}

/** The row of an exchange, and the values that the totals of the page need. */
export interface Summary {
  readonly row: Row
  /** The tenant of the issued token. */
  readonly issuedTo: string | undefined
  /** The key of a throttled token request, and the time until which the client has to wait, in milliseconds. */
  readonly throttled: { readonly key: string; readonly until: number } | undefined
}

const endpoints: Readonly<Record<EntraSimulator.Part, string>> = {
  token: "token",
  adminConsent: "consent",
  instance: "discovery: instance",
  openIdConfiguration: "discovery: OpenID",
  keys: "discovery: keys",
  adfsToken: "token (AD FS)",
  adfsOpenIdConfiguration: "discovery: OpenID (AD FS)",
  adfsKeys: "discovery: keys (AD FS)",
  realmToken: "token (realm)",
  realmOpenIdConfiguration: "discovery: OpenID (realm)",
  realmKeys: "discovery: keys (realm)",
  users: "Graph: users",
  usersDelta: "Graph: users, delta",
  organization: "Graph: organization"
}

/** The number of seconds that clients wait if a 429 names none. */
const defaultWait = 60

/** Returns the row of an exchange with the values for the totals. */
export const summaryOf = (exchange: Exchange): Summary => {
  const { at, body, fault, headers, ms, part, response, url } = exchange
  const isGraph = endpoints[part].startsWith("Graph")
  const isToken = part.endsWith("oken")
  const form = new URLSearchParams(isToken ? body : new URL(url, "http://localhost").search)
  const asked = isGraph ? bearerOf(headers["authorization"]) : clientOf(form, headers["authorization"])
  const isConsented = part === "adminConsent" && fault === undefined && isWithoutReplyAddress(response)
  const answer = isConsented ? consented : answerOf(response)
  const show = (text: string) => printable(asked.secrets.reduce(hide, text))
  const tenant = isGraph ? asked.tenant : tenantIn(part, url)
  const row: Row = {
    at,
    endpoint: endpoints[part],
    client: show(asked.client),
    tenant: show(tenant),
    scope: show(form.get("scope") ?? ""),
    credential: asked.credential,
    outcome: isConsented ? "ok" : outcomeOf(response?.status, isToken && answer.token === undefined),
    answer: show(answer.text),
    fault: fault !== undefined,
    ms: Math.round(ms)
  }
  return {
    row,
    issuedTo: answer.token === undefined ? undefined : show(namesIn(answer.token).tid ?? tenant),
    throttled: response?.status === 429 && isToken
      ? {
        key: [row.client, row.tenant, row.scope].filter((text) => text !== "").join(" · "),
        until: at + ms + waitOf(response.headers["retry-after"], at) * 1000
      }
      : undefined
  }
}

// -----------------------------------------------------------------------------
// the request
// -----------------------------------------------------------------------------

interface Asked {
  readonly client: string
  readonly tenant: string
  readonly credential: string
  /** Values that no text of the row may repeat. */
  readonly secrets: ReadonlyArray<string>
}

const clientOf = (form: URLSearchParams, authorization: string | undefined): Asked => {
  const secret = form.get("client_secret") ?? ""
  const assertion = form.get("client_assertion") ?? ""
  const basic = basicOf(authorization)
  const claims = namesIn(assertion)
  const client = form.get("client_id") ?? basic?.client ?? claims.sub ?? ""
  const credentials = [
    ...(secret === "" ? [] : ["secret"]),
    ...(basic === undefined ? [] : ["secret (Basic)"]),
    ...(assertion === "" ? [] : [claims.iss === undefined || claims.iss === client ? "certificate" : "federated token"])
  ]
  return {
    client,
    tenant: "",
    credential: credentials.join(", "),
    secrets: [secret, assertion, ...(basic === undefined ? [] : [basic.secret, formDecoded(basic.secret)])]
  }
}

const bearerOf = (authorization = ""): Asked => {
  const [, token = ""] = /^bearer (.*)$/is.exec(authorization) ?? []
  const claims = namesIn(token)
  return {
    client: claims.azp ?? "",
    tenant: claims.tid ?? "",
    credential: token === "" ? "" : "token",
    secrets: [token]
  }
}

const basicOf = (authorization = "") => {
  const [, encoded = ""] = /^basic ([\w+/=-]+)$/i.exec(authorization) ?? []
  const [, client, secret] = /^([^:]*):(.*)$/s.exec(Result.getOrElse(Base64.decodeString(encoded), () => "")) ?? []
  return client === undefined || secret === undefined ? undefined : { client, secret }
}

/** Returns a text of a form, in which a header of Basic authentication is written (RFC 6749 section 2.3.1). */
const formDecoded = (text: string): string =>
  new URLSearchParams(`text=${text.replaceAll("&", "%26")}`).get("text") ?? ""

const Claims = Schema.Struct({
  iss: Schema.optionalKey(Schema.String),
  sub: Schema.optionalKey(Schema.String),
  azp: Schema.optionalKey(Schema.String),
  tid: Schema.optionalKey(Schema.String)
})

/** Returns the claims of a JWT. Any other text has no claims. */
const namesIn = (jwt: string): typeof Claims.Type => claimsOf(jwt, Claims) ?? {}

const tenantIn = (part: EntraSimulator.Part, url: string): string => {
  const [, first = "", second = ""] = url.split(/[?#]/, 1)[0]?.split("/") ?? []
  if (part.startsWith("realm")) return `realms/${decoded(second)}`
  return part === "instance" ? "" : decoded(first)
}

const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

// -----------------------------------------------------------------------------
// the response
// -----------------------------------------------------------------------------

const Body = Schema.fromJsonString(Schema.Struct({
  access_token: Schema.optionalKey(Schema.String),
  expires_in: Schema.optionalKey(Schema.Finite),
  error: Schema.optionalKey(Schema.Union([Schema.String, Schema.Struct({ code: Schema.String })])),
  error_description: Schema.optionalKey(Schema.String)
}))
const decodeBody = Schema.decodeUnknownResult(Body)

interface Answer {
  readonly text: string
  readonly token: string | undefined
}

/** Returns whether the consent page had no address to return to. As at Entra ID, it records the consent nevertheless. */
const isWithoutReplyAddress = (response: Exchange["response"]): boolean =>
  response?.body.includes("AADSTS500113:") === true

const consented: Answer = { text: "consent recorded (400 AADSTS500113: no reply address)", token: undefined }

/** Returns the outcome of a response. A response to a token request with neither a token nor a refusal is a failure. */
const outcomeOf = (status: number | undefined, isWithoutToken: boolean): Row["outcome"] => {
  if (status === undefined || status >= 500) return "failed"
  if (status >= 400) return "refused"
  return isWithoutToken ? "failed" : "ok"
}

const answerOf = (response: Exchange["response"]): Answer => {
  const plain = (text: string): Answer => ({ text, token: undefined })
  if (response === undefined) return plain("connection closed")
  const { body, headers, status } = response
  const wait = headers["retry-after"]
  const suffix = wait === undefined ? "" : `, Retry-After: ${wait}`
  const parsed = decodeBody(body)
  if (Result.isFailure(parsed)) return plain(`${status}${suffix}`)
  const { access_token: token, error, error_description: description = "", expires_in: lifetime } = parsed.success
  if (token !== undefined) {
    return { text: `token${lifetime === undefined ? "" : ` for ${lifetime} s`}`, token }
  }
  const code = /^(?:AADSTS|MSIS)\d+/.exec(description)?.[0]
  const name = typeof error === "string" ? error : error?.code
  return plain([status, code, name].filter((part) => part !== undefined).join(" ") + suffix)
}

/** Returns the seconds of `Retry-After`, which is a number of seconds or a date. */
const waitOf = (header: string | undefined, now: number): number => {
  if (header === undefined) return defaultWait
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - now) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : defaultWait
}

// -----------------------------------------------------------------------------
// texts
// -----------------------------------------------------------------------------

/** Hides a secret, also one that a client sent in the wrong field. */
const hide = (text: string, secret: string): string => secret === "" ? text : text.replaceAll(secret, "[hidden]")

const limit = 120

/** Shows characters that are invisible or that reorder a text as escapes, and cuts a long text. */
const printable = (text: string): string => {
  const shown = text.slice(0, 2 * limit).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  )
  return shown.length > limit || text.length > 2 * limit ? `${shown.slice(0, limit - 1)}…` : shown
}
