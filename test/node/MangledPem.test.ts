/** PEM that lost its line structure on its way through variables, vaults, YAML and shells, in the core and in `/node`. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { ClientCredential } from "effect-entra"
import { NodeClientCredential, NodeTransport } from "effect-entra/node"
import * as fc from "fast-check"
import { X509Certificate } from "node:crypto"
import { faultOf, readPem } from "../../src/internal/credential/pem.ts"
import { type Made, make, password } from "./material.ts"

let rsa: Made
let ec: Made

beforeAll(async () => {
  rsa = await make("RSA")
  ec = await make("EC")
})

type Step = readonly [name: string, mangle: (text: string) => string]

const base64 = (text: string) => Buffer.from(text).toString("base64")
const lines = (text: string) => base64(text).replace(/.{76}(?=.)/g, "$&\n")

const breaks: ReadonlyArray<Step> = [
  ["as they were", (text) => text],
  ["spaces", (text) => text.trim().replaceAll("\n", " ")],
  ["tabs", (text) => text.replaceAll("\n", "\t")],
  ["literal \\n", (text) => text.replaceAll("\n", "\\n")],
  ["literal \\\\n", (text) => text.replaceAll("\n", "\\\\n")],
  ["literal \\r\\n", (text) => text.replaceAll("\n", "\\r\\n")],
  ["literal \\n and real ones", (text) => text.replaceAll("\n", "\\n\n")],
  ["\\r\\n", (text) => text.replaceAll("\n", "\r\n")],
  ["\\r", (text) => text.replaceAll("\n", "\r")],
  ["none", (text) => text.replaceAll("\n", "")],
  ["no white space at all", (text) => text.replaceAll(/\s/g, "")],
  ["a line for each word", (text) => text.replaceAll(" ", "\n")],
  ["doubled", (text) => text.replaceAll("\n", "\n\n")],
  [
    "every 20 characters",
    (text) => text.replaceAll(/(?<=-----\n)[^-]+/g, (body) => body.replaceAll("\n", "").replaceAll(/.{20}/g, "$&\n"))
  ],
  ["a backslash before each", (text) => text.replaceAll("\n", "\\\n")],
  ["percent escapes of a CI", (text) => text.replaceAll("\n", "%0A")],
  ["percent escapes of \\r\\n", (text) => text.replaceAll("\n", "%0d%0a")],
  ["literal \\x0a", (text) => text.replaceAll("\n", "\\x0a")],
  ["literal \\012", (text) => text.replaceAll("\n", "\\012")],
  ["literal \\u{a}", (text) => text.replaceAll("\n", "\\u{a}")],
  ["PowerShell's", (text) => text.replaceAll("\n", "`r`n")],
  ["HTML's", (text) => text.replaceAll("\n", "&#xA;")],
  ["<br/>", (text) => text.replaceAll("\n", "<br/>")],
  ["#", (text) => text.replaceAll("\n", "#")]
]

const margins: ReadonlyArray<Step> = [
  ["none", (text) => text],
  ["spaces", (text) => text.replaceAll(/^/gm, "    ")],
  ["tabs", (text) => text.replaceAll(/^/gm, "\t")],
  ["a mail's", (text) => text.replaceAll(/^/gm, "> ")],
  ["spaces at the end of lines", (text) => text.replaceAll(/$/gm, "  ")],
  ["no-break spaces", (text) => text.replaceAll(/^/gm, "\u00a0")],
  ["a list's", (text) => text.replaceAll(/^/gm, "- ")],
  ["a comment's", (text) => text.replaceAll(/^/gm, "# ")]
]

const wraps: ReadonlyArray<Step> = [
  ["none", (text) => text],
  ["double quotes", (text) => `"${text}"`],
  ["single quotes", (text) => `'${text}'`],
  ["JSON", (text) => JSON.stringify(text)],
  ["JSON of .NET", (text) => JSON.stringify(text).replaceAll("+", "\\u002B")],
  ["JSON of PHP", (text) => JSON.stringify(text).replaceAll("/", "\\/")],
  ["base64", base64],
  ["base64 in lines", lines],
  ["base64 with spaces", (text) => lines(text).replaceAll("\n", " ")],
  ["base64url", (text) => Buffer.from(text).toString("base64url")],
  ["base64 of UTF-16", (text) => Buffer.from(`\ufeff${text}`, "utf16le").toString("base64")],
  ["base64 in quotes", (text) => `"${base64(text)}"`],
  ["base64 of quotes", (text) => base64(JSON.stringify(text))],
  ["base64 without padding", (text) => base64(text).replaceAll("=", "")],
  ["base64 with the name of its variable", (text) => `TLS_PEM=${base64(text)}`],
  ["base64 in quotes, exported", (text) => `export TLS_PEM="${base64(text)}"`],
  ["base64 in a Secret of Kubernetes", (text) => `kind: Secret\ndata:\n  tls.pem: ${base64(text)}\n`],
  ["base64 in JSON", (text) => JSON.stringify({ value: base64(text), contentType: "application/x-pem-file" })],
  ["base64 of bytes in Python", (text) => `b'${base64(text)}'`],
  ["base64 in a URL", (text) => `data:application/x-pem-file;base64,${base64(text)}`],
  ["base64 in a query", (text) => encodeURIComponent(base64(text))],
  ["base64 with the mark of a shell", (text) => `${base64(text)}%`]
]

const edges: ReadonlyArray<Step> = [
  ["nothing", (text) => text],
  ["a BOM", (text) => `\ufeff${text}`],
  ["line breaks", (text) => `\r\n\n${text}\n\n`],
  ["spaces", (text) => `  ${text}  `],
  ["a zero-width space", (text) => `\u200b${text}`]
]

const mangled = fc.tuple(...[margins, breaks, wraps, edges].map((steps) => fc.constantFrom(...steps)))
  .map((steps) => ({
    name: steps.map(([name]) => name).join("; "),
    mangle: (text: string) => steps.reduce((mangled, [, step]) => step(mangled), text)
  }))

const content = (text: string) => ({ content: Redacted.make(text), password: Redacted.make(password) })

describe("mangled PEM", () => {
  it("is read by ClientCredential.certificate", async () => {
    await fc.assert(
      fc.asyncProperty(mangled, mangled, fc.boolean(), fc.boolean(), async (one, other, isRsa, chain) => {
        const { authority, key, leaf } = isRsa ? rsa : ec
        await Effect.runPromise(ClientCredential.certificate({
          certificate: one.mangle(chain ? leaf + authority : leaf),
          privateKey: Redacted.make(other.mangle(key.pkcs8))
        }))
      }),
      { numRuns: 400 }
    )
  }, 60_000)

  it("is read by NodeClientCredential.certificate, with keys of every kind, in any order", async () => {
    const forms = fc.constantFrom("pkcs8", "traditional", "encrypted", "encryptedTraditional")
    await fc.assert(
      fc.asyncProperty(mangled, forms, fc.boolean(), fc.boolean(), async ({ mangle }, form, isRsa, first) => {
        const { authority, key, leaf } = isRsa ? rsa : ec
        const text = first ? key[form] + leaf + authority : authority + leaf + key[form]
        await Effect.runPromise(NodeClientCredential.certificate(content(mangle(text))))
      }),
      { numRuns: 400 }
    )
  }, 60_000)

  it("is read as certificateAuthorities of NodeTransport", async () => {
    await fc.assert(
      fc.asyncProperty(mangled, fc.boolean(), async ({ mangle }, several) => {
        const texts = [rsa.authority, ec.authority].map(mangle)
        const certificateAuthorities = several ? texts : mangle(rsa.authority + ec.authority)
        await Effect.runPromise(Effect.scoped(Layer.build(NodeTransport.layerWith({ certificateAuthorities }))))
      }),
      { numRuns: 100 }
    )
  }, 60_000)

  it("may have a block for each text in base64, and the former label of a certificate", async () => {
    const { authority, key, leaf } = rsa
    const blocks = [leaf, authority, key.pkcs8]
    for (const gap of ["\n", ",", "\", \""]) {
      const text = blocks.map(base64).join(gap)
      assert.strictEqual(readPem(text).blocks.map(({ pem }) => pem).join(""), blocks.join(""))
    }
    const certificate = leaf.replaceAll("CERTIFICATE", "X509 CERTIFICATE")
    await Effect.runPromise(ClientCredential.certificate({ certificate, privateKey: Redacted.make(key.pkcs8) }))
  })

  it("has the same blocks as the PEM", () => {
    const { authority, key, leaf } = rsa
    const text = leaf + authority + key.pkcs8 + key.encryptedTraditional + key.encrypted
    const expected = readPem(text).blocks
    assert.deepStrictEqual(expected.map(({ pem }) => pem).join(""), text)
    fc.assert(
      fc.property(mangled, ({ mangle }) => assert.deepStrictEqual(readPem(mangle(text)).blocks, expected)),
      { numRuns: 1000 }
    )
  })
})

describe("PEM that cannot be rebuilt", () => {
  const cases: ReadonlyArray<readonly [name: string, mangle: (pem: string) => string, what: string]> = [
    ["only the first line", (pem) => pem.slice(0, pem.indexOf("\n")), "line break"],
    ["cut off", (pem) => pem.slice(0, 300), "-----END"],
    ["cut off, in base64", (pem) => base64(pem).slice(0, 400), "-----END"],
    ["the letter n for line breaks", (pem) => pem.replaceAll("\n", "n"), "line break"],
    ["a space for each +", (pem) => pem.replace(/(?<=\n)..../, ""), "base64"],
    ["percent encoding", (pem) => encodeURIComponent(pem), "percent"],
    ["a line of the middle left out", (pem) => pem.split("\n").toSpliced(3, 1).join("\n"), "base64"],
    ["another alphabet", (pem) => pem.replace(/(?<=\n)..../, "$&*"), `"*"`],
    ["base64, twice", (pem) => base64(base64(pem)), "base64 more than once"],
    ["no dashes", (pem) => pem.replaceAll("-----", ""), "-----BEGIN"],
    ["no markers", (pem) => pem.replaceAll(/-----.*-----/g, "").replaceAll("\n", ""), "base64 without"],
    ["a path", () => "/run/secrets/daemon.pem", "path"]
  ]

  it.each(cases)("%s: the message says so, without the content", async (_name, mangle, what) => {
    const { key, leaf } = rsa
    const core = (certificate: string, privateKey: string) =>
      Effect.runPromise(
        Effect.flip(ClientCredential.certificate({ certificate, privateKey: Redacted.make(privateKey) }))
      )
    const node = (text: string) => Effect.runPromise(Effect.flip(NodeClientCredential.certificate(content(text))))
    const errors = [await core(mangle(leaf), key.pkcs8), await core(leaf, mangle(key.pkcs8)), await node(mangle(leaf))]
    const trust = NodeTransport.layerWith({ certificateAuthorities: mangle(leaf) })
    const trusting = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(trust))))
    for (const error of [...errors, trusting]) {
      assert.include(error.message, what)
      assert.notMatch(error.message + error.remedy, /M[A-Za-z0-9+/]{20}/)
    }
  })

  it("a good block has no fault", () => {
    for (const block of readPem(rsa.leaf + rsa.key.pkcs8 + rsa.key.encrypted).blocks) {
      assert.isUndefined(faultOf(block))
    }
    assert.strictEqual(new X509Certificate(readPem(rsa.leaf).blocks[0]?.pem ?? "").toString(), rsa.leaf)
  })
})
