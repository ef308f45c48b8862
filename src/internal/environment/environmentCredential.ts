/** Which credential an environment names, and what is wrong with how it names it; pure, and without a look at any file. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type CredentialError, type InvalidRequestError } from "../../EntraError.ts"
import { credentialError, invalidRequest } from "../shared/errors.ts"

/** Undefined: not set, or set to nothing. */
export interface CredentialVariables {
  readonly AZURE_CLIENT_SECRET: Redacted.Redacted<string> | undefined
  readonly AZURE_CLIENT_CERTIFICATE_PATH: string | undefined
  readonly AZURE_CLIENT_CERTIFICATE_PASSWORD: Redacted.Redacted<string> | undefined
  readonly AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: string | undefined
  readonly AZURE_FEDERATED_TOKEN_FILE: string | undefined
}

/** In the order in which they are taken when nothing decides. */
const kinds = ["secret", "certificate", "federation"] as const

export type CredentialKind = typeof kinds[number]

export interface SecretMaterial {
  readonly kind: "secret"
  readonly secret: Redacted.Redacted<string>
}

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
  /** What is wrong with variables that are not the material itself. */
  readonly problems: ReadonlyArray<CredentialProblem>
  /** Names of variables and advice, nothing else. */
  readonly warnings: ReadonlyArray<string>
}

const variableOf = {
  secret: "AZURE_CLIENT_SECRET",
  certificate: "AZURE_CLIENT_CERTIFICATE_PATH",
  federation: "AZURE_FEDERATED_TOKEN_FILE"
} as const

/** `decide` is what the caller can write to decide among several, if he can. */
export const chooseCredential = (
  found: CredentialVariables,
  wanted: CredentialKind | undefined,
  decide?: string
): Choice<Material> => {
  if (wanted !== undefined && !kinds.includes(wanted)) {
    return { material: Result.fail(unknownKind()), problems: [], warnings: [] }
  }
  const set = kinds.filter((kind) => found[variableOf[kind]] !== undefined)
  const kind = wanted ?? set[0]
  const chain = flagOf(found.AZURE_CLIENT_SEND_CERTIFICATE_CHAIN)
  const halves = found.AZURE_CLIENT_CERTIFICATE_PATH === undefined
    ? [
      ...(found.AZURE_CLIENT_CERTIFICATE_PASSWORD === undefined ? [] : ["AZURE_CLIENT_CERTIFICATE_PASSWORD"]),
      ...(chain === true ? ["AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"] : [])
    ]
    : []
  // Who has decided for something else may leave what he likes in the certificate's variables.
  const minds = wanted === undefined || wanted === "certificate"
  const half = minds && halves.length > 0 ? [halfSet(halves)] : []
  const material = kind === undefined ? undefined : materialOf(kind, found, chain === true)
  return {
    material: material ?? Result.fail(half[0] ?? missing(wanted)),
    problems: [
      ...(material === undefined ? [] : half),
      ...(minds && chain === undefined ? [neitherTrueNorFalse()] : [])
    ],
    warnings: [
      ...(wanted === undefined && set.length > 1 ? [severalSet(set, decide)] : []),
      ...(kind === "secret" && found.AZURE_CLIENT_SECRET !== undefined &&
          isGuid(Redacted.value(found.AZURE_CLIENT_SECRET))
        ? [secretsId] :
        [])
    ]
  }
}

/** The choice of who reads no files. */
export const chooseSecret = (
  found: CredentialVariables,
  wanted: CredentialKind | undefined,
  decide?: string
): Choice<SecretMaterial> => {
  if (wanted === "certificate" || wanted === "federation") {
    return { material: Result.fail(needsFiles(["credential"], `is "${wanted}"`)), problems: [], warnings: [] }
  }
  const { material, ...rest } = chooseCredential(found, wanted, decide)
  return {
    ...rest,
    material: Result.flatMap(
      material,
      (material) =>
        material.kind === "secret"
          ? Result.succeed(material)
          : Result.fail(needsFiles(
            [variableOf.certificate, variableOf.federation].filter((name) => found[name] !== undefined),
            "names a file"
          ))
    )
  }
}

