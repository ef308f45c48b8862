/** Setups that are broken in one way each, and the remedy of each. */
import { Effect, Option, Redacted, type Scope } from "effect"
import type { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate, TestIssuer } from "effect-entra/testing"
import { execFileSync, spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { join } from "node:path"
import type { Finding } from "../../src/cli/internal/doctor/finding.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { freePort } from "../support/ports.ts"
import { proxyTo } from "../support/proxy.ts"
import { standalone } from "../support/redis.ts"
import { serve } from "../support/server.ts"
import { type Place, secret, type Settings, trusting } from "./doctorWorld.ts"

export interface SetUp {
  readonly name: string
  readonly world?: Parameters<typeof SimulatorServer.layerHttps>[0]
  /** True if this process does not trust the simulator's certificate yet. */
  readonly untrusted?: true
  /** Breaks the place, and returns the settings and the effect that applies the remedy. */
  readonly make: (place: Place) => Effect.Effect<
    { readonly broken: Settings; readonly mend: Effect.Effect<Settings, never, Scope.Scope> },
    never,
    Scope.Scope
  >
  readonly finding: {
    readonly step: Finding["step"]
    readonly status: "warn" | "fail"
    readonly detail: RegExp
    readonly remedy: RegExp
    readonly aadsts?: number
  }
}

const { contosoTenantId, daemonClientId, fabrikamTenantId } = EntraSimulator

const setUp = (
  name: string,
  step: Finding["step"],
  detail: RegExp,
  remedy: RegExp,
  make: SetUp["make"],
  options: Pick<SetUp, "world" | "untrusted"> & { readonly status?: "warn"; readonly aadsts?: number } = {}
): SetUp => ({
  name,
  ...(options.world === undefined ? {} : { world: options.world }),
  ...(options.untrusted === undefined ? {} : { untrusted: options.untrusted }),
  make,
  finding: {
    step,
    status: options.status ?? "fail",
    detail,
    remedy,
    ...(options.aadsts === undefined ? {} : { aadsts: options.aadsts })
  }
})

/** Broken settings, and right ones. */
const settings = (broken: Settings, mended: Settings = {}): SetUp["make"] => () =>
  Effect.succeed({ broken, mend: Effect.succeed(mended) })

const env = (variables: NonNullable<Settings["env"]>, mended: NonNullable<Settings["env"]> = {}) =>
  settings({ env: variables }, { env: mended })

/** A state of the service, and its change. The settings stay as they are. */
const service = (
  breaks: (place: Place) => Effect.Effect<unknown>,
  mends: (place: Place) => Effect.Effect<unknown>,
  same: Settings = {}
): SetUp["make"] =>
(place) => Effect.as(breaks(place), { broken: same, mend: Effect.as(mends(place), same) })

// -----------------------------------------------------------------------------
// material
// -----------------------------------------------------------------------------

const app = { clientId: daemonClientId, secrets: [EntraSimulator.daemonSecret] }

const makeCertificate = TestCertificate.make({ algorithm: "EC" })

const pemOf = ({ certificate, privateKey }: TestCertificate.TestCertificate) =>
  `${certificate}${Redacted.value(privateKey)}`

/** Settings with a certificate file instead of the secret. */
const withCertificate = (path: string, more: NonNullable<Settings["env"]> = {}): Settings => ({
  env: { AZURE_CLIENT_SECRET: undefined, AZURE_CLIENT_CERTIFICATE_PATH: path, ...more }
})

/** A certificate that the app has, and its file. */
const registered = Effect.fnUntraced(function*(place: Place, options: TestCertificate.Options = {}) {
  const made = yield* TestCertificate.make({ algorithm: "EC", ...options })
  yield* place.simulator.addCertificate(daemonClientId, made.certificate)
  return { ...made, path: yield* place.write("registered.pem", pemOf(made)) }
})

const login = "login.microsoftonline.com"

/** The port of a server that is no proxy: it accepts connections, and says the greeting or nothing. */
export const greeter = (greeting?: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
        const open = new Set<Socket>()
        const server = createServer((socket) => {
          open.add(socket.on("error", () => {}))
          if (greeting !== undefined) socket.write(greeting)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            close: () => {
              for (const socket of open) socket.destroy()
              server.close()
            }
          }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ port }) => port
  )

/** A proxy variable that leads nowhere, until it names the proxy of these tests. */
const wrongProxy = (broken: Effect.Effect<string, never, Scope.Scope>): SetUp["make"] => (place) =>
  Effect.map(broken, (url) => ({
    broken: proxied(url),
    mend: Effect.map(proxyTo(place.port), ({ url }) => proxied(url))
  }))

const unresolved = "login.contoso.invalid"

/** Settings for Microsoft's host, which only the proxy of these tests leads to the simulator. */
const proxied = (proxy: string): Settings => ({
  env: { AZURE_AUTHORITY_HOST: `https://${login}`, HTTPS_PROXY: proxy }
})

const cluster = TestIssuer.make({ issuer: "https://oidc.cluster.example/1234/" })
const subject = "system:serviceaccount:orders:my-daemon"

/** A project whose packages load these versions of `effect`. */
const projectWith = (folder: string, versions: { readonly own: string; readonly dependency?: string }) => {
  const put = (path: string, manifest: object) => {
    mkdirSync(join(folder, path), { recursive: true })
    writeFileSync(join(folder, path, "package.json"), JSON.stringify(manifest))
  }
  put(".", { dependencies: { effect: "^4.1.0", "some-library": "1.0.0", absent: "1.0.0" } })
  put("node_modules/effect", { name: "effect", version: versions.own })
  put("node_modules/some-library", { name: "some-library", version: "1.0.0", peerDependencies: { effect: "*" } })
  if (versions.dependency !== undefined) {
    put("node_modules/some-library/node_modules/effect", { name: "effect", version: versions.dependency })
  }
  return folder
}

