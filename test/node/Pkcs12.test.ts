/** PKCS#12 (PFX) as openssl, Windows and Key Vault write it: a table of what it holds and of what is wrong with it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Layer, Redacted, Result } from "effect"
import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { NodeClientCredential } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import forge from "node-forge"
import { execFileSync } from "node:child_process"
import { createHmac } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { certificateParts } from "../../src/node/internal/certificates/certificateFile.ts"
import { pieces } from "../../src/node/internal/certificates/certificateSource.ts"
import { runChild } from "../support/child.ts"
import { silent } from "../support/log.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { assertToldInFull } from "../support/shown.ts"
import { contoso, graph } from "../support/world.ts"
import { type Made, make, makeLongChain, password } from "./material.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-pkcs12-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let rsa: Made
let ec: Made
let long: Awaited<ReturnType<typeof makeLongChain>>

beforeAll(async () => {
  ensureOpenssl()
  rsa = await make("RSA")
  ec = await make("EC")
  long = await makeLongChain()
}, 120_000)

/** Converts PEM to PKCS#12 with `openssl pkcs12 -export`. */
const exported = (pem: string, options: string, secret = password): Buffer => {
  writeFileSync(join(folder, "in.pem"), pem)
  const parameters = ["pkcs12", "-export", "-in", "in.pem", "-out", "out.pfx", "-passout", `pass:${secret}`]
  execFileSync("openssl", [...parameters, ...options.split(" ").filter((option) => option !== "")], {
    cwd: folder,
    stdio: "ignore"
  })
  return readFileSync(join(folder, "out.pfx"))
}

const parts = (content: string | Uint8Array, secret?: string) =>
  Effect.runPromise(Effect.result(certificateParts(
    {
      certificate: {
        bytes: typeof content === "string" ? Buffer.from(content) : content,
        place: { path: "/run/secrets/daemon.pfx", name: "PATH" }
      },
      password: { value: secret === undefined ? undefined : Redacted.make(secret), name: "PASSWORD" }
    },
    Date.now()
  )))

const good = async (...parameters: Parameters<typeof parts>) => Result.getOrThrow(await parts(...parameters))

describe("what node-forge exports", () => {
  it("PBES2 that does not name its hash is SHA-1's (RFC 8018)", async () => {
    const program = `import forge from "node-forge"
      const { certificate, key } = JSON.parse(process.env.MATERIAL)
      const pfx = forge.pkcs12.toPkcs12Asn1(forge.pki.privateKeyFromPem(key), [forge.pki.certificateFromPem(certificate)], process.env.SECRET,
        { algorithm: "aes256", prfAlgorithm: "sha1" })
      process.stdout.write(forge.util.encode64(forge.asn1.toDer(pfx).getBytes()))`
    const { stderr, stdout } = await Effect.runPromise(
      runChild(["--input-type=module", "-e", program], {
        MATERIAL: JSON.stringify({ certificate: rsa.leaf, key: rsa.key.pkcs8 }),
        SECRET: password
      })
    )
    assert.strictEqual(stderr, "")
    // It writes the certificate anew, so the key is what can be compared.
    const { privateKey } = await good(Buffer.from(stdout, "base64"), password)
    assert.strictEqual(Redacted.value(privateKey), rsa.key.pkcs8)
  })
})

