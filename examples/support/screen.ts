/** Lines that are drawn again in the same place of a terminal. */
import { Console, Effect } from "effect"

/** Returns a function that replaces the lines of its last call. Without a terminal it prints nothing. */
export const makeScreen = (): (lines: ReadonlyArray<string>) => Effect.Effect<void> => {
  let height = 0
  return (lines) =>
    Effect.sync(() => {
      if (!process.stdout.isTTY) return
      const up = height === 0 ? "" : `\x1b[${height}A\x1b[0J`
      process.stdout.write(`${up}${lines.join("\n")}\n`)
      height = lines.length
    })
}

/** Prints a line where there is no terminal to draw on. */
export const printLine = (line: string): Effect.Effect<void> => process.stdout.isTTY ? Effect.void : Console.log(line)
