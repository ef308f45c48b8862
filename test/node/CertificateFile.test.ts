/** From a file's bytes to a certificate, its chain and its key: a table of what files hold. */
import { Effect, Redacted, Result } from "effect"
import { execFileSync } from "node:child_process"
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "vitest"
import { certificateParts } from "../../src/node/internal/certificates/certificateFile.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { assertToldInFull } from "../support/shown.ts"
import { blocks, type Made, make, makeLongChain, otherCurve, password, pssKey, shortKey } from "./material.ts"

const parts = (content: string | Uint8Array, options: { password?: string; path?: string; now?: number } = {}) =>
  Effect.runSync(Effect.result(certificateParts(
    {
      certificate: {
        bytes: typeof content === "string" ? Buffer.from(content) : content,
        place: { path: options.path ?? "/run/secrets/daemon.pem", name: "PATH" }
      },
      password: {
        value: options.password === undefined ? undefined : Redacted.make(options.password),
        name: "PASSWORD"
      }
    },
    options.now ?? Date.now()
  )))

const good = (...parameters: Parameters<typeof parts>) => Result.getOrThrow(parts(...parameters))

const subjects = (pem: string) => blocks(pem).map((block) => new X509Certificate(block).subject)

let rsa: Made
let ec: Made
let long: Awaited<ReturnType<typeof makeLongChain>>

beforeAll(async () => {
  rsa = await make("RSA")
  ec = await make("EC")
  long = await makeLongChain()
})

describe("keys", () => {
  for (const algorithm of ["RSA", "EC"] as const) {
    for (const form of ["pkcs8", "traditional", "encrypted", "encryptedTraditional"] as const) {
      it(`${algorithm}, ${form}, before or after the certificate`, () => {
        const { key, leaf } = algorithm === "RSA" ? rsa : ec
        for (const content of [leaf + key[form], key[form] + leaf]) {
          const { certificate, privateKey } = good(content, form.startsWith("encrypted") ? { password } : {})
          assert.strictEqual(certificate, leaf)
          assert.strictEqual(Redacted.value(privateKey), key.pkcs8)
          assert.notInclude(String(privateKey), "PRIVATE")
        }
      })
    }
  }

  it("a password that nothing needs is let be", () => {
    assert.strictEqual(Redacted.value(good(rsa.leaf + rsa.key.pkcs8, { password: "unused" }).privateKey), rsa.key.pkcs8)
  })

  it("the same key twice, in whatever forms", () => {
    for (const again of [rsa.key.pkcs8, rsa.key.traditional]) {
      assert.strictEqual(
        Redacted.value(good(rsa.key.pkcs8 + rsa.leaf + again).privateKey),
        rsa.key.pkcs8
      )
    }
    assert.strictEqual(
      Redacted.value(good(rsa.leaf + rsa.key.encrypted + rsa.key.traditional, { password }).privateKey),
      rsa.key.pkcs8
    )
  })

  it("another key, an OpenSSH key, or one whose password is not known, beside the own", () => {
    const others = [ec.key.pkcs8, relabelled(ec.key.pkcs8, "OPENSSH PRIVATE KEY"), ec.key.encrypted, shortKey()]
    for (const other of others) {
      for (const content of [other + rsa.leaf + rsa.key.pkcs8, rsa.leaf + rsa.key.pkcs8 + other]) {
        const { certificate, privateKey } = good(content)
        assert.strictEqual(certificate, rsa.leaf)
        assert.strictEqual(Redacted.value(privateKey), rsa.key.pkcs8)
      }
    }
  })

  it("of two pairs the first", () => {
    assert.strictEqual(good(ec.leaf + rsa.leaf + rsa.key.pkcs8 + ec.key.pkcs8).certificate, ec.leaf)
    assert.strictEqual(good(rsa.leaf + ec.leaf + ec.key.pkcs8 + rsa.key.pkcs8).certificate, rsa.leaf)
  })

  it("line ends, remarks, byte order marks and UTF-16 do not matter", () => {
    const text =
      `Bag Attributes\n    friendlyName: daemon\n${rsa.leaf}Key Attributes: <No Attributes>\n${rsa.key.pkcs8}\n\n`
    for (
      const content of [
        text,
        text.replaceAll("\n", "\r\n"),
        `\ufeff${text}`,
        Buffer.from(`\ufeff${text}`, "utf16le")
      ]
    ) assert.strictEqual(Redacted.value(good(content).privateKey), rsa.key.pkcs8)
  })
})

