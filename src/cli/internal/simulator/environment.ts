/**
 * The environment in which a program's requests to Entra and Graph reach the simulator.
 */
import * as Redacted from "effect/Redacted"
import { posixQuote, powershellQuote } from "../shell.ts"
import type { Identity } from "./setup.ts"

/** Names and values, in the order in which they are printed. */
export type Environment = ReadonlyArray<readonly [name: string, value: string]>

/** The shell for which assignments are written. */
export type Shell = "posix" | "powershell"

/** The address of the running simulator. `authorityFile` has the certificate to trust; undefined: no TLS. */
export interface Address {
  readonly port: number
  readonly authorityFile: string | undefined
}

/**
 * Returns the variables of a program. A program that is written for Microsoft's addresses reaches the simulator through a
 * proxy. `present` has the names of the variables that the user has set: some programs read a lower-case name first.
 */
export const environmentOf = (identity: Identity, address: Address, present: ReadonlySet<string>): Environment => {
  const { authorityFile, port } = address
  const lowerToo = (name: string, value: string): Environment => {
    const lower = name.toLowerCase()
    return [[name, value], ...(present.has(lower) ? [[lower, value] as const] : [])]
  }
  return [
    ["AZURE_CLIENT_ID", identity.clientId],
    ["AZURE_TENANT_ID", identity.tenantId],
    ...(identity.secret === undefined ? [] : [["AZURE_CLIENT_SECRET", Redacted.value(identity.secret)] as const]),
    ...(identity.certificatePath === undefined
      ? []
      : [["AZURE_CLIENT_CERTIFICATE_PATH", identity.certificatePath] as const]),
    ["AZURE_AUTHORITY_HOST", `${authorityFile === undefined ? "http" : "https"}://localhost:${port}`],
    ...(authorityFile === undefined ? [] : [
      ["NODE_EXTRA_CA_CERTS", authorityFile] as const,
      ["NODE_USE_ENV_PROXY", "1"] as const,
      ...lowerToo("HTTPS_PROXY", `http://localhost:${port}`),
      ...lowerToo("NO_PROXY", "localhost,127.0.0.1")
    ])
  ]
}

/** Returns the reasons, as comments of a shell, why a program cannot use the environment as it is. */
export const notesOf = (identity: Identity, { authorityFile }: Address): ReadonlyArray<string> => [
  ...(identity.secret === undefined && identity.certificatePath === undefined
    ? [
      "# It has no credential, because the app has no secret and no file with its private key was passed. Set "
      + "AZURE_CLIENT_CERTIFICATE_PATH to the file with the key."
    ]
    : []),
  ...(authorityFile === undefined
    ? ["# effect-entra refuses http for AZURE_AUTHORITY_HOST. Run simulate without --http-only for its programs."]
    : [])
]

/** Returns the line that removes the variables from a shell. */
export const removal = (environment: Environment, shell: Shell): string =>
  shell === "posix"
    ? `unset ${environment.map(([name]) => name).join(" ")}`
    : `Remove-Item ${environment.map(([name]) => `Env:${name}`).join(", ")}`

/** Returns the lines that set the variables in a shell. */
export const assignments = (environment: Environment, shell: Shell): ReadonlyArray<string> =>
  environment.map(([name, value]) =>
    shell === "posix" ? `export ${name}=${posixQuote(value)}` : `$env:${name} = ${powershellQuote(value)}`
  )
