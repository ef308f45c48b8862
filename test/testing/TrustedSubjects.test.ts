/** Subject name and issuer trust: a certificate that is not registered, whose chain comes in `x5c`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import * as jose from "jose"
import { createHash, X509Certificate } from "node:crypto"
import { assertRefusal, readToken, submit, tokenUrl } from "./wire.ts"

const clientId = EntraSimulator.daemonClientId
const name = "daemon.contoso.com"

const make = () =>
  Effect.runPromise(Effect.gen(function*() {
    const root = yield* TestCertificate.makeAuthority()
    const issuing = yield* root.intermediate({ commonName: "issuing" })
    const old = yield* root.intermediate({ commonName: "old", notBefore: new Date(0), notAfter: new Date(1e12) })
    const elsewhere = yield* TestCertificate.makeAuthority()
    return {
      root,
      direct: yield* root.issue({ commonName: name }),
      deep: yield* issuing.issue({ commonName: name }),
      bySan: yield* root.issue({ commonName: "a daemon", subjectAltNames: [name] }),
      byDn: yield* root.issue({ subject: "CN=orders, O=Contoso" }),
      ec: yield* root.issue({ commonName: name, algorithm: "EC" }),
      misnamed: yield* root.issue({ commonName: "other.contoso.com" }),
      shouting: yield* root.issue({ commonName: name.toUpperCase() }),
      ofOldIssuer: yield* old.issue({ commonName: name }),
      late: yield* root.issue({ commonName: name, notBefore: new Date(0), notAfter: new Date(1e12) }),
      foreign: yield* elsewhere.issue({ commonName: name }),
      selfSigned: yield* TestCertificate.make({ commonName: name })
    }
  }))
let made: ReturnType<typeof make> | undefined
const material = Effect.promise(() => made ??= make())
type Leaf = Exclude<keyof Awaited<ReturnType<typeof make>>, "root">

const provided = <A, E, R>(effect: Effect.Effect<A, E, R>, registered: ReadonlyArray<string> = []) =>
  Effect.flatMap(material, ({ root }) =>
    Effect.provide(
      effect,
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        apps: [{
          clientId,
          certificates: registered,
          trustedSubjects: [
            { subject: name, issuerCertificate: root.certificate },
            { subject: "CN=orders, O=Contoso", issuerCertificate: root.certificate }
          ]
        }]
      })
    ))

const blocks = (pem: string) => pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
const der = (pem: string) => new X509Certificate(pem).raw
const base64 = (pem: string) => der(pem).toString("base64")

interface Draft {
  readonly leaf: Leaf
  /** Returns the value of `x5c` for the leaf's chain. */
  readonly x5c?: (chain: ReadonlyArray<string>) => unknown
  readonly alg?: string
  readonly thumbprintOf?: Leaf
}

const present = ({ alg = "PS256", leaf, thumbprintOf, x5c = (chain) => chain }: Draft) =>
  Effect.gen(function*() {
    const all = yield* material
    const { certificate, privateKey } = all[leaf]
    const named = all[thumbprintOf ?? leaf].certificate
    const assertion = yield* Effect.promise(async () => {
      const now = Math.floor(Date.now() / 1000)
      const header = {
        alg,
        "x5t#S256": createHash("sha256").update(der(named)).digest("base64url"),
        x5c: x5c(blocks(certificate).map(base64))
      }
      const claims = {
        iss: clientId,
        sub: clientId,
        aud: tokenUrl(),
        jti: crypto.randomUUID(),
        nbf: now,
        exp: now + 60
      }
      const input = [header, claims].map((part) => jose.base64url.encode(JSON.stringify(part))).join(".")
      const key = await jose.importPKCS8(Redacted.value(privateKey), alg)
      const parameters = alg === "ES256" ? { name: "ECDSA", hash: "SHA-256" } : { name: "RSA-PSS", saltLength: 32 }
      const signature = await crypto.subtle.sign(parameters, key, new TextEncoder().encode(input))
      return `${input}.${jose.base64url.encode(new Uint8Array(signature))}`
    })
    return yield* submit(assertion)
  })

