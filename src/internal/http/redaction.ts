/** Removal of secrets from text that a service echoes, in every spelling in which a secret may come back. */
import { type Fields, secretsOf } from "./fields.ts"

/**
 * - `prose` is for people: secrets and everything that looks like a signed JWT are replaced, and the text ends after 2,000
 *   characters;
 * - `data` is for programs, which need the whole text: only secrets are replaced.
 */
export type Scrub = (text: string, as?: "prose" | "data") => string

const longestProse = 2000

const redacted = "<redacted>"

export const scrubber = (secrets: ReadonlyArray<string>): Scrub => {
  // A secret that contains another secret is replaced first.
  const removers = [...new Set(secrets.filter((secret) => secret !== ""))].sort((a, b) => b.length - a.length).map(
    remover
  )
  return (text, as = "prose") => {
    const clean = removers.reduce((left, remove) => remove(left), text)
    if (as === "data") return clean
    // The cut comes before the search, which takes quadratic time; a JWT that the cut breaks is removed with it.
    const head = clean.length > longestProse ? `${clean.slice(0, longestProse).replace(/eyJ[\w.-]*$/, "")}...` : clean
    return head.replace(/\beyJ[\w-]{5,}\.[\w-]{8,}\.[\w-]*/g, redacted)
  }
}

/** Returns the scrubber for the response to a request with these fields and with these headers of the credential. */
export const scrubberOf = (sent: ReadonlyArray<Fields>, headers: ReadonlyArray<string>): Scrub =>
  scrubber([
    ...sent.flatMap(secretsOf),
    // The headers of a credential are secret, with or without the name of their scheme.
    ...headers.flatMap((header) => [header, header.replace(/^\w+ /, ""), ...basicSecret(header)])
  ])

/** Returns the secret in a header of HTTP Basic authentication, as it stands there and before it was encoded. */
const basicSecret = (header: string): ReadonlyArray<string> => {
  const pair = base64Decoded(/^Basic (.+)$/i.exec(header)?.[1] ?? "")
  const encoded = pair.slice(pair.indexOf(":") + 1)
  return [encoded, ...new URLSearchParams(`v=${encoded.replaceAll("&", "%26")}`).values()]
}

// -----------------------------------------------------------------------------
// spellings
// -----------------------------------------------------------------------------

/** Returns a function that removes the secret from a text, however each of its characters is spelled there. */
const remover = (secret: string): (text: string) => string => {
  // An encoder may leave out the padding of Base64.
  const base64 = base64Encoded(secret).replace(/=+$/, "")
  const literals = [base64, base64.replaceAll("+", "-").replaceAll("/", "_")]
  const units = unitsOf(secret)
  const removeSpelled = units.length === 0
    ? (text: string) => text.replaceAll(secret, redacted)
    : (text: string) => withoutSpelled(text, units)
  return (text) => literals.reduce((clean, literal) => clean.replaceAll(literal, redacted), removeSpelled(text))
}

const base64Encoded = (text: string): string =>
  btoa(Array.from(utf8.encode(text), (byte) => String.fromCharCode(byte)).join(""))

/** Returns the empty string for what is not Base64. */
const base64Decoded = (text: string): string => {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)))
  } catch {
    return ""
  }
}

/** A character of a secret in its spellings, or a run of white space inside the secret. */
interface Unit {
  readonly literal: string
  readonly bytes: Uint8Array
  readonly isRun: boolean
  /** White space at either end, such as the line break of a file, need not come back. */
  readonly isOptional: boolean
}

const utf8 = new TextEncoder()

/** Returns no unit for a secret of white space alone. */
const unitsOf = (secret: string): ReadonlyArray<Unit> => {
  const core = secret.trim()
  if (core === "") return []
  const start = secret.indexOf(core)
  const unit = (isOptional: boolean) => (literal: string): Unit => ({
    literal,
    bytes: utf8.encode(literal),
    isRun: !isOptional && literal.trim() === "",
    isOptional
  })
  return [
    ...Array.from(secret.slice(0, start), unit(true)),
    ...(core.match(/\s+|\S/gu) ?? []).map(unit(false)),
    ...Array.from(secret.slice(start + core.length), unit(true))
  ]
}

const withoutSpelled = (text: string, units: ReadonlyArray<Unit>): string => {
  let clean = ""
  let from = 0
  let at = 0
  while (at < text.length) {
    const end = endOf(text, at, units)
    if (end === undefined || end === at) {
      at++
      continue
    }
    clean += text.slice(from, at) + redacted
    at = end
    from = end
  }
  return clean + text.slice(from)
}

/** Returns where the units end, if they stand at `at` in any spelling. Each pair of a unit and a place is tried once. */
const endOf = (text: string, at: number, units: ReadonlyArray<Unit>): number | undefined => {
  const untried: Array<{ readonly index: number; readonly position: number }> = []
  const branched = new Set<number>()
  let position = at
  let index = 0
  while (true) {
    const unit = units[index]
    if (unit === undefined) return position
    const ends = unit.isRun ? blankEnds(text, position) : characterEnds(text, position, unit)
    const [first, ...others] = unit.isOptional ? [...ends, position] : ends
    const here = index * (text.length + 1) + position
    if (first === undefined || (others.length > 0 && branched.has(here))) {
      const next = untried.pop()
      if (next === undefined) return undefined
      index = next.index
      position = next.position
      continue
    }
    for (const other of others.toReversed()) {
      branched.add(here)
      untried.push({ index: index + 1, position: other })
    }
    index++
    position = first
  }
}