const project = (
  broken: Parameters<typeof projectWith>[1]
): SetUp["make"] =>
(place) =>
  Effect.succeed({
    broken: { project: projectWith(join(place.folder, "broken"), broken) },
    mend: Effect.sync(() => ({ project: projectWith(join(place.folder, "mended"), { own: "4.1.0" }) }))
  })

// -----------------------------------------------------------------------------
// setups
// -----------------------------------------------------------------------------

export const setUps: ReadonlyArray<SetUp> = [
  // runtime and packages
  setUp(
    "Node 20",
    "runtime",
    /^Node 20\.11\.1 is not supported\.$/,
    /^Install Node 22\.19\.0 or later\.$/,
    settings({ runtime: { node: "20.11.1" } })
  ),
  setUp(
    "two versions of effect",
    "packages",
    /^2 copies of effect with different versions: 4\.1\.0 for the project .*; 4\.2\.0 for some-library /,
    /npm dedupe.*overrides/,
    project({ own: "4.1.0", dependency: "4.2.0" })
  ),
  setUp(
    "two copies of one version of effect",
    "packages",
    /^2 copies of effect: 4\.1\.0 for the project/,
    /npm dedupe/,
    project({ own: "4.1.0", dependency: "4.1.0" }),
    { status: "warn" }
  ),
  setUp(
    "effect 3",
    "packages",
    /^effect 3\.19\.2 .*, loaded by the project and some-library, is not supported\.$/,
    /npm i effect@\^4\.1\.0/,
    project({ own: "3.19.2" })
  ),

  // configuration
  setUp(
    "no client id",
    "configuration",
    /^AZURE_CLIENT_ID is empty or not set\.$/,
    /application \(client\) id/,
    env({ AZURE_CLIENT_ID: undefined })
  ),
  setUp(
    "the variables of Terraform",
    "configuration",
    /^AZURE_CLIENT_ID is empty or not set\.$/,
    /^ARM_CLIENT_ID is set, but not read\. Set AZURE_CLIENT_ID instead\./,
    env({
      AZURE_CLIENT_ID: undefined,
      AZURE_TENANT_ID: undefined,
      AZURE_CLIENT_SECRET: undefined,
      ARM_CLIENT_ID: daemonClientId,
      ARM_TENANT_ID: contosoTenantId,
      ARM_CLIENT_SECRET: secret
    })
  ),
  setUp(
    "misspelled names of the client id",
    "configuration",
    /^AZURE_CLIENT_ID is empty or not set\.$/,
    /^AZURE_CLIENTID and azure_client_id are set, but not read\. Set AZURE_CLIENT_ID instead\./,
    env({ AZURE_CLIENT_ID: undefined, AZURE_CLIENTID: daemonClientId, azure_client_id: daemonClientId })
  ),
  setUp(
    "a secret in the variable of another tool",
    "configuration",
    /^No credential is set/,
    /^ENTRA_CLIENT_SECRET is set, but not read\. Set AZURE_CLIENT_SECRET instead\./,
    env({ AZURE_CLIENT_SECRET: undefined, ENTRA_CLIENT_SECRET: secret })
  ),
  setUp(
    "a tenant in the variable of another tool",
    "configuration",
    /^Neither the request nor the client has a tenant\.$/,
    /^TENANT_ID is set, but not read\. Set AZURE_TENANT_ID instead\./,
    env({ AZURE_TENANT_ID: undefined, TENANT_ID: contosoTenantId })
  ),
  setUp(
    "the client id of a template",
    "configuration",
    /^AZURE_CLIENT_ID "<your-client-id>" is a placeholder/,
    /^Replace the placeholder/,
    env({ AZURE_CLIENT_ID: "<your-client-id>" })
  ),
  setUp(
    "the client id of a missing variable",
    "configuration",
    /^AZURE_CLIENT_ID "undefined" is a placeholder\.$/,
    /^Replace the placeholder/,
    env({ AZURE_CLIENT_ID: "undefined" })
  ),
  setUp(
    "the app's name as the client id",
    "configuration",
    /^AZURE_CLIENT_ID is not a GUID/,
    /^Set AZURE_CLIENT_ID to the application \(client\) id/,
    env({ AZURE_CLIENT_ID: "my-daemon" }),
    { status: "warn" }
  ),
  setUp(
    "the default secret",
    "configuration",
    /^AZURE_CLIENT_SECRET is a placeholder\.$/,
    /Set AZURE_CLIENT_SECRET to exactly the secret's value/,
    env({ AZURE_CLIENT_SECRET: "changeme" })
  ),
  setUp(
    "no credential",
    "configuration",
    /^No credential is set/,
    /^Set one of these variables, or pass --secret-file/,
    env({ AZURE_CLIENT_SECRET: undefined })
  ),
  setUp(
    "a secret and a certificate",
    "configuration",
    /^several credentials are set: AZURE_CLIENT_SECRET is used, AZURE_CLIENT_CERTIFICATE_PATH is ignored\.$/,
    /^Unset the others\.$/,
    env({ AZURE_CLIENT_CERTIFICATE_PATH: "/run/secrets/daemon.pem" }, { AZURE_CLIENT_CERTIFICATE_PATH: undefined }),
    { status: "warn" }
  ),
  setUp(
    "no tenant",
    "configuration",
    /^Neither the request nor the client has a tenant\.$/,
    /^Set AZURE_TENANT_ID, or pass --tenant/,
    env({ AZURE_TENANT_ID: undefined })
  ),
  setUp(
    "the tenant common",
    "configuration",
    /^The tenant "common" stands for several tenants/,
    /^Set AZURE_TENANT_ID, or pass --tenant/,
    env({ AZURE_TENANT_ID: "common" })
  ),
  setUp(
    "the tenant common in its flag",
    "configuration",
    /^The tenant "common" stands for several tenants/,
    /^Pass --tenant: the id or a domain name of the tenant whose data the app uses\.$/,
    settings(
      { flags: { tenant: Option.some("common") } },
      { env: { AZURE_TENANT_ID: undefined }, flags: { tenant: Option.some(contosoTenantId) } }
    )
  ),
  setUp(
    "an authority without TLS",
    "configuration",
    /^AZURE_AUTHORITY_HOST .*http/,
    /https/,
    (place) =>
      Effect.succeed({
        broken: { env: { AZURE_AUTHORITY_HOST: place.origin.replace("https", "http") } },
        mend: Effect.succeed({})
      })
  ),
  setUp(
    "an authority without its scheme",
    "configuration",
    /^AZURE_AUTHORITY_HOST .* is not an absolute URL\.$/,
    /^Prepend https:\/\/ to AZURE_AUTHORITY_HOST\.$/,
    (place) =>
      Effect.succeed({
        broken: { env: { AZURE_AUTHORITY_HOST: login } },
        mend: Effect.map(proxyTo(place.port), ({ url }) => proxied(url))
      }),
    { world: { hosts: [login] } }
  ),
  setUp(
    "an authority with a port and without its scheme",
    "configuration",
    /^AZURE_AUTHORITY_HOST "localhost:\d+" is not an absolute URL\.$/,
    /^Prepend https:\/\/ to AZURE_AUTHORITY_HOST\.$/,
    (place) =>
      Effect.succeed({
        broken: { env: { AZURE_AUTHORITY_HOST: place.origin.replace("https://", "") } },
        mend: Effect.succeed({})
      })
  ),
  setUp(
    "the flag of an authority with a port and without its scheme",
    "configuration",
    /^--authority "localhost:\d+" is not an absolute URL\.$/,
    /^Prepend https:\/\/ to --authority\.$/,
    ({ origin }) =>
      Effect.succeed({
        broken: { flags: { authority: Option.some(origin.replace("https://", "")) } },
        mend: Effect.succeed({ flags: { authority: Option.some(origin) } })
      })
  ),
  setUp(
    "an authority with a query, whose remedy has a host alone",
    "configuration",
    /^AZURE_AUTHORITY_HOST .* contains a query or a fragment\.$/,
    /such as https:\/\/login\.microsoftonline\.com, or the name of a cloud\.$/,
    (place) =>
      Effect.map(proxyTo(place.port), ({ url }) => ({
        broken: { env: { AZURE_AUTHORITY_HOST: `https://${login}?tenant=contoso` } },
        mend: Effect.succeed(proxied(url))
      })),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a key file as the secret",
    "configuration",
    /^AZURE_CLIENT_SECRET looks like the content of a certificate or key file\.$/,
    /^To authenticate with a certificate, set AZURE_CLIENT_CERTIFICATE_PATH to the path of its file/,
    Effect.fnUntraced(function*(place) {
      const made = yield* TestCertificate.make({ algorithm: "RSA" })
      yield* place.simulator.addCertificate(daemonClientId, made.certificate)
      const path = yield* place.write("rsa.pem", pemOf(made))
      return {
        broken: { env: { AZURE_CLIENT_SECRET: pemOf(made) } },
        mend: Effect.succeed(withCertificate(path))
      }
    })
  ),

  // credential
  setUp(
    "a certificate file that is absent",
    "credential",
    /^AZURE_CLIENT_CERTIFICATE_PATH names .*absent\.pem", which does not exist\.$/,
    /^Check AZURE_CLIENT_CERTIFICATE_PATH/,
    (place) =>
      Effect.succeed({
        broken: withCertificate(join(place.folder, "absent.pem")),
        mend: Effect.map(registered(place), ({ path }) => withCertificate(path))
      })
  ),
  ...([
    ["~/daemon.pem", /, which does not exist, because ~ was not expanded\.$/, /^Write the home folder/],
    ["$HOME/daemon.pem", /, because its variable was not expanded\.$/, /^Write the value of the variable/],
    ["file:///run/daemon.pem", /, because it is a URL and not a path\.$/, /^Write the path alone/],
    [
      "keys/daemon.pem",
      /, which does not exist\.$/,
      /^Check AZURE_CLIENT_CERTIFICATE_PATH, which is relative to the folder "\//
    ],
    ["/dev/null", /, which is a device or a socket\.$/, /to the whole path of a regular file\.$/]
  ] as const).map(([path, detail, remedy]) =>
    setUp(`the certificate file ${path}`, "credential", detail, remedy, (place) =>
      Effect.succeed({
        broken: withCertificate(path),
        mend: Effect.map(registered(place), ({ path }) => withCertificate(path))
      }))
  ),
  setUp(
    "a secret file that is too large",
    "credential",
    /^--secret-file names .*, which is larger than 1 MiB\.$/,
    /^Check that --secret-file names the right file\./,
    Effect.fnUntraced(function*(place) {
      const path = yield* place.write("secret", "x".repeat(1_048_577))
      const same = { env: { AZURE_CLIENT_SECRET: undefined }, flags: { secretFile: Option.some(path) } }
      return { broken: same, mend: Effect.as(place.write("secret", secret), same) }
    })
  ),
  setUp(
    "a certificate with another key",
    "credential",
    /^AZURE_CLIENT_CERTIFICATE_PATH names .*, which holds a private key that matches none of its certificates\.$/,
    /^Use the certificate together with the private key/,
    Effect.fnUntraced(function*(place) {
      const { certificate } = yield* makeCertificate
      const { privateKey } = yield* makeCertificate
      return {
        broken: withCertificate(yield* place.write("mixed.pem", pemOf({ certificate, privateKey }))),
        mend: Effect.map(registered(place), ({ path }) => withCertificate(path))
      }
    })
  ),
  setUp(
    "an expired certificate",
    "credential",
    /which holds a certificate that expired at 20\d\d-/,
    /^Create a new certificate and register it/,
    Effect.fnUntraced(function*(place) {
      const now = Date.now()
      const expired = yield* TestCertificate.make({
        algorithm: "EC",
        notBefore: new Date(now - 7_200_000),
        notAfter: new Date(now - 3_600_000)
      })
      return {
        broken: withCertificate(yield* place.write("expired.pem", pemOf(expired))),
        mend: Effect.map(registered(place), ({ path }) => withCertificate(path))
      }
    })
  ),
  setUp(
    "a certificate that expires in a week",
    "credential",
    /^The certificate matches its key, but expires soon: thumbprint [0-9A-F]{40} \(SHA-256 [0-9A-F]{64}\), expires at 20/,
    /^Create a new certificate and register it/,
    Effect.fnUntraced(function*(place) {
      const { path } = yield* registered(place, { notAfter: new Date(Date.now() + 7 * 86_400_000) })
      return {
        broken: withCertificate(path),
        mend: Effect.map(registered(place), ({ path }) => withCertificate(path))
      }
    }),
    { status: "warn" }
  ),
  setUp(
    "a PFX with a wrong password",
    "credential",
    /AZURE_CLIENT_CERTIFICATE_PASSWORD/,
    /password/i,
    Effect.fnUntraced(function*(place) {
      ensureOpenssl()
      const { path } = yield* registered(place)
      const pfx = join(place.folder, "daemon.pfx")
      const made = spawnSync("openssl", [
        "pkcs12",
        "-export",
        "-in",
        path,
        "-out",
        pfx,
        "-passout",
        "pass:right~password"
      ])
      if (made.status !== 0) return yield* Effect.die(new Error(made.stderr.toString()))
      return {
        broken: withCertificate(pfx, { AZURE_CLIENT_CERTIFICATE_PASSWORD: "wrong~password" }),
        mend: Effect.succeed(withCertificate(pfx, { AZURE_CLIENT_CERTIFICATE_PASSWORD: "right~password" }))
      }
    })
  ),
  setUp(
    "a federated token file that is absent",
    "credential",
    /^AZURE_FEDERATED_TOKEN_FILE names .*, which does not exist\.$/,
    /^Check AZURE_FEDERATED_TOKEN_FILE/,
    Effect.fnUntraced(function*(place) {
      const issuer = yield* cluster
      yield* place.simulator.trustIssuer(issuer)
      yield* place.simulator.addFederatedCredential(daemonClientId, { issuer: issuer.issuer, subject })
      const path = join(place.folder, "token")
      const same = { env: { AZURE_CLIENT_SECRET: undefined, AZURE_FEDERATED_TOKEN_FILE: path } }
      return {
        broken: same,
        mend: Effect.as(
          Effect.flatMap(issuer.issue({ subject }), (token) => place.write("token", Redacted.value(token))),
          same
        )
      }
    })
  ),
  setUp(
    "a secret file of two lines",
    "credential",
    /^--secret-file names .*, which holds more than one line\.$/,
    /^Write the secret's value into the file/,
    Effect.fnUntraced(function*(place) {
      const path = yield* place.write("secret", `# the secret\n${secret}\n`)
      const same = { env: { AZURE_CLIENT_SECRET: undefined }, flags: { secretFile: Option.some(path) } }
      return { broken: same, mend: Effect.as(place.write("secret", `${secret}\r\n`), same) }
    })
  ),
  ...[" ", "\t", "\u00a0", " \n"].map((space) =>
    setUp(
      `a secret file with white space at its end: ${JSON.stringify(space)}`,
      "credential",
      /^The client secret begins or ends with white space, which is sent as a part of it\.$/,
      /^Remove the white space from the file\./,
      Effect.fnUntraced(function*(place) {
        const path = yield* place.write("secret", `${secret}${space}`)
        const same = { env: { AZURE_CLIENT_SECRET: undefined }, flags: { secretFile: Option.some(path) } }
        return { broken: same, mend: Effect.as(place.write("secret", `${secret}\n`), same) }
      }),
      { status: "warn" }
    )
  ),

  setUp(
    "a certificate without its key",
    "credential",
    /^AZURE_CLIENT_CERTIFICATE_PATH .*holds no private key/,
    /^Put the certificate and its private key into one file\. See/,
    (place) =>
      Effect.gen(function*() {
        const { certificate, path } = yield* registered(place)
        return {
          broken: withCertificate(yield* place.write("alone.cer", certificate)),
          mend: Effect.succeed(withCertificate(path))
        }
      })
  ),

  ...([
    [
      "DER",
      ["x509", "-outform", "DER", "-in"],
      /, which holds a certificate in DER, without its private key\.$/,
      /-inform DER/
    ],
    ["PKCS#7", ["crl2pkcs7", "-nocrl", "-certfile"], /, which holds PKCS#7 \(P7B\)/, /together with its private key/]
  ] as const).map(([format, args, detail, remedy]) =>
    setUp(`a certificate in ${format}`, "credential", detail, remedy, (place) =>
      Effect.gen(function*() {
        ensureOpenssl()
        const { certificate, path } = yield* registered(place)
        const out = join(place.folder, "certificate")
        execFileSync("openssl", [...args, yield* place.write("leaf.pem", certificate), "-out", out])
        return { broken: withCertificate(out), mend: Effect.succeed(withCertificate(path)) }
      }))
  ),
  setUp(
    "a password of a PFX that has none",
    "credential",
    /^AZURE_CLIENT_CERTIFICATE_PASSWORD does not open the PKCS#12/,
    /If the file has no password, unset AZURE_CLIENT_CERTIFICATE_PASSWORD\.$/,
    Effect.fnUntraced(function*(place) {
      ensureOpenssl()
      const { path } = yield* registered(place)
      const pfx = join(place.folder, "open.pfx")
      execFileSync("openssl", ["pkcs12", "-export", "-in", path, "-out", pfx, "-passout", "pass:"])
      return {
        broken: withCertificate(pfx, { AZURE_CLIENT_CERTIFICATE_PASSWORD: "wrong~password" }),
        mend: Effect.succeed(withCertificate(pfx))
      }
    })
  ),
  setUp(
    "a key in the format of OpenSSH",
    "credential",
    /^AZURE_CLIENT_CERTIFICATE_PATH names .*ssh\.pem", which holds a private key in the format of OpenSSH\.$/,
    /^Convert the key in a file of its own: ssh-keygen -p -m PKCS8 -f <file>\./,
    Effect.fnUntraced(function*(place) {
      const made = yield* TestCertificate.make({ algorithm: "RSA" })
      yield* place.simulator.addCertificate(daemonClientId, made.certificate)
      const key = yield* place.write("key", Redacted.value(made.privateKey))
      chmodSync(key, 0o600)
      const keygen = (format: string) => {
        const { status, stderr } = spawnSync("ssh-keygen", ["-p", "-m", format, "-N", "", "-f", key])
        return status === 0
          ? Effect.sync(() => made.certificate + readFileSync(key, "utf8"))
          : Effect.die(new Error(`${stderr}`))
      }
      const path = yield* place.write("ssh.pem", yield* keygen("RFC4716"))
      return {
        broken: withCertificate(path),
        mend: keygen("PKCS8").pipe(
          Effect.flatMap((pem) => place.write("ssh.pem", pem)),
          Effect.as(withCertificate(path))
        )
      }
    })
  ),

  // proxy
  setUp(
    "the URL of a SOCKS proxy",
    "proxy",
    /^HTTPS_PROXY names a proxy that is neither http nor https/,
    /^Use the HTTP port of the proxy\. SOCKS is not supported\.$/,
    Effect.fnUntraced(function*(place) {
      const { url } = yield* proxyTo(place.port)
      return {
        broken: proxied(url.replace("http:", "socks5:")),
        mend: Effect.succeed(proxied(url))
      }
    }),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a proxy that refuses the host",
    "proxy",
    /^The proxy 127\.0\.0\.1:\d+ does not connect to login\.microsoftonline\.com:443 \(PROXY_RESPONSE_403\)\.$/,
    /^The proxy refuses connections to this host\. Allow the host/,
    Effect.fnUntraced(function*(place) {
      const refusing = yield* proxyTo(place.port, { refusal: 403 })
      return {
        broken: proxied(refusing.url),
        mend: Effect.map(proxyTo(place.port), ({ url }) => proxied(url))
      }
    }),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a proxy without its password",
    "proxy",
    /\(PROXY_RESPONSE_407\)\.$/,
    /^The proxy requires a user name and password/,
    Effect.fnUntraced(function*(place) {
      const { url } = yield* proxyTo(place.port, { credentials: { username: "app", password: "proxy~password" } })
      return {
        broken: proxied(url),
        mend: Effect.succeed(proxied(url.replace("//", "//app:proxy~password@")))
      }
    }),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a proxy that is down",
    "proxy",
    /\(PROXY_ECONNREFUSED\)\.$/,
    /^The proxy could not be reached, [^]*transport\)\.$/,
    (place) =>
      Effect.map(freePort, (port) => ({
        broken: proxied(`http://127.0.0.1:${port}`),
        mend: Effect.map(proxyTo(place.port), ({ url }) => proxied(url))
      })),
    { world: { hosts: [login] } }
  ),

  setUp(
    "the proxy of a simulator that has stopped",
    "proxy",
    /\(PROXY_ECONNREFUSED\)\.$/,
    /start npx effect-entra simulate again, or remove its variables HTTPS_PROXY, .* \(unset\)\.$/,
    (place) =>
      Effect.map(freePort, (port) => {
        const { env } = proxied(`http://localhost:${port}`)
        return {
          broken: { env: { ...env, NODE_USE_ENV_PROXY: "1" } },
          mend: Effect.map(proxyTo(place.port), ({ url }) => proxied(url))
        }
      }),
    { world: { hosts: [login] } }
  ),

  setUp(
    "a host that the proxy does not find",
    "proxy",
    /\(PROXY_RESPONSE_502\)\.$/,
    /^The proxy could not resolve or reach this host\. Check the host \(AZURE_AUTHORITY_HOST\) for typing errors/,
    wrongProxy(Effect.map(proxyTo(0, { refusal: 502 }), ({ url }) => url)),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a proxy that does not answer CONNECT",
    "proxy",
    /^The proxy 127\.0\.0\.1:\d+ does not connect to login\.microsoftonline\.com:443 \((?:TIMEOUT|UND_ERR_HEADERS_TIMEOUT)\)\.$/,
    /^Check that HTTPS_PROXY names the HTTP port of a proxy, and that the proxy reaches login\.microsoftonline\.com:443\./,
    wrongProxy(Effect.map(greeter(), (port) => `http://127.0.0.1:${port}`)),
    { world: { hosts: [login] } }
  ),
  setUp(
    "a mail server in place of the proxy",
    "proxy",
    /^The proxy 127\.0\.0\.1:\d+ does not connect to login\.microsoftonline\.com:443 \((?:HPE_\w+|Response does not match the HTTP.*)\)\.$/,
    /^Set HTTPS_PROXY to the host and the HTTP port of the proxy\. 127\.0\.0\.1:\d+ does not speak HTTP\./,
    wrongProxy(Effect.map(greeter("220 smtp ready\r\n"), (port) => `http://127.0.0.1:${port}`)),
    { world: { hosts: [login] } }
  ),
  setUp(
    "https:// for a proxy without TLS",
    "proxy",
    /\(PROXY_ERR_SSL_\w+\)\.$/,
    /^Write http:\/\/ instead of https:\/\/ in HTTPS_PROXY\./,
    wrongProxy(Effect.map(proxyTo(0), ({ url }) => url.replace("http:", "https:"))),
    { world: { hosts: [login] } }
  ),

  // names, connection, TLS
  setUp(
    "a host name with a typing error",
    "dns",
    /^The name login\.contoso\.invalid has no address \((?:ENOTFOUND|EAI_AGAIN)\)\.$/,
    /^Check the host for typing errors \(AZURE_AUTHORITY_HOST\)/,
    env({ AZURE_AUTHORITY_HOST: "https://login.contoso.invalid" })
  ),
  setUp(
    "a port where nothing listens",
    "connect",
    /^No connection to localhost:\d+ \(ECONNREFUSED\)\.$/,
    /^Check that localhost:\d+ is the right host and port/,
    () =>
      Effect.map(freePort, (port) => ({
        broken: { env: { AZURE_AUTHORITY_HOST: `https://localhost:${port}` } },
        mend: Effect.succeed({})
      }))
  ),
  setUp(
    "a simulator that has stopped",
    "connect",
    /^No connection to localhost:\d+ \(ECONNREFUSED\)\.$/,
    /If it is a simulator that has stopped, .* remove its variables HTTPS_PROXY, .* and AZURE_AUTHORITY_HOST from this shell \(unset\)\.$/,
    () =>
      Effect.map(freePort, (port) => ({
        broken: { env: { AZURE_AUTHORITY_HOST: `https://localhost:${port}` } },
        mend: Effect.succeed({})
      }))
  ),
  setUp(
    "a host in NO_PROXY that only the proxy can resolve",
    "dns",
    /^The name login\.contoso\.invalid has no address/,
    /If only a proxy can resolve names, remove login\.contoso\.invalid from NO_PROXY\.$/,
    (place) =>
      Effect.map(proxyTo(place.port), ({ url }) => {
        const env = { AZURE_AUTHORITY_HOST: `https://${unresolved}`, HTTPS_PROXY: url }
        return { broken: { env: { ...env, NO_PROXY: ".invalid" } }, mend: Effect.succeed({ env }) }
      }),
    { world: { hosts: [unresolved] } }
  ),
  setUp(
    "a server without TLS",
    "tls",
    /^The TLS handshake with localhost:\d+ failed \((?:ERR_SSL_\w+|EPROTO)\)\.$/,
    /serves https/,
    () =>
      Effect.map(serve((_, response) => response.end("not TLS")), (port) => ({
        broken: { env: { AZURE_AUTHORITY_HOST: `https://localhost:${port}` } },
        mend: Effect.succeed({})
      }))
  ),
  setUp(
    "a certificate of an authority that is not trusted",
    "tls",
    /\(SELF_SIGNED_CERT_IN_CHAIN\)\. The certificate of localhost \(localhost\) was issued by effect-entra test authority, and expires at 20/,
    /Set NODE_EXTRA_CA_CERTS to a file with the authority's certificate/,
    (place) => Effect.succeed({ broken: {}, mend: Effect.as(trusting(place.certificate), {}) }),
    { untrusted: true }
  ),
  setUp(
    "an absent file of certificate authorities",
    "tls",
    /\. NODE_EXTRA_CA_CERTS names "\/no\/such\.pem", which cannot be read\.$/,
    /^This process does not trust .* Set NODE_EXTRA_CA_CERTS to a file/,
    (place) =>
      Effect.succeed({
        broken: { env: { NODE_EXTRA_CA_CERTS: "/no/such.pem" } },
        mend: Effect.as(trusting(place.certificate), {})
      }),
    { untrusted: true }
  ),
  setUp(
    "a file of certificate authorities that has another one",
    "tls",
    /\. The certificates of NODE_EXTRA_CA_CERTS are those of another authority\.$/,
    /^This process does not trust .* Set NODE_EXTRA_CA_CERTS to a file/,
    Effect.fnUntraced(function*(place) {
      const { certificate } = yield* TestCertificate.makeAuthority({ commonName: "another authority" })
      return {
        broken: { env: { NODE_EXTRA_CA_CERTS: yield* place.write("authorities.pem", certificate) } },
        mend: Effect.as(trusting(place.certificate), {})
      }
    }),
    { untrusted: true }
  ),
  setUp(
    "a file of certificate authorities with a broken block",
    "tls",
    /\. NODE_EXTRA_CA_CERTS names ".*broken\.pem", whose certificate 2 is broken\. Node uses only those before it, which are those of another authority\.$/,
    /^Repair or remove certificate 2 of the file\. Node ignores it and those after it\./,
    Effect.fnUntraced(function*(place) {
      const { certificate } = yield* TestCertificate.makeAuthority({ commonName: "another authority" })
      const cut = certificate.split("\n").slice(0, 4).join("\n")
      return {
        broken: {
          env: {
            NODE_EXTRA_CA_CERTS: yield* place.write("broken.pem", `${certificate}\n${cut}\n${place.certificate}`)
          }
        },
        mend: Effect.as(trusting(place.certificate), {})
      }
    }),
    { untrusted: true }
  ),
  setUp(
    "the environment of a simulator that was started again",
    "tls",
    /\. NODE_EXTRA_CA_CERTS names "\/no\/such\.pem", which cannot be read\.$/,
    /If it is a simulator that was started again, load its new environment/,
    (place) =>
      Effect.succeed({
        broken: { env: { NODE_EXTRA_CA_CERTS: "/no/such.pem" } },
        mend: Effect.as(trusting(place.certificate), {})
      }),
    { untrusted: true }
  ),
  setUp(
    "a proxy that inspects TLS",
    "tls",
    /^The TLS handshake with login\.microsoftonline\.com:443 failed \(SELF_SIGNED_CERT_IN_CHAIN\)\. The certificate of login\.microsoftonline\.com \(localhost\) was issued by effect-entra test authority/,
    /^This process does not trust the authority .* such as that of a proxy that inspects TLS\./,
    (place) =>
      Effect.map(proxyTo(place.port), ({ url }) => ({
        broken: proxied(url),
        mend: Effect.as(trusting(place.certificate), proxied(url))
      })),
    { untrusted: true, world: { hosts: [login] } }
  ),

  setUp(
    "no check of certificates",
    "tls",
    /^NODE_TLS_REJECT_UNAUTHORIZED=0 turns off the check of certificates, so any server in place of localhost would get the secret/,
    /^Unset NODE_TLS_REJECT_UNAUTHORIZED\..* NODE_EXTRA_CA_CERTS/,
    env({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, { NODE_TLS_REJECT_UNAUTHORIZED: "1" })
  ),

  // clock
  setUp(
    "a clock that is ten minutes ahead",
    "clock",
    /^This machine's clock is (?:599|60\d) s ahead of the service's, so the service refuses assertions\.$/,
    /^Set the clock of this machine/,
    (place) =>
      Effect.map(registered(place), ({ path }) => ({
        broken: { ...withCertificate(path), clockAhead: 600_000 },
        mend: Effect.succeed(withCertificate(path))
      }))
  ),
  setUp(
    "a clock that is ten minutes behind, with a secret",
    "clock",
    /^This machine's clock is (?:599|60\d) s behind the service's\.$/,
    /^Set the clock of this machine/,
    settings({ clockAhead: -600_000 }),
    { status: "warn" }
  ),

  // discovery
  setUp(
    "a web server that is not Entra ID",
    "discovery",
    /^localhost:\d+ responded with status 404, but not with a discovery document\.$/,
    /^Check the host \(AZURE_AUTHORITY_HOST\)/,
    service(
      ({ simulator }) =>
        simulator.fail(EntraSimulator.Fault.custom({ status: 404, body: "<html>" }), {
          endpoint: "discovery",
          times: Infinity
        }),
      ({ simulator }) => simulator.clearFaults
    )
  ),
  setUp(
    "an unknown tenant",
    "discovery",
    /^AADSTS90002: Tenant '0f2b3c4d-1111-4222-8333-444455556666' not found/,
    /^Check the tenant id or domain name/,
    env({ AZURE_TENANT_ID: "0f2b3c4d-1111-4222-8333-444455556666" }),
    { aadsts: 90002 }
  ),
  setUp(
    "a service that is down",
    "discovery",
    /responded with status 503\.$/,
    /^Try again later/,
    service(
      ({ simulator }) => simulator.fail(EntraSimulator.Fault.unavailable(), { endpoint: "discovery", times: Infinity }),
      ({ simulator }) => simulator.clearFaults
    )
  ),
  setUp(
    "a service that closes the connection",
    "discovery",
    /^localhost:\d+ accepted the connection, but did not respond \(\w+\)\.$/,
    /^Try again later/,
    service(
      ({ simulator }) => simulator.fail(EntraSimulator.Fault.dropped, { endpoint: "discovery", times: Infinity }),
      ({ simulator }) => simulator.clearFaults
    )
  ),
  setUp(
    "a throttled discovery",
    "discovery",
    /responded with status 429\.$/,
    /Wait 30 s before the next request\.$/,
    service(
      ({ simulator }) =>
        simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }), {
          endpoint: "discovery",
          times: Infinity
        }),
      ({ simulator }) => simulator.clearFaults
    )
  ),

  // acquisition
  setUp(
    "a wrong secret",
    "acquisition",
    /AADSTS7000215/,
    /^Pass the secret's value and not its id/,
    env({ AZURE_CLIENT_SECRET: "wrong~secret.of-the_daemon" }),
    { aadsts: 7000215 }
  ),
  setUp(
    "an expired secret",
    "acquisition",
    /AADSTS7000222/,
    /^Create a new secret/,
    (place) =>
      Effect.as(
        place.simulator.fail(
          EntraSimulator.Fault.refused({ code: 7000222, error: "invalid_client", status: 401 }),
          { times: Infinity }
        ),
        {
          broken: {},
          mend: Effect.as(
            Effect.andThen(
              place.simulator.addSecret(daemonClientId, Redacted.make("the~new_secret.of-the-daemon")),
              place.simulator.clearFaults
            ),
            { env: { AZURE_CLIENT_SECRET: "the~new_secret.of-the-daemon" } }
          )
        }
      ),
    { aadsts: 7000222 }
  ),
  setUp(
    "an app that the tenant has not installed",
    "acquisition",
    /AADSTS700016/,
    /have an administrator of the tenant install the app.* Link: https:\/\/localhost:\d+\/3f6a2c1e-/,
    service(() => Effect.void, ({ simulator }) => simulator.consent(daemonClientId, contosoTenantId)),
    {
      aadsts: 700016,
      world: {
        apps: [{ ...app, tenants: [fabrikamTenantId], roles: { [EntraSimulator.graphResource]: ["User.Read.All"] } }]
      }
    }
  ),
  setUp(
    "the client id of no app",
    "acquisition",
    /AADSTS7000(?:16|38)/,
    /^Check the client id/,
    env({ AZURE_CLIENT_ID: "0f2b3c4d-1111-4222-8333-444455556666" })
  ),
  setUp(
    "an unknown resource",
    "acquisition",
    /AADSTS500011/,
    /^Check the resource in the scope/,
    settings({ scopes: ["api://order/.default"] }, { scopes: ["api://orders/.default"] }),
    { aadsts: 500011 }
  ),
  setUp(
    "a scope of delegated permissions",
    "acquisition",
    /^--scope contains "User\.Read"/,
    /followed by \/\.default/,
    settings({ scopes: ["User.Read"] }, { scopes: ["https://graph.microsoft.com/.default"] })
  ),
  setUp(
    "no consent",
    "acquisition",
    /AADSTS65001/,
    /^Ask an administrator of the tenant to grant the app its permissions.* Link: https:/,
    service(
      ({ simulator }) => simulator.revoke(daemonClientId, contosoTenantId),
      ({ simulator }) => simulator.consent(daemonClientId, contosoTenantId),
      { scopes: ["api://strict/.default"] }
    ),
    {
      aadsts: 65001,
      world: {
        apps: [{ ...app, roles: { "api://strict": ["Strict.Read"] } }],
        resources: [{
          appId: "e2b7a6d4-0c95-4b1f-a3e8-94d0617f5b2b",
          identifierUris: ["api://strict"],
          withoutRole: "unconsented"
        }]
      }
    }
  ),
  setUp(
    "a certificate that is not registered",
    "acquisition",
    /AADSTS700027/,
    /^Register this certificate/,
    Effect.fnUntraced(function*(place) {
      const made = yield* makeCertificate
      const same = withCertificate(yield* place.write("new.pem", pemOf(made)))
      return {
        broken: same,
        mend: Effect.as(place.simulator.addCertificate(daemonClientId, made.certificate), same)
      }
    }),
    { aadsts: 700027 }
  ),
  setUp(
    "a federated credential for another subject",
    "acquisition",
    /AADSTS700213/,
    /^Compare the assertion's iss, sub and aud/,
    Effect.fnUntraced(function*(place) {
      const issuer = yield* cluster
      yield* place.simulator.trustIssuer(issuer)
      yield* place.simulator.addFederatedCredential(daemonClientId, {
        issuer: issuer.issuer,
        subject: `${subject}-staging`
      })
      const path = yield* place.write("token", Redacted.value(yield* issuer.issue({ subject })))
      const same = { env: { AZURE_CLIENT_SECRET: undefined, AZURE_FEDERATED_TOKEN_FILE: path } }
      return {
        broken: same,
        mend: Effect.as(
          place.simulator.addFederatedCredential(daemonClientId, { issuer: issuer.issuer, subject }),
          same
        )
      }
    }),
    { aadsts: 700213 }
  ),
  setUp(
    "a client that is throttled",
    "acquisition",
    /AADSTS90055/,
    /Wait 30 s before the next request\.$/,
    service(
      ({ simulator }) =>
        simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }), { times: Infinity }),
      ({ simulator }) => simulator.clearFaults
    ),
    { aadsts: 90055 }
  ),

  setUp(
    "AD FS without a scope",
    "acquisition",
    /^No token was requested, because AD FS has no Microsoft Graph\.$/,
    /^Pass --scope/,
    settings({ env: { AZURE_TENANT_ID: "adfs" } }, {
      env: { AZURE_TENANT_ID: "adfs" },
      scopes: ["api://orders/.default"]
    }),
    { status: "warn", world: { adfs: true } }
  ),

  setUp(
    "a mistyped region",
    "acquisition",
    /^The endpoint of the region westeurop issued no token: login\.microsoftonline\.com issued it\. A token for https:\/\/graph/,
    /^Check AZURE_REGIONAL_AUTHORITY_NAME for typing errors, and let this machine reach westeurop\.login\.microsoft\.com:443/,
    (place) =>
      Effect.map(proxyTo((asked) => asked.startsWith("westeurop.") ? 1 : place.port), ({ url }) => {
        const { env } = proxied(url)
        return {
          broken: { env: { ...env, AZURE_REGIONAL_AUTHORITY_NAME: "westeurop" } },
          mend: Effect.succeed({ env: { ...env, AZURE_REGIONAL_AUTHORITY_NAME: "westeurope" } })
        }
      }),
    { status: "warn", world: { hosts: [login, "westeurope.login.microsoft.com"] } }
  ),

  // token
  setUp(
    "no application permissions",
    "token",
    /^The token for https:\/\/graph\.microsoft\.com has no roles/,
    /^Add application permissions .* https:\/\/localhost:\d+\/3f6a2c1e-.*\/adminconsent\?client_id=7c9e4d20/,
    service(
      ({ simulator }) => simulator.revoke(daemonClientId, contosoTenantId),
      ({ simulator }) => simulator.consent(daemonClientId, contosoTenantId)
    ),
    { status: "warn" }
  ),

  // Redis
  setUp(
    "a malformed address of Redis",
    "redis",
    /^REDIS_URL is not a URL such as redis:\/\/host:6379/,
    /as REDIS_URL/,
    () =>
      Effect.map(standalone(), ({ port, url }) => ({
        broken: { env: { REDIS_URL: `127.0.0.1:${port}` } },
        mend: Effect.succeed({ env: { REDIS_URL: url } })
      }))
  ),
  setUp(
    "a Redis that is down",
    "redis",
    /^The Redis of REDIS_URL does not work \(ECONNREFUSED\)\.$/,
    /^Check the host and the port in REDIS_URL/,
    () =>
      Effect.gen(function*() {
        const server = yield* standalone()
        yield* server.kill()
        const same = { env: { REDIS_URL: server.url } }
        return { broken: same, mend: Effect.as(server.restart, same) }
      })
  ),
  setUp(
    "a wrong password of Redis",
    "redis",
    /\(WRONGPASS\)\.$/,
    /^Set the user name and the password in REDIS_URL/,
    () =>
      Effect.map(standalone({ password: "redis~password" }), ({ port, url }) => ({
        broken: { env: { REDIS_URL: `redis://:wrong~password@127.0.0.1:${port}` } },
        mend: Effect.succeed({ env: { REDIS_URL: url } })
      }))
  )
]

/** The values that no output may contain. */
export const secrets: ReadonlyArray<string> = [
  secret,
  "wrong~secret.of-the_daemon",
  "the~new_secret.of-the-daemon",
  "changeme",
  "right~password",
  "wrong~password",
  "proxy~password",
  "redis~password"
]
