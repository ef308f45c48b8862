/** The flags that describe a client. They override the variables of `effect-entra/node`'s `layerFromEnv`. */
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stdio from "effect/Stdio"
import * as Struct from "effect/Struct"
import type { ClientCredential } from "../../ClientCredential.ts"
import type { CredentialLoader } from "../../internal/environment/environment.ts"
import { chooseCredential, type Material } from "../../internal/environment/environmentCredential.ts"
import * as NodeClientCredential from "../../node/NodeClientCredential.ts"
import { filled } from "./checkedFlag.ts"
import { CommandError } from "./commandError.ts"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), filled, Flag.optional)

const question = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** Creates a flag that is refused without its value. For an unknown flag the parser would show the value. */
const refused = (name: string) => Flag.Redacted(name).pipe(Flag.optional, Flag.withHidden)

/** The flags of the client, for `token` and `doctor`. */
export const clientFlags = {
  tenant: text("tenant", "id|domain", "The tenant, by its id or a domain name (AZURE_TENANT_ID)").pipe(
    Flag.withAlias("t")
  ),
  clientId: text("client-id", "id", "The application (client) id (AZURE_CLIENT_ID)"),
  authority: text("authority", "url", "The authority's host as an https URL (AZURE_AUTHORITY_HOST)"),
  askSecret: question("ask-secret", "Ask for the client secret on the terminal"),
  secretFile: text("secret-file", "path", "A file with the client secret"),
  certificate: text(
    "certificate",
    "path",
    "A file with a certificate and its private key, PEM or PFX (AZURE_CLIENT_CERTIFICATE_PATH)"
  ),
  askCertificatePassword: question(
    "ask-certificate-password",
    "Ask for the password of the certificate file on the terminal"
  ),
  federatedTokenFile: text(
    "federated-token-file",
    "path",
    "A file with a platform's token (AZURE_FEDERATED_TOKEN_FILE)"
  ),
  secret: refused("secret").pipe(Flag.withAlias("client-secret")),
  certificatePassword: refused("certificate-password")
}

/** The values of {@link clientFlags}. */
export interface ClientFlags {
  readonly tenant: Option.Option<string>
  readonly clientId: Option.Option<string>
  readonly authority: Option.Option<string>
  readonly askSecret: boolean
  readonly secretFile: Option.Option<string>
  readonly certificate: Option.Option<string>
  readonly askCertificatePassword: boolean
  readonly federatedTokenFile: Option.Option<string>
  readonly secret: Option.Option<Redacted.Redacted<string>>
  readonly certificatePassword: Option.Option<Redacted.Redacted<string>>
}

/** The material of the environment, or a file with a secret, for which there is no variable. */
export type ClientMaterial = Material | { readonly kind: "secretFile"; readonly path: string }

/** The client that the flags and the environment describe. */
export interface ClientSetup {
  /** The variables, overridden by the flags. */
  readonly provider: (environment: ConfigProvider.ConfigProvider) => ConfigProvider.ConfigProvider
  readonly loader: CredentialLoader<ClientMaterial, ClientCredential["Service"], NodeClientCredential.Files>
  /** Returns the text of an error with the names of flags in place of the variables and options that they set. */
  readonly inFlags: (text: string) => string
}

/** Returns the setup, after asking for the secrets for which the flags ask. */
export const clientSetup = Effect.fnUntraced(function*(flags: ClientFlags) {
  const typed = Option.isSome(flags.secret)
    ? "secret"
    : Option.isSome(flags.certificatePassword)
    ? "certificate-password"
    : undefined
  if (typed !== undefined) {
    return yield* new CommandError({
      message:
        `--${typed} is refused, because the shell keeps command lines and other users of this machine can see them.`,
      remedy: `${alternatives[typed]} Replace the value that was typed here.`
    })
  }
  const given = credentialsOf(flags)
  if (given.length > 1) {
    return yield* new CommandError({
      message: `${given.join(" and ")} are several credentials, but the client uses one.`,
      remedy: "Pass only one of them."
    })
  }
  return setupOf(flags, {
    secret: flags.askSecret ? yield* ask("Client secret", alternatives.secret) : undefined,
    password: flags.askCertificatePassword
      ? yield* ask("Password of the certificate", alternatives["certificate-password"])
      : undefined
  })
})

