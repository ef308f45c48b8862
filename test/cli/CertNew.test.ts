import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem } from "effect"
import { ConfidentialClient } from "effect-entra"
import { layerFromEnv } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { execFileSync } from "node:child_process"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeNewFiles } from "../../src/cli/internal/cert/newFiles.ts"
import { fileNameOf, subjectOf } from "../../src/cli/internal/cert/subject.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { runCommand, temporaryFolder } from "./command.ts"

const modeOf = (path: string) => statSync(path).mode & 0o777

/** Acquires a token with the written file, as a program does that reads the environment. */
const acquireWith = (keyFile: string, certificateFile: string, environment: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const simulator = yield* EntraSimulator.EntraSimulator
    yield* simulator.addCertificate(EntraSimulator.daemonClientId, readFileSync(certificateFile, "utf8"))
    return yield* ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
      Effect.provide(layerFromEnv()),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({
          env: {
            AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
            AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
            AZURE_CLIENT_CERTIFICATE_PATH: keyFile,
            ...environment
          }
        })
      )
    )
  }).pipe(Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer]))

describe("cert new", () => {
  const password = { AZURE_CLIENT_CERTIFICATE_PASSWORD: "a password, ü and ж" }
  const cases = [
    { name: "RSA", args: [], extension: "pem", type: "rsa", environment: {} },
    { name: "RSA of 3072 bits", args: ["--bits", "3072"], extension: "pem", type: "rsa", environment: {} },
    { name: "EC", args: ["--algorithm", "ec"], extension: "pem", type: "ec", environment: {} },
    { name: "PFX", args: ["--format", "pfx"], extension: "pfx", type: "rsa", environment: {} },
    { name: "PFX with a password", args: ["--format", "pfx"], extension: "pfx", type: "rsa", environment: password },
    {
      name: "PFX with EC",
      args: ["--format", "pfx", "--algorithm", "ec"],
      extension: "pfx",
      type: "ec",
      environment: password
    }
  ]

  it.live.each(cases)("writes files with which a client acquires a token: $name", (row) =>
    Effect.gen(function*() {
      const { args, environment, extension, type } = row
      const folder = yield* temporaryFolder
      const [keyFile, certificateFile] = [join(folder, `app.${extension}`), join(folder, "app.cer")]
      const { code, errors, output } = yield* runCommand(
        ["cert", "new", "--days", "60", "-o", join(folder, "app"), ...args],
        environment
      )
      assert.deepStrictEqual([code, errors], [0, ""])
      assert.deepStrictEqual(readdirSync(folder), ["app.cer", `app.${extension}`])
      assert.deepStrictEqual([modeOf(keyFile), modeOf(certificateFile)], [0o600, 0o644])
      const certificate = new X509Certificate(readFileSync(certificateFile))
      assert.strictEqual(certificate.subject, "CN=my-daemon")
      assert.strictEqual(certificate.publicKey.asymmetricKeyType, type)
      assert.notInclude(readFileSync(certificateFile, "utf8"), "PRIVATE")
      const days = (Date.parse(certificate.validTo) - Date.now()) / 86_400_000
      assert.isTrue(days > 59.9 && days < 60.1)
      // The texts to compare with the portal, and the steps.
      for (
        const text of [
          keyFile,
          certificate.fingerprint.replaceAll(":", ""),
          certificate.fingerprint256.replaceAll(":", ""),
          Buffer.from(certificate.fingerprint.replaceAll(":", ""), "hex").toString("base64url"),
          "Portal",
          `--cert '@${certificateFile}'`,
          "Update-MgApplication"
        ]
      ) assert.include(output, text)
      assert.strictEqual(output.includes("npm i node-forge"), extension === "pfx")
      assert.strictEqual(output.includes("    npx effect-entra simulate --certificate"), extension === "pem")
      assert.notInclude(output, "PRIVATE KEY")
      for (const value of Object.values(environment)) assert.notInclude(output, value)
      const { metadata } = yield* acquireWith(keyFile, certificateFile, environment)
      assert.strictEqual(metadata.tokenSource, "IdentityProvider")
    }))

  it.live("writes PKCS#12 that OpenSSL opens with the password, and with no other", () =>
    Effect.gen(function*() {
      ensureOpenssl()
      const folder = yield* temporaryFolder
      const file = join(folder, "app.pfx")
      yield* runCommand(["cert", "new", "-o", join(folder, "app"), "--format", "pfx", "--algorithm", "ec"], {
        AZURE_CLIENT_CERTIFICATE_PASSWORD: "right"
      })
      const open = (password: string) =>
        execFileSync("openssl", ["pkcs12", "-in", file, "-passin", `pass:${password}`, "-nodes"], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "ignore"]
        })
      const pem = open("right")
      const certificate = new X509Certificate(pem)
      assert.isTrue(certificate.checkPrivateKey(createPrivateKey(pem)))
      assert.throws(() => open("wrong"))
    }))

  it.live("keeps files that exist, and replaces them by --force, with the permissions of new ones", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [base, other] = [join(folder, "app"), join(folder, "other")]
      const make = (...args: ReadonlyArray<string>) =>
        runCommand(["cert", "new", "--algorithm", "ec", "-o", base, ...args])
      // Each of the two files alone is in the way of both.
      for (const extension of ["pem", "cer"]) {
        writeFileSync(`${base}.${extension}`, "mine", { mode: 0o644 })
        const { code, errors } = yield* make()
        assert.strictEqual(code, 1)
        assert.include(errors, `${base}.`)
        assert.include(errors, "--force")
        assert.strictEqual(readFileSync(`${base}.${extension}`, "utf8"), "mine")
      }
      assert.strictEqual((yield* make("--force")).code, 0)
      assert.strictEqual(modeOf(`${base}.pem`), 0o600)
      assert.include(readFileSync(`${base}.pem`, "utf8"), "PRIVATE KEY")
      // Several at a time: the file has a key with its own certificate, and no file of another name was touched.
      writeFileSync(`${base}.pem.new`, "mine")
      const codes = yield* Effect.all(Array.from({ length: 8 }, () => make("--force")), { concurrency: "unbounded" })
      assert.deepStrictEqual([...new Set(codes.map(({ code }) => code))], [0])
      const pem = readFileSync(`${base}.pem`, "utf8")
      assert.isTrue(new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem)))
      assert.strictEqual(readFileSync(`${base}.pem.new`, "utf8"), "mine")
      rmSync(`${base}.pem.new`)
      // A link is replaced; the file that it leads to stays.
      writeFileSync(other, "mine")
      const linked = join(folder, "linked")
      symlinkSync(other, `${linked}.pem`)
      assert.strictEqual((yield* runCommand(["cert", "new", "--algorithm", "ec", "--force", "-o", linked])).code, 0)
      assert.strictEqual(readFileSync(other, "utf8"), "mine")
      assert.deepStrictEqual(readdirSync(folder), ["app.cer", "app.pem", "linked.cer", "linked.pem", "other"])
    }))

  it.live.each(["pem", "cer"])(
    "keeps the old key and certificate if the new .%s cannot be put in its place by --force",
    (extension) =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const base = join(folder, "app")
        for (const other of ["pem", "cer"]) {
          if (other === extension) mkdirSync(join(`${base}.${other}`, "full"), { recursive: true })
          else writeFileSync(`${base}.${other}`, "mine")
        }
        const { code, errors } = yield* runCommand(["cert", "new", "--algorithm", "ec", "--force", "-o", base])
        assert.strictEqual(code, 1)
        assert.include(errors, `${base}.${extension} cannot be written: it is a directory.`)
        assert.include(errors, "Remove that directory, or name other files with --out.")
        assert.strictEqual(readFileSync(`${base}.${extension === "cer" ? "pem" : "cer"}`, "utf8"), "mine")
        assert.deepStrictEqual(readdirSync(folder), ["app.cer", "app.pem"])
      })
  )

  it.live.each<readonly [old: string, names: ReadonlyArray<string>]>([
    ["", ["app.pem"]],
    ["old", ["app.cer", "app.pem"]]
  ])("restores the certificate %j if the key cannot be replaced at last", ([old, names]) =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [key, certificate] = [join(folder, "app.pem"), join(folder, "app.cer")]
      writeFileSync(key, "key")
      if (old !== "") writeFileSync(certificate, old)
      const files = yield* FileSystem.FileSystem
      const busy = (from: string, to: string) =>
        to === key ? files.readFileString("/nowhere/busy").pipe(Effect.asVoid) : files.rename(from, to)
      const error = yield* Effect.flip(
        writeNewFiles([
          { path: key, content: "new key", isPrivate: true },
          { path: certificate, content: "new", isPrivate: false }
        ], true).pipe(Effect.provideService(FileSystem.FileSystem, { ...files, rename: busy }))
      )
      assert.include(error.message, `${key} cannot be written`)
      assert.deepStrictEqual(readdirSync(folder), names)
      assert.strictEqual(readFileSync(key, "utf8"), "key")
      if (old !== "") assert.strictEqual(readFileSync(certificate, "utf8"), old)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  const refused: ReadonlyArray<readonly [name: string, args: ReadonlyArray<string>, message: RegExp]> = [
    ["an empty path", ["-o", ""], /--out[^]*name of a file/],
    ["a path of spaces", ["-o", "  "], /--out[^]*name of a file/],
    ["a folder", ["-o", `${tmpdir()}/`], /--out[^]*name of a file/],
    ["this folder", ["-o", "."], /--out[^]*name of a file/],
    ["the folder above", ["-o", "nothing/.."], /--out[^]*name of a file/],
    ["a folder that does not exist", ["-o", "/nowhere/app"], /\/nowhere\/app\.pem cannot be written: .*does not exist/],
    ["an empty name", ["--name", ""], /--name/],
    ["a name of spaces", ["--name", "  "], /--name.*not only spaces/],
    ["a name with a line break", ["--name", "a\nb"], /--name[^]*control characters/],
    ["a long name", ["--name", "x".repeat(65)], /--name.*1 to 64/],
    ["no day", ["--days", "0"], /--days.*between 1 and 3650/],
    ["half a day", ["--days", "0.5"], /--days/],
    ["bits of an EC key", ["--algorithm", "ec", "--bits", "4096"], /--bits is for RSA keys/],
    ["too few bits", ["--bits", "1024"], /--bits/],
    ["an app that is no id", ["--client-id", "a'; rm -rf"], /--client-id.*GUID/]
  ]
  it.live.each(refused)("refuses %s", ([, args, message]) =>
    Effect.gen(function*() {
      const { code, errors } = yield* runCommand(["cert", "new", ...args])
      assert.strictEqual(code, 1)
      assert.match(errors, message)
      assert.isFalse(existsSync("my-daemon.pem"))
    }))
})