describe("what openssl exports", () => {
  const protections = [
    ["as OpenSSL 3 does: PBES2, AES-256, SHA-256", ""],
    ["as OpenSSL 1, Windows and Key Vault do: RC2 and 3DES, SHA-1", "-legacy"],
    ["3DES for both", "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg SHA1"],
    ["AES-128, SHA-512", "-keypbe AES-128-CBC -certpbe AES-128-CBC -macalg SHA512"],
    ["AES-192, SHA-384", "-keypbe AES-192-CBC -certpbe AES-192-CBC -macalg SHA384"],
    ["certificates in the clear", "-certpbe NONE"],
    ["all in the clear", "-keypbe NONE -certpbe NONE"],
    ["no MAC", "-nomac"],
    ["one iteration", "-noiter -nomaciter"],
    ["100,000 iterations", "-iter 100000"],
    ["attributes", "-name daemon -LMK -CSP Microsoft"]
  ] as const

  for (const algorithm of ["RSA", "EC"] as const) {
    it.each(protections)(`${algorithm}, %s`, async (_, options) => {
      const { authority, key, leaf } = algorithm === "RSA" ? rsa : ec
      const bytes = exported(leaf + authority + key.pkcs8, options)
      for (const content of [bytes, bytes.toString("base64"), bytes.toString("base64").replace(/.{64}/g, "$&\r\n")]) {
        const { certificate, privateKey } = await good(content, password)
        assert.strictEqual(certificate, leaf + authority)
        assert.strictEqual(Redacted.value(privateKey), key.pkcs8)
      }
    })
  }

  it.each([["modern", ""], ["legacy", "-legacy"]])("with a password that is not ASCII, %s", async (_, options) => {
    const secret = "pÄß-€-\u{1f511}"
    const { privateKey } = await good(exported(rsa.leaf + rsa.key.pkcs8, options, secret), secret)
    assert.strictEqual(Redacted.value(privateKey), rsa.key.pkcs8)
  })

  it.each([["modern", ""], ["legacy", "-legacy"], ["without a MAC", "-nomac"]])(
    "with an empty password, %s: none is needed",
    async (_, options) => {
      const bytes = exported(ec.leaf + ec.key.pkcs8, options, "")
      for (const secret of [undefined, ""]) {
        assert.strictEqual(Redacted.value((await good(bytes, secret)).privateKey), ec.key.pkcs8)
      }
    }
  )

  it("a chain comes out in order, whatever its order was", async () => {
    const bytes = exported(long.key + long.leaf + long.root + long.namesake + long.middle, "")
    assert.strictEqual((await good(bytes, password)).certificate, long.leaf + long.middle + long.root)
  })
})

describe("what others write", () => {
  it("indefinite lengths and octets in pieces, as BER allows", async () => {
    const bytes = inBer(exported(rsa.leaf + rsa.key.pkcs8, "-keypbe NONE -certpbe NONE -nomac"))
    assert.strictEqual(Redacted.value((await good(bytes)).privateKey), rsa.key.pkcs8)
  })

  it("bags within bags, and bags of other things, which are let be", async () => {
    const safe = octets(tree(exported(ec.leaf + ec.key.pkcs8, "-keypbe NONE -certpbe NONE -nomac")).children[1])
    const bags = tree(safe).children.flatMap((part) => tree(octets(part)).children)
    const nested = bag(6, sequence(...bags.map(({ tag, value }) => stated(tag, value))))
    const others = [
      bag(4, sequence()),
      bag(5, sequence()),
      bag(3, sequence(oid("2a864886f70d01091602"), stated(0xa0, stated(4, Buffer.alloc(3)))))
    ]
    for (const content of [[nested], [...others, nested], [bag(6, sequence(nested)), ...others]]) {
      const { certificate, privateKey } = await good(file(sequence(data(sequence(...content)))))
      assert.strictEqual(certificate, ec.leaf)
      assert.strictEqual(Redacted.value(privateKey), ec.key.pkcs8)
    }
    const empty = Result.getOrThrow(Result.flip(await parts(file(sequence(data(sequence(sequence(oid("2a")))))))))
    assert.strictEqual(empty.code, "pkcs12_unreadable")
  })

  it("an empty password that went into the key as no bytes at all", async () => {
    const { default: forge } = await import("node-forge")
    const der = exported(ec.leaf + ec.key.pkcs8, "-keypbe NONE -certpbe NONE -macalg SHA256 -nomaciter", "")
    const file = tree(der)
    const mac = file.children[2]
    assert.isDefined(mac)
    const salt = mac.children[1]?.value ?? Buffer.alloc(0)
    const key = forge.pkcs12.generateKey(
      null,
      forge.util.createBuffer(salt.toString("latin1")),
      3,
      1,
      32,
      forge.md.sha256.create()
    )
    const safe = file.children[1]?.children[1]?.children[0]?.value ?? Buffer.alloc(0)
    const code = createHmac("sha256", Buffer.from(key.getBytes(), "latin1")).update(safe).digest()
    const own = mac.children[0]?.children[1]?.value ?? Buffer.alloc(0)
    const patched = Buffer.from(der)
    patched.set(code, der.indexOf(own))
    assert.notDeepEqual(patched, der)
    assert.strictEqual(Redacted.value((await good(patched)).privateKey), ec.key.pkcs8)
  })
})

