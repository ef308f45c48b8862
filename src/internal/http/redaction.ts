/** Keeping secrets out of what a service echoes: in every spelling in which it may come back. */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Regex from "effect/RegExp"
import * as Result from "effect/Result"
import { type Fields, formEncoded, secretsOf } from "./fields.ts"

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

/** Takes a secret out of a text, however it is spelled there. */
export const remover = (secret: string): (text: string) => string => {
  const [encoded, encodedForUrls] = [Base64.encode(secret).replace(/=+$/, ""), Base64Url.encode(secret)]
  if (secret.length > longestPattern) {
    const ofUrls = [encodeURIComponent(secret.toWellFormed()), formEncoded(secret)]
    const inLowerCase = ofUrls.map((text) => text.replace(/%../g, (escape) => escape.toLowerCase()))
    const literals = [secret, JSON.stringify(secret).slice(1, -1), ...ofUrls, ...inLowerCase, encoded, encodedForUrls]
    return (text) => literals.reduce((clean, literal) => clean.replaceAll(literal, redacted), text)
  }
  const characters = Array.from(secret)
  const needle = new RegExp(
    // An encoder may leave out what pads Base64.
    [spell(characters, inMarkup), spell(characters, inJson), Regex.escape(encoded), encodedForUrls].join("|"),
    "g"
  )
  return (text) => text.replace(needle, redacted)
}

const redacted = "<redacted>"

/** Characters. What is longer is an assertion, whose alphabet no encoder touches; engines have a limit for patterns. */
const longestPattern = 1000

/** Character by character, so that it does not matter which of them an encoder leaves as they are. */
const spell = (characters: ReadonlyArray<string>, alternatives: (character: string) => ReadonlyArray<string>): string =>
  characters
    .map((character, index) =>
      /[A-Za-z0-9]/.test(character)
        ? character
        // White space at its ends, such as the line break of a file, need not come back.
        : `(?:${alternatives(character).join("|")})${isOuter(characters, index) ? "?" : ""}`
    )
    .join("")

const isOuter = (characters: ReadonlyArray<string>, index: number): boolean => {
  const isBlank = (part: ReadonlyArray<string>) => part.join("").trim() === ""
  return !isBlank(characters) && (isBlank(characters.slice(0, index + 1)) || isBlank(characters.slice(index)))
}

/** RFC 3986 section 2.1, once or more often, HTML 5.2 section 8.1.4, and the form's blank. */
const inMarkup = (character: string): ReadonlyArray<string> => {
  const code = character.codePointAt(0) ?? 0
  const name = entities.get(character)
  return [
    Regex.escape(character),
    Array.from(utf8.encode(character), (byte) => `%(?:25)*${hexadecimal(byte, 2)}`).join(""),
    `&#(?:0*${code}|[xX]0*${hexadecimal(code)});?`,
    ...(name === undefined ? [] : [`&${name};`]),
    ...(/\s/.test(character) ? ["\\+", "\\s+"] : [])
  ]
}

/** RFC 8259 section 7. */
const inJson = (character: string): ReadonlyArray<string> => [
  Regex.escape(JSON.stringify(character).slice(1, -1)),
  character.split("").map((unit) => `\\\\u${hexadecimal(unit.charCodeAt(0), 4)}`).join(""),
  ...(character === "/" ? ["\\\\/"] : [])
]

const utf8 = new TextEncoder()

const entities: ReadonlyMap<string, string> = new Map([
  ["&", "amp"],
  ["<", "lt"],
  [">", "gt"],
  ["\"", "quot"],
  ["'", "apos"]
])

/** In either case. */
const hexadecimal = (value: number, digits = 1): string =>
  value.toString(16).padStart(digits, "0").replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
