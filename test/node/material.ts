/** Certificates and keys in every form in which a file may hold them. */
import { Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto"
import "reflect-metadata"

export const password = "the key's pass-phrase"

export const blocks = (pem: string): ReadonlyArray<string> =>
  pem.match(/-----BEGIN [^]*?-----END [A-Z ]+-----\n/g) ?? []

const formsOf = (key: KeyObject, traditional: "pkcs1" | "sec1") => ({
  pkcs8: key.export({ format: "pem", type: "pkcs8" }).toString(),
  traditional: key.export({ format: "pem", type: traditional }).toString(),
  encrypted: key.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: password }).toString(),
  encryptedTraditional: key.export({ format: "pem", type: traditional, cipher: "aes-256-cbc", passphrase: password })
    .toString()
})

/** A certificate, its issuer, and its key in all forms. */
export const make = async (algorithm: "RSA" | "EC", options: TestCertificate.Options = {}) => {
  const { authority, certificate, privateKey } = await Effect.runPromise(
    TestCertificate.makeChain({ ...options, algorithm })
  )
  const key = createPrivateKey(Redacted.value(privateKey))
  const [leaf = ""] = blocks(certificate)
  return { leaf, authority, key: formsOf(key, algorithm === "RSA" ? "pkcs1" : "sec1") }
}

export type Made = Awaited<ReturnType<typeof make>>

/** Root, intermediate, leaf, by their names, and others in their places; what they sign is real. */
export const makeLongChain = async () => {
  const { BasicConstraintsExtension, X509CertificateGenerator } = await import("@peculiar/x509")
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
  const keys = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const hour = 3_600_000
  const issue = async (
    name: string,
    own: CryptoKeyPair,
    issuer: string,
    signing: CryptoKeyPair,
    ca: boolean,
    [from, to]: readonly [hours: number, hours: number] = [-1, 24]
  ) => {
    const certificate = await X509CertificateGenerator.create({
      notBefore: new Date(Date.now() + from * hour),
      notAfter: new Date(Date.now() + to * hour),
      subject: `CN=${name}`,
      issuer: `CN=${issuer}`,
      publicKey: own.publicKey,
      signingKey: signing.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(ca, undefined, true)]
    })
    return `${certificate.toString("pem")}\n`
  }
  const [root, middle, leaf, other] = [await keys(), await keys(), await keys(), await keys()]
  return {
    root: await issue("root", root, "root", root, true, [-1, 48]),
    /** The root again, under an older one. */
    crossSigned: await issue("root", root, "older", other, true),
    older: await issue("older", other, "older", other, true),
    /** Another intermediate of the same name, whose key signed nothing here. */
    namesake: await issue("middle", root, "root", root, true),
    middle: await issue("middle", middle, "root", root, true),
    middleExpired: await issue("middle", middle, "root", root, true, [-2, -1]),
    middleLonger: await issue("middle", middle, "root", root, true, [-1, 48]),
    /** The intermediate by an issuer that is nowhere. */
    middleAstray: await issue("middle", middle, "nobody", other, true, [-1, 96]),
    middleOfNone: await issue("middle", middle, "root", root, false, [-1, 96]),
    leaf: await issue("leaf", leaf, "middle", middle, false),
    leafExpired: await issue("leaf", leaf, "middle", middle, false, [-2, -1]),
    leafLonger: await issue("leaf", leaf, "middle", middle, false, [-1, 48]),
    key: KeyObjectOf(await crypto.subtle.exportKey("pkcs8", leaf.privateKey))
  }
}

const KeyObjectOf = (der: ArrayBuffer): string =>
  createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" })
    .toString()

export const shortKey = (): string =>
  generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ format: "pem", type: "pkcs1" }).toString()

export const otherCurve = (): string =>
  generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey.export({ format: "pem", type: "sec1" }).toString()

export const pssKey = (): string =>
  generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey.export({ format: "pem", type: "pkcs8" }).toString()

/** A key on one line, without the lines around it. */
export const bareKey = (type: "pkcs8" | "sec1"): string =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "der", type }).toString("base64")

/** The beginning of PKCS#12 (RFC 7292): a SEQUENCE whose first member is the version, 3. */
export const pkcs12 = Buffer.concat([Buffer.from([0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03]), Buffer.alloc(253, 0x5a)])
