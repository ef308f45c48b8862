/** The rows: every credential, in every form in which it can be given. */

import { ConfigProvider, Effect, type FileSystem, Layer, Redacted } from "effect"
import { ClientCredential, type EntraError, type TokenRequest } from "effect-entra"
import { ManagedIdentity, NodeClientCredential } from "effect-entra/node"
import type { HttpClient } from "effect/http"
import * as jose from "jose"
import { constants, createPrivateKey, createSign, sign as signBytes } from "node:crypto"
import { password } from "../node/material.ts"
import { audienceAt, type Place } from "./columns.ts"
import { clientId, keyIds, type Material, pods, secret, subjectName } from "./material.ts"

/**
 * The proof that the authority receives. `subjectName` is an unregistered certificate of a registered issuer; `rsaKey`
 * and `ecKey` have no certificate; `platform` is a token of another issuer.
 */
export type Proof = "secret" | "rsa" | "ec" | "subjectName" | "rsaKey" | "ecKey" | "platform"

type Credential = Layer.Layer<
  ClientCredential.ClientCredential,
  EntraError.CredentialError | EntraError.InvalidRequestError,
  HttpClient.HttpClient | FileSystem.FileSystem
>

export interface Row {
  readonly name: string
  readonly proof: Proof
  /** The public constructors that it shows. */
  readonly by: ReadonlyArray<string>
  readonly credential: (material: Material, place: Place) => Credential
  readonly request?: Partial<TokenRequest.TokenRequest> | undefined
  /** Proofs that are refused before the right one. */
  readonly before?: number
  /** How many certificates `x5c` holds. */
  readonly chain?: number
  /** Claims that the assertion has to have. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A row before it is known what it proves. */
type Shown = Omit<Row, "proof">

const proving = (proof: Proof, all: ReadonlyArray<Shown>, prefix = ""): ReadonlyArray<Row> =>
  all.map(({ name, ...row }): Row => Object.assign(row, { name: prefix + name, proof }))

const layerOf = <E, R>(
  make: Effect.Effect<ClientCredential.ClientCredential["Service"], E, R>
): Layer.Layer<ClientCredential.ClientCredential, E, R> => Layer.effect(ClientCredential.ClientCredential, make)

const environment = (variables: Readonly<Record<string, string>>) =>
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)))

type Kind = "RSA" | "EC"

const pair = ({ authority, key, leaf }: Material[Kind]) => ({
  certificate: leaf + authority,
  privateKey: Redacted.make(key.pkcs8)
})

const wrong = Redacted.make("the secret before")

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

const secrets: ReadonlyArray<Shown> = [
  {
    name: "a secret",
    by: ["ClientCredential.secret"],
    credential: () => layerOf(ClientCredential.secret(secret))
  },
  {
    name: "secrets, the newest wrong",
    by: ["ClientCredential.layerSecret"],
    credential: () => ClientCredential.layerSecret([wrong, secret]),
    before: 1
  },
  {
    name: "a secret by an effect",
    by: ["ClientCredential.layerSecret"],
    credential: () => ClientCredential.layerSecret(Effect.succeed(secret), { reloadEvery: "1 hour" })
  },
  {
    name: "a secret in a file",
    by: ["NodeClientCredential.secretFile"],
    credential: ({ write }: Material) =>
      layerOf(NodeClientCredential.secretFile({ path: write("secret", `${Redacted.value(secret)}\n`) }))
  },
  {
    name: "a secret in a file, as a layer",
    by: ["NodeClientCredential.layerSecretFile"],
    credential: ({ write }: Material) =>
      NodeClientCredential.layerSecretFile({ path: write("secret", Redacted.value(secret)) })
  },
  {
    name: "the environment's secret",
    by: ["ClientCredential.fromEnv"],
    credential: () => environment({ AZURE_CLIENT_SECRET: Redacted.value(secret) })(layerOf(ClientCredential.fromEnv))
  },
  {
    name: "the environment's secret, as a layer",
    by: ["ClientCredential.layerFromEnv"],
    credential: () => environment({ AZURE_CLIENT_SECRET: Redacted.value(secret) })(ClientCredential.layerFromEnv)
  },
  {
    name: "the first of two, when one cannot be made",
    by: ["ClientCredential.firstOf"],
    credential: () =>
      layerOf(ClientCredential.firstOf([
        ClientCredential.certificate({ certificate: "", privateKey: Redacted.make("") }),
        ClientCredential.secret(secret)
      ]))
  },
  {
    name: "the first of two, when one is refused",
    by: ["ClientCredential.layerFirstOf"],
    credential: () => ClientCredential.layerFirstOf([ClientCredential.secret(wrong), ClientCredential.secret(secret)]),
    before: 1
  }
]

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const nested = { xms_custom: { groups: ["a", { b: null }], depth: [[1]] }, client_ip: "192.0.2.1" }