describe("chains", () => {
  it.each([
    [["leaf", "middle", "root"]],
    [["root", "middle", "leaf"]],
    [["middle", "root", "leaf"]],
    [["root", "leaf", "middle"]]
  ])("%j is put into order", (order) => {
    const pems: Readonly<Record<string, string>> = long
    const { certificate } = good(long.key + order.map((name) => pems[name]).join(""))
    assert.deepStrictEqual(subjects(certificate), ["CN=leaf", "CN=middle", "CN=root"])
    assert.strictEqual(certificate, long.leaf + long.middle + long.root)
  })

  it("certificates of others and doubles are left out", () => {
    const content = rsa.leaf + long.root + long.namesake + long.leaf + long.leaf + long.middle + ec.authority + long.key
    assert.strictEqual(good(content).certificate, long.leaf + long.middle + long.root)
  })

  it("a link that is missing ends it", () => {
    assert.strictEqual(good(long.root + long.leaf + long.key).certificate, long.leaf)
  })
})

describe("chains in which there is a choice", () => {
  const cases = [
    ["it ends at the root that signs itself", ["leaf", "middle", "crossSigned", "root", "older"], [
      "leaf",
      "middle",
      "root"
    ]],
    ["an expired issuer is passed over", ["leaf", "middleExpired", "middle", "root"], ["leaf", "middle", "root"]],
    ["so is one that leads nowhere", ["leaf", "middleAstray", "middle", "root"], ["leaf", "middle", "root"]],
    ["and one that may issue nothing", ["leaf", "middleOfNone", "middle", "root"], ["leaf", "middle", "root"]],
    ["the one that is valid for longest is taken", ["leaf", "middle", "middleLonger", "root"], [
      "leaf",
      "middleLonger",
      "root"
    ]],
    ["an expired issuer is better than none", ["leaf", "middleExpired", "root"], ["leaf", "middleExpired", "root"]],
    ["a root that is missing has a stand-in", ["leaf", "middle", "crossSigned", "older"], [
      "leaf",
      "middle",
      "crossSigned",
      "older"
    ]],
    ["of several certificates for the key the first is taken", ["leaf", "leafLonger", "middle"], ["leaf", "middle"]],
    ["the first that is valid now", ["leafExpired", "leafLonger", "leaf", "middle"], ["leafLonger", "middle"]]
  ] as const

  it.each(cases)("%s", (_name, file, expected) => {
    const { certificate } = good(long.key + file.map((name) => long[name]).join(""))
    assert.strictEqual(certificate, expected.map((name) => long[name]).join(""))
  })

  it("a damaged certificate is passed over", () => {
    for (const content of [damaged(rsa.leaf) + ec.leaf, ec.leaf + damaged(rsa.leaf)]) {
      assert.strictEqual(good(content + ec.key.pkcs8).certificate, ec.leaf)
    }
  })
})

describe("a file of markers", () => {
  it.each(["-----BEGIN A-----\n", "-----END A-----\n", "-----BEGIN ", "-----BEGIN A-----\n-----END B-----\n"])(
    "%j is read in no time",
    (mark) => {
      const started = performance.now()
      const result = parts(mark.repeat(1_048_576 / mark.length))
      assert.isTrue(Result.isFailure(result) && result.failure.code.startsWith("certificate_"))
      assert.isBelow(performance.now() - started, 1000)
    }
  )
})

