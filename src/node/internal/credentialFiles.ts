/** Credentials out of files, under the names that the caller has for the paths. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as ClientCredential from "../../ClientCredential.ts"
import type { CredentialError } from "../../EntraError.ts"
import type { Material } from "../../internal/credentialChoice.ts"
import { certificateParts } from "./certificateFile.ts"
import * as Files from "./files.ts"
import { type Issue, nextIssue, tokenOf } from "./tokenFile.ts"

export type Credential = ClientCredential.ClientCredential["Service"]

export const fromCertificateFile = (
  options: {
    readonly path: string
    readonly password?: Redacted.Redacted<string> | undefined
    readonly sendCertificateChain?: boolean | undefined
  },
  names: { readonly path: string; readonly password: string }
): Effect.Effect<Credential, CredentialError, Files.Files> =>
  Effect.gen(function*() {
    const file = { path: options.path, name: names.path }
    const bytes = yield* Files.read(file, certificatePatience)
    const now = yield* Clock.currentTimeMillis
    const password = { value: options.password, name: names.password }
    const parts = yield* Effect.fromResult(certificateParts(bytes, file, password, now))
    return yield* ClientCredential.certificate({ ...parts, sendCertificateChain: options.sendCertificateChain })
  })

/**
 * Kubernetes and its kin replace the file every hour or so. Each attempt reads it, and the revision changes with what it
 * holds, so that a new token is not held to the refusals of the old. While a refusal stands nothing is sent, so the file
 * is looked at behind the calls that are refused locally, at most once a second.
 */
export const fromTokenFile = (file: Files.Named): Effect.Effect<Credential, CredentialError, Files.Files> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Files.Files>()
    const clock = yield* Clock.Clock
    let issue: Issue | undefined
    let refused: number | undefined
    let looked = 0
    /** Which issue the request of a correlation id went out with. */
    const sent = new Map<string, number>()

    const current = Effect.flatMap(
      Files.read(file, tokenPatience),
      (bytes) =>
        Effect.map(Effect.fromResult(tokenOf(bytes, file)), (token) => {
          issue = nextIssue(issue, token)
          return issue
        })
    ).pipe(Effect.provideContext(context))
    yield* current

    const look = () => {
      const now = clock.currentTimeMillisUnsafe()
      if (refused !== issue?.number || Math.abs(now - looked) < 1000) return
      looked = now
      Effect.runFork(Effect.ignore(current))
    }

    const base = yield* ClientCredential.assertion(({ correlationId }) =>
      Effect.map(current, ({ number, token }) => {
        if (sent.size >= keptIds) sent.delete(sent.keys().next().value ?? "")
        sent.set(correlationId, number)
        return token
      })
    )
    return ClientCredential.ClientCredential.of({
      ...base,
      revision: () => {
        look()
        return `${base.revision()}.${issue?.number ?? 0}`
      },
      refused: ({ correlationId = "" }) =>
        Effect.suspend(() => {
          const before = sent.get(correlationId) ?? issue?.number
          sent.delete(correlationId)
          refused = before
          looked = clock.currentTimeMillisUnsafe()
          return Effect.matchEffect(current, {
            onFailure: () => Effect.succeed(false),
            onSuccess: ({ number }) => Effect.succeed(number !== before)
          })
        })
    })
  })

/** Requests whose issue is remembered, which is needed only while they are under way. */
const keptIds = 1000

/** Less than an attempt may take, so that the error names the file. */
const tokenPatience: Files.Patience = { pipes: false, seconds: 5 }

/** `<(cat daemon.pem)` of a shell is a pipe. */
const certificatePatience: Files.Patience = { pipes: true, seconds: 10 }

/** What the environment names. */
export const fromMaterial = (material: Material): Effect.Effect<Credential, CredentialError, Files.Files> => {
  switch (material.kind) {
    case "secret":
      return ClientCredential.secret(material.secret)
    case "certificate":
      return fromCertificateFile(material, {
        path: "AZURE_CLIENT_CERTIFICATE_PATH",
        password: "AZURE_CLIENT_CERTIFICATE_PASSWORD"
      })
    case "federation":
      return fromTokenFile({ path: material.path, name: "AZURE_FEDERATED_TOKEN_FILE" })
  }
}
