/**
 * The fault table of credentials: what can be wrong with a secret, a key, a certificate, a file, a signer or an identity,
 * through the constructors that programs use; what is told; that nothing secret is shown, and that nothing is sent.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ByteSize, ConfigProvider, Duration, Effect, FileSystem, Layer, PlatformError, Redacted, Stream } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { ManagedIdentity, NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { createPrivateKey, sign as signWith } from "node:crypto"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { authenticate, revisionOf } from "../support/credentials.ts"
import { assertFault, type Fault, hidden, Transport } from "../support/faults.ts"
import { silent } from "../support/log.ts"
import { contoso, graph } from "../support/world.ts"
import { bareKey, type Made, make, otherCurve, password, shortKey } from "./material.ts"

const clientId = EntraSimulator.daemonClientId

const folder = mkdtempSync(join(tmpdir(), "effect-entra-faults-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

let rsa: Made
let ec: Made
let otherRsa: Made
let short: { readonly certificate: string; readonly privateKey: Redacted.Redacted<string> }
let curve: string

beforeAll(async () => {
  rsa = await make("RSA")
  ec = await make("EC")
  otherRsa = await make("RSA")
  short = await Effect.runPromise(TestCertificate.make({ modulusLength: 1024 }))
  curve = (await Effect.runPromise(TestCertificate.make({ algorithm: "EC", curve: "P-384" }))).certificate
})

/** JavaScript passes what TypeScript would not let through. */
const untyped = (value: unknown) => JSON.parse(JSON.stringify(value))

/** Nothing of a key may be shown, in whatever form it was given. */
const secrets = () =>
  [rsa, ec, otherRsa]
    .flatMap(({ key }) => Object.values(key))
    .flatMap((pem) => pem.split("\n"))
    .filter((line) => line.length > 30 && !line.startsWith("-----"))
    .concat(password)

type Credential = ClientCredential.ClientCredential["Service"]

type Making = Effect.Effect<Credential, EntraError.ConfigurationError, FileSystem.FileSystem | HttpClient.HttpClient>

interface CredentialFault extends Omit<Fault, "tag"> {
  readonly tag?: Fault["tag"]
  readonly make: () => Making
  /** Instead of the machine's own files. */
  readonly files?: Layer.Layer<FileSystem.FileSystem> | undefined
}

const told = (use: Effect.Effect<unknown, EntraError.AcquireTokenError, Services>, fault: CredentialFault) => {
  const sent: Array<string> = []
  return Effect.gen(function*() {
    const error = yield* Effect.flip(Effect.provide(use, World(sent)))
    assertFault(error, { tag: "Credential", ...fault }, secrets())
    assert.deepStrictEqual(sent, [])
  }).pipe(Effect.provide(fault.files ?? NodeFileSystem.layer), Effect.scoped)
}

const World = (sent: Array<string>) =>
  Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
    Layer.provideMerge(Transport(sent))
  )

type Services =
  | Layer.Success<ReturnType<typeof World>>
  | FileSystem.FileSystem
  | Effect.Services<ReturnType<typeof ConfidentialClient.make>>

/** Found when the credential is made. */
const whenMade = (faults: ReadonlyArray<CredentialFault>) =>
  it.live.each(faults)("$name: $code", (fault) => told(fault.make(), fault))

/** Found when it is first needed. */
const whenUsed = (faults: ReadonlyArray<CredentialFault>) =>
  it.live.each(faults)("$name: $code", (fault) =>
    told(
      Effect.flatMap(fault.make(), (credential) => ConfidentialClient.make({ clientId, tenantId: contoso, credential }))
        .pipe(Effect.flatMap(({ acquireToken }) => acquireToken({ scopes: graph })), Effect.provide(silent)),
      fault
    ))

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

describe("how often to look again", () => {
  const reload = { reloadEvery: Duration.minutes(-1) }
  const value = Redacted.make(hidden)
  const pem = () => rsa.leaf + rsa.key.pkcs8
  const makers: Readonly<Record<string, () => Making>> = {
    "a secret": () => ClientCredential.secret(value, reload),
    "an effect": () => ClientCredential.secret(Effect.succeed(value), reload),
    "a certificate": () => NodeClientCredential.certificate({ content: Redacted.make(pem()) }, reload),
    "a file of a secret": () => NodeClientCredential.secretFile({ path: write("a.secret", hidden) }, reload),
    "a file of a certificate": () => NodeClientCredential.certificateFile({ path: write("a.pem", pem()) }, reload)
  }
  whenMade(
    Object.entries(makers).map(([name, make]) => ({
      name,
      make,
      code: "field_malformed",
      field: "reloadEvery",
      remedy: "the interval of reloads"
    }))
  )
})

// -----------------------------------------------------------------------------
// what TypeScript does not see
// -----------------------------------------------------------------------------

/** `process.env["NAME"]!`, when there is no such variable. */
const unset = untyped({}).nothing

