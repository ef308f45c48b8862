/**
 * Texts as words of a shell.
 */

/** Quotes a text as one word of a POSIX shell. */
export const posixQuote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Quotes a text as one word of PowerShell, which takes typographic quotes for quotes too. */
export const powershellQuote = (text: string): string => `'${text.replace(/['\u2018-\u201b]/g, "$&$&")}'`
