/** The `ts` fences of docstrings and of Markdown, each as a module with a name of its own. */

export interface Fence {
  /** Unique and stable: `ConfidentialClient.acquireToken`. */
  readonly name: string
  readonly file: string
  /** Of the first line of code, from 1. */
  readonly line: number
  readonly code: string
  /** False for what needs a network or an environment. */
  readonly run: boolean
}

/** A fence as it stands in the text. */
export interface Block {
  readonly info: ReadonlyArray<string>
  /** Of the first line of code, from 1. */
  readonly line: number
  readonly code: string
  /** The target of the `<!-- include path#region -->` before it. Only blank lines may stand between. */
  readonly include: { readonly target: string; readonly line: number } | undefined
  /** The heading it stands under. */
  readonly heading: string
}

const opening = /^( {0,3})(`{3,})([^`]*)$/

export const blocksOf = (text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly marks: string; readonly block: Omit<Block, "code">; readonly lines: Array<string> } | undefined
  let heading = ""
  let before = { text: "", line: 0 }
  for (const [index, line] of text.split("\n").entries()) {
    if (open !== undefined) {
      if (line.trimStart().startsWith(open.marks) && /^`+$/.test(line.trim())) {
        blocks.push({ ...open.block, code: open.lines.join("\n") })
        open = undefined
      } else open.lines.push(line)
    } else {
      const [, , marks, info] = opening.exec(line) ?? []
      if (marks !== undefined) {
        const target = /^<!-- include (\S+) -->$/.exec(before.text)?.[1]
        const include = target === undefined ? undefined : { target, line: before.line }
        const words = (info ?? "").trim().split(/\s+/).filter((word) => word !== "")
        open = { marks, block: { info: words, line: index + 2, include, heading }, lines: [] }
      }
      heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading
    }
    if (line.trim() !== "") before = { text: line.trim(), line: index + 1 }
  }
  if (open !== undefined) throw new Error(`the fence before line ${open.block.line} is not closed`)
  return blocks
}

/** The fences of a Markdown file; those that are included from a file are checked with that file. */
export const fencesInMarkdown = (file: string, text: string): ReadonlyArray<Fence> =>
  distinct(
    blocksOf(text).flatMap((block) =>
      isTypeScript(block) && block.include === undefined ? [fence(file, block, nameInMarkdown(file, block))] : []
    )
  )

/** The fences of a docstring that begins at `line` of `file`. */
export const fencesInComment = (file: string, comment: string, line: number, owner: string): ReadonlyArray<Fence> => {
  const text = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "")).join("\n")
  const module = file.replace(/^src\//, "").replace(/\.ts$/, "").replaceAll("/", ".")
  return blocksOf(text).flatMap((block) =>
    isTypeScript(block) ? [fence(file, { ...block, line: block.line + line - 1 }, `${module}.${owner}`)] : []
  )
}

/** The second of a name is called `name.2`. */
export const distinct = (fences: ReadonlyArray<Fence>): ReadonlyArray<Fence> => {
  const counts = new Map<string, number>()
  return fences.map((fence) => {
    const count = (counts.get(fence.name) ?? 0) + 1
    counts.set(fence.name, count)
    return count === 1 ? fence : { ...fence, name: `${fence.name}.${count}` }
  })
}

/** Words after `ts` that mean nothing here, so that a misspelt `no-run` is not one more way to run. */
export const unknownWords = (file: string, text: string): ReadonlyArray<string> =>
  blocksOf(text).flatMap((block) =>
    isTypeScript(block) && block.info.slice(1).some((word) => word !== "no-run" || !file.endsWith(".md"))
      ? [`${file}:${block.line - 1}: ${block.info.join(" ")}`]
      : []
  )

const isTypeScript = ({ info }: Block): boolean => info[0] === "ts" || info[0] === "typescript"

const fence = (file: string, { code, info, line }: Block, name: string): Fence => ({
  name,
  file,
  line,
  code,
  run: !info.includes("no-run")
})

const nameInMarkdown = (file: string, { heading }: Block): string => {
  const slug = heading.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")
  return `${file.replace(/\.md$/, "").replaceAll("/", ".")}.${slug === "" ? "top" : slug}`
}