describe("what is not set, or not redacted", () => {
  const wrap = "Redacted.make"
  const row = (name: string, field: string, code: string, remedy: string, make: () => Making): CredentialFault => ({
    name: `${name}, ${field}`,
    field,
    code,
    remedy,
    make
  })
  const own = () => ({ certificate: rsa.leaf, privateKey: Redacted.make(rsa.key.pkcs8) })
  const file = { path: join(folder, "any.pem") }
  const content = () => Redacted.make(rsa.leaf + rsa.key.pkcs8)
  whenMade([
    row(
      "a secret",
      "credential",
      "credential_missing",
      "an unset variable",
      () => ClientCredential.secret(unset)
    ),
    row(
      "a redacted nothing",
      "secret",
      "secret_empty",
      "the secret's value",
      () => ClientCredential.secret(Redacted.make(unset))
    ),
    row(
      "a certificate",
      "credential",
      "credential_missing",
      "an unset variable",
      () => ClientCredential.certificate([unset])
    ),
    row(
      "no certificate",
      "certificate",
      "certificate_unreadable",
      "-----BEGIN CERTIFICATE-----",
      () => ClientCredential.certificate({ ...own(), certificate: unset })
    ),
    row(
      "a bare key",
      "privateKey",
      "key_unreadable",
      wrap,
      () => ClientCredential.certificate({ ...own(), privateKey: untyped(hidden) })
    ),
    row("no key", "privateKey", "key_unreadable", wrap, () => ClientCredential.privateKeyJwt({ privateKey: unset })),
    row(
      "a number",
      "keyId",
      "key_id_malformed",
      "as a string",
      () => ClientCredential.privateKeyJwt({ privateKey: own().privateKey, keyId: untyped(7) })
    ),
    row(
      "a number",
      "keyId",
      "key_id_malformed",
      "as a string",
      () => ClientCredential.certificate({ ...own(), keyId: untyped(7) })
    ),
    row(
      "a file of a secret",
      "path",
      "path_malformed",
      "Set path to",
      () => NodeClientCredential.secretFile({ path: unset })
    ),
    row(
      "a file of a token",
      "path",
      "path_malformed",
      "Set path to",
      () => NodeClientCredential.federatedTokenFile({ path: unset })
    ),
    row(
      "a file of a certificate",
      "path",
      "path_malformed",
      "Set path to",
      () => NodeClientCredential.certificateFile({ path: unset })
    ),
    row(
      "a bare password of a file",
      "password",
      "field_malformed",
      wrap,
      () => NodeClientCredential.certificateFile({ ...file, password: untyped(hidden) })
    ),
    row(
      "a bare password",
      "password",
      "field_malformed",
      wrap,
      () => NodeClientCredential.certificate({ content: content(), password: untyped(hidden) })
    ),
    row(
      "a bare certificate",
      "content",
      "field_malformed",
      wrap,
      () => NodeClientCredential.certificate({ content: untyped(hidden) })
    ),
    row(
      "a redacted nothing",
      "content",
      "field_malformed",
      wrap,
      () => NodeClientCredential.certificate({ content: Redacted.make(unset) })
    )
  ])
})

// -----------------------------------------------------------------------------
// values
// -----------------------------------------------------------------------------

const keyRemedy = "Use an RSA key of 2048 bits or more, or an EC key on P-256"

describe("secrets", () => {
  const secret = (name: string, given: ReadonlyArray<string> | string): CredentialFault => ({
    name,
    make: () =>
      ClientCredential.secret(
        typeof given === "string" ? Redacted.make(given) : given.map((one) => Redacted.make(one))
      ),
    code: "secret_empty",
    field: "secret",
    remedy: "Pass the secret's value"
  })
  whenMade([
    secret("empty", ""),
    secret("white space", " \n"),
    secret("none in the list", []),
    secret("an empty one in the list", [hidden, ""])
  ])
})