describe("accepted", () => {
  const rows: ReadonlyArray<Draft & { readonly name: string }> = [
    { name: "a leaf and its root", leaf: "direct" },
    { name: "a leaf alone, as one text, as MSAL.NET sends it", leaf: "direct", x5c: ([leaf]) => leaf },
    { name: "a leaf alone, in a list", leaf: "direct", x5c: ([leaf]) => [leaf] },
    { name: "an intermediate", leaf: "deep" },
    { name: "an intermediate, without the root", leaf: "deep", x5c: ([leaf, issuing]) => [leaf, issuing] },
    { name: "the name among the alternative ones", leaf: "bySan" },
    { name: "the whole distinguished name", leaf: "byDn" },
    { name: "an EC key", leaf: "ec", alg: "ES256" }
  ]
  it.live.each(rows)("$name", (draft) =>
    provided(Effect.gen(function*() {
      yield* readToken(yield* present(draft))
    })))

  it.live("a registered certificate needs no chain", () =>
    Effect.flatMap(material, ({ selfSigned }) =>
      provided(
        Effect.gen(function*() {
          yield* readToken(yield* present({ leaf: "selfSigned", x5c: () => undefined }))
        }),
        [selfSigned.certificate]
      )))
})

describe("refused", () => {
  const rows: ReadonlyArray<Draft & { readonly name: string; readonly code: number }> = [
    { name: "another name of the same issuer", leaf: "misnamed", code: 700030 },
    { name: "the name in another case", leaf: "shouting", code: 700030 },
    { name: "no chain", leaf: "direct", x5c: () => undefined, code: 700027 },
    { name: "an empty chain", leaf: "direct", x5c: () => [], code: 700027 },
    { name: "an intermediate that is not there", leaf: "deep", x5c: ([leaf]) => [leaf], code: 700027 },
    { name: "a chain out of order", leaf: "deep", x5c: ([leaf, issuing, root]) => [leaf, root, issuing], code: 700027 },
    { name: "the root first", leaf: "direct", x5c: (chain) => chain.toReversed(), code: 700030 },
    { name: "another authority of the same name", leaf: "foreign", code: 700027 },
    { name: "a certificate that issued itself", leaf: "selfSigned", code: 700027 },
    { name: "an intermediate that has expired", leaf: "ofOldIssuer", code: 700027 },
    { name: "a leaf that has expired", leaf: "late", code: 700027 },
    { name: "a thumbprint of another certificate", leaf: "direct", thumbprintOf: "deep", code: 700027 },
    { name: "no certificates", leaf: "direct", x5c: () => ["bm90IG9uZQ"], code: 700027 },
    { name: "a chain of numbers", leaf: "direct", x5c: () => [1], code: 50027 }
  ]
  it.live.each(rows)("$name", ({ code, ...draft }) =>
    provided(Effect.gen(function*() {
      yield* assertRefusal(yield* present(draft), { status: 401, error: "invalid_client", code })
    })))

  it.live("a key that is not the leaf's", () =>
    provided(Effect.gen(function*() {
      const { deep } = yield* material
      const response = yield* present({
        leaf: "direct",
        thumbprintOf: "deep",
        x5c: () => blocks(deep.certificate).map(base64)
      })
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700027 })
    })))

  it.live("a chain, by an app that trusts no name", () =>
    Effect.gen(function*() {
      const response = yield* present({ leaf: "direct" })
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700027 })
    }).pipe(Effect.provide(EntraSimulator.layerMemory({ apps: [{ clientId }] }))))

  it.live("an issuer that cannot be read is a defect of the test", () =>
    Effect.gen(function*() {
      const trustedSubjects = [{ subject: name, issuerCertificate: "nonsense" }]
      const exit = yield* Effect.exit(EntraSimulator.make({ apps: [{ clientId, trustedSubjects }] }))
      assert.strictEqual(exit._tag, "Failure")
      assert.include(String(exit), "is not PEM")
    }))
})
