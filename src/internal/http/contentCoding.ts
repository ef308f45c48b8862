/**
 * The content codings of a response (RFC 9110 section 8.4.1). Some transports decode none, and some servers encode a
 * response although `identity` was asked for.
 */

/** The bytes of a body, or its beginning if it was cut. */
export interface Bytes {
  readonly chunks: ReadonlyArray<Uint8Array>
  readonly cut: boolean
}

/**
 * Decodes a body, the coding that was applied last first. `read` reads the result of each coding, and may cut it. It
 * rejects if the runtime does not know a coding.
 */
export const decodeAll = async (
  names: ReadonlyArray<string>,
  bytes: Bytes,
  read: (reader: ReadableStreamDefaultReader<Uint8Array>) => Promise<Bytes>
): Promise<Bytes> => {
  if (names.length > mostCodings) throw new Error(`The response has ${names.length} content codings.`)
  let last = bytes
  for (const name of names) {
    if (last.cut) break
    const stream = new Blob(last.chunks.map((chunk) => Uint8Array.from(chunk))).stream()
    last = await read(stream.pipeThrough(decoderOf(name, last)).getReader())
  }
  return last
}

/** The greatest number of codings of a response. `fetch` of Node has the same limit. */
const mostCodings = 5

/**
 * Creates the decoder of a coding. It throws if the runtime does not know the format. Some servers send `deflate`
 * without its header. The types of the DOM do not know `brotli` yet.
 */
const decoderOf = (name: string, { chunks }: Bytes): DecompressionStream => {
  const format = codings.get(name)
  const isRaw = format === "deflate" && ((chunks.find(({ length }) => length > 0)?.[0] ?? 0) & 0x0f) !== 8
  return Reflect.construct(DecompressionStream, [isRaw ? "deflate-raw" : format])
}

/** Returns the known names in `Content-Encoding`, the last applied first. */
export const codingsOf = (header: string): ReadonlyArray<string> =>
  header.toLowerCase().split(",").map((name) => name.trim()).filter((name) => codings.has(name)).toReversed()

const codings: ReadonlyMap<string, string> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "brotli"]
])