describe("certificates and keys", () => {
  const pair = (
    name: string,
    options: () =>
      & { readonly certificate: string; readonly privateKey: string }
      & Partial<
        Pick<ClientCredential.CertificateOptions, "algorithm" | "assertionClaims">
      >,
    [code, field, remedy]: readonly [string, string, string]
  ): CredentialFault => ({
    name,
    make: () =>
      Effect.suspend(() => {
        const { privateKey, ...others } = options()
        return ClientCredential.certificate({ ...others, privateKey: Redacted.make(privateKey) })
      }),
    code,
    field,
    remedy
  })
  const key = (name: string, privateKey: () => string, told: readonly [string, string]): CredentialFault =>
    pair(name, () => ({ certificate: rsa.leaf, privateKey: privateKey() }), [told[0], "privateKey", told[1]])
  const certificate = (name: string, certificate: () => string) =>
    pair(name, () => ({ certificate: certificate(), privateKey: rsa.key.pkcs8 }), [
      "certificate_unreadable",
      "certificate",
      "-----BEGIN CERTIFICATE-----"
    ])
  const claims = (name: string, assertionClaims: unknown, field: string): CredentialFault =>
    pair(
      name,
      () => ({
        certificate: rsa.leaf,
        privateKey: rsa.key.pkcs8,
        ...Object.fromEntries([["assertionClaims", assertionClaims]])
      }),
      ["claims_malformed", field, "Pass a JSON object"]
    )
  const own = () => ({ certificate: rsa.leaf, privateKey: rsa.key.pkcs8 })
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic

  whenMade([
    certificate("no PEM", () => "the certificate"),
    certificate("a certificate that is truncated", () => rsa.leaf.slice(0, 400)),
    certificate("base64 that is none", () => "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"),
    certificate("a certificate that is damaged", () => rsa.leaf.replace(/MII/, "AAA")),
    key("a key that is no PEM", () => bareKey("pkcs8"), ["key_unreadable", "-----BEGIN PRIVATE KEY-----"]),
    key("a key that is truncated", () => rsa.key.pkcs8.slice(0, 400), [
      "key_unreadable",
      "-----BEGIN PRIVATE KEY-----"
    ]),
    key("a PKCS#1 key", () => rsa.key.traditional, ["key_format", "openssl pkcs8 -topk8"]),
    key("a SEC1 key", () => ec.key.traditional, ["key_format", "openssl pkcs8 -topk8"]),
    key("an OpenSSH key", () => ec.key.pkcs8.replaceAll("PRIVATE", "OPENSSH PRIVATE"), [
      "key_format",
      "ssh-keygen -p -m PKCS8"
    ]),
    key("an encrypted key", () => rsa.key.encrypted, ["key_format", "NodeClientCredential of effect-entra/node"]),
    key("a damaged key", () => rsa.key.pkcs8.replace(/MII/, "AAA"), ["key_unsupported", keyRemedy]),
    key("RSA with 1024 bits", () => pkcs8(shortKey()), ["key_unsupported", keyRemedy]),
    key("EC on P-384", () => pkcs8(otherCurve()), ["key_unsupported", keyRemedy]),
    key("the key of another certificate", () => otherRsa.key.pkcs8, [
      "key_mismatch",
      "Pass the private key of this certificate"
    ]),
    pair("a key of another kind", () => ({ certificate: rsa.leaf, privateKey: ec.key.pkcs8 }), [
      "key_mismatch",
      "certificate",
      "Both are RSA, or both are EC"
    ]),
    {
      name: "neither key nor sign",
      make: () => ClientCredential.certificate(untyped({ certificate: rsa.leaf })),
      code: "key_missing",
      field: "privateKey",
      remedy: "or a function that signs with it"
    },
    {
      name: "both key and sign",
      make: () =>
        ClientCredential.certificate({
          ...untyped({ certificate: rsa.leaf }),
          privateKey: Redacted.make(rsa.key.pkcs8),
          sign: () => Effect.succeed(new Uint8Array())
        }),
      code: "key_missing",
      field: "privateKey",
      remedy: "or a function that signs with it"
    },
    pair("RSA told to sign ES256", () => ({ ...own(), algorithm: "ES256" }), [
      "algorithm_unsupported",
      "algorithm",
      "Use PS256 or RS256"
    ]),
    pair("EC told to sign PS256", () => ({ certificate: ec.leaf, privateKey: ec.key.pkcs8, algorithm: "PS256" }), [
      "algorithm_unsupported",
      "algorithm",
      "Use ES256"
    ]),
    {
      name: "an expired certificate",
      make: () => dated(-2, -1),
      code: "certificate_expired",
      field: "certificate",
      remedy: "Create a new certificate and register it"
    },
    {
      name: "a certificate that is not valid yet",
      make: () => dated(1, 2),
      code: "certificate_not_yet_valid",
      field: "certificate",
      remedy: "Wait until then"
    },
    claims("claims that are a list", [hidden], "assertionClaims"),
    claims("a claim that is no number JSON has", { a: { b: Number.NaN } }, "assertionClaims.a.b"),
    claims("a claim that is a date", { at: [new Date(0)] }, "assertionClaims.at[0]"),
    claims("a claim that is a function", { a: () => hidden }, "assertionClaims.a"),
    claims("claims that hold themselves", cyclic, "assertionClaims.self"),
    claims("a time that is text", { exp: "soon" }, "assertionClaims.exp"),
    ...["certificate", "privateKey"].map((field): CredentialFault => ({
      name: `a signer's ${field === "certificate" ? "1024-bit certificate" : "certificate that is damaged"}`,
      make: () =>
        ClientCredential.certificate({
          certificate: field === "certificate" ? short.certificate : rsa.leaf.replace(/MII/, "AAA"),
          sign: () => Effect.succeed(new Uint8Array())
        }),
      code: field === "certificate" ? "key_unsupported" : "certificate_unreadable",
      field: "certificate",
      remedy: field === "certificate" ? keyRemedy : "-----BEGIN CERTIFICATE-----"
    })),
    {
      name: "a signer's certificate on P-384",
      make: () => ClientCredential.certificate({ certificate: curve, sign: () => Effect.succeed(new Uint8Array()) }),
      code: "key_unsupported",
      field: "certificate",
      remedy: keyRemedy
    },
    {
      name: "a key alone that is truncated",
      make: () => ClientCredential.privateKeyJwt({ privateKey: Redacted.make(ec.key.pkcs8.slice(0, 80)) }),
      code: "key_unreadable",
      field: "privateKey",
      remedy: "-----BEGIN PRIVATE KEY-----"
    },
    {
      name: "a key alone that is told to sign what it cannot",
      make: () => ClientCredential.privateKeyJwt({ privateKey: Redacted.make(ec.key.pkcs8), algorithm: "RS256" }),
      code: "algorithm_unsupported",
      field: "algorithm",
      remedy: "Use ES256"
    }
  ])
})

const pkcs8 = (pem: string) => createPrivateKey(pem).export({ format: "pem", type: "pkcs8" }).toString()

const hour = 3_600_000

const dated = (from: number, to: number) =>
  Effect.gen(function*() {
    const options = { notBefore: new Date(Date.now() + from * hour), notAfter: new Date(Date.now() + to * hour) }
    return yield* ClientCredential.certificate(yield* TestCertificate.make({ algorithm: "EC", ...options }))
  })

// -----------------------------------------------------------------------------
// sources and functions
// -----------------------------------------------------------------------------

