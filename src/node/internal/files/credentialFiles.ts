/** Creates credentials from files and values. Errors use the names of the caller's options or variables. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as ClientCredential from "../../../ClientCredential.ts"
import { type CredentialError } from "../../../EntraError.ts"
import { assertionForm } from "../../../internal/credential/clientAssertion.ts"
import * as CredentialSource from "../../../internal/credential/credentialSource.ts"
import * as Rotation from "../../../internal/credential/rotation.ts"
import { secrets } from "../../../internal/credential/secret.ts"
import type { Material } from "../../../internal/environment/environmentCredential.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { nonValueOf } from "../../../internal/shared/nonValue.ts"
import { isRedactedText, isText } from "../../../internal/shared/validate.ts"
import { type CertificateOptions, type Piece, pieces } from "../certificates/certificateSource.ts"
import * as Files from "./files.ts"
import { secretOf } from "./secretFile.ts"
import { isExpired, tokenOf } from "./tokenFile.ts"

export type Credential = ClientCredential.ClientCredential["Service"]

/** The default adds little to the minute or so that a Kubernetes volume needs to follow a change of its secret. */
const timesOf = ({ reloadEvery = "10 seconds" }: CredentialSource.ReloadOptions = {}) =>
  Effect.map(CredentialSource.reloadEveryOf({ reloadEvery }), (reloadEvery) => ({ reloadEvery, lookEvery }))

/** Milliseconds between two checks of the file while a remembered refusal keeps token requests from being sent. */
const lookEvery = 1000

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

export interface CertificatePaths extends CertificateOptions {
  readonly path: string
  readonly keyPath?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
}

export const fromCertificateFile = (
  { keyPath, password, path, ...options }: CertificatePaths,
  names: { readonly path: string; readonly keyPath: string; readonly password: string },
  reload?: CredentialSource.ReloadOptions
): Effect.Effect<Credential, CredentialError, Files.Files> =>
  Effect.gen(function*() {
    yield* checkPassword(password, names.password)
    const kind = yield* pieces
    const place = { path, name: names.path }
    const keyPlace = { path: keyPath ?? "", name: names.keyPath }
    const certificate = yield* Files.reread(place, certificateFileLimits)
    const key = keyPath === undefined ? undefined : yield* Files.reread(keyPlace, certificateFileLimits)
    const material = (bytes: Uint8Array, keyBytes: Uint8Array | undefined) =>
      kind.read([{
        contents: {
          certificate: { bytes, place },
          key: keyBytes === undefined ? undefined : { bytes: keyBytes, place: keyPlace },
          password: { value: password, name: names.password }
        },
        options
      }])
    return yield* Rotation.make({
      ...kind,
      ...(yield* timesOf(reload)),
      initial: yield* material(certificate.first, key?.first),
      load: Effect.flatMap(
        Effect.all([certificate.again, key?.again ?? Effect.undefined]),
        ([bytes, keyBytes]) => material(bytes, keyBytes)
      )
    })
  })

export interface CertificateValue extends CertificateOptions {
  readonly content: Redacted.Redacted<string | Uint8Array>
  readonly password?: Redacted.Redacted<string> | undefined
}

export const fromCertificate = <E, R>(
  source: ClientCredential.Source<CertificateValue, E, R>,
  reload?: CredentialSource.ReloadOptions
): Effect.Effect<Credential, CredentialError, R> =>
  Effect.flatMap(pieces, ({ read, ...kind }) => {
    const values = {
      ...kind,
      read: (list: ReadonlyArray<CertificateValue>) => Effect.flatMap(Effect.forEach(list, pieceOf), read)
    }
    return Effect.isEffect(source)
      ? CredentialSource.fromEffect(source, "certificate", values, reload)
      : CredentialSource.fromValue(source, values, reload)
  })

const pieceOf = ({ content, password, ...options }: CertificateValue): Effect.Effect<Piece, CredentialError> =>
  Effect.gen(function*() {
    yield* checkPassword(password, "password")
    // JavaScript callers and secret stores may pass values of any type.
    const value: unknown = Redacted.isRedacted(content) ? Redacted.value(content) : undefined
    if (!isText(value) && !(value instanceof Uint8Array)) {
      return yield* notRedacted("content", "the certificate (a string or bytes)")
    }
    // The bytes are copied, because the caller may read the next content into the same array.
    const bytes = Buffer.from(value)
    return {
      contents: {
        certificate: { bytes, place: { name: "content" } },
        password: { value: password, name: "password" }
      },
      options
    }
  })