const materialOf = (
  kind: CredentialKind,
  found: CredentialVariables,
  sendCertificateChain: boolean
): Choice<Material>["material"] | undefined => {
  const secret = found.AZURE_CLIENT_SECRET
  const certificate = found.AZURE_CLIENT_CERTIFICATE_PATH
  const federation = found.AZURE_FEDERATED_TOKEN_FILE
  if (kind === "secret") return secret === undefined ? undefined : secretOf(secret)
  if (kind === "federation") {
    return federation === undefined ? undefined : Result.succeed({ kind, path: federation })
  }
  return certificate === undefined ? undefined : Result.succeed({
    kind,
    path: certificate,
    password: found.AZURE_CLIENT_CERTIFICATE_PASSWORD,
    sendCertificateChain
  })
}

/** What Entra makes has neither quotes nor white space: files, shells and YAML add them. */
const secretOf = (secret: Redacted.Redacted<string>): Result.Result<SecretMaterial, CredentialError> => {
  const text = Redacted.value(secret)
  const added = text.trim() === ""
    ? "holds nothing but white space"
    : /[\r\n]$/.test(text)
    ? "ends in a line break"
    : text !== text.trim()
    ? "begins or ends with white space"
    : /^(["']).*\1$/s.test(text)
    ? "has quotes around it"
    : undefined
  return added === undefined ? Result.succeed({ kind: "secret", secret }) : Result.fail(
    credentialError(
      text.trim() === "" ? "secret_empty" : "secret_malformed",
      variableOf.secret,
      `${variableOf.secret} ${added}`,
      `Set ${variableOf.secret} to the secret's value alone, as the portal showed it. ${secretPage}`
    )
  )
}

/** Undefined: neither. */
const flagOf = (text: string | undefined): boolean | undefined => {
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

export const isGuid = (text: string): boolean => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

// -----------------------------------------------------------------------------
// what is said
// -----------------------------------------------------------------------------

const secretPage = "See docs/registering.md#a-secret of effect-entra."

const severalSet = (set: ReadonlyArray<CredentialKind>, decide: string | undefined): string => {
  const [used, ...ignored] = set.map((kind) => variableOf[kind])
  return `several credentials are set: ${used} is used, ${ignored.join(" and ")} ${
    ignored.length > 1 ? "are" : "is"
  } ignored. Unset what is not meant${decide === undefined ? "" : `, or decide with ${decide}`}`
}

const secretsId = `${variableOf.secret} looks like the id of a secret: what is needed is its value. ${secretPage}`

const missing = (wanted: CredentialKind | undefined): CredentialError => {
  const names = wanted === undefined ? kinds.map((kind) => variableOf[kind]) : [variableOf[wanted]]
  const page = wanted === undefined || wanted === "secret" ? "secret" : pageOf[wanted]
  return credentialError(
    "credential_missing",
    names.join(", "),
    wanted === undefined
      ? `no credential is set: neither ${names.join(" nor ")}`
      : `${variableOf[wanted]} is not set, and credential is "${wanted}"`,
    `${
      wanted === undefined
        ? "Set one of these variables; those that name a file are read by layerFromEnv of effect-entra/node."
        : `Set ${variableOf[wanted]}, or decide for another credential.`
    } See docs/registering.md#a-${page} of effect-entra.`
  )
}

const pageOf = { certificate: "certificate", federation: "federated-credential" } as const

const halfSet = (names: ReadonlyArray<string>): CredentialError =>
  credentialError(
    "credential_incomplete",
    variableOf.certificate,
    `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} set, and ${variableOf.certificate} is not`,
    `Set ${variableOf.certificate} to the path of the certificate's file, or unset ${names.join(" and ")}.`
  )

const neitherTrueNorFalse = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN is neither true nor false",
    "Set AZURE_CLIENT_SEND_CERTIFICATE_CHAIN to true or false (or 1 or 0), or unset it, which means false."
  )

const unknownKind = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "credential",
    "credential is no kind of credential",
    `Pass "secret", "certificate" or "federation" as credential, or leave it out.`
  )

const needsFiles = (names: ReadonlyArray<string>, what: string): CredentialError =>
  credentialError(
    "credential_file",
    names.join(", "),
    `${names.join(" and ")} ${what}, and the core reads no files`,
    "Use layerFromEnv of effect-entra/node, which reads them; or read the file in your program and pass what it "
      + "holds to ClientCredential.layerCertificate or layerAssertion, with ConfidentialClient.layer."
  )