describe("times", () => {
  const from = Date.UTC(2026, 0, 1)
  const to = Date.UTC(2027, 0, 1)
  const content = async () => {
    const { key, leaf } = await make("EC", { notBefore: new Date(from), notAfter: new Date(to) })
    return leaf + key.pkcs8
  }

  it.each([
    [from - 300_001, "certificate_not_yet_valid"],
    [from - 300_000, undefined],
    [from - 1, undefined],
    [from, undefined],
    [to - 1, undefined],
    [to, "certificate_expired"]
  ])("%d: %s", async (now, code) => {
    const result = parts(await content(), { now })
    assert.strictEqual(Result.isFailure(result) ? result.failure.code : undefined, code)
    if (Result.isFailure(result)) {
      assert.strictEqual(result.failure.field, "PATH")
      assert.match(result.failure.message, /202[67]-01-01/)
    }
  })
})

describe("what is wrong", () => {
  const cases: ReadonlyArray<
    readonly [name: string, content: () => string | Uint8Array, code: string, options?: Parameters<typeof parts>[1]]
  > = [
    ["nothing", () => "", "file_empty"],
    ["white space", () => " \r\n", "file_empty"],
    ["something else", () => "AZURE_CLIENT_ID=1", "certificate_unreadable"],
    ["a certificate that is cut", () => rsa.leaf.slice(0, 400) + rsa.key.pkcs8, "certificate_unreadable"],
    [
      "a certificate that is DER of something else",
      () => `-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n${rsa.key.pkcs8}`,
      "certificate_unreadable"
    ],
    ["a certificate that is damaged", () => damaged(rsa.leaf) + rsa.key.pkcs8, "certificate_unreadable"],
    ["a key that is cut", () => rsa.leaf + rsa.key.pkcs8.slice(0, 400), "key_unreadable"],
    ["an encrypted key that is cut", () => rsa.leaf + rsa.key.encrypted.slice(0, 400), "key_unreadable", { password }],
    ["a key alone", () => rsa.key.pkcs8, "certificate_missing"],
    ["DER", () => new X509Certificate(rsa.leaf).raw, "certificate_unreadable"],
    ["DER in base64", () => new X509Certificate(rsa.leaf).raw.toString("base64"), "certificate_unreadable"],
    ["PKCS#7", () => pkcs7Of(rsa.leaf, "DER"), "certificate_unreadable"],
    ["PKCS#7 in base64", () => pkcs7Of(rsa.leaf, "DER").toString("base64"), "certificate_unreadable"],
    ["PKCS#7 in PEM", () => pkcs7Of(rsa.leaf, "PEM").toString(), "certificate_unreadable"],
    ["DER that is named .pfx", () => Buffer.from([1, 2, 3]), "certificate_unreadable", { path: "/a/Daemon.PFX" }],
    ["a certificate alone", () => rsa.leaf + rsa.authority, "key_missing"],
    ["a public key for a private one", () => rsa.leaf + publicKeyOf(rsa.key.pkcs8), "key_missing"],
    ["several keys, none of them the certificate's", () => rsa.leaf + ec.key.pkcs8 + long.key, "key_mismatch"],
    [
      "the own key without its password beside another",
      () => rsa.leaf + rsa.key.encrypted + ec.key.pkcs8,
      "key_password_missing"
    ],
    [
      "a damaged certificate of the key beside another",
      () => damaged(rsa.leaf) + ec.leaf + rsa.key.pkcs8,
      "certificate_unreadable"
    ],
    [
      "damaged certificates alone",
      () => damaged(rsa.leaf) + damaged(ec.leaf) + rsa.key.pkcs8,
      "certificate_unreadable"
    ],
    ["a damaged key", () => rsa.leaf + rsa.key.pkcs8.replace(/MII/, "AAA"), "key_unreadable"],
    [
      "a key of an unknown type",
      () => `${rsa.leaf}-----BEGIN PRIVATE KEY-----\nMAYCAQACAQA=\n-----END PRIVATE KEY-----\n`,
      "key_unreadable"
    ],
    ["an OpenSSH key", () => rsa.leaf + relabelled(rsa.key.pkcs8, "OPENSSH PRIVATE KEY"), "key_unreadable"],
    ["an encrypted key", () => rsa.leaf + rsa.key.encrypted, "key_password_missing"],
    ["an encrypted PKCS#1 key", () => rsa.leaf + rsa.key.encryptedTraditional, "key_password_missing"],
    ["a wrong password", () => rsa.leaf + rsa.key.encrypted, "key_password_wrong", { password: "guess" }],
    ["a wrong password of PKCS#1", () => rsa.leaf + rsa.key.encryptedTraditional, "key_password_wrong", {
      password: "guess"
    }],
    ["an endless password", () => rsa.leaf + rsa.key.encrypted, "key_password_wrong", { password: "x".repeat(5000) }],
    ["RSA with 1024 bits", () => rsa.leaf + shortKey(), "key_unsupported"],
    ["RSA-PSS", () => rsa.leaf + pssKey(), "key_unsupported"],
    ["EC on P-384", () => ec.leaf + otherCurve(), "key_unsupported"],
    ["another certificate's key", () => rsa.leaf + ec.key.pkcs8, "key_mismatch"],
    ["the issuer's certificate alone", () => rsa.authority + rsa.key.pkcs8, "key_mismatch"]
  ]

  // With one wrong password in 256 the padding is right by chance, and what is wrong is found later.
  it.each([
    ["PKCS#8", () => rsa.key.encrypted],
    ["PKCS#1", () => rsa.key.encryptedTraditional]
  ])("a wrong password of %s is told as one, whichever it is", (_, key) => {
    const codes = Array.from(
      { length: 1500 },
      (_, n) => Result.getOrThrow(Result.flip(parts(rsa.leaf + key(), { password: `guess ${n}` }))).code
    )
    assert.deepStrictEqual([...new Set(codes)], ["key_password_wrong"])
  })

  it("an encrypted key that is damaged is no matter of its password", () => {
    const damagedKey = rsa.key.encrypted.replace(/MII/, "AAA")
    const error = Result.getOrThrow(Result.flip(parts(rsa.leaf + damagedKey, { password })))
    assert.strictEqual(error.code, "key_unreadable")
    assertToldInFull(error)
  })

  for (const [name, content, code, options] of cases) {
    it(`${name}: ${code}, and neither the file nor the password is shown`, () => {
      const bytes = content()
      const error = Result.getOrThrow(Result.flip(parts(bytes, options)))
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, code.startsWith("key_password") ? "PASSWORD" : "PATH")
      assert.isTrue(error.message.startsWith(error.field))
      assert.isFalse("cause" in error)
      const shown = JSON.stringify(error) + error.message + error.remedy
      for (const line of Buffer.from(bytes).toString().split(/[\r\n]+/)) {
        if (line.length > 20 && !line.startsWith("-----")) assert.notInclude(shown, line)
      }
      if (options?.password !== undefined) assert.notInclude(shown, options.password)
    })
  }
})