describe("what a program's own effects do", () => {
  const source = (
    name: string,
    load: Effect.Effect<Redacted.Redacted<string>, unknown>,
    code: string,
    remedy: string
  ) => ({
    name: `a source of secrets ${name}`,
    make: () => ClientCredential.secret(load),
    code,
    field: code === "source_failed" ? "secret" : "credential",
    remedy
  })
  const signer = (
    name: string,
    algorithm: "RSA" | "EC",
    sign: (input: Uint8Array) => Effect.Effect<Uint8Array, unknown>,
    code: string,
    remedy: string
  ): CredentialFault => ({
    name: `a signer ${name}`,
    make: () => ClientCredential.certificate({ certificate: algorithm === "RSA" ? rsa.leaf : ec.leaf, sign }),
    code,
    field: code === "credential_defect" ? "credential" : "sign",
    remedy
  })
  const assertion = (
    name: string,
    make: ClientCredential.Assertion | (() => Effect.Effect<ClientCredential.Assertion, unknown>),
    code = "assertion_malformed",
    remedy = "three parts in base64url"
  ): CredentialFault => ({
    name: `an assertion ${name}`,
    make: () => ClientCredential.assertion(make),
    code,
    field: code === "credential_defect" ? "credential" : "assertion",
    remedy
  })
  const checkEffect = "Check that effect"
  const checkFunction = "Check that function"
  const defect = "Check the credential"

  whenUsed([
    source("that fails with a tag", Effect.fail({ _tag: "VaultError", hidden }), "source_failed", checkEffect),
    source("that fails with a tag that is none", Effect.fail({ _tag: 7, hidden }), "source_failed", checkEffect),
    source("that fails with an error", Effect.fail(new TypeError(hidden)), "source_failed", checkEffect),
    source("that fails with an object", Effect.fail({ hidden }), "source_failed", checkEffect),
    source("that fails with text", Effect.fail(hidden), "source_failed", checkEffect),
    source("that fails with null", Effect.fail(null), "source_failed", checkEffect),
    source("that dies", Effect.die(new Error(hidden)), "credential_defect", defect),
    {
      name: "a source of secrets that has an empty one",
      make: () => ClientCredential.secret(Effect.succeed(Redacted.make(" "))),
      code: "secret_empty",
      field: "secret",
      remedy: "Pass the secret's value"
    },
    ...([
      ["certificates", () => ClientCredential.certificate(Effect.succeed([]))],
      ["certificates, as a list,", () => ClientCredential.certificate([])],
      ["keys", () => ClientCredential.privateKeyJwt(Effect.succeed([]))],
      ["keys, as a list,", () => ClientCredential.privateKeyJwt([])],
      ["files' contents", () => NodeClientCredential.certificate(Effect.succeed([]))]
    ] as const).map(([what, make]) => ({
      name: `a source of ${what} that has none`,
      make,
      code: "credential_missing",
      field: "credential",
      remedy: "It must return at least one"
    })),
    signer("that fails", "RSA", () => Effect.fail({ _tag: "HsmError", hidden }), "signer_failed", checkFunction),
    signer("that dies", "RSA", () => Effect.die(new Error(hidden)), "credential_defect", defect),
    signer(
      "that gives no bytes",
      "RSA",
      () => Effect.succeed(untyped("c2ln")),
      "signer_mismatch",
      "Sign with the private key"
    ),
    signer("that gives DER", "EC", (input) => signed(ec, "der", input), "signer_mismatch", "Sign with the private key"),
    signer(
      "with another key",
      "EC",
      () => Effect.succeed(new Uint8Array(64)),
      "signer_mismatch",
      "Sign with the private key"
    ),
    assertion("that is empty", ""),
    assertion("with a prefix", "Bearer eyJ.e30.c2ln"),
    assertion("without a signature", Redacted.make(`eyJ.${hidden}.`)),
    assertion("that a function leaves empty", () => Effect.succeed(Redacted.make(""))),
    assertion("whose function fails", () => Effect.fail(new Error(hidden)), "assertion_failed", "Check that function"),
    assertion("whose function dies", () => Effect.die(new Error(hidden)), "credential_defect", defect)
  ])

  whenMade([
    {
      name: "no credential to choose from",
      make: () => ClientCredential.firstOf([]),
      code: "credentials_exhausted",
      field: "credential",
      remedy: "Pass at least one credential"
    },
    {
      name: "none of several that can be made",
      make: () =>
        ClientCredential.firstOf([
          ClientCredential.secret(Redacted.make("")),
          ClientCredential.certificate({ certificate: rsa.leaf, privateKey: Redacted.make(ec.key.pkcs8) })
        ]),
      code: "credentials_exhausted",
      field: "credential",
      remedy: "Fix the credential"
    }
  ])

  it.live("a signer is held against its certificate once", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.certificate({
        certificate: ec.leaf,
        sign: (input) => signed(ec, "ieee-p1363", input)
      })
      yield* authenticate(credential, attempt)
      yield* authenticate(credential, attempt)
    }))

  it.live("of the keys of a list each is taken once, told apart by what they sign with", () =>
    Effect.gen(function*() {
      const privateKey = Redacted.make(rsa.key.pkcs8)
      const credential = yield* ClientCredential.privateKeyJwt([
        { privateKey },
        { privateKey },
        { privateKey, keyId: "a" },
        { privateKey, algorithm: "RS256" },
        { privateKey: Redacted.make(otherRsa.key.pkcs8) }
      ])
      yield* authenticate(credential, attempt)
      assert.match(revisionOf(credential), /\.1$/)
    }))
})

const signed = ({ key }: Made, dsaEncoding: "der" | "ieee-p1363", input: Uint8Array) =>
  Effect.sync(() => new Uint8Array(signWith("sha256", input, { key: key.pkcs8, dsaEncoding })))

const attempt: ClientCredential.Attempt = {
  clientId,
  tenantId: contoso,
  authority: "",
  scope: "api://orders/.default",
  tokenEndpoint: "",
  audience: "",
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId: "4f5b0f2c-6b3e-4a83-a4ab-3d9a5c1b2a10"
}

// -----------------------------------------------------------------------------
// files
// -----------------------------------------------------------------------------

/** The machine's files, with something else in the way of one of them. */
const Files = (change: (files: FileSystem.FileSystem) => Partial<FileSystem.FileSystem>) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (files) => FileSystem.FileSystem.of({ ...files, ...change(files) }))
  ).pipe(Layer.provide(NodeFileSystem.layer))

