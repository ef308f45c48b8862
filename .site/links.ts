/** Checks the links, anchors, images, scripts and style sheets of the built site. Exits with 1 if one of them leads nowhere. */
import { Parser } from "htmlparser2"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { join, posix, sep } from "node:path"
import { inflateSync } from "node:zlib"

interface Page {
  readonly links: ReadonlyArray<string>
  readonly anchors: ReadonlySet<string>
}

/** Reads the links and the anchors of a page, as a browser does: those in code and in comments are not among them. */
const read = (html: string): Page => {
  const links: Array<string> = []
  const anchors = new Set<string>()
  const parser = new Parser({
    onopentag: (_, { href, id, name, src }) => {
      for (const link of [href, src]) if (link !== undefined) links.push(link)
      for (const anchor of [id, name]) if (anchor !== undefined) anchors.add(anchor)
    }
  })
  parser.end(html)
  return { links, anchors }
}

/** Returns the addresses in TypeDoc's navigation and search index, which its script turns into links. */
const linksOfScript = (path: string): ReadonlyArray<string> => {
  const data = /"([A-Za-z0-9+/=]+)"/.exec(readFileSync(path, "utf8"))?.[1] ?? ""
  const json = inflateSync(Buffer.from(data, "base64")).toString()
  return [...json.matchAll(/"(?:path|url)":"([^"]*)"/g)].map(([, link = ""]) => link)
}

/** Returns a line for each link of the site in `folder` that leads to no file, or to no anchor, of that folder. */
export const problemsOf = (folder: string): { readonly checked: number; readonly problems: ReadonlyArray<string> } => {
  const pages = new Map(
    globSync("**/*.{html,svg}", { cwd: folder }).map((path) => [
      path.split(sep).join(posix.sep),
      read(readFileSync(join(folder, path), "utf8"))
    ])
  )
  const scripts = ["assets/navigation.js", "assets/search.js"].map((path) =>
    ["index.html", linksOfScript(join(folder, path))] as const
  )
  const links = [...[...pages].map(([path, { links }]) => [path, links] as const), ...scripts].flatMap((
    [path, links]
  ) => links.filter((link) => !/^[a-z]+:/i.test(link)).map((link) => ({ path, link })))
  const problems = links.flatMap(({ link, path }) => {
    const { hash, pathname } = new URL(link, `file:///${path}`)
    const target = decodeURIComponent(pathname).slice(1).replace(/(^|\/)$/, "$1index.html")
    const file = join(folder, target)
    if (!existsSync(file) || !statSync(file).isFile()) return [`${path}: ${link}: no such file`]
    const anchor = decodeURIComponent(hash).slice(1)
    return anchor === "" || pages.get(target)?.anchors.has(anchor) === true ? [] : [`${path}: ${link}: no such anchor`]
  })
  return { checked: links.length, problems: [...new Set(problems)] }
}

if (import.meta.main) {
  const { checked, problems } = problemsOf(process.argv[2] ?? "../site")
  for (const problem of problems) console.error(problem)
  console.log(`${checked} links of the site checked, ${problems.length} broken`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
