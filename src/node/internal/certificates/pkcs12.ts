// oxlint-disable-next-line typescript/triple-slash-reference -- an import would also load the file at run time
/// <reference path="./forge.d.ts" />
/**
 * Converts PKCS#12 (RFC 7292), also called PFX, into the blocks of a PEM file. node-forge parses and decrypts, but its reader
 * of PKCS#12 is not used: it refuses irrelevant bags, encodes RSA certificates again, and encodes a non-ASCII password in one
 * way only where a file needs two. node-forge is loaded only for PKCS#12 content.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Asn1, default as NodeForge } from "node-forge"
import { createDecipheriv, createHmac, pbkdf2Sync } from "node:crypto"
import type { CredentialError } from "../../../EntraError.ts"
import { type Block, blockOf } from "../../../internal/credential/pem.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { type Place, placeError } from "../files/files.ts"
import { loadFailure } from "../packages.ts"
import { type Password, roundLimit } from "./privateKeys.ts"

/** Returns whether the content is PKCS#12: a SEQUENCE that begins with the INTEGER 3 (RFC 7292 section 4). */
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
    // `catch` at the `import` itself lets esbuild bundle without the package.
    Effect.tryPromise({
      try: () => import("node-forge").catch((cause: unknown) => Promise.reject(cause)),
      catch: (cause) => libraryMissing(place, loadFailure(cause))
    }),
    ({ default: forge }) => Effect.fromResult(open(forge, bytes, place, password))
  )

type Forge = typeof NodeForge

