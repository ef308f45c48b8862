/** Keeping secrets out of what a service echoes: every spelling in which a form value may come back. */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import { type Fields, formEncoded, secretsOf } from "./form.ts"

/** `%2b` is as right as `%2B` (RFC 3986 section 2.1). */
const bothCases = (encoded: string): ReadonlyArray<string> => [
  encoded,
  encoded.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())
]

const spellings = (secret: string): ReadonlyArray<string> => [
  secret,
  ...bothCases(encodeURIComponent(secret.toWellFormed())),
  ...bothCases(formEncoded(secret)),
  JSON.stringify(secret).slice(1, -1),
  // Without what pads it, which an encoder may leave out.
  Base64.encode(secret).replace(/=+$/, ""),
  Base64Url.encode(secret),
  secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
]

/**
 * - `prose` is for people: the secrets and whatever looks like a signed JWT are replaced, and it ends after 2,000
 *   characters;
 * - `data` is for programs, which need all of it: only the secrets are replaced.
 */
export type Scrub = (text: string, as?: "prose" | "data") => string

const longest = 2000

export const scrubber = (secrets: ReadonlyArray<string>): Scrub => {
  const needles = [...new Set(secrets.filter((secret) => secret !== "").flatMap(spellings))]
    .sort((a, b) => b.length - a.length)
  return (text, as = "prose") => {
    const known = needles.reduce((clean, needle) => clean.replaceAll(needle, "<redacted>"), text)
    if (as === "data") return known
    // Cut before the search, which takes quadratic time; a JWT that the cut breaks is no longer recognised, so it goes too.
    const head = known.length > longest ? `${known.slice(0, longest).replace(/eyJ[\w.-]*$/, "")}...` : known
    return head.replace(/\beyJ[\w-]{5,}\.[\w-]{8,}\.[\w-]*/g, "<redacted>")
  }
}

/** For what came of a request. An answer with a token has nothing to scrub, so the spellings of the secrets wait for one that has. */
export const scrubberOf = (sent: ReadonlyArray<Fields>, headers: ReadonlyArray<string>): Scrub => {
  let scrub: Scrub | undefined
  return (text, as) => {
    scrub ??= scrubber([
      ...sent.flatMap(secretsOf),
      // What a credential puts into headers is secret, with or without the name of its scheme.
      ...headers.flatMap((header) => [header, header.replace(/^\w+ /, ""), ...basicSecret(header)])
    ])
    return scrub(text, as)
  }
}

/** The secret in a header of HTTP Basic authentication, as it stands there and as it was before it was encoded. */
const basicSecret = (header: string): ReadonlyArray<string> => {
  const pair = Result.getOrUndefined(Base64.decodeString(/^Basic (.+)$/i.exec(header)?.[1] ?? "")) ?? ""
  const encoded = pair.slice(pair.indexOf(":") + 1)
  return [encoded, new URLSearchParams(`v=${encoded.replaceAll("&", "%26")}`).get("v") ?? ""]
}