const pkcs7Of = (pem: string, format: "DER" | "PEM"): Buffer => {
  ensureOpenssl()
  const folder = mkdtempSync(join(tmpdir(), "pkcs7-"))
  try {
    writeFileSync(join(folder, "leaf.pem"), pem)
    return execFileSync("openssl", ["crl2pkcs7", "-nocrl", "-certfile", join(folder, "leaf.pem"), "-outform", format])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const publicKeyOf = (privateKey: string) =>
  createPublicKey(createPrivateKey(privateKey)).export({ format: "pem", type: "spki" }).toString()

const damaged = (pem: string) => pem.replace(/MII/, "AAA")

const relabelled = (pem: string, label: string) => pem.replaceAll("PRIVATE KEY", label)

describe("what openssl writes", () => {
  beforeAll(ensureOpenssl, 120_000)

  const inFolder = (use: (folder: string, run: (...parameters: ReadonlyArray<string>) => void) => void) => {
    const folder = mkdtempSync(join(tmpdir(), "effect-entra-"))
    try {
      use(folder, (...parameters) => execFileSync("openssl", parameters, { cwd: folder, stdio: "ignore" }))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  it("PEM out of PKCS#12 is read, as openssl writes it", () => {
    inFolder((folder, run) => {
      writeFileSync(join(folder, "app.in.pem"), rsa.leaf + rsa.authority + rsa.key.pkcs8)
      run("pkcs12", "-export", "-in", "app.in.pem", "-out", "app.pfx", "-passout", `pass:${password}`)
      const pass = ["-passin", `pass:${password}`]
      run("pkcs12", "-in", "app.pfx", "-out", "app.pem", ...pass, "-passout", `pass:${password}`)
      assert.strictEqual(
        good(readFileSync(join(folder, "app.pem")), { password }).certificate,
        rsa.leaf + rsa.authority
      )
      run("pkcs12", "-in", "app.pfx", "-out", "clear.pem", ...pass, "-nodes")
      assert.strictEqual(Redacted.value(good(readFileSync(join(folder, "clear.pem"))).privateKey), rsa.key.pkcs8)
    })
  })

  it("an EC key with its parameters is read", () => {
    inFolder((folder, run) => {
      run("ecparam", "-name", "prime256v1", "-genkey", "-out", "key.pem")
      run("req", "-new", "-x509", "-key", "key.pem", "-subj", "/CN=daemon", "-days", "2", "-out", "certificate.pem")
      const key = readFileSync(join(folder, "key.pem"), "utf8")
      assert.include(key, "EC PARAMETERS")
      const { certificate } = good(key + readFileSync(join(folder, "certificate.pem"), "utf8"))
      assert.deepStrictEqual(subjects(certificate), ["CN=daemon"])
    })
  })

  it("an encrypted key, or several, that would take too long to open is not tried", () => {
    inFolder((folder, run) => {
      writeFileSync(join(folder, "key.pem"), rsa.key.pkcs8)
      run(..."pkcs8 -topk8 -iter 1100000 -in key.pem -out locked.pem -passout".split(" "), `pass:${password}`)
      const locked = readFileSync(join(folder, "locked.pem"), "utf8")
      assert.strictEqual(Redacted.value(good(rsa.leaf + locked, { password }).privateKey), rsa.key.pkcs8)
      const error = Result.getOrThrow(Result.flip(parts(rsa.leaf + slower(locked), { password })))
      assert.strictEqual(error.code, "key_unsupported")
      assertToldInFull(error)
      assert.include(error.message, "2000000 rounds")
      writeFileSync(join(folder, "key.pem"), ec.key.pkcs8)
      run(..."pkcs8 -topk8 -iter 1100000 -in key.pem -out other.pem -passout".split(" "), `pass:${password}`)
      const other = readFileSync(join(folder, "other.pem"), "utf8")
      const second = Result.getOrThrow(Result.flip(parts(rsa.leaf + other + locked, { password })))
      assert.strictEqual(second.code, "key_unsupported")
    })
  })

  /** 1,100,000 rounds become some 3,000,000. */
  const slower = (pem: string) => {
    const lines = pem.split("\n")
    const der = Buffer.from(lines.filter((line) => !line.startsWith("-")).join(""), "base64")
    const at = der.indexOf(Buffer.from("020310c8e0", "hex"))
    assert.isAtLeast(at, 0)
    der[at + 2] = 0x30
    return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${
      der.toString("base64").replace(/.{64}(?=.)/g, "$&\n")
    }\n-----END ENCRYPTED PRIVATE KEY-----\n`
  }

  it("a key under a cipher of long ago is told apart from a wrong password", () => {
    inFolder((folder, run) => {
      writeFileSync(join(folder, "key.pem"), rsa.key.pkcs8)
      try {
        const flags =
          "pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default -in key.pem -out old.pem -passout"
        run(...flags.split(" "), `pass:${password}`)
      } catch {
        return
      }
      const error = Result.getOrThrow(
        Result.flip(parts(rsa.leaf + readFileSync(join(folder, "old.pem"), "utf8"), { password }))
      )
      assert.strictEqual(error.code, "key_unsupported")
      assertToldInFull(error)
    })
  })
})