/** Tries an absent password both as an empty string and as null, because both ways of key derivation are in use. */
const open = (
  forge: Forge,
  bytes: Uint8Array,
  place: Place,
  password: Password
): Result.Result<ReadonlyArray<Block>, CredentialError> => {
  const passwordText = password.value === undefined ? "" : Redacted.value(password.value)
  const budget = { rounds: roundLimit }
  let failure = unreadable(place)
  for (const text of passwordText === "" ? ["", null] : [passwordText]) {
    try {
      return Result.succeed(blocksOf(forge, Buffer.from(bytes).toString("latin1"), text, budget))
    } catch (error) {
      failure = toCredentialError(error, place, password)
    }
  }
  return Result.fail(failure)
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

/** Throws `Locked`, `Unsupported` or `TooManyRounds`; any other exception means that the content is damaged. */
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

  /** Derives the key from the password as UTF-16 (RFC 7292 appendix B.1) or as UTF-8 (RFC 8018). */
  const decrypt = (algorithm: Asn1 | undefined, encrypted: string): Asn1 => {
    const id = idOf(member(algorithm, 0))
    const parameters = member(algorithm, 1)
    if (algorithm === undefined || (id !== ids.pbes2 && id !== ids.tripleDes && id !== ids.rc2)) throw new Unsupported()
    if (id === ids.pbes2) return decryptPbes2(parameters, encrypted)
    // Three derivations: two for the key, one for the initialization vector.
    spend(budget, member(parameters, 1), 3)
    const envelope = forge.asn1.create(0, 16, true, [algorithm, forge.asn1.create(0, 4, false, encrypted)])
    let decrypted: Asn1 | null
    try {
      decrypted = forge.pki.decryptPrivateKeyInfo(envelope, password)
    } catch {
      // The cipher is supported, so a result that is not a key means a wrong password.
      throw new Locked()
    }
    if (decrypted === null) throw new Locked()
    return decrypted
  }

  /** Decrypts PBES2 (RFC 8018 section 6.2) with `node:crypto`: node-forge derives the key in JavaScript, which is much slower. */
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

  const verifyMac = (mac: Asn1, content: string): void => {
    const digest = digests[idOf(member(member(member(mac, 0), 0), 0))]
    if (digest === undefined) throw new Unsupported()
    const hash = forge.md[digest].create()
    const salt = forge.util.createBuffer(octetsOf(member(mac, 1)))
    const rounds = member(mac, 2)
    const key = forge.pkcs12.generateKey(
      password,
      salt,
      3,
      rounds === undefined ? 1 : spend(budget, rounds, 1),
      hash.digestLength,
      hash
    )
    const computed = createHmac(digest, Buffer.from(key.getBytes(), "latin1")).update(content, "latin1").digest()
    if (!computed.equals(Buffer.from(octetsOf(member(member(mac, 0), 1)), "latin1"))) throw new Locked()
  }

  const blocksInBag = (bag: Asn1): ReadonlyArray<Block> => {
    const content = member(member(bag, 1), 0)
    if (content === undefined) throw new Error()
    switch (idOf(member(bag, 0))) {
      case ids.nestedBag:
        return membersOf(content).flatMap(blocksInBag)
      case ids.keyBag:
        return [block("PRIVATE KEY", forge.asn1.toDer(content).getBytes())]
      case ids.shroudedKeyBag: {
        const decrypted = decrypt(member(content, 0), octetsOf(member(content, 1)))
        return [block("PRIVATE KEY", forge.asn1.toDer(decrypted).getBytes())]
      }
      case ids.certificateBag:
        return idOf(member(content, 0)) === ids.x509
          ? [block("CERTIFICATE", octetsOf(member(member(content, 1), 0)))]
          : []
      default:
        return []
    }
  }

  const blocksInPart = (part: Asn1): ReadonlyArray<Block> => {
    const content = member(member(part, 1), 0)
    switch (idOf(member(part, 0))) {
      case ids.data:
        return membersOf(forge.asn1.fromDer(octetsOf(content))).flatMap(blocksInBag)
      case ids.encryptedData: {
        const info = member(content, 1)
        return membersOf(decrypt(member(info, 1), octetsOf(member(info, 2)))).flatMap(blocksInBag)
      }
      default:
        throw new Unsupported()
    }
  }

  const file = forge.asn1.fromDer(bytes)
  const [, safe, mac] = membersOf(file)
  // Any other content type means that the file is protected by a signature instead of a password.
  if (idOf(member(safe, 0)) !== ids.data) throw new Unsupported()
  const content = octetsOf(member(member(safe, 1), 0))
  if (mac !== undefined) verifyMac(mac, content)
  return membersOf(forge.asn1.fromDer(content)).flatMap(blocksInPart)
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

/** `size` is the length of the key in bytes. */
const ciphers: Readonly<Record<string, { readonly name: string; readonly size: number }>> = {
  "1.2.840.113549.3.7": { name: "des-ede3-cbc", size: 24 },
  "2.16.840.1.101.3.4.1.2": { name: "aes-128-cbc", size: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes-192-cbc", size: 24 },
  "2.16.840.1.101.3.4.1.42": { name: "aes-256-cbc", size: 32 }
}

const membersOf = (node: Asn1 | undefined): ReadonlyArray<Asn1> =>
  node === undefined || typeof node.value === "string" ? [] : node.value

const member = (node: Asn1 | undefined, index: number): Asn1 | undefined => membersOf(node)[index]

/** Joins the parts of an octet string, which BER may split. */
const octetsOf = (node: Asn1 | undefined): string =>
  typeof node?.value === "string" ? node.value : membersOf(node).map(octetsOf).join("")

const block = (label: string, der: string): Block => blockOf(label, Buffer.from(der, "latin1").toString("base64"))

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** The password is wrong, or the decrypted content is damaged. */
class Locked extends Error {}

class Unsupported extends Error {}

class TooManyRounds extends Error {}

/** The rounds of key derivation that are left for one file. */
interface Budget {
  rounds: number
}

/**
 * Takes the rounds of one derivation from the budget. Key derivation blocks the process, so the sum of all rounds of a file is
 * limited, to a few seconds. OpenSSL uses 2048 rounds by default, and 100,000 rounds are common for stronger protection.
 */
const spend = (budget: Budget, rounds: Asn1 | undefined, digests: number): number => {
  const number = Number.parseInt(`0${Buffer.from(octetsOf(rounds), "latin1").toString("hex")}`, 16)
  if (number < 1) throw new Error()
  budget.rounds -= number * digests
  if (budget.rounds < 0) throw new TooManyRounds()
  return number
}

const toCredentialError = (error: unknown, place: Place, password: Password): CredentialError => {
  if (error instanceof Locked) {
    return password.value === undefined
      ? credentialError(
        "pkcs12_password_missing",
        password.name,
        `${password.name} is not set, but the PKCS#12 (PFX) is protected by a password`,
        `Set ${password.name} to the password that was set for the export.`
      )
      : credentialError(
        "pkcs12_password_wrong",
        password.name,
        `${password.name} does not open the PKCS#12 (PFX)`,
        `Set ${password.name} to the password that was set for the export. Look for quotes and line breaks that do not belong to it. If the file has no password, unset ${password.name}.`
      )
  }
  if (error instanceof TooManyRounds) {
    return placeError(
      "pkcs12_unsupported",
      place,
      `is PKCS#12 (PFX) that needs more than ${roundLimit} rounds of key derivation`,
      "Export it again with fewer rounds: openssl pkcs12 -export -in app.pem -out new.pfx -iter 100000."
    )
  }
  return error instanceof Unsupported
    ? placeError(
      "pkcs12_unsupported",
      place,
      "is PKCS#12 (PFX) with a protection that is not supported",
      "Export it again with AES-256 and SHA-256: openssl pkcs12 -in app.pfx -out app.pem, then openssl pkcs12 -export "
        + "-in app.pem -out new.pfx."
    )
    : unreadable(place)
}

const unreadable = (place: Place): CredentialError =>
  placeError(
    "pkcs12_unreadable",
    place,
    "is PKCS#12 (PFX) that is damaged or cut off",
    "Export or copy it again as a binary file. Run openssl pkcs12 -in app.pfx -noout to check the file."
  )

const libraryMissing = (place: Place, reason: string): CredentialError =>
  placeError(
    "pkcs12_library_missing",
    place,
    `is PKCS#12 (PFX), and the package node-forge that is needed to read it cannot be loaded: ${reason}`,
    "Install the package: npm i node-forge. Or convert the file to PEM: openssl pkcs12 -in app.pfx -out app.pem. " +
      "In a bundle, see docs/networks.md#runtimes-and-bundlers of effect-entra."
  )
