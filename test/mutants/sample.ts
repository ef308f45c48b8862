/** Which mutants a run tries, and the table of what became of them. */

/** A mutant: a change of one expression or statement of a source file. */
export interface Mutant {
  readonly file: string
  readonly mutator: string
  readonly replacement: string
  /** Lines count from 1, columns from 0; the end's column is behind the last character. */
  readonly start: Position
  readonly end: Position
}

export interface Position {
  readonly line: number
  readonly column: number
}

export type Fate = "killed" | "timedOut" | "survived" | "notCovered"

/** Returns the same string for the same mutant in the listing, in the tool's checker and in its report. */
export const keyOf = ({ file, mutator, replacement, start, end }: Mutant): string =>
  [file, start.line, start.column, end.line, end.column, mutator, replacement].join(":")

/** Returns numbers from 0 up to 1 that depend on the seed alone (mulberry32). */
export const numbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Picks about `size` mutants by the seed: from each file in proportion to its mutants. */
export const pick = (mutants: ReadonlyArray<Mutant>, size: number, seed: number): Array<Mutant> => {
  const random = numbers(seed)
  return [...Map.groupBy(mutants, (mutant) => mutant.file).values()].flatMap((ofFile) => {
    // Rounded by chance: a small file would otherwise never have its turn.
    const wanted = Math.floor((size * ofFile.length) / mutants.length + random())
    const drawn = ofFile.map((mutant) => ({ mutant, order: random() }))
    return drawn.sort((a, b) => a.order - b.order).slice(0, wanted).map(({ mutant }) => mutant)
  })
}

/** Returns the share of the mutants that the tests noticed, in percent. */
export const shareDead = (fates: ReadonlyArray<Fate>): number =>
  fates.length === 0
    ? 0
    : (100 * fates.filter((fate) => fate === "killed" || fate === "timedOut").length) / fates.length

/** Returns a line for each file and one for all of them. */
export const table = (results: ReadonlyArray<{ readonly mutant: Mutant; readonly fate: Fate }>): Array<string> => {
  const line = (name: string, fates: ReadonlyArray<Fate>): string => {
    const count = (fate: Fate): number => fates.filter((other) => other === fate).length
    const cells = [fates.length, count("killed"), count("timedOut"), count("survived"), count("notCovered")]
    return `${name.padEnd(58)}${cells.map((cell) => String(cell).padStart(11)).join("")}${
      `${shareDead(fates).toFixed(1)} %`.padStart(11)
    }`
  }
  const heads = ["mutated", "killed", "timed out", "survived", "no coverage", "dead"]
  const files = [...Map.groupBy(results, ({ mutant }) => mutant.file)].sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    "file".padEnd(58) + heads.map((head) => head.padStart(11)).join(""),
    ...files.map(([file, ofFile]) => line(file, ofFile.map(({ fate }) => fate))),
    line("all", results.map(({ fate }) => fate))
  ]
}

/** Returns the text of a source between two positions, in one line of bounded length. */
export const excerpt = (source: string, { start, end }: Pick<Mutant, "start" | "end">): string => {
  const lines = source.split("\n").slice(start.line - 1, end.line)
  const last = lines.length - 1
  if (lines[last] !== undefined) lines[last] = lines[last].slice(0, end.column)
  if (lines[0] !== undefined) lines[0] = lines[0].slice(start.column)
  return oneLine(lines.join("\n"))
}

export const oneLine = (text: string): string => {
  const joined = text.replace(/\s+/g, " ").trim()
  return joined.length > 120 ? `${joined.slice(0, 117)}...` : joined
}