describe("what is wrong", () => {
  const both = () => rsa.leaf + rsa.key.pkcs8
  const certificateAlone = () => exported(rsa.leaf + rsa.authority, "-nokeys")
  const keyAlone = () => exported(rsa.key.pkcs8, "-nocerts")
  const flipped = (bytes: Buffer, at: number) => {
    const copy = Buffer.from(bytes)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }
  const replaced = (bytes: Buffer, hex: string, by: string) => {
    const at = bytes.indexOf(Buffer.from(hex, "hex"))
    assert.isAtLeast(at, 0)
    const copy = Buffer.from(bytes)
    copy.set(Buffer.from(by, "hex"), at)
    return copy
  }

  const cases: ReadonlyArray<
    readonly [name: string, content: () => string | Uint8Array, code: string, secret?: string]
  > = [
    ["no password", () => exported(both(), ""), "pkcs12_password_missing"],
    ["no password, legacy", () => exported(both(), "-legacy"), "pkcs12_password_missing"],
    ["no password and no MAC", () => exported(both(), "-nomac"), "pkcs12_password_missing"],
    ["a wrong password", () => exported(both(), ""), "pkcs12_password_wrong", "guess"],
    ["a wrong password, legacy", () => exported(both(), "-legacy"), "pkcs12_password_wrong", "guess"],
    ["a wrong password, no MAC", () => exported(both(), "-nomac"), "pkcs12_password_wrong", "guess"],
    ["a wrong password, legacy, no MAC", () => exported(both(), "-legacy -nomac"), "pkcs12_password_wrong", "guess"],
    ["a password where none belongs", () => exported(both(), "", ""), "pkcs12_password_wrong", "guess"],
    ["a byte that changed", () => flipped(exported(both(), ""), 200), "pkcs12_password_wrong", password],
    ["a file that is cut", () => exported(both(), "").subarray(0, 1000), "pkcs12_unreadable", password],
    ["cut in base64", () => exported(both(), "").toString("base64").slice(0, 1000), "pkcs12_unreadable", password],
    ["cut after its first bytes", () => exported(both(), "").subarray(0, 9), "pkcs12_unreadable", password],
    ["of no stated length, cut", () => Buffer.from([0x30, 0x80, 2, 1, 3, 0x30]), "pkcs12_unreadable", password],
    ["more behind it", () => Buffer.concat([exported(both(), ""), Buffer.alloc(2)]), "pkcs12_unreadable", password],
    [
      "garbage that begins like it",
      () => Buffer.concat([Buffer.from([0x30, 0x82, 1, 0, 2, 1, 3]), Buffer.alloc(253, 0x5a)]),
      "pkcs12_unreadable",
      password
    ],
    ["no certificate", keyAlone, "certificate_missing", password],
    ["no key", certificateAlone, "key_missing", password],
    [
      "a key on P-384",
      () => {
        execFileSync("openssl", ["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "other.pem"], {
          cwd: folder
        })
        execFileSync("openssl", ["req", "-x509", "-key", "other.pem", "-subj", "/CN=other", "-out", "other.crt"], {
          cwd: folder,
          stdio: "ignore"
        })
        return exported(
          readFileSync(join(folder, "other.pem"), "utf8") + readFileSync(join(folder, "other.crt"), "utf8"),
          ""
        )
      },
      "key_unsupported",
      password
    ],
    ["RC4", () => exported(both(), "-legacy -keypbe PBE-SHA1-RC4-128"), "pkcs12_unsupported", password],
    ["RC2 with 128 bits", () => exported(both(), "-legacy -certpbe PBE-SHA1-RC2-128"), "pkcs12_unsupported", password],
    ["a cipher of another kind", () => exported(both(), "-keypbe CAMELLIA-256-CBC"), "pkcs12_unsupported", password],
    ["a MAC of another kind", () => exported(both(), "-macalg SHA224"), "pkcs12_unsupported", password],
    [
      // PBKDF2 (1.2.840.113549.1.5.12) becomes 1.2.840.113549.1.5.15.
      "a key derivation of another kind",
      () => replaced(exported(both(), "-nomac"), "06092a864886f70d01050c", "06092a864886f70d01050f"),
      "pkcs12_unsupported",
      password
    ],
    [
      "signed instead of locked",
      () => replaced(exported(both(), ""), "06092a864886f70d010701", "06092a864886f70d010702"),
      "pkcs12_unsupported",
      password
    ],
    [
      "hidden for a key instead of a password",
      () =>
        replaced(exported(both(), "-nomac -certpbe AES-256-CBC"), "06092a864886f70d010706", "06092a864886f70d010703"),
      "pkcs12_unsupported",
      password
    ],
    [
      "more iterations than anyone waits for",
      () => replaced(exported(both(), "-iter 900000 -nomac"), "02030dbba0", "02037fffff"),
      "pkcs12_unsupported",
      password
    ],
    [
      "more iterations in all than anyone waits for",
      () => exported(both(), "-iter 900000"),
      "pkcs12_unsupported",
      password
    ],
    [
      "more iterations of long ago than anyone waits for",
      () => exported(both(), "-legacy -iter 900000 -nomac"),
      "pkcs12_unsupported",
      password
    ]
  ]

  for (const [name, content, code, secret] of cases) {
    it(`${name}: ${code}, and neither the file nor the password is shown`, async () => {
      const bytes = content()
      const error = Result.getOrThrow(Result.flip(await parts(bytes, secret)))
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, code.includes("password") ? "PASSWORD" : "PATH")
      assert.isTrue(error.message.startsWith(error.field))
      assert.isNotEmpty(error.remedy)
      assert.isFalse("cause" in error)
      if (secret !== undefined) assert.notInclude(JSON.stringify(error) + error.message + error.remedy, secret)
    })
  }

  it("what does not open is not tried again until it changes", async () => {
    const derive = vi.spyOn(forge.pkcs12, "generateKey")
    const pfx = exported(both(), "")
    const { read } = await Effect.runPromise(pieces)
    const codeOf = (bytes: Uint8Array, secret: string) =>
      Effect.runPromise(Effect.map(
        Effect.result(read([{
          contents: {
            certificate: { bytes, place: { name: "PATH" } },
            password: { value: Redacted.make(secret), name: "PASSWORD" }
          },
          options: {}
        }])),
        Result.match({ onFailure: ({ code }) => code, onSuccess: () => "read" })
      ))
    assert.strictEqual(await codeOf(pfx, "guess"), "pkcs12_password_wrong")
    const once = derive.mock.calls.length
    assert.isAbove(once, 0)
    assert.strictEqual(await codeOf(Buffer.from(pfx), "guess"), "pkcs12_password_wrong")
    assert.strictEqual(derive.mock.calls.length, once)
    assert.strictEqual(await codeOf(flipped(pfx, 200), "guess"), "pkcs12_password_wrong")
    assert.isAbove(derive.mock.calls.length, once)
    assert.strictEqual(await codeOf(pfx, password), "read")
    derive.mockRestore()
  })

  it("a wrong password is told as one, whichever it is, though its padding is right by chance", async () => {
    const bytes = exported(ec.leaf + ec.key.pkcs8, "-nomac -noiter -certpbe NONE -keypbe PBE-SHA1-3DES")
    const codes = new Set<string>()
    for (let n = 0; n < 1000; n++) codes.add(Result.getOrThrow(Result.flip(await parts(bytes, `guess ${n}`))).code)
    assert.deepStrictEqual([...codes], ["pkcs12_password_wrong"])
  })

  it("a byte that changed anywhere is an error or no matter, and never a throw", async () => {
    const bytes = exported(ec.leaf + ec.key.pkcs8, "-noiter -nomaciter")
    for (let at = 0; at < bytes.length; at++) {
      const result = await parts(flipped(bytes, at), password)
      if (Result.isFailure(result)) assert.strictEqual(result.failure._tag, "EntraCredentialError")
      else assert.strictEqual(Redacted.value(result.success.privateKey), ec.key.pkcs8)
    }
  })
})

