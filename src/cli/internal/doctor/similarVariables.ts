/** Variables of other tools, and misspelled ones, that may hold the value of a variable that is not set. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { ConfigurationError } from "../../../EntraError.ts"

type Variable = "AZURE_CLIENT_ID" | "AZURE_TENANT_ID" | "AZURE_CLIENT_SECRET" | "AZURE_CLIENT_CERTIFICATE_PATH"

/** Words of other tools and people for the rest of a name. */
const words: Readonly<Record<Variable, ReadonlyArray<string>>> = {
  AZURE_CLIENT_ID: ["CLIENT_ID", "CLIENTID", "APP_ID", "APPID", "APPLICATION_ID", "APP_CLIENT_ID"],
  AZURE_TENANT_ID: ["TENANT_ID", "TENANTID", "TENANT", "DIRECTORY_ID"],
  AZURE_CLIENT_SECRET: ["CLIENT_SECRET", "CLIENTSECRET", "CLIENT_SECRET_VALUE", "SECRET", "APP_SECRET"],
  AZURE_CLIENT_CERTIFICATE_PATH: ["CLIENT_CERTIFICATE_PATH", "CLIENT_CERTIFICATE", "CERTIFICATE_PATH"]
}

const prefixes = [
  "AZURE_",
  "ARM_",
  "AZ_",
  "AAD_",
  "AZURE_AD_",
  "AZUREAD_",
  "ENTRA_",
  "MSAL_",
  "MICROSOFT_",
  "AzureAd__",
  ""
]

/** Returns the names of variables that are like a variable, without that variable itself. */
export const namesLike = (variable: Variable): ReadonlyArray<string> => {
  const names = prefixes.flatMap((prefix) => words[variable].map((word) => prefix + word))
  // Variables of .NET have words in mixed case.
  const pascal = variable.replace("AZURE_", "").replaceAll(
    /([A-Z])([A-Z]+)_?/g,
    (_, first: string, rest: string) => first + rest.toLowerCase()
  )
  return [...names, ...names.map((name) => name.toLowerCase()), `AzureAd__${pascal}`].filter((name) =>
    name !== variable
  )
}

/** The variables that have a value, by the variable that they may be meant for. */
export type Similar = Readonly<Partial<Record<Variable, ReadonlyArray<string>>>>

const presentLike = (variable: Variable): Effect.Effect<ReadonlyArray<string>> =>
  Effect.filter(namesLike(variable), (name) =>
    Effect.suspend(() => Config.option(Config.Redacted(name))).pipe(
      Effect.map(Option.exists((value) => Redacted.value(value) !== "")),
      Effect.catchCause(() => Effect.succeed(false))
    ))

/** Reads which similar variables are present. Their values are not kept. */
export const readSimilar: Effect.Effect<Similar> = Effect.all({
  AZURE_CLIENT_ID: presentLike("AZURE_CLIENT_ID"),
  AZURE_TENANT_ID: presentLike("AZURE_TENANT_ID"),
  AZURE_CLIENT_SECRET: presentLike("AZURE_CLIENT_SECRET"),
  AZURE_CLIENT_CERTIFICATE_PATH: presentLike("AZURE_CLIENT_CERTIFICATE_PATH")
})

/** Returns the sentences of the similar variables for a problem of values that are missing; empty: there are none. */
export const similarRemedy = (
  { code, field }: Pick<ConfigurationError, "code" | "field">,
  similar: Similar
): string =>
  missingIn(code, field).flatMap((variable) => {
    const names = similar[variable] ?? []
    return names.length === 0 ? [] : [
      `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} set, but not read. Set ${variable} instead.`
    ]
  }).join(" ")

const missingIn = (code: ConfigurationError["code"], field: string): ReadonlyArray<Variable> => {
  switch (code) {
    case "field_missing":
      return field === "AZURE_CLIENT_ID" ? [field] : []
    case "tenant_missing":
      return ["AZURE_TENANT_ID"]
    case "credential_missing":
      return ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"]
    default:
      return []
  }
}
