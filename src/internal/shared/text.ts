/** Text of callers and of services, as our messages show it, and the patterns that several modules look for. */

/**
 * Returns `value` as a message shows it: quoted, cut at 100 characters, with control characters and invisible or
 * direction-changing characters escaped.
 */
export const quote = (value: string): string =>
  JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}...` : value)
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) =>
      `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Returns `text` with a full stop at its end, unless it ends a sentence already. */
export const sentence = (text: string): string => /[.!?]["')]?$/.test(text) ? text : `${text}.`

/** Returns whether `text` is a GUID (RFC 9562 section 4), in either case. */
export const isGuid = (text: string): boolean => text.length === 36 && guidIn(text) === text

/** Returns the first GUID in `text`. */
export const guidIn = (text: string): string | undefined => guidPattern.exec(text)?.[0]

const guid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
const guidPattern = new RegExp(guid, "i")

/** Returns whether `host`, as a URL has it, never leaves this machine (RFC 6761 section 6.3, RFC 1122, RFC 4291). */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host)

// -----------------------------------------------------------------------------
// texts that are not values
// -----------------------------------------------------------------------------

/** A defect of a text that was meant to be a value. Neither sentence shows the text, which may be a secret. */
export interface NonValue {
  readonly kind: "space" | "break" | "control" | "quotes" | "brackets" | "reference" | "placeholder" | "name"
  /** Completes a sentence that begins with the name of the field. */
  readonly what: string
  readonly remedy: string
}

/** Returns the reason why a text cannot be the value that was meant, or undefined if it may be the value. */
export const nonValueOf = (text: string): NonValue | undefined =>
  text === "" ? undefined : nonValues.find(({ form }) => form.test(text))

const unresolved = "is a reference that was not replaced by its value"

const nonValues: ReadonlyArray<NonValue & { readonly form: RegExp }> = [
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
    form: new RegExp(`^[<{[(]+${guid}[>}\\])]+$`, "i"),
    what: "has brackets around it",
    remedy: "Remove the brackets."
  },
  {
    kind: "reference",
    form: /^@Microsoft\.\w+\(|^\{\s*"uri"\s*:|^https:\/\/[\w-]+\.vault\.[\w.]+\//i,
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
    form: /\$\{.+\}|^\$(?:[A-Z_][A-Z0-9_]*|env:\w+)$|^%\w+%$|\{\{.*\}\}|^#\{.*\}#?$|^__\w+__$|^<%.*%>$|^@@.*@@$/,
    what: `${unresolved} by the shell or by the template`,
    remedy: "Define that variable where the template is filled in."
  },
  {
    kind: "reference",
    form: /^(?:op:\/\/|vault:|secretref:|keyvault:|ref\+\w+:|\[(?:reference|parameters|variables|listSecrets?)\()/i,
    what: `${unresolved} by the tool that manages secrets or deployments`,
    remedy: "Start the program through that tool, or pass the value itself."
  },
  {
    kind: "name",
    form: /^(?:export\s+|set\s+)?(?:AZURE|ARM|ENTRA|MSAL)_\w+\s*[=:]/i,
    what: "begins with the name of a variable",
    remedy: "Set the value alone, without the name and the equals sign."
  },
  {
    kind: "placeholder",
    form: new RegExp(
      [
        "^<[^<>]*>$",
        "^[{[][\\w .:'-]*[}\\]]$",
        "^\\[object \\w+\\]$",
        "^your[\\s_-]|[\\s_-]here$",
        "^(?:enter|insert|put|paste|replace|change|add)[\\s_-]?(?:me|this|your|with|the)(?![a-z])",
        "^(?:x{5,}|\\.{3,}|\\u2026|\\?{3,}|undefined|null|none|todo|placeholder)$",
        "^[x0*]{8}(?:-[x0*]{4}){3}-[x0*]{12}$",
        "^.{0,4}[*\\u2022]{5,}$"
      ].join("|"),
      "i"
    ),
    what: "is a placeholder",
    remedy: "Replace the placeholder by the value."
  }
]
