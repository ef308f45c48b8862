/**
 * Writes PKCS#12 (RFC 7292), also called PFX: one key, encrypted with AES-256, and its certificate, under one MAC with SHA-256.
 * OpenSSL 3 reads the file, and so does `effect-entra/node`.
 */
import * as Redacted from "effect/Redacted"
import { createHash, createHmac, createPrivateKey, randomBytes, X509Certificate } from "node:crypto"

/** Returns the file. Without a password it is protected by the empty password. */
export const encodePfx = (
  certificate: string,
  privateKey: Redacted.Redacted,
  password: Redacted.Redacted | undefined
): Uint8Array => {
  const passphrase = password === undefined ? "" : Redacted.value(password)
  const leaf = new X509Certificate(certificate)
  // The same id in both bags assigns the key to the certificate.
  const attributes = set(sequence(oid(ids.localKeyId), set(octets(createHash("sha1").update(leaf.raw).digest()))))
  const encryptedKey = createPrivateKey(Redacted.value(privateKey)).export({
    type: "pkcs8",
    format: "der",
    cipher: "aes-256-cbc",
    passphrase
  })
  const keyBag = sequence(oid(ids.shroudedKeyBag), explicit(encryptedKey), attributes)
  const certificateBag = sequence(
    oid(ids.certificateBag),
    explicit(sequence(oid(ids.x509), explicit(octets(leaf.raw)))),
    attributes
  )
  const safe = sequence(data(sequence(certificateBag)), data(sequence(keyBag)))
  return sequence(integer(3), data(safe), macOf(safe, passphrase))
}

// -----------------------------------------------------------------------------
// the MAC
// -----------------------------------------------------------------------------

const rounds = 2048

const macOf = (content: Uint8Array, passphrase: string): Buffer => {
  const salt = randomBytes(16)
  const mac = createHmac("sha256", macKey(passphrase, salt)).update(content).digest()
  const digest = sequence(sequence(oid(ids.sha256), der(0x05)), octets(mac))
  return sequence(digest, octets(salt), integer(rounds))
}

/** Derives the key of the MAC (RFC 7292 appendix B.2). SHA-256 gives as many bytes as are needed in one step. */
const macKey = (passphrase: string, salt: Uint8Array): Buffer => {
  const block = 64
  const filled = (bytes: Uint8Array) =>
    Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes.length === 0 ? 0 : bytes)
  const bmp = Buffer.from(`${passphrase}\0`, "utf16le").swap16()
  let key: Buffer = Buffer.concat([Buffer.alloc(block, 3), filled(salt), filled(bmp)])
  for (let round = 0; round < rounds; round++) key = createHash("sha256").update(key).digest()
  return key
}

// -----------------------------------------------------------------------------
// DER
// -----------------------------------------------------------------------------

const ids = {
  data: "1.2.840.113549.1.7.1",
  shroudedKeyBag: "1.2.840.113549.1.12.10.1.2",
  certificateBag: "1.2.840.113549.1.12.10.1.3",
  x509: "1.2.840.113549.1.9.22.1",
  localKeyId: "1.2.840.113549.1.9.21",
  sha256: "2.16.840.1.101.3.4.2.1"
}

const der = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(contents)
  const length = bigEndian(content.length)
  return Buffer.concat([
    Buffer.from(content.length < 0x80 ? [tag, content.length] : [tag, 0x80 + length.length, ...length]),
    content
  ])
}

/** Returns the bytes of a number that is not negative, the highest byte first. */
const bigEndian = (value: number): ReadonlyArray<number> =>
  value < 0x100 ? [value] : [...bigEndian(value >>> 8), value & 0xff]

const sequence = (...contents: ReadonlyArray<Uint8Array>) => der(0x30, ...contents)
const set = (content: Uint8Array) => der(0x31, content)
const octets = (content: Uint8Array) => der(0x04, content)
const explicit = (content: Uint8Array) => der(0xa0, content)
const data = (content: Uint8Array) => sequence(oid(ids.data), explicit(octets(content)))

const integer = (value: number): Buffer => {
  const bytes = bigEndian(value)
  return der(0x02, Buffer.from((bytes[0] ?? 0) < 0x80 ? bytes : [0, ...bytes]))
}

const oid = (id: string): Buffer => {
  const [first = 0, second = 0, ...rest] = id.split(".").map(Number)
  return der(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

const base128 = (value: number): ReadonlyArray<number> => {
  const groups = [value & 0x7f]
  for (let left = value >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
  return groups
}