const failing = (_tag: "PermissionDenied" | "Busy") =>
  Files(() => ({
    stat: () =>
      Effect.fail(PlatformError.systemError({ _tag, module: "FileSystem", method: "stat", description: hidden }))
  }))

/** A failure of the system that `PlatformError` does not know. */
const systemFailing = (cause: Error) =>
  Files(() => ({
    stat: () => Effect.fail(PlatformError.systemError({ _tag: "Unknown", module: "FileSystem", method: "stat", cause }))
  }))

/** The error of Deno without --allow-read. */
const notCapable = Object.assign(new Error(`Requires read access to "${hidden}"`), { name: "NotCapable" })

const circle = () => {
  const path = join(folder, "circle")
  rmSync(path, { force: true })
  symlinkSync("circle", path)
  return path
}

const typed = (type: FileSystem.File.Type) =>
  Files((files) => ({ stat: (path) => Effect.map(files.stat(path), (info) => ({ ...info, type })) }))

describe("files", () => {
  const unreadable = "a file that the user of this process may read"
  const there = () => write("there", `${hidden}\n`)
  const large = () => write("large", "x".repeat(1_048_577))
  const file = (
    name: string,
    path: () => string,
    [code, remedy, says]: readonly [string, string, string?],
    files?: Layer.Layer<FileSystem.FileSystem>
  ): CredentialFault => ({
    name,
    make: () => Effect.suspend(() => NodeClientCredential.secretFile({ path: path() })),
    files,
    code,
    field: "path",
    remedy,
    says
  })
  const refused = (
    name: string,
    path: () => string,
    says: string,
    files?: Layer.Layer<FileSystem.FileSystem>,
    remedy = unreadable
  ) => file(name, path, ["file_unreadable", remedy, says], files)
  const regular = "Set path to the whole path of a regular file."
  const size = "The file of a credential has a few thousand bytes."
  const noPath = (name: string, path: () => string) =>
    file(name, path, ["path_malformed", "Write the content into a file"])

  whenMade([
    file("missing", () => join(folder, "nowhere"), ["file_missing", "that the file is there"]),
    refused("a directory", () => folder, "is a directory", undefined, regular),
    refused("a device", () => "/dev/null", "is a device or a socket", undefined, regular),
    refused("a socket", there, "is a device or a socket", typed("Socket"), regular),
    refused(
      "a slash after a file",
      () => `${there()}/`,
      "has a part that is not a directory",
      undefined,
      "Check path."
    ),
    refused("a folder that is a file", () => join(there(), "a.pem"), "has a part that", undefined, "Check path."),
    refused("links in a circle", () => circle(), "has symbolic links that form a circle", undefined, "Check path."),
    refused(
      "a long name",
      () => join(folder, "x".repeat(300)),
      "has a name that is too long",
      undefined,
      "Check path."
    ),
    refused("a path that Deno may not read", there, "Deno may not read", systemFailing(notCapable), "--allow-read"),
    refused(
      "a disk that fails",
      there,
      "cannot be read (EIO)",
      systemFailing(Object.assign(new Error(), { code: "EIO" }))
    ),
    file("a home that no shell expanded", () => "~/daemon.pem", [
      "file_missing",
      "Only a shell expands ~",
      "~ was not"
    ]),
    ...["$HOME/daemon.pem", "%USERPROFILE%\\daemon.pem"].map((path) =>
      file(`${path}, which no shell expanded`, () => path, ["file_missing", "Write the value", "was not expanded"])
    ),
    ...["file:///run/daemon.pem", "https://vault.example/daemon.pem"].map((path) =>
      file(`the URL ${path}`, () => path, ["file_missing", "Write the path alone", "it is a URL and not a path"])
    ),
    file("missing, and relative", () => "keys/daemon.pem", [
      "file_missing",
      `relative to the folder "${process.cwd()}"`
    ]),
    refused("one that this process may not read", there, "this process may not read", failing("PermissionDenied")),
    refused("one that is busy", there, "cannot be read (Busy)", failing("Busy")),
    refused("a file system that dies", there, "the FileSystem died", Files(() => ({ stat: () => Effect.die(hidden) }))),
    refused("larger than any credential", large, "is larger than 1 MiB", undefined, size),
    refused("larger than it said", large, "is larger than 1 MiB", stated("File"), size),
    refused("a pipe without an end", large, "is larger than 1 MiB", stated("FIFO"), size),
    file(
      "gone while it is read",
      there,
      ["file_missing", "that the file is there"],
      Files(() => ({
        stream: () => Stream.fail(PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "open" }))
      }))
    ),
    noPath("a key instead of its path", () => ec.key.pkcs8),
    noPath("a key on one line", () => bareKey("pkcs8")),
    noPath("a token instead of its path", () => `eyJhbGciOiJSUzI1NiJ9.${hidden}.c2ln`),
    noPath("an object of JSON", () => `{"key":"${hidden}"}`),
    noPath("what is longer than a path", () => "a/".repeat(600)),
    noPath("what may be a secret, and names no file", () => "aB3".repeat(30)),
    file("a path with a line break", () => `${there()}\n`, ["path_malformed", "to the path alone"]),
    file("empty", () => write("empty", ""), ["file_empty", "Write the secret's value into the file"]),
    file("of two lines", () => write("two", `${hidden}\nb`), [
      "secret_malformed",
      "Write the secret's value into the file"
    ])
  ])

  it.effect("slow: file_unreadable", () =>
    told(
      Effect.raceFirst(
        NodeClientCredential.secretFile({ path: join(folder, "slow") }),
        Effect.andThen(TestClock.adjust("10 seconds"), Effect.never)
      ),
      {
        name: "",
        make: () => Effect.die("made above"),
        code: "file_unreadable",
        field: "path",
        remedy: "Check the volume or pipe",
        says: "could not be read within 10 s",
        files: Files(() => ({ stat: () => Effect.never }))
      }
    ))

  it.live("one that only its first look finds is read all the same", () =>
    Effect.gen(function*() {
      let looks = 0
      const files = Files((files) => ({
        stat: (path) => Effect.suspend(() => looks++ === 0 ? files.stat(path) : Effect.die(new Error("gone")))
      }))
      const credential = yield* Effect.provide(NodeClientCredential.secretFile({ path: there() }), files)
      assert.notStrictEqual(revisionOf(credential), "")
    }))

  it.live("a file that is replaced is read again", () =>
    Effect.gen(function*() {
      const path = write("replaced", "before")
      const credential = yield* Effect.provide(
        NodeClientCredential.secretFile({ path }, { reloadEvery: 0 }),
        NodeFileSystem.layer
      )
      const before = revisionOf(credential)
      write("replaced", "after")
      yield* authenticate(credential, attempt)
      assert.notStrictEqual(revisionOf(credential), before)
    }))

  it.live("a file whose second look failed is no pipe: it is read again", () =>
    Effect.gen(function*() {
      let looks = 0
      const files = Files((files) => ({
        stat: (path) => Effect.suspend(() => ++looks === 2 ? Effect.die(new Error("gone")) : files.stat(path))
      }))
      const path = write("replaced", "before")
      const credential = yield* Effect.provide(NodeClientCredential.secretFile({ path }, { reloadEvery: 0 }), files)
      const before = revisionOf(credential)
      write("replaced", "after")
      yield* authenticate(credential, attempt)
      assert.notStrictEqual(revisionOf(credential), before)
    }))
})

