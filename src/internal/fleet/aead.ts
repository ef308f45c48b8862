/**
 * AES-256-GCM. WebCrypto decrypts on another thread, and the switch of threads takes longer than the decryption of a
 * token. So `node:crypto`, which is synchronous, is used where the platform has it. Both write the same format.
 */
import * as Effect from "effect/Effect"

/** A key. `context` is authenticated and not encrypted. */
export interface Aead {
  readonly seal: (nonce: Bytes, context: Bytes, plain: Bytes) => Effect.Effect<Uint8Array>
  /** Returns undefined for bytes that `seal` did not return for this nonce and context. */
  readonly open: (nonce: Bytes, context: Bytes, sealed: Bytes) => Effect.Effect<Uint8Array | undefined>
}

type Bytes = Uint8Array<ArrayBuffer>

/** The lengths in bytes of a nonce, and of the authentication tag at the end of a sealed value. */
export const nonceLength = 12
export const proofLength = 16

/** Creates a key from 32 bytes. */
export const make = (raw: Bytes): Promise<Aead> => node === undefined ? ofWeb(raw) : Promise.resolve(ofNode(node, raw))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Not an import, so that platforms without `node:crypto` can load this module. */
const node = globalThis.process?.getBuiltinModule?.("node:crypto")

type NodeCrypto = NonNullable<typeof node>

const algorithm = "aes-256-gcm"

/** Updates a cipher, unless there are no bytes: on Cloudflare Workers an update without bytes makes `final` fail. */
const updated = (cipher: { readonly update: (bytes: Bytes) => Uint8Array }, bytes: Bytes): ReadonlyArray<Uint8Array> =>
  bytes.length === 0 ? [] : [cipher.update(bytes)]

const ofNode = ({ createCipheriv, createDecipheriv, createSecretKey }: NodeCrypto, raw: Bytes): Aead => {
  // Given bytes, Node would create a key for each value, which takes longer than the decryption.
  const key = createSecretKey(raw)
  return {
    seal: (nonce, context, plain) =>
      Effect.sync(() => {
        const cipher = createCipheriv(algorithm, key, nonce)
        if (context.length > 0) cipher.setAAD(context)
        return Buffer.concat([...updated(cipher, plain), cipher.final(), cipher.getAuthTag()])
      }),
    open: (nonce, context, sealed) =>
      Effect.sync(() => {
        const cipher = createDecipheriv(algorithm, key, nonce)
        if (context.length > 0) cipher.setAAD(context)
        cipher.setAuthTag(sealed.subarray(-proofLength))
        try {
          return Buffer.concat([...updated(cipher, sealed.subarray(0, -proofLength)), cipher.final()])
        } catch {
          return undefined
        }
      })
  }
}

const ofWeb = async (raw: Bytes): Promise<Aead> => {
  const { subtle } = crypto
  const key = await subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"])
  const parameters = (iv: Bytes, additionalData: Bytes) => ({ name: "AES-GCM", iv, additionalData })
  return {
    seal: (nonce, context, plain) =>
      Effect.map(
        Effect.promise(() => subtle.encrypt(parameters(nonce, context), key, plain)),
        (sealed) => new Uint8Array(sealed)
      ),
    open: (nonce, context, sealed) =>
      Effect.promise(async () => {
        try {
          return new Uint8Array(await subtle.decrypt(parameters(nonce, context), key, sealed))
        } catch {
          return undefined
        }
      })
  }
}

/** Creates a key with WebCrypto, for tests on platforms that have both. */
export const makeWeb = ofWeb