const alternatives = {
  secret: "Set AZURE_CLIENT_SECRET, or pass --secret-file with a path, or --ask-secret on a terminal.",
  "certificate-password": "Set AZURE_CLIENT_CERTIFICATE_PASSWORD, or pass --ask-certificate-password on a terminal."
} as const

const ask = Effect.fnUntraced(function*(message: string, remedy: string) {
  const { stdinIsTerminal } = yield* Stdio.Stdio
  return (yield* stdinIsTerminal)
    ? yield* Prompt.run(Prompt.Password({ message }))
    : yield* new CommandError({ message: "Standard input is not a terminal, so the command cannot ask.", remedy })
})

/** Returns the names of the passed flags that choose a credential. */
const credentialsOf = (flags: ClientFlags): ReadonlyArray<string> => [
  ...(flags.askSecret ? ["--ask-secret"] : []),
  ...(Option.isSome(flags.secretFile) ? ["--secret-file"] : []),
  ...(Option.isSome(flags.certificate) ? ["--certificate"] : []),
  ...(Option.isSome(flags.federatedTokenFile) ? ["--federated-token-file"] : [])
]

/** Returns the setup of flags, with the answers to the questions. */
export const setupOf = (
  flags: ClientFlags,
  { password, secret }: {
    readonly secret: Redacted.Redacted<string> | undefined
    readonly password: Redacted.Redacted<string> | undefined
  }
): ClientSetup => {
  const secretFile = Option.getOrUndefined(flags.secretFile)
  const values: Record<keyof typeof variableFlags, string | undefined> = {
    AZURE_TENANT_ID: Option.getOrUndefined(flags.tenant),
    AZURE_CLIENT_ID: Option.getOrUndefined(flags.clientId),
    AZURE_AUTHORITY_HOST: Option.getOrUndefined(flags.authority),
    AZURE_CLIENT_SECRET: secret === undefined ? undefined : Redacted.value(secret),
    AZURE_CLIENT_CERTIFICATE_PATH: Option.getOrUndefined(flags.certificate),
    AZURE_CLIENT_CERTIFICATE_PASSWORD: password === undefined ? undefined : Redacted.value(password),
    AZURE_FEDERATED_TOKEN_FILE: Option.getOrUndefined(flags.federatedTokenFile)
  }
  const names = variables.filter((name) => values[name] !== undefined)
  // A credential of the flags replaces those of the environment. The password may be meant for either certificate.
  const unset = credentialsOf(flags).length > 0
    ? ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"].concat(
      Option.isSome(flags.certificate)
        ? []
        : ["AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"]
    )
    : []
  const overrides = ConfigProvider.fromUnknown(
    Object.fromEntries([...unset.map((name) => [name, ""]), ...names.map((name) => [name, values[name]])]),
    { preserveEmptyStrings: true }
  )
  return {
    provider: (environment) => ConfigProvider.orElse(overrides, environment),
    loader: {
      choose: (variables, selected) =>
        secretFile === undefined
          ? chooseCredential(variables, selected)
          : { material: Result.succeed({ kind: "secretFile", path: secretFile }), problems: [], warnings: [] },
      load: (material) =>
        material.kind === "secretFile"
          ? NodeClientCredential.secretFile({ path: material.path })
          : NodeClientCredential.fromEnv({ credential: material.kind })
    },
    inFlags: (text) => {
      const renamed = names.reduce((text, name) => text.replaceAll(name, `--${variableFlags[name]}`), text)
        // A remedy that names both the variable and its flag.
        .replaceAll(/\bSet (--[a-z-]+), or pass \1\b/g, "Pass $1")
      // The option keyPath has neither a flag nor a variable.
      const scoped = renamed.replace(/^scopes\b/, "--scope").replace(", or name the key's own file (keyPath)", "")
      return secretFile === undefined
        ? scoped
        : scoped.replaceAll(/(?<=^|Set |Check |Check that )path\b/g, "--secret-file")
    }
  }
}

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

const variableFlags = {
  AZURE_TENANT_ID: "tenant",
  AZURE_CLIENT_ID: "client-id",
  AZURE_AUTHORITY_HOST: "authority",
  AZURE_CLIENT_SECRET: "ask-secret",
  AZURE_CLIENT_CERTIFICATE_PATH: "certificate",
  AZURE_CLIENT_CERTIFICATE_PASSWORD: "ask-certificate-password",
  AZURE_FEDERATED_TOKEN_FILE: "federated-token-file"
} as const

const variables = Struct.keys(variableFlags)
