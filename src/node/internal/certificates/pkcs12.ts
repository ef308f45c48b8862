// oxlint-disable-next-line typescript/triple-slash-reference -- an import would be one at run time too
/// <reference path="./forge.d.ts" />
/**
 * PKCS#12 (RFC 7292), also called PFX, opened into the blocks of a PEM file. node-forge parses and decrypts; what is in
 * which bag is found here, because its own reader refuses bags that do not matter, writes RSA certificates anew, and takes a
 * password that is not ASCII in only one of the two ways that one file needs. Who has no such file needs no node-forge.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Asn1, default as NodeForge } from "node-forge"
import { createDecipheriv, createHmac, pbkdf2Sync } from "node:crypto"
import type { CredentialError } from "../../../EntraError.ts"
import { type Place, placeProblem } from "../files/files.ts"
import type { Block } from "./pem.ts"
import { type Password, passwordProblem, roundLimit } from "./privateKeys.ts"

/** RFC 7292 section 4: a SEQUENCE that begins with the INTEGER 3; a certificate or a key begins otherwise. */
export const isPkcs12 = (bytes: Uint8Array): boolean => {
  if (bytes[0] !== 0x30) return false
  const length = bytes[1] ?? 0
  const content = 2 + (length > 0x80 ? length - 0x80 : 0)
  return bytes[content] === 0x02 && bytes[content + 1] === 0x01 && bytes[content + 2] === 0x03
}

export const pkcs12Blocks = (
  bytes: Uint8Array,
  place: Place,
  password: Password
): Effect.Effect<ReadonlyArray<Block>, CredentialError> =>
  Effect.flatMap(
    Effect.mapError(Effect.tryPromise(() => import("node-forge")), () => libraryMissing(place)),
    ({ default: forge }) => Effect.fromResult(open(forge, bytes, place, password))
  )

type Forge = typeof NodeForge

/** Without a password a key is derived from nothing, or from an empty text: both are in use, as OpenSSL knows too. */
const open = (
  forge: Forge,
  bytes: Uint8Array,
  place: Place,
  password: Password
): Result.Result<ReadonlyArray<Block>, CredentialError> => {
  const given = password.value === undefined ? "" : Redacted.value(password.value)
  const budget = { rounds: roundLimit }
  let problem = unreadable(place)
  for (const text of given === "" ? ["", null] : [given]) {
    try {
      return Result.succeed(blocksOf(forge, Buffer.from(bytes).toString("latin1"), text, budget))
    } catch (fault) {
      problem = problemOf(fault, place, password)
    }
  }
  return Result.fail(problem)
}

// -----------------------------------------------------------------------------
// structure
// -----------------------------------------------------------------------------

/** Object identifiers: RFC 7292 appendix D, RFC 8018 appendix C, RFC 5652 sections 4 and 8, RFC 2985. */
const ids = {
  data: "1.2.840.113549.1.7.1",
  encryptedData: "1.2.840.113549.1.7.6",
  keyBag: "1.2.840.113549.1.12.10.1.1",
  shroudedKeyBag: "1.2.840.113549.1.12.10.1.2",
  certificateBag: "1.2.840.113549.1.12.10.1.3",
  nestedBag: "1.2.840.113549.1.12.10.1.6",
  x509: "1.2.840.113549.1.9.22.1",
  pbes2: "1.2.840.113549.1.5.13",
  pbkdf2: "1.2.840.113549.1.5.12",
  tripleDes: "1.2.840.113549.1.12.1.3",
  rc2: "1.2.840.113549.1.12.1.6"
}

