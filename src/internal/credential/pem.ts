/**
 * The blocks of PEM (RFC 7468), rebuilt from their base64. Variables, vaults, YAML and shells change line breaks, add
 * quotes and margins, or encode the text in base64.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { quote } from "../shared/text.ts"
import { elementAt, sequence } from "./certificateValidity.ts"

export interface Block {
  readonly label: string
  readonly base64: string
  /** False if the text has no END line for this block. */
  readonly isWhole: boolean
  readonly pem: string
}

export interface Pem {
  readonly blocks: ReadonlyArray<Block>
  /** The bytes of a text that is base64 as a whole. */
  readonly bytes?: Uint8Array | undefined
  /** The reason why there are no blocks. */
  readonly fault?: Fault | undefined
}

/** `what` completes a sentence that begins with the name of the value. */
export interface Fault {
  readonly what: string
  readonly remedy: string
}

/** Returns the blocks of a text, also if the whole text is in base64. */
export const readPem = (text: string): Pem => {
  const plain = withoutEscapes(text)
  const blocks = blocksOf(plain)
  if (blocks.length > 0) return { blocks }
  const bytes = wholeOf(plain)
  const inner = withoutEscapes(new TextDecoder().decode(bytes))
  const whole = blocksOf(inner)
  const innerBlocks = whole.length > 0 ? whole : blocksOf(encodedTexts(plain))
  if (innerBlocks.length > 0) return { blocks: innerBlocks, bytes }
  const fault = unframed(plain) ??
    (bytes === undefined ? undefined : wholeOf(inner) === undefined ? unlabelled : encodedTwice)
  return { blocks, bytes, fault }
}

/** Creates a block in its canonical form. */
export const blockOf = (label: string, base64: string): Block => framed(label, base64, "", true)

/** Returns the reason why a block cannot be read, or undefined if its frame and its base64 are whole. */
export const faultOf = ({ base64, isWhole, label, pem }: Block): Fault | undefined => {
  if (!isWhole) {
    return base64 === ""
      ? fault(`ends at its first line break, after -----BEGIN ${label}-----`, quoteLines)
      : fault(`has no line -----END ${label}-----, and may be cut off`, wholeText)
  }
  if (label === openSshLabel) return fault("holds a private key in the format of OpenSSH", openSshRemedy)
  const foreign = /[^A-Za-z0-9+/=]/u.exec(base64)?.[0]
  if (foreign !== undefined) return fault(`has the character ${quote(foreign)} in the base64 of ${label}`, wholeText)
  if (/^Proc-Type/m.test(pem)) return undefined
  const bytes = bytesOf(base64)
  if (bytes !== undefined && elementAt(bytes, 0)?.tag === sequence) return undefined
  return /^r?nM/.test(base64)
    ? fault("has the letter n in the place of its line breaks", quoteLines)
    : fault(`has damaged base64 in ${label}: characters are missing or wrong`, wholeText)
}

// -----------------------------------------------------------------------------
// blocks
// -----------------------------------------------------------------------------

/** A marker may have lost the spaces inside it, or may be broken at them. The bounds keep the search linear. */
const markers = /-----\s{0,8}(BEGIN|END)\s{0,8}([A-Z0-9][A-Z0-9\s]{0,62}?)\s{0,8}-----/g

const blocksOf = (text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly label: string; readonly index: number } | undefined
  const close = (end: number, isWhole: boolean) => {
    if (open !== undefined) blocks.push(rebuilt(open.label, text.slice(open.index, end), isWhole))
    open = undefined
  }
  for (const { 0: mark, 1: side, 2: words = "", index } of text.matchAll(markers)) {
    const label = words.replace(/\s+/g, "").replace(
      /(?<=.)(?:PRIVATE|PUBLIC|KEY|CERTIFICATE|PARAMETERS|REQUEST)/g,
      " $&"
    ).replace(/^X509 (?=CERTIFICATE$)/, "")
    if (side === "BEGIN") {
      close(index, false)
      open = { label, index: index + mark.length }
    } else if (open?.label === label) {
      close(index, true)
    }
  }
  close(text.length, false)
  return blocks
}

/**
 * The headers of an encrypted key in the traditional format. A cipher has an initialization vector of 8 or 16 bytes.
 */
const encryption =
  /^[\s-]*Proc-Type:\s*4,\s*ENCRYPTED[\s-]*DEK-Info:\s*((?:DES|RC2)[\w-]*,\s*[\dA-F]{16}|[\w-]+,\s*[\dA-F]{32})/i

