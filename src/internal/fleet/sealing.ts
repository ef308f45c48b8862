/**
 * The names and the encryption of values that leave the process. Names depend on the root key, so a name also
 * identifies the key of its value. A value under a known name that cannot be decrypted is damaged or forged. A key is
 * derived for each name, because one AES-GCM key may encrypt only 2^32 values with random nonces.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import * as RecentMap from "../shared/recentMap.ts"
import * as Aead from "./aead.ts"

/** The kind of a value. A value is bound to its kind, its name and its tag. */
export type Kind = "token" | "outage" | "throttle"

/** A value without its encryption. `tag` identifies a token without revealing it. */
export interface Plain {
  readonly kind: Kind
  readonly name: string
  readonly tag: Uint8Array
  readonly text: string
}

/** The names and keys of one text, for one root key. */
export interface Sealed {
  /** The name under which values for the text are stored: 24 characters. */
  readonly id: string
  readonly seal: (plain: Plain) => Effect.Effect<Uint8Array>
  /** Returns the text, or undefined when the value is not one that `seal` returned for this kind and name. */
  readonly open: (kind: Kind, name: string, bytes: Uint8Array) => Effect.Effect<string | undefined>
}

export interface Sealer {
  /** Returns the names and keys for a text, with the newest root key first. */
  readonly of: (text: string) => Effect.Effect<ReadonlyArray<Sealed>>
  readonly tagOf: (token: Redacted.Redacted<string>) => Effect.Effect<Uint8Array>
  /** A secret number for each root key, with the newest root key first. */
  readonly seeds: ReadonlyArray<number>
}

/** The number of bytes of a tag. They are the first bytes of a value. */
export const tagLength = 18

/** The tag of values that are not tokens. */
export const noTag: Uint8Array = new Uint8Array(tagLength)

/** Creates a sealer from root keys, with the newest first. It writes with the newest, and reads with all of them. */
export const make = (roots: ReadonlyArray<Uint8Array<ArrayBuffer>>): Effect.Effect<Sealer> =>
  Effect.promise(async () => {
    const all = await Promise.all(roots.map(rootOf))
    return sealerOf(all, (root, text) => root.sealed(text))
  })

/** Creates a sealer that encrypts nothing. Names are digests. */
export const makePlaintext: Effect.Effect<Sealer> = Effect.promise(async () => {
  const root = await rootOf(encoder.encode("effect-entra: values are not encrypted"))
  return sealerOf([root], async (root, text) => {
    const id = await root.idOf(text)
    return {
      id,
      seal: ({ tag, text }) => Effect.succeed(joined(tag, plainVersion, encoder.encode(text))),
      open: (_kind, _name, bytes) =>
        Effect.succeed(bytes[tagLength] === plainVersion[0] ? decoded(bytes.subarray(tagLength + 1)) : undefined)
    }
  })
})

/** Creates the sealers of caches. A test may replace it, because a test clock does not wait for WebCrypto. */
export const Sealers: Context.Reference<typeof sealers> = /*#__PURE__*/ Context.Reference<typeof sealers>(
  "effect-entra/Sealers",
  { defaultValue: () => sealers }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const sealers = { sealed: make, plaintext: makePlaintext }

interface Root {
  readonly seed: number
  readonly idOf: (text: string) => Promise<string>
  readonly tagOf: (token: string) => Promise<Uint8Array>
  readonly sealed: (text: string) => Promise<Sealed>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

const sealedVersion = new Uint8Array([1])
const plainVersion = new Uint8Array([0])

/** The number of texts whose names and keys are kept. */
const kept = 10_000

const sealerOf = (roots: ReadonlyArray<Root>, make: (root: Root, text: string) => Promise<Sealed>): Sealer => {
  const known = RecentMap.make<ReadonlyArray<Sealed>>(kept)
  return {
    seeds: roots.map(({ seed }) => seed),
    of: (text) =>
      Effect.suspend(() => {
        const found = known.get(text)
        if (found !== undefined) return Effect.succeed(found)
        return Effect.promise(async () => {
          const made = await Promise.all(roots.map((root) => make(root, text)))
          known.set(text, made)
          return made
        })
      }),
    tagOf: (token) => Effect.promise(() => roots[0]?.tagOf(Redacted.value(token)) ?? Promise.resolve(noTag))
  }
}

const rootOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<Root> => {
  const { subtle } = crypto
  const material = await subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey", "deriveBits"])
  const params = (info: string) => ({
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(32),
    info: encoder.encode(`effect-entra/v1/${info}`)
  })
  const macOf = async (info: string) => {
    const key = await subtle.deriveKey(params(info), material, { name: "HMAC", hash: "SHA-256", length: 256 }, false, [
      "sign"
    ])
    return async (text: string) => new Uint8Array(await subtle.sign("HMAC", key, encoder.encode(text)))
  }
  const [names, keys, tags, seed] = await Promise.all([
    macOf("names"),
    macOf("keys"),
    macOf("tags"),
    subtle.deriveBits(params("seed"), material, 32)
  ])
  const idOf = async (text: string) => Base64Url.encode((await names(text)).subarray(0, 18))

  return {
    seed: new DataView(seed).getUint32(0),
    idOf,
    tagOf: async (token) => (await tags(token)).subarray(0, tagLength),
    sealed: async (text) => {
      const [id, raw] = await Promise.all([idOf(text), keys(text)])
      const { open, seal } = await Aead.make(raw)
      const contextOf = (kind: Kind, name: string, tag: Uint8Array) =>
        joined(tag, sealedVersion, encoder.encode(`${kind} ${name}`))
      return {
        id,
        seal: ({ kind, name, tag, text }) => {
          const nonce = crypto.getRandomValues(new Uint8Array(Aead.nonceLength))
          return Effect.map(
            seal(nonce, contextOf(kind, name, tag), encoder.encode(text)),
            (sealed) => joined(tag, sealedVersion, nonce, sealed)
          )
        },
        open: (kind, name, bytes) => {
          const start = tagLength + 1
          const end = start + Aead.nonceLength
          if (bytes[tagLength] !== sealedVersion[0] || bytes.length < end + Aead.proofLength) {
            return Effect.succeed(undefined)
          }
          const context = contextOf(kind, name, bytes.subarray(0, tagLength))
          return Effect.map(
            open(bytes.slice(start, end), context, bytes.slice(end)),
            (plain) => plain === undefined ? undefined : decoded(plain)
          )
        }
      }
    }
  }
}

const joined = (...parts: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Returns the text of UTF-8, or undefined for other bytes. */
const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
