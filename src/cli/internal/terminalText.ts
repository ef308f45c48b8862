/** Texts of servers and files for a terminal, where control characters could write over other lines or reorder them. */

const controls = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Returns a text with spaces in place of control characters. It keeps its lines. */
export const printable = (text: string): string => text.replaceAll("\r\n", "\n").replaceAll(controls, " ")

/** Returns JSON for people, with escapes in place of control characters. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value, undefined, 2).replaceAll(
    controls,
    (character) => character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
  )
