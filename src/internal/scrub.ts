/** Keeping secrets out of what a service echoes: in every spelling in which it may come back. */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { type Fields, secretsOf } from "./form.ts"
import { remover } from "./spellings.ts"

/**
 * - `prose` is for people: the secrets and whatever looks like a signed JWT are replaced, and it ends after 2,000
 *   characters;
 * - `data` is for programs, which need all of it: only the secrets are replaced.
 */
export type Scrub = (text: string, as?: "prose" | "data") => string

const longest = 2000

export const scrubber = (secrets: ReadonlyArray<string>): Scrub => {
  // What holds another goes first.
  const removers = [...new Set(secrets.filter((secret) => secret !== ""))].sort((a, b) => b.length - a.length).map(
    remover
  )
  return (text, as = "prose") => {
    const clean = removers.reduce((left, remove) => remove(left), text)
    if (as === "data") return clean
    // Cut before the search, which takes quadratic time; a JWT that the cut breaks is no longer recognised, so it goes too.
    const head = clean.length > longest ? `${clean.slice(0, longest).replace(/eyJ[\w.-]*$/, "")}...` : clean
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
