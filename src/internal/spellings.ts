/** The spellings in which a service may repeat a secret that it was sent. */
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Regex from "effect/RegExp"
import { formEncoded } from "./form.ts"

/** Takes a secret out of a text, however it is spelled there. */
export const remover = (secret: string): (text: string) => string => {
  const [encoded, encodedForUrls] = [Base64.encode(secret).replace(/=+$/, ""), Base64Url.encode(secret)]
  if (secret.length > longest) {
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
const longest = 1000

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