const checkPassword = (password: unknown, name: string): Effect.Effect<void, CredentialError> =>
  Effect.suspend(() => {
    if (password === undefined) return Effect.void
    if (!isRedactedText(password)) return Effect.fail(notRedacted(name, "the password"))
    // Any text may be a password, but not a reference that was not replaced.
    const defect = nonValueOf(Redacted.value(password))
    return defect?.kind !== "reference" ? Effect.void : Effect.fail(
      credentialError(
        "key_password_wrong",
        name,
        `${name} ${defect.what}`,
        `${defect.remedy} Set ${name} to the password of the key.`
      )
    )
  })

const notRedacted = (field: string, content: string) =>
  credentialError(
    "field_malformed",
    field,
    `${field} is not set, or is not redacted`,
    `Wrap ${content} where it is read, so that it is never printed: Redacted.make(value).`
  )

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

export const fromSecretFile = (
  place: Files.NamedFile,
  reload?: ClientCredential.SecretOptions
): Effect.Effect<Credential, CredentialError, Files.Files> =>
  Effect.gen(function*() {
    const kind = yield* secrets(reload?.method)
    const { again, first } = yield* Files.reread(place, certificateFileLimits)
    const material = (bytes: Uint8Array) =>
      Effect.flatMap(Effect.fromResult(secretOf(bytes, place)), (secret) => kind.read([secret]))
    return yield* Rotation.make({
      ...kind,
      ...(yield* timesOf(reload)),
      initial: yield* material(first),
      load: Effect.flatMap(again, material)
    })
  })

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

/**
 * Creates a credential from a token file, which a platform such as Kubernetes replaces every hour or so. Each attempt reads
 * the file. While the file is missing or incomplete, the previous token stays in use until it expires.
 */
export const fromTokenFile = (place: Files.NamedFile): Effect.Effect<Credential, CredentialError, Files.Files> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Files.Files>()
    const clock = yield* Clock.Clock
    let lastFailure: CredentialError | undefined
    const load = Files.read(place, tokenFileLimits).pipe(
      Effect.provideContext(context),
      Effect.flatMap((bytes) => Effect.fromResult(tokenOf(bytes, place))),
      Effect.map((token) => [token]),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          lastFailure = Option.getOrUndefined(Exit.findErrorOption(exit))
        })
      )
    )
    return yield* Rotation.make({
      load,
      initial: yield* load,
      same: (one, other) => Redacted.value(one) === Redacted.value(other),
      reloadEvery: 0,
      lookEvery,
      prove: (token) =>
        lastFailure !== undefined && isExpired(token, clock.currentTimeMillisUnsafe())
          ? Effect.fail(lastFailure)
          : Effect.succeed({ form: assertionForm(token) })
    })
  })

/** Shorter than the default `attemptTimeout`, so that the error names the file. */
const tokenFileLimits: Files.ReadLimits = { pipes: false, seconds: 5 }

/** Pipes are read, because `<(cat daemon.pem)` of a shell is a pipe. */
const certificateFileLimits: Files.ReadLimits = { pipes: true, seconds: 10 }

// -----------------------------------------------------------------------------
// the environment
// -----------------------------------------------------------------------------

/** Creates the credential that the environment names. */
export const fromMaterial = (material: Material): Effect.Effect<Credential, CredentialError, Files.Files> => {
  switch (material.kind) {
    case "secret":
      return ClientCredential.secret(material.secret)
    case "certificate": {
      const { password, path, sendCertificateChain } = material
      return fromCertificateFile({ password, path, sendCertificateChain }, {
        path: "AZURE_CLIENT_CERTIFICATE_PATH",
        keyPath: "AZURE_CLIENT_CERTIFICATE_PATH",
        password: "AZURE_CLIENT_CERTIFICATE_PASSWORD"
      })
    }
    case "federation":
      return fromTokenFile({ path: material.path, name: "AZURE_FEDERATED_TOKEN_FILE" })
  }
}
