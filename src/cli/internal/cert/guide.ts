/**
 * The output of `cert new`: the written files, the thumbprints, and the steps that register the certificate.
 */
import { X509Certificate } from "node:crypto"
import { posixQuote, powershellQuote } from "../shell.ts"
import type { Style } from "../style.ts"

/** The files and properties of a new certificate. */
export interface Made {
  /** PEM. */
  readonly certificate: string
  /** The file with the key, and the file with the certificate alone; both absolute. */
  readonly keyFile: string
  readonly certificateFile: string
  readonly isPfx: boolean
  readonly hasPassword: boolean
  readonly algorithm: "rsa" | "ec"
  /** The app of the steps; undefined: the variable of the environment. */
  readonly clientId: string | undefined
}

/** Returns the output. */
export const guideTo = (made: Made, { bold, dim, yellow }: Style): string => {
  const { fingerprint, fingerprint256, subject, validTo } = new X509Certificate(made.certificate)
  const [sha1, sha256] = [fingerprint, fingerprint256].map((hex) => hex.replaceAll(":", ""))
  const base64url = (hex = "") => Buffer.from(hex, "hex").toString("base64url")
  const until = new Date(validTo).toISOString().slice(0, 10)
  const az = made.clientId === undefined ? "\"$AZURE_CLIENT_ID\"" : posixQuote(made.clientId)
  const graph = made.clientId === undefined ? "$env:AZURE_CLIENT_ID" : made.clientId
  return `${bold("Written")}
  ${made.keyFile}
    the private key with the certificate${made.isPfx ? " as PKCS#12" : ""}${
    made.isPfx ? passwordNote(made.hasPassword) : ""
  }
    mode 0600, so only you may read it (on Windows it has the permissions of its folder)
  ${made.certificateFile}
    the certificate alone, for Entra

${bold("Certificate")}
  ${subject.replaceAll("\n", ", ")}, valid until ${until}
  SHA-1    ${sha1}  ${dim(`x5t ${base64url(sha1)}`)}
  SHA-256  ${sha256}  ${dim(`x5t#S256 ${base64url(sha256)}`)}
${
    made.algorithm === "ec"
      ? `  ${yellow("Entra's documentation mentions RSA keys only. Check that your tenant accepts an EC key.")}\n`
      : ""
  }
${bold("Register it, in one of three ways")}
  ${bold("Portal")}: https://entra.microsoft.com, App registrations, the app, Certificates & secrets, Certificates,
  Upload certificate: ${made.certificateFile}

  ${bold("az")}
    az ad app credential reset --id ${az} --append --cert ${posixQuote(`@${made.certificateFile}`)}

  ${bold("Graph PowerShell")} (the update replaces the whole list, so it has the present certificates too)
    Connect-MgGraph -Scopes "Application.ReadWrite.All"
    $app = Get-MgApplication -Filter "appId eq '${graph}'" -Property "id,keyCredentials"
    $cert = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new(${
    powershellQuote(made.certificateFile)
  })
    $known = foreach ($key in $app.KeyCredentials) {
      @{ Type = $key.Type; Usage = $key.Usage; Key = $key.Key; DisplayName = $key.DisplayName }
    }
    $new = @{ Type = "AsymmetricX509Cert"; Usage = "Verify"; Key = $cert.RawData; DisplayName = $cert.Subject }
    Update-MgApplication -ApplicationId $app.Id -KeyCredentials (@($known) + @($new))

${bold("Use it")}
    export AZURE_CLIENT_CERTIFICATE_PATH=${posixQuote(made.keyFile)}${
    made.isPfx
      ? `
    npm i node-forge

  The package node-forge reads the .pfx file, in the project of the program.`
      : `

${bold("Or try it with the simulator")}
    npx effect-entra simulate --certificate ${posixQuote(made.keyFile)}`
  }`
}

const passwordNote = (hasPassword: boolean): string =>
  hasPassword
    ? ", with the password of AZURE_CLIENT_CERTIFICATE_PASSWORD"
    : ", without a password, because AZURE_CLIENT_CERTIFICATE_PASSWORD is not set"