const rebuilt = (label: string, content: string, isWhole: boolean): Block => {
  // Quotes, margins and operators between lines, as mail, lists, comments and source code have them.
  const bare = content.replace(/["'`]\s*[+.&]\s*["'`]|["'`>|;#]|-(?=\s)/g, "")
  const [headers = "", cipher] = encryption.exec(bare) ?? []
  const base64 = bare.slice(headers.length).replace(/[\s,^~-]/g, "")
  return framed(
    label,
    base64,
    cipher === undefined ? "" : `Proc-Type: 4,ENCRYPTED\nDEK-Info: ${cipher.replace(/\s/g, "")}\n\n`,
    isWhole
  )
}

const framed = (label: string, base64: string, headers: string, isWhole: boolean): Block => ({
  label,
  base64,
  isWhole,
  pem: `-----BEGIN ${label}-----\n${headers}${base64.replace(/.{64}(?=.)/g, "$&\n")}\n${
    isWhole ? `-----END ${label}-----\n` : ""
  }`
})

// -----------------------------------------------------------------------------
// texts
// -----------------------------------------------------------------------------

/**
 * Replaces escape sequences of shells, programming languages, URLs and HTML by their characters, and removes characters
 * that are invisible. A grave accent is an escape of PowerShell only if one follows a marker.
 */
const withoutEscapes = (text: string): string =>
  text.replace(/[\0\u00ad\u200b-\u200f\u2060\ufeff\ufffd]/g, "")
    .replace(/\\+(?:(?:x|u00|u\{0{0,4})([\dA-F]{1,2})\}?|01[25]|[nrt])?/gi, (escape, code?: string) =>
      code !== undefined ? characterOf(code) : /[nrt25]$/.test(escape) ? "\n" : "")
    .replace(/%(0[AD]|2[BF]|3D)/gi, (_, code: string) =>
      characterOf(code))
    .replace(/&#(?:1[03]|x0?[AD]);|<br\s?\/?>/gi, "\n")
    .replace(/-----\s{0,8}`[nr][^]*/, (rest) => rest.replace(/`[nr]/g, "\n"))

const characterOf = (code: string): string => String.fromCharCode(Number.parseInt(code, 16))

/** Returns the texts that are encoded in base64 inside another text, such as YAML or JSON. */
const encodedTexts = (text: string): string =>
  (text.match(/[\w+/-]{16,}(?:["'`\s]+[\w+/-]{2,})*/g) ?? [])
    .map((run) => withoutEscapes(new TextDecoder().decode(wholeOf(run))))
    .join("\n")

/** Returns the bytes of a text that is base64 or base64url as a whole. */
const wholeOf = (text: string): Uint8Array | undefined => {
  const bare = text.replace(/^\s*(?:data:[\w./+;=-]{0,80},|(?:export\s)?[\w.-]{1,80}\s?[:=]\s{0,8}(?=["'\w+/-]))/, "")
  const base64 = bare.replace(/[\s"'`]/g, "").replace(/-/g, "+").replace(/_/g, "/")
  return base64.length < 64 ? undefined : bytesOf(base64)
}

const bytesOf = (base64: string): Uint8Array | undefined => {
  const digits = base64.replace(/=+$/, "")
  return Result.getOrUndefined(Base64.decode(digits.padEnd(Math.ceil(digits.length / 4) * 4, "=")))
}

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

/** The label of a key that neither OpenSSL nor Web Cryptography can read. */
export const openSshLabel = "OPENSSH PRIVATE KEY"

export const openSshRemedy = "Convert the key in a file of its own: ssh-keygen -p -m PKCS8 -f <file>."

const fault = (what: string, remedy: string): Fault => ({ what, remedy })

const quoteLines =
  "Put the value in quotes where it is set, so that its line breaks are kept, or set the base64 of the whole text."

const wholeText = "Copy the whole text again."

const unlabelled = fault("is base64 without the lines -----BEGIN and -----END", "Convert it to PEM.")

const encodedTwice = fault("is in base64 more than once", "Set the text itself, or its base64.")

const unframed = (text: string): Fault | undefined =>
  /BEGIN%20|BEGIN\+/.test(text)
    ? fault("is in percent encoding", "Decode the text before it is set.")
    : /BEGIN[\s\w]*(?:CERTIFICATE|KEY)/.test(text)
    ? fault("has no five dashes on both sides of its -----BEGIN line", wholeText)
    : /^[^\r\n]{1,1024}\.(?:pem|crt|cer|der|key|pfx|p12)$/i.test(text.trim())
    ? fault("looks like the path of a file", "Pass the content of the file.")
    : undefined
