/** Blocks of Markdown that are a file of the repository, or a region of one. */
import { type Block, blocksOf } from "./fences.ts"

/** The text of a file, undefined when there is none. */
export type Read = (path: string) => string | undefined

/** Includes that differ from what they name. */
export const includeProblems = (file: string, markdown: string, read: Read): ReadonlyArray<string> =>
  blocksOf(markdown).flatMap((block) => {
    if (block.include === undefined) return []
    const { line, target } = block.include
    const wanted = included(target, read)
    if (wanted === undefined) return [`${file}:${line}: ${target} does not exist`]
    return wanted === block.code
      ? []
      : [`${file}:${line}: differs from ${target}; run: node test/docs/regenerate.ts`]
  }).concat(
    // A comment that no fence follows would be an include that nobody compares.
    lonely(markdown).map((line) => `${file}:${line}: an include without a fence`)
  )

/** The Markdown with every include brought up to date; one that names nothing stays as it is. */
export const regenerated = (markdown: string, read: Read): string => {
  const lines = markdown.split("\n")
  for (const block of blocksOf(markdown).toReversed()) {
    const wanted = block.include === undefined ? undefined : included(block.include.target, read)
    if (wanted !== undefined) lines.splice(block.line - 1, linesOf(block), ...wanted.split("\n"))
  }
  return lines.join("\n")
}

const linesOf = ({ code }: Block): number => code === "" ? 0 : code.split("\n").length

const lonely = (markdown: string): ReadonlyArray<number> => {
  const known = new Set(blocksOf(markdown).flatMap(({ include }) => include === undefined ? [] : [include.line]))
  return markdown.split("\n").flatMap((line, index) =>
    /^\s*<!--\s*include\b/.test(line) && !known.has(index + 1) ? [index + 1] : []
  )
}

const included = (target: string, read: Read): string | undefined => {
  const [path = "", region] = target.split("#")
  const text = read(path)
  if (text === undefined || region === undefined) return text?.trimEnd()
  const lines = text.split("\n")
  const start = lines.findIndex((line) => line.trim() === `// #region ${region}`)
  const length = start === -1 ? -1 : lines.slice(start).findIndex((line) => /^\s*\/\/ #endregion\b/.test(line))
  return length === -1 ? undefined : outdented(lines.slice(start + 1, start + length))
}

const outdented = (lines: ReadonlyArray<string>): string => {
  const margin = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)))
  return lines.map((line) => line.slice(margin)).join("\n")
}