/** Throws, as node-forge does: a `Locked`, an `Unsupported`, or anything else for what cannot be read. */
const blocksOf = (
  forge: Forge,
  bytes: string,
  password: string | null,
  budget: Budget
): ReadonlyArray<Block> => {
  const idOf = (node: Asn1 | undefined): string => {
    const id = octetsOf(node)
    return id === "" ? "" : forge.asn1.derToOid(id)
  }

  /** The password goes into a key as UTF-16 (RFC 7292 appendix B.1) or as UTF-8 (RFC 8018). */
  const decrypt = (algorithm: Asn1 | undefined, encrypted: string): Asn1 => {
    const id = idOf(member(algorithm, 0))
    const parameters = member(algorithm, 1)
    if (algorithm === undefined || (id !== ids.pbes2 && id !== ids.tripleDes && id !== ids.rc2)) throw new Unsupported()
    if (id === ids.pbes2) return decryptPbes2(parameters, encrypted)
    // Three digests: two make the key and one the vector.
    spend(budget, member(parameters, 1), 3)
    const envelope = forge.asn1.create(0, 16, true, [algorithm, forge.asn1.create(0, 4, false, encrypted)])
    let opened: Asn1 | null
    try {
      opened = forge.pki.decryptPrivateKeyInfo(envelope, password)
    } catch {
      // What it is enciphered with is known by now, so what comes out is no key because the password is another one.
      throw new Locked()
    }
    if (opened === null) throw new Locked()
    return opened
  }

  /** RFC 8018 section 6.2; node-forge derives the key in JavaScript, and takes many times as long. */
  const decryptPbes2 = (parameters: Asn1 | undefined, encrypted: string): Asn1 => {
    const [derivation, scheme] = membersOf(parameters)
    const [salt, rounds, ...others] = membersOf(member(derivation, 1))
    const prf = others.find(({ value }) => typeof value !== "string")
    const digest = prf === undefined ? "sha1" : prfs[idOf(member(prf, 0))]
    const cipher = ciphers[idOf(member(scheme, 0))]
    if (idOf(member(derivation, 0)) !== ids.pbkdf2 || digest === undefined || cipher === undefined) {
      throw new Unsupported()
    }
    const count = spend(budget, rounds, 1)
    const key = pbkdf2Sync(password ?? "", Buffer.from(octetsOf(salt), "latin1"), count, cipher.size, digest)
    try {
      const decipher = createDecipheriv(cipher.name, key, Buffer.from(octetsOf(member(scheme, 1)), "latin1"))
      return forge.asn1.fromDer(decipher.update(encrypted, "latin1", "latin1") + decipher.final("latin1"))
    } catch {
      throw new Locked()
    }
  }

  const verify = (mac: Asn1, content: string): void => {
    const digest = digests[idOf(member(member(member(mac, 0), 0), 0))]
    if (digest === undefined) throw new Unsupported()
    const made = forge.md[digest].create()
    const salt = forge.util.createBuffer(octetsOf(member(mac, 1)))
    const rounds = member(mac, 2)
    const key = forge.pkcs12.generateKey(
      password,
      salt,
      3,
      rounds === undefined ? 1 : spend(budget, rounds, 1),
      made.digestLength,
      made
    )
    const code = createHmac(digest, Buffer.from(key.getBytes(), "latin1")).update(content, "latin1").digest()
    if (!code.equals(Buffer.from(octetsOf(member(member(mac, 0), 1)), "latin1"))) throw new Locked()
  }

  const inBag = (bag: Asn1): ReadonlyArray<Block> => {
    const content = member(member(bag, 1), 0)
    if (content === undefined) throw new Error()
    switch (idOf(member(bag, 0))) {
      case ids.nestedBag:
        return membersOf(content).flatMap(inBag)
      case ids.keyBag:
        return [block("PRIVATE KEY", forge.asn1.toDer(content).getBytes())]
      case ids.shroudedKeyBag: {
        const opened = decrypt(member(content, 0), octetsOf(member(content, 1)))
        return [block("PRIVATE KEY", forge.asn1.toDer(opened).getBytes())]
      }
      case ids.certificateBag:
        return idOf(member(content, 0)) === ids.x509
          ? [block("CERTIFICATE", octetsOf(member(member(content, 1), 0)))]
          : []
      default:
        return []
    }
  }

  const inPart = (part: Asn1): ReadonlyArray<Block> => {
    const content = member(member(part, 1), 0)
    switch (idOf(member(part, 0))) {
      case ids.data:
        return membersOf(forge.asn1.fromDer(octetsOf(content))).flatMap(inBag)
      case ids.encryptedData: {
        const info = member(content, 1)
        return membersOf(decrypt(member(info, 1), octetsOf(member(info, 2)))).flatMap(inBag)
      }
      default:
        throw new Unsupported()
    }
  }

  const file = forge.asn1.fromDer(bytes)
  const [, safe, mac] = membersOf(file)
  // Otherwise it is signed, not under a password.
  if (idOf(member(safe, 0)) !== ids.data) throw new Unsupported()
  const content = octetsOf(member(member(safe, 1), 0))
  if (mac !== undefined) verify(mac, content)
  return membersOf(forge.asn1.fromDer(content)).flatMap(inPart)
}

