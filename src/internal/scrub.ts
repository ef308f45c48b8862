/** Keeping secrets out of what a service echoes: every spelling in which a form value may come back. */

const formEncoded = (value: string): string => new URLSearchParams({ v: value }).toString().slice(2)

const spellings = (secret: string): ReadonlyArray<string> => [
  secret,
  encodeURIComponent(secret),
  formEncoded(secret),
  JSON.stringify(secret).slice(1, -1),
  secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
]

/** A function that replaces the secrets, and whatever looks like a signed JWT, and cuts the text at 2,000 characters. */
export const scrubber = (secrets: ReadonlyArray<string>): (text: string) => string => {
  const needles = [...new Set(secrets.filter((secret) => secret !== "").flatMap(spellings))]
    .sort((a, b) => b.length - a.length)
  return (text) => {
    let clean = text.replace(/[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, "<redacted>")
    for (const needle of needles) clean = clean.replaceAll(needle, "<redacted>")
    return clean.length > 2000 ? `${clean.slice(0, 2000)}...` : clean
  }
}
