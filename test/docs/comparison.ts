/** The rules of `docs/comparison.md`: each claim of ours leads to a test, each claim about a peer to a source. */

export const columns = ["Feature", "effect-entra", "MSAL.NET", "msal-node", "@azure/identity", "Duende"]

export interface Row {
  readonly line: number
  readonly cells: ReadonlyArray<string>
}

/** The files and names with which the page is compared. */
export interface World {
  /** The names of the tests of a file, undefined if there is no such file. */
  readonly testNames: (path: string) => ReadonlyArray<string> | undefined
  /** Returns whether a path from `docs/` leads to a file of the repository. */
  readonly isFile: (path: string) => boolean
  /** Returns whether the installed package of a column, or a package that it depends on, has a file of this name. */
  readonly isInstalled: (peer: string, name: string) => boolean
}

/** Returns the rows of all tables of a page, with the heads, without the lines of dashes. */
export const rowsOf = (markdown: string): ReadonlyArray<Row> =>
  markdown.split(/\r?\n/).flatMap((text, index) => {
    const cells = /^\|(.*)\|\s*$/.exec(text)?.[1]?.split("|").map((cell) => cell.trim())
    return cells === undefined || cells.every((cell) => /^:?-+:?$/.test(cell)) ? [] : [{ line: index + 1, cells }]
  })

/** Returns the problems of a page, a line for each problem. */
export const comparisonProblems = (markdown: string, world: World): ReadonlyArray<string> => {
  const rows = rowsOf(markdown)
  const features = rows.map(({ cells: [feature = ""] }) => feature).filter((feature) => feature !== columns[0])
  const better = /^## Where a peer is better$([\s\S]*?)(?=^## |$(?![\s\S]))/m.exec(markdown)?.[1] ?? ""
  return [
    ...rows.flatMap(({ cells, line }) => rowProblems(cells, better, world).map((problem) => `${line}: ${problem}`)),
    ...features.filter((feature, at) => features.indexOf(feature) < at).map((feature) => `${feature} is there twice`),
    ...referenceProblems(markdown)
  ]
}

const rowProblems = (cells: ReadonlyArray<string>, better: string, world: World): ReadonlyArray<string> => {
  const [feature = "", ours = "", ...peers] = cells
  if (cells.length !== columns.length || cells.includes("")) return [`not ${columns.length} cells with text`]
  if (feature === columns[0]) return cells.every((cell, at) => cell === columns[at]) ? [] : ["other columns"]
  const isQuiet = peers.some((peer) => verdictOf(peer) === "Better") && !better.includes(`**${feature}**`)
  return [
    ...ourProblems(ours, world),
    ...peers.flatMap((peer, at) => peerProblems(columns[at + 2] ?? "", peer, ours, world)),
    ...isQuiet ? [`${feature} is not in the section on better peers`] : []
  ]
}

const referenceProblems = (markdown: string): ReadonlyArray<string> => {
  const definitions = new Map(
    [...markdown.matchAll(/^\[([\w-]+)\]: (\S+)$/gm)].map(([, name = "", target = ""]) => [name, target] as const)
  )
  const used = new Set([...markdown.matchAll(/\]\[([\w-]+)\]/g)].map(([, name = ""]) => name))
  return [
    ...[...used].filter((name) => !definitions.has(name)).map((name) => `[${name}] is not defined`),
    ...[...definitions.keys()].filter((name) => !used.has(name)).map((name) => `[${name}] is not used`),
    ...[...definitions].filter(([, target]) => !target.startsWith("https://")).map(([name]) => `[${name}] is not https`)
  ]
}

const verdictOf = (cell: string): string => /^(?:Yes|Partly|No|Better|Not verified)(?=$|[ ,:])/.exec(cell)?.[0] ?? ""

const linksOf = (cell: string) =>
  [...cell.matchAll(/\[([^\]]+)\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g)].map(([, text = "", path = ""]) => ({ text, path }))

const ourProblems = (cell: string, { isFile, testNames }: World): ReadonlyArray<string> => {
  const verdict = verdictOf(cell)
  if (!["Yes", "Partly", "No"].includes(verdict)) return [`effect-entra: "${cell}" is no verdict`]
  const links = linksOf(cell)
  const tests = links.filter(({ path }) => path.endsWith(".test.ts"))
  return [
    ...verdict !== "No" && tests.length === 0 ? ["effect-entra: no link to a test"] : [],
    ...links.filter(({ path }) => !isFile(path)).map(({ path }) => `effect-entra: ${path} is not a file`),
    ...tests.flatMap(({ path, text }) =>
      testNames(path)?.some((name) => name.includes(text)) === false
        ? [`effect-entra: no test of ${path} has "${text}" in its name`]
        : []
    )
  ]
}

const peerProblems = (
  peer: string,
  cell: string,
  ours: string,
  { isFile, isInstalled }: World
): ReadonlyArray<string> => {
  const verdict = verdictOf(cell)
  if (verdict === "") return [`${peer}: "${cell}" is no verdict`]
  const files = [...cell.matchAll(/`([\w-]+\.(?:mjs|js|json))`/g)].map(([, name = ""]) => name)
  const links = linksOf(cell)
  // @azure/identity often uses a feature of msal-node, whose source is in the column before.
  const hasSource = files.length + links.length > 0 || /\]\[/.test(cell) || /\b(?:that|those) of msal-node\b/.test(cell)
  return [
    ...verdict !== "No" && verdict !== "Not verified" && !hasSource ? [`${peer}: no source`] : [],
    ...files.filter((name) => !isInstalled(peer, name)).map((name) => `${peer}: ${name} is not installed`),
    ...links.filter(({ path }) => !isFile(path)).map(({ path }) => `${peer}: ${path} is not a file`),
    ...verdictOf(ours) === "No" && (verdict === "Yes" || verdict === "Partly")
      ? [`${peer}: is better, and does not say so`]
      : [],
    ...verdictOf(ours) === "Yes" && verdict === "Better"
      ? [`${peer}: cannot be better than our Yes, which is Partly then`]
      : []
  ]
}