/** Whatever its size is. */
const stated = (type: FileSystem.File.Type) =>
  Files((files) => ({
    stat: (path) => Effect.map(files.stat(path), (info) => ({ ...info, type, size: ByteSize.bytes(1) }))
  }))

describe("files of certificates", () => {
  const page = "See docs/registering.md#a-certificate"
  const content = (
    name: string,
    text: () => string | Uint8Array,
    [code, remedy, field = "path"]: readonly [string, string, string?],
    secret?: string
  ): CredentialFault => ({
    name,
    make: () =>
      Effect.suspend(() =>
        NodeClientCredential.certificateFile({
          path: write("daemon.pem", text()),
          password: secret === undefined ? undefined : Redacted.make(secret)
        })
      ),
    code,
    field,
    remedy
  })
  const late = (...spans: ReadonlyArray<readonly [from: number, to: number]>) =>
    Effect.map(
      Effect.promise(() => makeDated(spans)),
      (pem) => ({ path: write("late.pem", pem) })
    )

  whenMade([
    content("nothing in it", () => " \n", ["file_empty", page]),
    content("something else in it", () => "AZURE_CLIENT_ID=1", ["certificate_unreadable", page]),
    content("a truncated certificate", () => rsa.leaf.slice(0, 400) + rsa.key.pkcs8, ["certificate_unreadable", page]),
    content("no certificate", () => rsa.key.pkcs8, ["certificate_missing", page]),
    content("no key", () => rsa.leaf, ["key_missing", "name the key's own file"]),
    content("a truncated key", () => rsa.leaf + rsa.key.pkcs8.slice(0, 400), ["key_unreadable", keyRemedy]),
    content("a locked key and no password", () => rsa.leaf + rsa.key.encrypted, [
      "key_password_missing",
      "Set password to the password of the key",
      "password"
    ]),
    content(
      "a locked key and a wrong password",
      () => rsa.leaf + rsa.key.encrypted,
      ["key_password_wrong", "Look for quotes and line breaks", "password"],
      hidden
    ),
    content("the key of another certificate", () => rsa.leaf + otherRsa.key.pkcs8, ["key_mismatch", page]),
    content("RSA with 1024 bits", () => short.certificate + Redacted.value(short.privateKey), [
      "key_unsupported",
      keyRemedy
    ]),
    ...([
      ["expired", [[-3, -2]], "certificate_expired", "Create a new certificate"],
      ["expired, each of two", [[-4, -3], [-3, -2]], "certificate_expired", "Create a new certificate"],
      ["not valid yet", [[1, 2]], "certificate_not_yet_valid", "Wait until then"],
      ["not valid yet, or not any more", [[1, 2], [-3, -2]], "certificate_expired", "Create a new certificate"]
    ] as const).map(([name, spans, code, remedy]): CredentialFault => ({
      name,
      make: () => Effect.flatMap(late(...spans), (file) => NodeClientCredential.certificateFile(file)),
      code,
      field: "path",
      remedy
    })),
    {
      name: "the key of another certificate, in its own file",
      make: () =>
        Effect.suspend(() =>
          NodeClientCredential.certificateFile({
            path: write("tls.crt", rsa.leaf),
            keyPath: write("tls.key", otherRsa.key.pkcs8)
          })
        ),
      code: "key_mismatch",
      field: "keyPath",
      remedy: page
    },
    {
      name: "the key's own file is missing",
      make: () =>
        Effect.suspend(() =>
          NodeClientCredential.certificateFile({ path: write("tls.crt", rsa.leaf), keyPath: join(folder, "no.key") })
        ),
      code: "file_missing",
      field: "keyPath",
      remedy: "that the file is there"
    },
    {
      name: "a damaged one beside a good one",
      make: () =>
        NodeClientCredential.certificate([
          { content: Redacted.make(rsa.leaf + rsa.key.pkcs8) },
          { content: Redacted.make(rsa.leaf.slice(0, 400) + rsa.key.pkcs8) }
        ]),
      code: "certificate_unreadable",
      field: "content",
      remedy: page
    },
    // PKCS#12; test/node/Pkcs12.test.ts has what openssl makes.
    content("one byte of what may be PKCS#12", () => Uint8Array.of(0x30), ["certificate_unreadable", page]),
    content("PKCS#12 with nothing in it", () => Uint8Array.of(0x30, 5, 2, 1, 3, 0x30, 0), [
      "pkcs12_unsupported",
      "Export it again"
    ]),
    content("PKCS#12 of no iterations", () => withoutRounds, ["pkcs12_unreadable", "Export or copy it again"])
  ])

  it.live("an expired one beside a good one is left out", () =>
    Effect.gen(function*() {
      const old = yield* Effect.promise(() => makeDated([[-3, -2]]))
      const credential = yield* NodeClientCredential.certificate([
        { content: Redacted.make(old) },
        { content: Redacted.make(rsa.leaf + rsa.key.pkcs8) }
      ])
      yield* authenticate(credential, attempt)
      assert.isDefined(credential.expiresOn?.())
    }))

  it.live("who reads into the same bytes each time is heard all the same", () =>
    Effect.gen(function*() {
      const [first, second] = [Buffer.from(ec.leaf + ec.key.pkcs8), Buffer.from(rsa.leaf + rsa.key.pkcs8)]
      const bytes = new Uint8Array(second.length)
      bytes.set(first)
      bytes.fill(0x0a, first.length)
      const load = Effect.sync(() => ({ content: Redacted.make(bytes) }))
      const credential = yield* NodeClientCredential.certificate(load, { reloadEvery: 0 })
      yield* authenticate(credential, attempt)
      const before = revisionOf(credential)
      bytes.set(second)
      yield* authenticate(credential, attempt)
      assert.notStrictEqual(revisionOf(credential), before)
    }))

  it.live("what is loaded again, and is locked by the same password, is what it was", () =>
    Effect.gen(function*() {
      const content = Redacted.make(rsa.leaf + rsa.key.encrypted)
      let loads = 0
      const load = Effect.sync(() => {
        loads++
        return { content, password: Redacted.make(password) }
      })
      const credential = yield* NodeClientCredential.certificate(load, { reloadEvery: 0 })
      yield* authenticate(credential, attempt)
      const before = revisionOf(credential)
      yield* authenticate(credential, attempt)
      assert.strictEqual(loads, 2)
      assert.strictEqual(revisionOf(credential), before)
    }))
})