/** All claims of an assertion, as somebody who replaces ours has to give them. */
const claimsFor = (place: Place) => {
  const now = Math.floor(Date.now() / 1000)
  const times = { iat: now, nbf: now, exp: now + 300 }
  return { iss: clientId, sub: clientId, aud: audienceAt(place), jti: crypto.randomUUID(), ...times, ...nested }
}

/** As a vault signs that does not give its keys away. */
const vault = (pem: string) => (input: Uint8Array, { algorithm }: { readonly algorithm: ClientCredential.Algorithm }) =>
  Effect.sync((): Uint8Array => {
    const key = createPrivateKey(pem)
    if (algorithm === "ES256") return signBytes("sha256", input, { key, dsaEncoding: "ieee-p1363" })
    return algorithm === "RS256" ? createSign("sha256").update(input).sign(key) : signBytes("sha256", input, {
      key,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST
    })
  })

const certificatesOf = (kind: Kind): ReadonlyArray<Shown> => {
  const traditional = kind === "RSA" ? "PKCS#1" : "SEC1"
  const extension = (name: string) => `${kind}-${name}`
  return [
    {
      name: "a certificate",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) => layerOf(ClientCredential.certificate(pair(material[kind])))
    },
    {
      name: "certificates, the newest unknown",
      by: ["ClientCredential.layerCertificate"],
      credential: (material: Material) =>
        ClientCredential.layerCertificate([
          { certificate: material.named.certificate, privateKey: material.named.privateKey },
          pair(material[kind])
        ]),
      before: 1
    },
    {
      name: "a certificate by an effect",
      by: ["ClientCredential.layerCertificate"],
      credential: (material: Material) => ClientCredential.layerCertificate(Effect.succeed(pair(material[kind])))
    },
    {
      name: "a certificate with its chain",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(ClientCredential.certificate({ ...pair(material[kind]), sendCertificateChain: true })),
      chain: 2
    },
    {
      name: "a certificate with its chain, for this request",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) => layerOf(ClientCredential.certificate(pair(material[kind]))),
      request: { sendCertificateChain: true },
      chain: 2
    },
    {
      name: "a certificate with its chain, but not for this request",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(ClientCredential.certificate({ ...pair(material[kind]), sendCertificateChain: true })),
      request: { sendCertificateChain: false }
    },
    {
      name: "a certificate with nested claims beside the usual ones",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(ClientCredential.certificate({ ...pair(material[kind]), assertionClaims: nested })),
      claims: nested
    },
    {
      name: "a certificate with claims instead of the usual ones",
      by: ["ClientCredential.certificate"],
      credential: (material: Material, place: Place) =>
        layerOf(ClientCredential.certificate({
          ...pair(material[kind]),
          assertionClaims: claimsFor(place),
          mergeWithDefaultClaims: false
        })),
      claims: nested
    },
    {
      name: "a certificate whose key a vault keeps",
      by: ["ClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(ClientCredential.certificate({
          certificate: material[kind].leaf,
          sign: vault(material[kind].key.pkcs8)
        }))
    },
    ...([
      ["PKCS#8", "pkcs8"],
      [traditional, "traditional"],
      ["encrypted PKCS#8", "encrypted"],
      [`encrypted ${traditional}`, "encryptedTraditional"]
    ] as const).map(([name, form]) => ({
      name: `PEM, ${name}`,
      by: ["NodeClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(NodeClientCredential.certificate({
          content: Redacted.make(material[kind].authority + material[kind].key[form] + material[kind].leaf),
          password: form.startsWith("encrypted") ? Redacted.make(password) : undefined
        }))
    })),
    {
      name: "PEM by an effect",
      by: ["NodeClientCredential.layerCertificate"],
      credential: (material: Material) =>
        NodeClientCredential.layerCertificate(
          Effect.succeed({ content: Redacted.make(material[kind].leaf + material[kind].key.traditional) })
        )
    },
    {
      name: "PEM in a file",
      by: ["NodeClientCredential.certificateFile"],
      credential: (material: Material) =>
        layerOf(NodeClientCredential.certificateFile({
          path: material.write(extension("all.pem"), material[kind].key.pkcs8 + material[kind].leaf)
        }))
    },
    {
      name: "PEM in two files",
      by: ["NodeClientCredential.layerCertificateFile"],
      credential: (material: Material) =>
        NodeClientCredential.layerCertificateFile({
          path: material.write(extension("tls.crt"), material[kind].leaf),
          keyPath: material.write(extension("tls.key"), material[kind].key.encrypted),
          password: Redacted.make(password)
        })
    },
    {
      name: "PKCS#12",
      by: ["NodeClientCredential.certificate"],
      credential: (material: Material) =>
        layerOf(NodeClientCredential.certificate({
          content: Redacted.make(material.pkcs12[kind]),
          password: Redacted.make(password)
        }))
    },
    {
      name: "PKCS#12 in base64, by an effect",
      by: ["NodeClientCredential.layerCertificate"],
      credential: (material: Material) =>
        NodeClientCredential.layerCertificate(Effect.succeed({
          content: Redacted.make(material.pkcs12[kind].toString("base64")),
          password: Redacted.make(password),
          sendCertificateChain: true
        })),
      chain: 2
    },
    {
      name: "PKCS#12 in a file",
      by: ["NodeClientCredential.layerCertificateFile"],
      credential: (material: Material) =>
        NodeClientCredential.layerCertificateFile({
          path: material.write(extension("daemon.pfx"), material.pkcs12[kind]),
          password: Redacted.make(password)
        })
    },
    {
      name: "the environment's certificate",
      by: ["NodeClientCredential.fromEnv"],
      credential: (material: Material) =>
        environment({
          AZURE_CLIENT_CERTIFICATE_PATH: material.write(extension("env.pfx"), material.pkcs12[kind]),
          AZURE_CLIENT_CERTIFICATE_PASSWORD: password
        })(layerOf(NodeClientCredential.fromEnv()))
    },
    {
      name: "an assertion that somebody signs with the certificate's key",
      by: ["ClientCredential.assertion"],
      credential: (material: Material) =>
        layerOf(ClientCredential.assertion(({ assertion, audience }) =>
          Effect.promise(async () => {
            const { leaf, key } = material[kind]
            const x5t = await thumbprintOf(leaf, assertion.thumbprint)
            const alg = kind === "EC" ? "ES256" : assertion.rsa
            const now = Math.floor(Date.now() / 1000)
            return new jose.SignJWT({ iss: clientId, sub: clientId, aud: audience, jti: crypto.randomUUID(), nbf: now })
              .setExpirationTime(now + 300)
              .setProtectedHeader({ alg, [assertion.thumbprint]: x5t })
              .sign(await jose.importPKCS8(key.pkcs8, alg))
          })
        ))
    }
  ]
}