/** Returns the ends of a run of white space in any spelling, the longest first. */
const blankEnds = (text: string, at: number): ReadonlyArray<number> => {
  const ends: Array<number> = []
  for (let end = blankEnd(text, at); end !== undefined; end = blankEnd(text, end)) ends.unshift(end)
  return ends
}

const blankEnd = (text: string, at: number): number | undefined => {
  const first = text.charAt(at)
  if (first === "+" || (first !== "" && first.trim() === "")) return at + 1
  return escapesAt(text, at).find(({ code }) => String.fromCodePoint(code).trim() === "")?.end
}

const characterEnds = (text: string, at: number, { bytes, literal }: Unit): ReadonlyArray<number> => {
  const ends = text.startsWith(literal, at) ? [at + literal.length] : []
  switch (text.charAt(at)) {
    case "%":
      return [...percentEnds(text, at, bytes, 0), ...ends]
    case "&":
    case "\\":
      return [...escapeEnds(text, at, literal), ...ends]
    // The blank of a form.
    case "+":
      return literal === " " ? [at + 1] : ends
    default:
      return ends
  }
}

/** RFC 3986 section 2.1, once or more often. */
const percentEnds = (text: string, at: number, bytes: Uint8Array, index: number): ReadonlyArray<number> =>
  index === bytes.length
    ? [at]
    : percentsAt(text, at).flatMap(({ code, end }) =>
      code === bytes[index] ? percentEnds(text, end, bytes, index + 1) : []
    )

/** HTML 5.2 section 8.1.4 and RFC 8259 section 7; a character beyond the basic plane has two escapes in JSON. */
const escapeEnds = (text: string, at: number, literal: string): ReadonlyArray<number> => {
  const whole = escapesAt(text, at).find(({ code }) => code === literal.codePointAt(0))
  if (whole !== undefined) return [whole.end]
  let end = at
  for (const unit of literal.split("")) {
    const escaped = escapesAt(text, end).find(({ code }) => code === unit.charCodeAt(0))
    if (escaped === undefined) return []
    end = escaped.end
  }
  return [end]
}

interface Escape {
  readonly code: number
  readonly end: number
}

const escapesAt = (text: string, at: number): ReadonlyArray<Escape> => {
  switch (text.charAt(at)) {
    case "%":
      return percentsAt(text, at)
    case "&":
      return entityAt(text, at)
    case "\\":
      return jsonEscapeAt(text, at)
    default:
      return []
  }
}

/** Returns each reading: `%2541` is a percent sign before `41`, or an `A` that was encoded twice. */
const percentsAt = (text: string, at: number): ReadonlyArray<Escape> => {
  const readings: Array<Escape> = []
  if (text.charAt(at) !== "%") return readings
  for (let digits = at + 1;; digits += 2) {
    const byte = text.slice(digits, digits + 2)
    if (!isHexadecimal(byte, 2)) return readings
    readings.unshift({ code: Number.parseInt(byte, 16), end: digits + 2 })
    if (byte !== "25") return readings
  }
}

const entities: ReadonlyMap<string, number> = new Map(
  Object.entries({ amp: "&", lt: "<", gt: ">", quot: "\"", apos: "'" }).map(([name, is]) => [name, is.charCodeAt(0)])
)

const entityAt = (text: string, at: number): ReadonlyArray<Escape> => {
  const [whole, decimal, hexadecimal, name] =
    /^&(?:#(\d{1,10});?|#[xX]([0-9a-fA-F]{1,8});?|([a-z]{2,4});)/.exec(text.slice(at, at + 16)) ?? []
  if (whole === undefined) return []
  const code = decimal !== undefined
    ? Number(decimal)
    : hexadecimal !== undefined
    ? Number.parseInt(hexadecimal, 16)
    : entities.get(name ?? "")
  return code === undefined || code > 0x10ffff ? [] : [{ code, end: at + whole.length }]
}

const shortEscapes: ReadonlyMap<string, string> = new Map(Object.entries({
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  "\"": "\"",
  "\\": "\\",
  "/": "/"
}))

const jsonEscapeAt = (text: string, at: number): ReadonlyArray<Escape> => {
  const kind = text.charAt(at + 1)
  const short = shortEscapes.get(kind)
  if (short !== undefined) return [{ code: short.charCodeAt(0), end: at + 2 }]
  const digits = text.slice(at + 2, at + 6)
  return kind === "u" && isHexadecimal(digits, 4) ? [{ code: Number.parseInt(digits, 16), end: at + 6 }] : []
}

const isHexadecimal = (text: string, length: number): boolean => text.length === length && /^[0-9a-fA-F]+$/.test(text)
