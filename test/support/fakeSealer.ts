/** Sealers without WebCrypto, for which a test clock does not wait. They hide nothing, and check what the real ones check. */
import { Effect, Redacted } from "effect"
import { createHash } from "node:crypto"
import { type Sealed, type Sealer, Sealers, tagLength } from "../../src/internal/fleet/sealing.ts"

const hash = (text: string, length: number) => createHash("sha256").update(text).digest().subarray(0, length)

export const fakeSealer = (roots: ReadonlyArray<string>): Sealer => {
  const known = new Map<string, ReadonlyArray<Sealed>>()
  const sealedOf = (root: string, text: string): Sealed => ({
    id: hash(`${root} names ${text}`, 18).toString("base64url"),
    seal: ({ kind, name, tag, text }) =>
      Effect.sync(() =>
        new Uint8Array(Buffer.concat([tag, new Uint8Array([1]), Buffer.from(`${root}|${kind}|${name}|${text}`)]))
      ),
    open: (kind, name, bytes) =>
      Effect.sync(() => {
        const start = `${root}|${kind}|${name}|`
        const text = Buffer.from(bytes.subarray(tagLength + 1)).toString()
        return text.startsWith(start) ? text.slice(start.length) : undefined
      })
  })
  return {
    seeds: roots.map((root) => hash(`${root} seed`, 4).readUInt32BE()),
    of: (text) =>
      Effect.sync(() => {
        const found = known.get(text) ?? roots.map((root) => sealedOf(root, text))
        known.set(text, found)
        return found
      }),
    tagOf: (token) => Effect.sync(() => new Uint8Array(hash(`${roots[0]} tags ${Redacted.value(token)}`, tagLength)))
  }
}

/** Makes caches whose layers are built in `effect` seal with it. */
export const withFakeSealers = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Sealers, {
    sealed: (roots) => Effect.sync(() => fakeSealer(roots.map((root) => Buffer.from(root).toString("hex")))),
    plaintext: Effect.sync(() => fakeSealer(["plaintext"]))
  })