const thumbprintOf = async (pem: string, which: "x5t" | "x5t#S256"): Promise<string> => {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64")
  return Buffer.from(await crypto.subtle.digest(which === "x5t" ? "SHA-1" : "SHA-256", der)).toString("base64url")
}

const bySubjectName: ReadonlyArray<Shown> = [{
  name: `a certificate that only its name and issuer vouch for (${subjectName})`,
  by: ["ClientCredential.layerCertificate"],
  credential: ({ named: { certificate, privateKey } }) =>
    ClientCredential.layerCertificate({ certificate, privateKey, sendCertificateChain: true }),
  chain: 2
}]

const rsaKeys: ReadonlyArray<Shown> = [
  {
    name: "an RSA key without a certificate, RS256",
    by: ["ClientCredential.privateKeyJwt"],
    credential: ({ RSA }) =>
      layerOf(ClientCredential.privateKeyJwt({
        privateKey: Redacted.make(RSA.key.pkcs8),
        keyId: keyIds.RSA,
        algorithm: "RS256"
      }))
  },
  {
    name: "an RSA key without a certificate, as the authority wants it",
    by: ["ClientCredential.layerPrivateKeyJwt"],
    credential: ({ RSA }) =>
      ClientCredential.layerPrivateKeyJwt({ privateKey: Redacted.make(RSA.key.pkcs8), keyId: keyIds.RSA })
  }
]

