/** The credential that environment variables configure, and the problems of the variables. Files are not read here. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type CredentialError, type InvalidRequestError } from "../../EntraError.ts"
import { credentialError, invalidRequest } from "../shared/errors.ts"
import { nonSecretOf } from "../shared/nonValue.ts"
import { isGuid } from "../shared/text.ts"

/** The variables of a credential. A variable is undefined if it is unset or empty. */
export interface CredentialVariables {
  readonly AZURE_CLIENT_SECRET: Redacted.Redacted<string> | undefined
  readonly AZURE_CLIENT_CERTIFICATE_PATH: string | undefined
  readonly AZURE_CLIENT_CERTIFICATE_PASSWORD: Redacted.Redacted<string> | undefined
  readonly AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: string | undefined
  readonly AZURE_FEDERATED_TOKEN_FILE: string | undefined
}

/** The kinds of credentials, in order of precedence when no kind is selected. */
const kinds = ["secret", "certificate", "federation"] as const

export type CredentialKind = typeof kinds[number]

export interface SecretMaterial {
  readonly kind: "secret"
  readonly secret: Redacted.Redacted<string>
}

/** The material of a credential, or the path of its file. */
export type Material =
  | SecretMaterial
  | {
    readonly kind: "certificate"
    readonly path: string
    readonly password: Redacted.Redacted<string> | undefined
    readonly sendCertificateChain: boolean
  }
  | { readonly kind: "federation"; readonly path: string }

export type CredentialProblem = CredentialError | InvalidRequestError

export interface Choice<M> {
  readonly material: Result.Result<M, CredentialProblem>
  /** Problems of variables other than that of the material. */
  readonly problems: ReadonlyArray<CredentialProblem>
  /** Warnings, which contain no values of variables. */
  readonly warnings: ReadonlyArray<string>
}

const variableOf = {
  secret: "AZURE_CLIENT_SECRET",
  certificate: "AZURE_CLIENT_CERTIFICATE_PATH",
  federation: "AZURE_FEDERATED_TOKEN_FILE"
} as const

/**
 * Returns the choice for a caller that reads files. `selectionHint` is the code with which a user can select one of
 * several credentials, if there is such code. `fileRemedy` is the text that a caller that reads no files adds to the
 * remedy.
 */
export const chooseCredential = (
  variables: CredentialVariables,
  selected: CredentialKind | undefined,
  selectionHint?: string,
  fileRemedy = ""
): Choice<Material> => {
  if (selected !== undefined && !kinds.includes(selected)) {
    return { material: Result.fail(unknownKind()), problems: [], warnings: [] }
  }
  const available = kinds.filter((kind) => variables[variableOf[kind]] !== undefined)
  const kind = selected ?? available[0]
  const sendCertificateChain = parseFlag(variables.AZURE_CLIENT_SEND_CERTIFICATE_CHAIN)
  const orphans = variables.AZURE_CLIENT_CERTIFICATE_PATH === undefined
    ? [
      ...(variables.AZURE_CLIENT_CERTIFICATE_PASSWORD === undefined ? [] : ["AZURE_CLIENT_CERTIFICATE_PASSWORD"]),
      ...(sendCertificateChain === true ? ["AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"] : [])
    ]
    : []
  // If another kind is selected, the variables of the certificate are not validated.
  const usesCertificate = selected === undefined || selected === "certificate"
  const incomplete = usesCertificate && orphans.length > 0 ? [incompleteCertificate(orphans)] : []
  const material = kind === undefined ? undefined : materialOf(kind, variables, sendCertificateChain === true)
  return {
    material: material ?? Result.fail(incomplete[0] ?? missingCredential(selected, fileRemedy)),
    problems: [
      ...(material === undefined ? [] : incomplete),
      ...(usesCertificate && sendCertificateChain === undefined ? [malformedFlag()] : [])
    ],
    warnings: [
      ...(selected === undefined && available.length > 1 ? [severalCredentialsWarning(available, selectionHint)] : []),
      ...(kind === "secret" && variables.AZURE_CLIENT_SECRET !== undefined &&
          isGuid(Redacted.value(variables.AZURE_CLIENT_SECRET))
        ? [secretIdWarning] :
        [])
    ]
  }
}

/** Returns the choice for a caller that reads no files. */
export const chooseSecret = (
  variables: CredentialVariables,
  selected: CredentialKind | undefined,
  selectionHint?: string
): Choice<SecretMaterial> => {
  if (selected === "certificate" || selected === "federation") {
    return { material: Result.fail(filesUnsupported(["credential"], `is "${selected}"`)), problems: [], warnings: [] }
  }
  const { material, ...rest } = chooseCredential(
    variables,
    selected,
    selectionHint,
    " Use layerFromEnv of effect-entra/node for the variables that name a file."
  )
  return {
    ...rest,
    material: Result.flatMap(
      material,
      (material) =>
        material.kind === "secret"
          ? Result.succeed(material)
          : Result.fail(filesUnsupported(
            [variableOf.certificate, variableOf.federation].filter((name) => variables[name] !== undefined),
            "names a file"
          ))
    )
  }
}