describe("a client", () => {
  const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())
  const clientId = EntraSimulator.daemonClientId

  it.each([["modern", ""], ["legacy", "-legacy"]])("gets a token with a file, %s", (_, options) => {
    const path = join(folder, "client.pfx")
    writeFileSync(path, exported(rsa.leaf + rsa.key.pkcs8, options))
    return Effect.runPromise(
      Effect.gen(function*() {
        yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.addCertificate(clientId, rsa.leaf))
        const credential = yield* NodeClientCredential.certificateFile({ path, password: Redacted.make(password) })
        const client = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
        const { metadata } = yield* client.acquireToken({ scopes: graph })
        assert.strictEqual(metadata.tokenSource, "IdentityProvider")
      }).pipe(
        Effect.scoped,
        Effect.provide(services),
        Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer, silent])
      )
    )
  })

  it("without node-forge is told what to install, and needs it for nothing else", () => {
    writeFileSync(join(folder, "needs.pfx"), exported(rsa.leaf + rsa.key.pkcs8, ""))
    writeFileSync(join(folder, "needs-not.pem"), rsa.leaf + rsa.key.pkcs8)
    const hook = `import { registerHooks } from "node:module"
registerHooks({ resolve: (specifier, context, next) => {
  if (specifier.startsWith("node-forge")) throw new Error("not installed: " + specifier)
  return next(specifier, context)
} })`
    const program = `
import { NodeClientCredential } from "effect-entra/node"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Redacted } from "effect"
const load = (path) => NodeClientCredential.certificateFile({ path, password: Redacted.make("unused") }).pipe(
  Effect.scoped, Effect.provide(NodeFileSystem.layer), Effect.match({
    onFailure: ({ code, remedy }) => code + ": " + remedy, onSuccess: () => "loaded" }), Effect.runPromise)
console.log(await load("${join(folder, "needs.pfx")}"))
console.log(await load("${join(folder, "needs-not.pem")}"))`
    return Effect.runPromise(
      Effect.map(
        runChild([
          "--conditions=@effect-entra/source",
          `--import=data:text/javascript,${encodeURIComponent(hook)}`,
          "--input-type=module",
          `--eval=${program}`
        ], {}),
        ({ stderr, stdout }) => {
          assert.strictEqual(stderr, "")
          const [first = "", second] = stdout.split("\n")
          assert.isTrue(first.startsWith("pkcs12_library_missing: Install the package: npm i node-forge."))
          assert.strictEqual(second, "loaded")
        }
      )
    )
  })
})