/** Certificates of one key, valid from and to so many hours from now, and the key. */
const makeDated = async (spans: ReadonlyArray<readonly [from: number, to: number]>): Promise<string> => {
  const { X509CertificateGenerator } = await import("@peculiar/x509")
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const pems = await Promise.all(spans.map(async ([from, to]) => {
    const made = await X509CertificateGenerator.createSelfSigned({
      name: "CN=daemon",
      notBefore: new Date(Date.now() + from * hour),
      notAfter: new Date(Date.now() + to * hour),
      keys,
      signingAlgorithm: algorithm
    })
    return `${made.toString("pem")}\n`
  }))
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey))
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" })
  return pems.join("") + key.export({ format: "pem", type: "pkcs8" }).toString()
}

/** PKCS#12 with an empty content and a MAC over SHA-256 whose key is derived in no round at all. */
const withoutRounds = (() => {
  const stated = (tag: number, ...parts: ReadonlyArray<Uint8Array>) => {
    const value = Buffer.concat(parts)
    return Buffer.concat([Buffer.from([tag, value.length]), value])
  }
  const octets = stated(4, Buffer.alloc(8))
  const oid = (hex: string) => stated(6, Buffer.from(hex, "hex"))
  const data = stated(0x30, oid("2a864886f70d010701"), stated(0xa0, stated(4, stated(0x30))))
  const digest = stated(0x30, stated(0x30, oid("608648016503040201")), octets)
  return stated(0x30, stated(2, Buffer.of(3)), data, stated(0x30, digest, octets, stated(2, Buffer.of(0))))
})()

describe("files of tokens", () => {
  const remedy = "Check the program that writes the file"
  const token = (
    name: string,
    path: () => string,
    [code, remedy]: readonly [string, string],
    files?: Layer.Layer<FileSystem.FileSystem>
  ): CredentialFault => ({
    name,
    make: () => Effect.suspend(() => NodeClientCredential.federatedTokenFile({ path: path() })),
    files,
    code,
    field: "path",
    remedy
  })
  const unreadable = "the whole path of a regular file"
  const tokenOf = (exp: number) =>
    `eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify({ exp, hidden })).toString("base64url")}.c2ln`

  whenMade([
    token("missing", () => join(folder, "no-token"), ["file_missing", "that the file is there"]),
    token("a directory", () => folder, ["file_unreadable", unreadable]),
    token("a pipe", () => write("pipe", "eyJ.e30.c2ln"), ["file_unreadable", unreadable], typed("FIFO")),
    token("empty", () => write("no-text", "\n"), ["file_empty", remedy]),
    token("no token in it", () => write("no-jwt", hidden), ["assertion_malformed", remedy])
  ])

  whenUsed([
    {
      name: "gone, and the token that was there has expired",
      make: () =>
        Effect.gen(function*() {
          const path = write("gone", tokenOf(Math.floor(Date.now() / 1000) - 1))
          const credential = yield* NodeClientCredential.federatedTokenFile({ path })
          rmSync(path)
          return credential
        }),
      code: "file_missing",
      field: "path",
      remedy: "that the file is there"
    }
  ])
})

