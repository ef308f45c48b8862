/** The server that a URL of Redis names, in plain functions. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import { notA } from "../shared/errors.ts"

export interface Server {
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number | undefined
}

/** Parses a URL. `field` is its name in the error, which shows nothing of the URL. */
export const serverOf = (
  field: string,
  url: string | Redacted.Redacted<string>
): Result.Result<Server, InvalidRequestError> => {
  const text = Redacted.isRedacted(url) ? Redacted.value(url) : url
  const parsed = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    return Result.fail(notA("a URL such as redis://host:6379 or rediss://host:6380", field))
  }
  const database = /^\/(\d+)$/.exec(parsed.pathname)?.[1]
  if (database === undefined && !/^\/?$/.test(parsed.pathname)) {
    return Result.fail(notA("a URL whose path is empty or the number of a database", field))
  }
  const [username, password] = [percentDecoded(parsed.username), percentDecoded(parsed.password)]
  if (username === undefined || password === undefined) {
    return Result.fail(notA("a URL whose user name and password are percent-encoded", field))
  }
  return Result.succeed({
    host: parsed.hostname.replace(/^\[|\]$/g, ""),
    port: parsed.port === "" ? 6379 : Number(parsed.port),
    isTls: parsed.protocol === "rediss:",
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : password,
    database: database === undefined ? undefined : Number(database)
  })
}

const percentDecoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
