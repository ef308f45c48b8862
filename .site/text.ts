/** Reads titles, descriptions and the table of contents from the text of pages and modules. */

export interface Entry {
  /** The line above the list, without its colon: "Using the library". */
  readonly section: string
  /** The file name of the page in `docs/`. */
  readonly file: string
}

/**
 * Returns the pages of a table of contents, in its order. It is the order and the grouping of the navigation. Entries that
 * are not Markdown pages are left out.
 */
export const contentsOf = (markdown: string): ReadonlyArray<Entry> => {
  const entries: Array<Entry> = []
  let section = ""
  for (const line of markdown.split(/\r?\n/)) {
    section = /^(\w.*):$/.exec(line)?.[1] ?? section
    const file = /^- \[[^\]]*\]\(([^)#/]+\.md)\)/.exec(line)?.[1]
    if (file !== undefined) entries.push({ section, file })
  }
  return entries
}

/** Returns the first heading of a page without its marks. */
export const titleOf = (markdown: string): string | undefined => /^# +(.*\S)/m.exec(markdown)?.[1]?.replace(/[`*]/g, "")

/** Returns the docstring of a module without its stars and tags, or "" if the module has no docstring. */
export const moduleDocOf = (source: string): string => {
  const [, doc = ""] = /^\/\*\*([\s\S]*?)\*\//.exec(source) ?? []
  return doc.split(/\r?\n/).map((line) => line.replace(/^ *\* ?/, "")).filter((line) => !line.startsWith("@")).join(
    "\n"
  )
    .trim()
}