const digests: Readonly<Record<string, "md5" | "sha1" | "sha256" | "sha384" | "sha512">> = {
  "1.2.840.113549.2.5": "md5",
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512"
}

const prfs: Readonly<Record<string, "sha1" | "sha224" | "sha256" | "sha384" | "sha512">> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512"
}

/** Bytes of their keys. */
const ciphers: Readonly<Record<string, { readonly name: string; readonly size: number }>> = {
  "1.2.840.113549.3.7": { name: "des-ede3-cbc", size: 24 },
  "2.16.840.1.101.3.4.1.2": { name: "aes-128-cbc", size: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes-192-cbc", size: 24 },
  "2.16.840.1.101.3.4.1.42": { name: "aes-256-cbc", size: 32 }
}

const membersOf = (node: Asn1 | undefined): ReadonlyArray<Asn1> =>
  node === undefined || typeof node.value === "string" ? [] : node.value

const member = (node: Asn1 | undefined, index: number): Asn1 | undefined => membersOf(node)[index]

/** BER may cut octets into pieces. */
const octetsOf = (node: Asn1 | undefined): string =>
  typeof node?.value === "string" ? node.value : membersOf(node).map(octetsOf).join("")

const block = (label: string, der: string): Block => ({
  label,
  pem: `-----BEGIN ${label}-----\n${
    Buffer.from(der, "latin1").toString("base64").replace(/.{64}(?=.)/g, "$&\n")
  }\n-----END ${label}-----\n`
})

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** The password does not open it, or what it opens is damaged. */
class Locked extends Error {}

class Unsupported extends Error {}

class TooSlow extends Error {}

/** What is left of the rounds that one file may cost. */
interface Budget {
  rounds: number
}

/**
 * A key is derived where nothing else runs meanwhile, so all that a file asks for together is bounded: to a few seconds.
 * OpenSSL writes 2048 rounds, and careful people some 100,000.
 */
const spend = (budget: Budget, rounds: Asn1 | undefined, digests: number): number => {
  const number = Number.parseInt(`0${Buffer.from(octetsOf(rounds), "latin1").toString("hex")}`, 16)
  if (number < 1) throw new Error()
  budget.rounds -= number * digests
  if (budget.rounds < 0) throw new TooSlow()
  return number
}

const problemOf = (fault: unknown, place: Place, password: Password): CredentialError => {
  if (fault instanceof Locked) {
    return password.value === undefined
      ? passwordProblem(
        "pkcs12_password_missing",
        password.name,
        `${password.name} is not set, and the PKCS#12 (PFX) is locked with a password`,
        `Set ${password.name} to the password that it was exported with.`
      )
      : passwordProblem(
        "pkcs12_password_wrong",
        password.name,
        `${password.name} does not open the PKCS#12 (PFX)`,
        `Set ${password.name} to the password that it was exported with; look for quotes and line breaks that do not belong to it.`
      )
  }
  if (fault instanceof TooSlow) {
    return placeProblem(
      "pkcs12_unsupported",
      place,
      `is PKCS#12 (PFX) that asks for more than ${roundLimit} rounds of key derivation`,
      "Export it anew, with fewer rounds: openssl pkcs12 -export -in app.pem -out new.pfx -iter 100000."
    )
  }
  return fault instanceof Unsupported
    ? placeProblem(
      "pkcs12_unsupported",
      place,
      "is PKCS#12 (PFX) that is protected in a way that is not read here",
      "Export it anew, with AES-256 and SHA-256: openssl pkcs12 -in app.pfx -out app.pem and openssl pkcs12 -export -in app.pem "
        + "-out new.pfx do so."
    )
    : unreadable(place)
}

const unreadable = (place: Place): CredentialError =>
  placeProblem(
    "pkcs12_unreadable",
    place,
    "is PKCS#12 (PFX) that is damaged or cut off",
    "Export or copy it again, as binary; openssl pkcs12 -in app.pfx -noout tells whether it is whole."
  )

const libraryMissing = (place: Place): CredentialError =>
  placeProblem(
    "pkcs12_library_missing",
    place,
    "is PKCS#12 (PFX), and the package node-forge, which reads it, is not installed",
    "Install it: npm i node-forge. Or convert to PEM: openssl pkcs12 -in app.pfx -out app.pem."
  )
