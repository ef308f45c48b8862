/** Credentials out of files, under the names that the caller has for the paths. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as ClientCredential from "../../ClientCredential.ts"
import type { CredentialError } from "../../EntraError.ts"
import type { Material } from "../../internal/credentialChoice.ts"
import { certificateParts } from "./certificateFile.ts"
import * as Files from "./files.ts"
import { tokenOf } from "./tokenFile.ts"

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
    const bytes = yield* Files.read(file)
    const now = yield* Clock.currentTimeMillis
    const password = { value: options.password, name: names.password }
    const parts = yield* Effect.fromResult(certificateParts(bytes, file, password, now))
    return yield* ClientCredential.certificate({ ...parts, sendCertificateChain: options.sendCertificateChain })
  })

/** Kubernetes and its kin replace the file every hour or so: what it held when this ran is only tried. */
export const fromTokenFile = (file: Files.Named): Effect.Effect<Credential, CredentialError, Files.Files> => {
  const token = Effect.flatMap(Files.read(file), (bytes) => Effect.fromResult(tokenOf(bytes, file)))
  return Effect.andThen(token, ClientCredential.assertion(() => token))
}

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