const materialOf = (
  kind: CredentialKind,
  variables: CredentialVariables,
  sendCertificateChain: boolean
): Choice<Material>["material"] | undefined => {
  const secret = variables.AZURE_CLIENT_SECRET
  const certificate = variables.AZURE_CLIENT_CERTIFICATE_PATH
  const federation = variables.AZURE_FEDERATED_TOKEN_FILE
  if (kind === "secret") return secret === undefined ? undefined : secretMaterialOf(secret)
  if (kind === "federation") {
    return federation === undefined ? undefined : Result.succeed({ kind, path: federation })
  }
  return certificate === undefined ? undefined : Result.succeed({
    kind,
    path: certificate,
    password: variables.AZURE_CLIENT_CERTIFICATE_PASSWORD,
    sendCertificateChain
  })
}

/** Returns the material of a secret. Entra's secrets have no white space around them, but variables may add it. */
const secretMaterialOf = (secret: Redacted.Redacted<string>): Result.Result<SecretMaterial, CredentialError> => {
  const text = Redacted.value(secret)
  const isBlank = text.trim() === ""
  const defect = nonSecretOf(text)
  return defect === undefined ? Result.succeed({ kind: "secret", secret }) : Result.fail(
    credentialError(
      isBlank ? "secret_empty" : "secret_malformed",
      variableOf.secret,
      `${variableOf.secret} ${isBlank ? "contains only white space" : defect.what}`,
      `${defect.remedy} Set ${variableOf.secret} to exactly the secret's value, as the portal showed it. ${secretPage}`
    )
  )
}

/** Parses a flag. The result is undefined if the text is neither true nor false. */
const parseFlag = (text: string | undefined): boolean | undefined => {
  switch (text?.toLowerCase()) {
    case undefined:
    case "false":
    case "0":
      return false
    case "true":
    case "1":
      return true
    default:
      return undefined
  }
}

// -----------------------------------------------------------------------------
// messages
// -----------------------------------------------------------------------------

const secretPage = "See docs/registering.md#a-secret of effect-entra."

const severalCredentialsWarning = (
  available: ReadonlyArray<CredentialKind>,
  selectionHint: string | undefined
): string => {
  const [used, ...ignored] = available.map((kind) => variableOf[kind])
  return `several credentials are set: ${used} is used, ${ignored.join(" and ")} ${
    ignored.length > 1 ? "are" : "is"
  } ignored. Unset the others${selectionHint === undefined ? "" : `, or select one with ${selectionHint}`}`
}

const secretIdWarning = `${variableOf.secret} looks like the id of a secret, but must be its value. ${secretPage}`

const missingCredential = (selected: CredentialKind | undefined, fileRemedy: string): CredentialError => {
  const names = selected === undefined ? kinds.map((kind) => variableOf[kind]) : [variableOf[selected]]
  const page = selected === undefined || selected === "secret" ? "secret" : registeringPages[selected]
  return credentialError(
    "credential_missing",
    names.join(", "),
    selected === undefined
      ? `No credential is set: neither ${names.join(" nor ")}`
      : `${variableOf[selected]} is not set, but credential is "${selected}"`,
    `${
      selected === undefined
        ? `Set one of these variables.${fileRemedy}`
        : `Set ${variableOf[selected]}, or select another credential.`
    } See docs/registering.md#a-${page} of effect-entra.`
  )
}

const registeringPages = { certificate: "certificate", federation: "federated-credential" } as const

const incompleteCertificate = (names: ReadonlyArray<string>): CredentialError =>
  credentialError(
    "credential_incomplete",
    variableOf.certificate,
    `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} set, but ${variableOf.certificate} is not`,
    `Set ${variableOf.certificate} to the path of the certificate file, or unset ${names.join(" and ")}.`
  )

const malformedFlag = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN is neither true nor false",
    "Set AZURE_CLIENT_SEND_CERTIFICATE_CHAIN to true or false (or to 1 or 0), or unset it, which means false."
  )

const unknownKind = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "credential",
    "credential is not a kind of credential",
    `Pass "secret", "certificate" or "federation" as credential, or leave it out.`
  )

const filesUnsupported = (names: ReadonlyArray<string>, what: string): CredentialError =>
  credentialError(
    "credential_file",
    names.join(", "),
    `${names.join(" and ")} ${what}, but effect-entra without /node reads no files`,
    "Use layerFromEnv of effect-entra/node, which reads files, with NodeFileSystem.layer of @effect/platform-node. Or read "
      + "the file in your program, and pass its content to ClientCredential.layerCertificate or "
      + "ClientCredential.layerAssertion, with ConfidentialClient.layerDefault."
  )
