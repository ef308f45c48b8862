/**
 * Texts that stand in the place of a value and cannot be that value: placeholders, references that nothing replaced,
 * quotes, white space.
 */
import { guidPattern, isGuid } from "./text.ts"

/** A defect of a text that was meant to be a value. Neither sentence shows the text, which may be a secret. */
export interface NonValue {
  readonly kind:
    | "space"
    | "break"
    | "control"
    | "quotes"
    | "brackets"
    | "reference"
    | "placeholder"
    | "name"
    | "setting"
    | "json"
    | "certificate"
  /** Completes a sentence that begins with the name of the field. */
  readonly what: string
  readonly remedy: string
}

/**
 * Returns the reason why a text cannot be the value that was meant, or undefined if it may be the value. Very long
 * texts are not examined, because callers may choose a tenant, and some patterns need quadratic time.
 */
export const nonValueOf = (text: string): NonValue | undefined => {
  if (text === "" || text.length > longestExamined || isGuid(text) && !zeroGuid.test(text)) return undefined
  const isPlain = plain.test(text)
  return nonValues.find(({ form, plainForm }) =>
    !isPlain && form?.test(text) === true || plainForm?.test(text) === true
  )
}

/** Returns the reason why a text cannot be a secret, whatever its length. Certificates and keys are long. */
export const nonSecretOf = (text: string): NonValue | undefined =>
  text.includes("-----BEGIN") || text.startsWith(encodedBegin) ? certificateText : nonValueOf(text)

/** The base64 of `-----BEGIN `. */
const encodedBegin = "LS0tLS1CRUdJTi"

const certificateText: NonValue = {
  kind: "certificate",
  what: "looks like the content of a certificate or key file",
  remedy: "To authenticate with a certificate, set AZURE_CLIENT_CERTIFICATE_PATH to the path of its file, or use "
    + "ClientCredential.layerCertificate."
}

const longestExamined = 2048

const zeroGuid = /^[0-]+$/

/** The characters of ids, domain names and the secrets that Entra makes. */
const plain = /^[\w.~-]*$/

/** The name of a setting, as documentation writes it in the place of a value. */
const setting = "(?:(?:your|my|the|some|enter|insert|azure|entra|aad|arm|msal)[\\s_-]{0,2})*"
  + "(?:application|app|client|tenant|directory|object|subscription)[\\s_-]{0,2}(?:(?:application|client)[\\s_-]?)?"
  + "(?:id|guid|uuid|secret(?:[\\s_-]?(?:value|key))?|key|name)(?:[\\s_-]?(?:value|here))?"

const settingAlone = new RegExp(`^\\W{0,3}${setting}\\W{0,3}$|^AzureAd(?::|__)\\w+$`, "i")

/** A word of each text that {@link settingAlone} matches. */
const settingWord = /app|client|tenant|directory|object|subscription|azuread/i

/** A part of a URL or of a resource's id that documentation leaves to the reader, between brackets. */
const bracketed = "<[^<>/]*>|\\{[^{}/]*\\}|%(?![\\dA-F]{2})\\w+%"

/** A part of a URL that documentation leaves to the reader, in words. */
const described = `(?<=[/.@])(?:${setting}|`
  + "(?:your|enter|insert)[_-][\\w-]{0,40}(?:tenant|client|app|domain|host|idp|issuer|org|company|realm|directory|vault|api)"
  + "[\\w-]{0,40})(?=[/.:]|$)"

const unresolved = "is a reference that was not replaced by its value"

/**
 * Most patterns are tried only on texts that are not {@link plain}, because the first use of a pattern compiles it, which
 * takes up to a millisecond.
 */
interface Row extends NonValue {
  /** Matches only texts that are not plain. */
  readonly form?: RegExp
  /** Matches plain texts too. */
  readonly plainForm?: Pick<RegExp, "test">
}