const ecKeys: ReadonlyArray<Shown> = [
  {
    name: "an EC key without a certificate",
    by: ["ClientCredential.layerPrivateKeyJwt"],
    credential: ({ EC }) =>
      ClientCredential.layerPrivateKeyJwt(
        Effect.succeed([{ privateKey: Redacted.make(EC.key.pkcs8), keyId: keyIds.EC }])
      )
  }
]

// -----------------------------------------------------------------------------
// platforms
// -----------------------------------------------------------------------------

const gitHubJob = {
  ACTIONS_ID_TOKEN_REQUEST_URL: "https://pipelines.actions.githubusercontent.com/abc//idtoken/1/2?api-version=2.0",
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: "the-token-of-the-job"
}

const podToken = ({ cluster }: Material) => cluster.issue({ subject: pods })

const tokenFile = (material: Material) =>
  Effect.map(podToken(material), (token) => material.write("federated-token", `${Redacted.value(token)}\n`))

const platforms: ReadonlyArray<Shown> = [
  {
    name: "a platform's token as a string",
    by: ["ClientCredential.layerAssertion"],
    credential: (material: Material) =>
      Layer.unwrap(Effect.map(podToken(material), (token) => ClientCredential.layerAssertion(Redacted.value(token))))
  },
  {
    name: "a platform's token, redacted",
    by: ["ClientCredential.assertion"],
    credential: (material: Material) =>
      layerOf(Effect.flatMap(podToken(material), (token) => ClientCredential.assertion(token)))
  },
  {
    name: "a platform's token by a function",
    by: ["ClientCredential.layerAssertion"],
    credential: (material: Material) => ClientCredential.layerAssertion(() => podToken(material))
  },
  {
    name: "a platform's token in a file",
    by: ["NodeClientCredential.federatedTokenFile"],
    credential: (material: Material) =>
      layerOf(Effect.flatMap(tokenFile(material), (path) => NodeClientCredential.federatedTokenFile({ path })))
  },
  {
    name: "a platform's token in a file, as a layer",
    by: ["NodeClientCredential.layerFederatedTokenFile"],
    credential: (material: Material) =>
      Layer.unwrap(Effect.map(tokenFile(material), (path) => NodeClientCredential.layerFederatedTokenFile({ path })))
  },
  {
    name: "the environment's token file",
    by: ["NodeClientCredential.layerFromEnv"],
    credential: (material: Material) =>
      Layer.unwrap(
        Effect.map(tokenFile(material), (path) =>
          environment({ AZURE_FEDERATED_TOKEN_FILE: path })(NodeClientCredential.layerFromEnv()))
      )
  },
  {
    name: "a job of GitHub Actions",
    by: ["NodeClientCredential.githubActions"],
    credential: () => environment(gitHubJob)(layerOf(NodeClientCredential.githubActions()))
  },
  {
    name: "a job of GitHub Actions, as a layer",
    by: ["NodeClientCredential.layerGitHubActions"],
    credential: () => environment(gitHubJob)(NodeClientCredential.layerGitHubActions())
  },
  {
    name: "a managed identity",
    by: ["ManagedIdentity.assertion"],
    credential: () => environment({})(layerOf(ManagedIdentity.assertion()))
  },
  {
    name: "a managed identity, as a layer",
    by: ["ManagedIdentity.layerAssertion"],
    credential: () => environment({})(ManagedIdentity.layerAssertion({ source: "imds" }))
  }
]

export const rows: ReadonlyArray<Row> = [
  ...proving("secret", secrets),
  ...proving("rsa", certificatesOf("RSA"), "RSA: "),
  ...proving("ec", certificatesOf("EC"), "EC: "),
  ...proving("subjectName", bySubjectName),
  ...proving("rsaKey", rsaKeys),
  ...proving("ecKey", ecKeys),
  ...proving("platform", platforms)
]