// -----------------------------------------------------------------------------
// the environment
// -----------------------------------------------------------------------------

describe("the environment", () => {
  const variables = (
    name: string,
    environment: Readonly<Record<string, string>>,
    told: Pick<CredentialFault, "code" | "field" | "remedy"> & Partial<CredentialFault>
  ): CredentialFault => ({
    name,
    make: () =>
      NodeClientCredential.fromEnv().pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment)))
      ),
    ...told
  })
  const certificate = "AZURE_CLIENT_CERTIFICATE_PATH"

  whenMade([
    variables("nothing is set", {}, {
      code: "credential_missing",
      field: "AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE",
      remedy: "Set one of these variables"
    }),
    variables("a password without its certificate", { AZURE_CLIENT_CERTIFICATE_PASSWORD: hidden }, {
      code: "credential_incomplete",
      field: certificate,
      remedy: "unset AZURE_CLIENT_CERTIFICATE_PASSWORD"
    }),
    variables("password and chain without their certificate", {
      AZURE_CLIENT_CERTIFICATE_PASSWORD: hidden,
      AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "true"
    }, {
      code: "credential_incomplete",
      field: certificate,
      remedy: "unset AZURE_CLIENT_CERTIFICATE_PASSWORD and AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"
    }),
    variables("a certificate that is not there", { [certificate]: "/nowhere/daemon.pem" }, {
      code: "file_missing",
      field: certificate,
      remedy: "that the file is there"
    }),
    variables("a token that is not there", { AZURE_FEDERATED_TOKEN_FILE: "/nowhere/token" }, {
      code: "file_missing",
      field: "AZURE_FEDERATED_TOKEN_FILE",
      remedy: "that the file is there"
    })
  ])
})

// -----------------------------------------------------------------------------
// identities
// -----------------------------------------------------------------------------

describe("managed identities", () => {
  const identity = (
    name: string,
    options: ManagedIdentity.Options,
    environment: Readonly<Record<string, string>>,
    told: Pick<CredentialFault, "code" | "field" | "remedy">
  ): CredentialFault => ({
    name,
    make: () =>
      ManagedIdentity.assertion(options).pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment)))
      ),
    ...told
  })
  const malformed = (name: string, identity_: unknown) =>
    identity(name, untyped({ identity: identity_ }), {}, {
      code: "identity_malformed",
      field: "identity",
      remedy: "Copy one of the ids from the managed identity's overview"
    })
  const incomplete = (
    name: string,
    source: ManagedIdentity.Source,
    variable: string,
    environment: Record<string, string>,
    remedy = `Leave ${variable} as the platform sets it`
  ) => identity(name, { source }, environment, { code: "managed_identity_incomplete", field: variable, remedy })
  const unsupported = (
    name: string,
    options: ManagedIdentity.Options,
    field: string,
    environment: Record<string, string>,
    remedy: string
  ) => identity(name, options, environment, { code: "managed_identity_unsupported", field, remedy })
  const guid = "7c9e4d20-51b8-4f3a-b6d7-2a8f0e93c415"
  const arc = "http://localhost:40342/metadata/identity/oauth2/token"

  whenMade([
    malformed("an identity that is null", null),
    malformed("an identity that is text", guid),
    malformed("an identity that is empty", {}),
    malformed("two ids", { clientId: guid, objectId: guid }),
    malformed("a client id that is none", { clientId: "daemon" }),
    malformed("a client id that is a number", { clientId: 7 }),
    malformed("a resource's name instead of its path", { resourceId: "daemon" }),
    malformed("an endless id", { resourceId: `/subscriptions/a/resourceGroups/${"b".repeat(1100)}/providers/c/d/e` }),
    unsupported("a source that is none", untyped({ source: "moon" }), "source", {}, `Pass "imds"`),
    unsupported("Service Fabric", {}, "IDENTITY_SERVER_THUMBPRINT", {
      IDENTITY_ENDPOINT: arc,
      IDENTITY_HEADER: hidden,
      IDENTITY_SERVER_THUMBPRINT: "AA"
    }, "Use another credential there"),
    unsupported("Cloud Shell", {}, "MSI_ENDPOINT", { MSI_ENDPOINT: arc }, "Use another credential there"),
    unsupported("a user-assigned identity at Azure Arc", { identity: { clientId: guid } }, "identity", {
      IDENTITY_ENDPOINT: arc,
      IMDS_ENDPOINT: "http://localhost:40342"
    }, "Leave identity out"),
    incomplete(
      "App Service without an endpoint",
      "appService",
      "IDENTITY_ENDPOINT",
      { IDENTITY_HEADER: hidden },
      "restart it"
    ),
    incomplete(
      "App Service without a header",
      "appService",
      "IDENTITY_HEADER",
      { IDENTITY_ENDPOINT: arc },
      "restart it"
    ),
    incomplete("a header that none may be", "appService", "IDENTITY_HEADER", {
      IDENTITY_ENDPOINT: arc,
      IDENTITY_HEADER: `${hidden}\r\nx: y`
    }),
    incomplete("an endpoint that is no URL", "azureArc", "IDENTITY_ENDPOINT", { IDENTITY_ENDPOINT: "localhost" }),
    incomplete("an endpoint with a password", "azureArc", "IDENTITY_ENDPOINT", {
      IDENTITY_ENDPOINT: `http://a:${hidden}@localhost/`
    }),
    incomplete("an address of IMDS that is none", "imds", "AZURE_POD_IDENTITY_AUTHORITY_HOST", {
      AZURE_POD_IDENTITY_AUTHORITY_HOST: "file:///imds"
    })
  ])
})