const nonValues: ReadonlyArray<Row> = [
  {
    kind: "break",
    form: /^\s*[\r\n]|[\r\n]\s*$/,
    what: "begins or ends with white space: a line break",
    remedy: "Remove the line break. Commands such as echo add it, and printf %s does not."
  },
  {
    kind: "space",
    form: /^[\s\ufeff]|[\s\ufeff]$/,
    what: "begins or ends with white space",
    remedy: "Remove the white space."
  },
  {
    kind: "control",
    form: /[\p{Cc}\u200b-\u200f\u2028\u2029\u2060-\u2064\ufeff]/u,
    what: "contains a line break, a control character or an invisible character",
    remedy: "Copy the value again, without other text."
  },
  {
    kind: "quotes",
    form: /^(?:(["'`]).*\1|\u201c.*\u201d|\u2018.*\u2019)$/,
    what: "has quotes around it",
    remedy: "Remove the quotes. Not every program that sets variables removes them."
  },
  {
    kind: "brackets",
    form: new RegExp(`^[<{[(]+${guidPattern.source}[>}\\])]+$`, "i"),
    what: "has brackets around it",
    remedy: "Remove the brackets."
  },
  {
    kind: "reference",
    form:
      /^@Microsoft\.(?:KeyVault|AppConfiguration)|^@?Microsoft\.\w+\(|^\{\s*"uri"\s*:|^https:\/\/[\w-]+\.vault\.[\w.]+\//i,
    plainForm: /^Microsoft\.(?:KeyVault|AppConfiguration)/i,
    what: `${unresolved} in Key Vault or App Configuration`,
    remedy:
      "Find the reason in the app's settings in the portal. The identity of the app must be allowed to read the vault."
  },
  {
    kind: "reference",
    form: /\$\([\w .:-]+\)|^\$\[.*\]$/,
    what: `${unresolved} by the pipeline or by Kubernetes`,
    remedy: "Define that variable. In Azure Pipelines map a secret variable in the env of the step."
  },
  {
    kind: "reference",
    form: new RegExp(
      [
        "\\$\\{.+\\}|^[$%@#]\\w*\\{.*\\}#?$|^\\$\\(.*\\)$",
        "^\\\\?\\${1,2}(?:[A-Z_][A-Z0-9_]*|[Ee][Nn][Vv]:\\w+)$",
        "^([%@#!])\\1?[A-Za-z][\\w.-]*\\1{1,2}$",
        "\\{\\{.*\\}\\}|^\\[\\[.+\\]\\]$|^<<.+>>$|^<[%?].*[%?]>$|^\\{%.*%\\}$",
        "^(?:process\\.env|Deno\\.env|import\\.meta\\.env|os\\.environ|\\w+\\.getenv|getenv|%?env)[([]",
        "^env:[A-Z_]+$"
      ].join("|")
    ),
    plainForm: new RegExp(
      [
        "^~~?[A-Za-z][\\w.-]*~~?$|^__[\\w.-]+__$",
        "^(?:process|Deno|import\\.meta)\\.env\\.|^env\\.[A-Z_]+$",
        "^(?:var|vars|local|data|module|secrets|azuread_\\w+|azurerm_\\w+)\\.[\\w.-]*_[\\w.-]*$"
      ].join("|")
    ),
    what: `${unresolved} by the shell or by the template`,
    remedy: "Define that variable where the template is filled in."
  },
  {
    kind: "reference",
    form: new RegExp(
      [
        "^(?:op|akv|az(?:ure)?-?key-?vault|keyvault|vault|secrets?|sm|gcp|bws|doppler|infisical|berglas|conjur|ssm):\\/\\/",
        "^(?:vault:|secretref:|keyvault(?:ref)?:|ref\\+\\w+:|arn:aws:(?:secretsmanager|ssm):|aws:ssm:|gcp:secret)",
        "^\\[\\w+\\(.*\\).*\\]$|^@?(?:variables|parameters|pipeline|secrets)\\(",
        "^ENC[[(]|^\\{cipher\\}|^encrypted:|^\\$ANSIBLE_VAULT|^!(?:vault|secret|ref|sub|env|env_var|getatt)\\s"
      ].join("|"),
      "i"
    ),
    what: `${unresolved} by the tool that manages secrets or deployments`,
    remedy: "Start the program through that tool, or pass the value itself."
  },
  {
    kind: "name",
    form:
      /^(?:export\s+|set\s+)?(?:(?:AZURE|ARM|ENTRA|MSAL)_\w+|(?:client|tenant|app|application)[\s_-]?(?:id|secret))\s*[=:]/i,
    what: "begins with the name of a variable",
    remedy: "Set the value alone, without the name and the equals sign."
  },
  {
    kind: "json",
    form: /^\{\s*"[\w.-]+"\s*:/,
    what: "is a JSON object",
    remedy: "Set only the value of a member, without the JSON object around it."
  },
  {
    kind: "setting",
    plainForm: { test: (text) => settingWord.test(text) && settingAlone.test(text) },
    what: "is a placeholder: the name of a setting",
    remedy: "Replace the placeholder by the value."
  },
  {
    kind: "placeholder",
    form: new RegExp(
      `^(?:[a-z][\\w+.-]{0,40}://|/subscriptions/).*(?:${bracketed})|^[a-z][\\w+.-]{0,40}://.*${described}`,
      "i"
    ),
    what: "contains a placeholder",
    remedy: "Replace the placeholder by the value."
  },
  {
    kind: "placeholder",
    form: new RegExp(
      [
        "^<[^<>]*>$|^&lt;.*&gt;$|^[\\u2039\\u00ab\\uff1c\\u3008].*[\\u203a\\u00bb\\uff1e\\u3009]$",
        "^[{[][\\w .:'-]*[}\\]]$",
        "^\\[object \\w+\\]$",
        "^[[(](?:your|enter|insert|replace)\\b.*[\\])]$",
        "^todo:|^n/a$|^\\(?(?:sensitive value|known after apply)\\)?$|^\\(null\\)$",
        "^(?:\\*{3,}|\\u2026|\\?{3,})$",
        "^.{0,4}[*\\u2022]{5,}$"
      ].join("|"),
      "i"
    ),
    plainForm: new RegExp(
      [
        "^your[\\s_-]|[\\s_-]here$|^todo[\\s_-]",
        "^(?:tbd|nil|unset|not[\\s_-]?set|fix[\\s_-]?me|change[\\s_-]?it|set[\\s_-]?me|replace)$",
        "^(?:fill[\\s_-]?(?:me[\\s_-]?)?in|\\W*redacted\\W*)$",
        "^(?:enter|insert|put|paste|replace|change|add)[\\s_-]?(?:me|this|your|with|the)(?![a-z])",
        "^(?:x{3,}(?:-x+)*|\\.{3,}|undefined|null|none|todo|placeholder)$",
        "^[x0*]{8}(?:-[x0*MN]{4}){3}-[x0*]{12}$"
      ].join("|"),
      "i"
    ),
    what: "is a placeholder",
    remedy: "Replace the placeholder by the value."
  }
]
