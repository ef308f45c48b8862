/** The validity of a certificate, read from its DER without a library (RFC 5280 section 4.1). */

/** Returns the end of the validity in milliseconds since the epoch, or undefined if `der` is not a certificate. */
export const notAfter = (der: Uint8Array): number | undefined => validity(der)?.notAfter

/** Returns both ends of the validity in milliseconds since the epoch, or undefined if `der` is not a certificate. */
export const validity = (
  der: Uint8Array
): { readonly notBefore: number | undefined; readonly notAfter: number | undefined } | undefined => {
  const certificate = elementAt(der, 0)
  const body = certificate === undefined ? undefined : elementAt(der, certificate.start)
  if (certificate?.tag !== sequence || body?.tag !== sequence) return undefined
  let next = elementAt(der, body.start)
  // The version is optional. The serial number, the algorithm and the issuer follow it.
  for (let skipped = next?.tag === version ? 4 : 3; skipped > 0 && next !== undefined; skipped--) {
    next = elementAt(der, next.end)
  }
  if (next?.tag !== sequence) return undefined
  const from = elementAt(der, next.start)
  const to = from === undefined ? undefined : elementAt(der, from.end)
  return from === undefined || to === undefined || to.end > next.end ? undefined : {
    notBefore: timeOf(from.tag, der.subarray(from.start, from.end)),
    notAfter: timeOf(to.tag, der.subarray(to.start, to.end))
  }
}

export const sequence = 0x30
const version = 0xa0
const utcTime = 0x17
const generalizedTime = 0x18

interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

/** Returns the element at an offset of DER, or undefined if the bytes end before the element does. */
export const elementAt = (der: Uint8Array, offset: number): Element | undefined => {
  const tag = der[offset]
  const first = der[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  const bytes = first < 0x80 ? 0 : first - 0x80
  // No element of a certificate needs more than three bytes for its length.
  if (first === 0x80 || bytes > 3) return undefined
  const start = offset + 2 + bytes
  const length = bytes === 0 ? first : der.subarray(offset + 2, start).reduce((sum, byte) => sum * 256 + byte, 0)
  return start + length > der.length ? undefined : { tag, start, end: start + length }
}

/** Parses a time: `YYMMDDHHMMSSZ` until 2049, and `YYYYMMDDHHMMSSZ` after that. */
const timeOf = (tag: number, bytes: Uint8Array): number | undefined => {
  const text = new TextDecoder().decode(bytes)
  const digits = tag === utcTime && /^\d{12}Z$/.test(text)
    ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}`
    : tag === generalizedTime && /^\d{14}Z$/.test(text)
    ? text
    : undefined
  if (digits === undefined) return undefined
  const time = Date.parse(digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/, "$1-$2-$3T$4:$5:$6"))
  return Number.isNaN(time) ? undefined : time
}
