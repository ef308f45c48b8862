/**
 * Colors for a terminal. A pipe, `NO_COLOR` and a terminal without colors switch them off.
 */
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"

/** Functions that color a text, or return it as it is. */
export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
}

/** Returns the style for a terminal with or without colors. */
export const makeStyle = (canColor: boolean): Style => {
  const sgr = (on: number, off: number) => (text: string) => canColor ? `\u001b[${on}m${text}\u001b[${off}m` : text
  return { bold: sgr(1, 22), dim: sgr(2, 22), red: sgr(31, 39), green: sgr(32, 39), yellow: sgr(33, 39) }
}

/** The style of standard output. */
export const style: Effect.Effect<Style> = Effect.map(
  TerminalCapabilities.TerminalCapabilities,
  ({ canColor }) => makeStyle(canColor)
)
