/** The links of everything that ships as text, and what they lead to inside the packed tarball. */
import { execFileSync } from "node:child_process"
import { posix } from "node:path"
import { readText, root } from "./repository.ts"

/** The files of a tarball: the text of each page, the empty string for every other file. */
type Shipped = ReadonlyMap<string, string>

/** Returns the files that `npm pack` would ship. */
export const packed = (): Shipped => {
  const output = execFileSync("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    shell: process.platform === "win32"
  })
  const [{ files } = { files: [] }]: ReadonlyArray<{ readonly files: ReadonlyArray<{ readonly path: string }> }> = JSON
    .parse(output)
  return new Map(files.map(({ path }) => [path, path.endsWith(".md") ? readText(path) ?? "" : ""]))
}

const withoutCode = (markdown: string): string =>
  markdown.replace(/^( {0,3})(`{3,})[\s\S]*?^\1\2/gm, "").replace(/`[^`\n]*`/g, "``")

/** Returns the targets of the links and images of a page, those to the web left out. */
export const linksOf = (markdown: string): ReadonlyArray<string> =>
  [...withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target)
    .filter((target) => !/^(?:https?|mailto):/.test(target))

/** Returns the anchors of a page as GitHub makes them: lower case, no punctuation, hyphens for blanks, numbered when they repeat. */
export const anchorsOf = (markdown: string): ReadonlyArray<string> => {
  const seen = new Map<string, number>()
  return [...markdown.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#{1,6} +(.*?) *$/gm)].map(([, heading = ""]) => {
    const slug = heading.toLowerCase().replace(/[^\p{L}\p{N}\p{M}\p{Pc} -]/gu, "").replaceAll(" ", "-")
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  })
}

const isShipped = (path: string, shipped: Shipped): boolean =>
  shipped.has(path) || [...shipped.keys()].some((file) => file.startsWith(`${path.replace(/\/$/, "")}/`))

/** Returns the links of a page that lead to no file, or to no heading, of the tarball. */
export const linkProblems = (path: string, markdown: string, shipped: Shipped): ReadonlyArray<string> =>
  linksOf(markdown).flatMap((link) => {
    const [file = "", anchor] = link.split("#")
    const target = file === "" ? path : posix.join(posix.dirname(path), file)
    if (!isShipped(target, shipped)) return [`${path}: ${link} does not ship`]
    const page = target === path ? markdown : shipped.get(target) ?? ""
    return anchor === undefined || anchorsOf(page).includes(anchor) || page.includes(`<a id="${anchor}">`)
      ? []
      : [`${path}: ${link} is not a heading`]
  })

/** Returns the pointers of code (`docs/page.md#heading`) that lead nowhere; one that code completes must begin like a heading. */
export const pointerProblems = (path: string, code: string, shipped: Shipped): ReadonlyArray<string> =>
  [...code.matchAll(/\bdocs\/([\w-]+\.(?:md|json|yaml))(?:#([\w-]*)(\$\{)?)?/g)].flatMap(
    ([whole, file, anchor, isCompleted]) => {
      const target = `docs/${file}`
      if (!shipped.has(target)) return [`${path}: ${whole} does not ship`]
      const anchors = anchorsOf(shipped.get(target) ?? "")
      return anchor === undefined || anchors.includes(anchor) ||
          (isCompleted !== undefined && anchors.some((one) => one.startsWith(anchor)))
        ? []
        : [`${path}: ${whole} is not a heading`]
    }
  )
