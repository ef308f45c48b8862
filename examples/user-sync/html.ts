/** HTML from template literals. Every value is escaped: names of users come from other organizations. */

/** A piece of HTML, which is not escaped again. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Value = Html | string | number | undefined | ReadonlyArray<Html>

/** Builds a piece of HTML. Values may stand in text and in quoted attributes. */
export const html = (parts: TemplateStringsArray, ...values: ReadonlyArray<Value>): Html =>
  new Html(parts.map((part, index) => (index === 0 ? "" : textOf(values[index - 1])) + part).join(""))

export const escape = (text: string): string =>
  text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const textOf = (value: Value): string => {
  if (value === undefined) return ""
  if (value instanceof Html) return value.text
  return typeof value === "object" ? value.map(({ text }) => text).join("") : escape(String(value))
}