describe("the name of a certificate", () => {
  const names: ReadonlyArray<readonly [name: string, subject: string, file: string]> = [
    ["my-daemon", "CN=my-daemon", "my-daemon"],
    [" a b ", "CN=a b", "a-b"],
    ["a, O=b", "CN=a\\, O\\=b", "a-O-b"],
    ["#1 \"x\" <y>; \\z+", "CN=\\#1 \\\"x\\\" \\<y\\>\\; \\\\z\\+", "1-x-y-z-"],
    ["...", "CN=...", "certificate"],
    ["../../etc/passwd", "CN=../../etc/passwd", "etc-passwd"],
    ["Größe 日本", "CN=Größe 日本", "Größe-日本"]
  ]
  it.each(names)("%s", (name, subject, file) => {
    assert.deepStrictEqual([subjectOf(name), fileNameOf(name)], [subject, file])
    assert.notInclude(file, "/")
  })

  it.live("is one part of the subject, whatever it has", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const name = "#a, O=b \"c\" <d>; \\e+ é"
      yield* runCommand(["cert", "new", "--algorithm", "ec", "--name", name, "-o", join(folder, "app")])
      const { subject } = new X509Certificate(readFileSync(join(folder, "app.cer")))
      assert.strictEqual(subject.split("\n").length, 1)
      assert.match(subject, /^CN=.*a.*O=b.*c.*d.*e/)
    }))
})