// -----------------------------------------------------------------------------
// DER
// -----------------------------------------------------------------------------

interface Node {
  readonly tag: number
  readonly value: Buffer
  readonly children: ReadonlyArray<Node>
}

const tree = (der: Buffer): Node => {
  const [node] = nodes(der)
  assert.isDefined(node)
  return node
}

const nodes = (der: Buffer): ReadonlyArray<Node> => {
  const found: Array<Node> = []
  for (let at = 0; at < der.length;) {
    const tag = der[at] ?? 0
    const short = der[at + 1] ?? 0
    const more = short > 0x80 ? short - 0x80 : 0
    const length = more === 0 ? short : der.readUIntBE(at + 2, more)
    const value = der.subarray(at + 2 + more, at + 2 + more + length)
    found.push({ tag, value, children: (tag & 0x20) === 0 ? [] : nodes(value) })
    at += 2 + more + length
  }
  return found
}

/** The octets that a ContentInfo of the kind `data` holds. */
const octets = (content: Node | undefined): Buffer => content?.children[1]?.children[0]?.value ?? Buffer.alloc(0)

const sequence = (...members: ReadonlyArray<Buffer>): Buffer => stated(0x30, Buffer.concat(members))

const oid = (hex: string): Buffer => stated(6, Buffer.from(hex, "hex"))

const data = (content: Buffer): Buffer => sequence(oid("2a864886f70d010701"), stated(0xa0, stated(4, content)))

const bag = (kind: number, value: Buffer): Buffer => sequence(oid(`2a864886f70d010c0a010${kind}`), stated(0xa0, value))

/** PKCS#12 without a MAC. */
const file = (safe: Buffer): Buffer => sequence(stated(2, Buffer.from([3])), data(safe))

/** The same in BER: every SEQUENCE of unstated length, long octets in pieces. */
const inBer = (der: Buffer): Buffer => Buffer.concat(nodes(der).map(written))

const written = ({ children, tag, value }: Node): Buffer => {
  if (children.length > 0) return unstated(tag, children.map(written))
  if (tag !== 4 || value.length < 300) return stated(tag, value)
  const pieces: Array<Buffer> = []
  for (let at = 0; at < value.length; at += 250) pieces.push(stated(4, value.subarray(at, at + 250)))
  return unstated(0x24, pieces)
}

const unstated = (tag: number, parts: ReadonlyArray<Buffer>): Buffer =>
  Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])])

const stated = (tag: number, value: Buffer): Buffer =>
  Buffer.concat([
    value.length < 0x80
      ? Buffer.from([tag, value.length])
      : Buffer.from([tag, 0x82, value.length >> 8, value.length & 255]),
    value
  ])
