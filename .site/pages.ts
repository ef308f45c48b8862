/**
 * A plugin of TypeDoc: it adds the pages of `docs/` to the API reference, in the order of `docs/README.md`, and a page for
 * each file or folder of the repository that a page links to. The Markdown needs nothing but relative links.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, extname, join, relative } from "node:path"
import {
  type Application,
  Comment,
  CommentTag,
  type Context,
  Converter,
  type DeclarationReflection,
  DocumentReflection,
  KindRouter,
  MinimalSourceFile,
  normalizePath,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
  TypeScript
} from "typedoc"
import { contentsOf, moduleDocOf, titleOf } from "./text.ts"

const root = normalizePath(join(import.meta.dirname, ".."))

/** Files that the browser shows or saves as they are. TypeDoc copies them. */
const assets = new Set([".svg", ".png", ".json", ".yaml"])

/** Headings of the navigation for pages that are not in the table of contents. */
const sections = { project: "The project", sources: "Source files" }

const inRepository = (path: string): string => normalizePath(relative(root, path))

/** The address of a page is its path in the repository. */
class PathRouter extends KindRouter {
  override getIdealBaseName(reflection: Reflection): string {
    const path = reflection.isDocument() ? reflection.project.files.getReflectionPath(reflection) : undefined
    return path === undefined ? super.getIdealBaseName(reflection) : inRepository(path).replace(/\.md$/, "")
  }
}

const describeModule = (converter: Converter, module: DeclarationReflection): void => {
  const path = module.project.files.getReflectionPath(module) ?? ""
  const text = new MinimalSourceFile(moduleDocOf(readFileSync(path, "utf8")), normalizePath(path))
  const category = `API: ${["effect-entra", ...module.name.split("/").slice(0, -1)].join("/")}`
  module.comment = new Comment(converter.parseRawComment(text, module.project.files).content, [
    new CommentTag("@category", [{ kind: "text", text: category }])
  ])
}

const addPages = (converter: Converter, project: ProjectReflection): void => {
  const add = (path: string, name: string, markdown: string, parent: ProjectReflection | DocumentReflection) => {
    // The links in the listing of a folder are relative to the folder.
    const file = normalizePath(statSync(path).isDirectory() ? join(path, "index") : path)
    const { content } = converter.parseRawComment(new MinimalSourceFile(markdown, file), project.files)
    const page = new DocumentReflection(name, parent, content, {})
    parent.addChild(page)
    project.registerReflection(page, undefined, normalizePath(path))
    return page
  }

  const addMarkdown = (path: string, section: string): void => {
    const text = readFileSync(path, "utf8")
    const page = add(path, titleOf(text) ?? basename(path), text, project)
    page.frontmatter["category"] = section
    // The changelog and similar pages mention every term, so they come last in a search.
    if (section === sections.project) page.relevanceBoost = 0.02
  }

  const folders = new Map<string, DocumentReflection>()
  /** The page of a folder has the pages of files below it in the navigation. One that a page links to lists all files. */
  const folderAt = (path: string, isLinked: boolean): DocumentReflection => {
    const name = inRepository(path)
    const known = folders.get(name)
    if (known !== undefined) return known
    const files = isLinked ? readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile()) : []
    const listing = files.map((file) => `- [${file.name}](${file.name})`).toSorted()
    const page = add(path, name, [`# ${name}`, "", ...listing].join("\n"), project)
    page.frontmatter["category"] = sections.sources
    page.relevanceBoost = 0
    folders.set(name, page)
    return page
  }

  const addSource = (path: string): void => {
    const code = ["````" + extname(path).slice(1), readFileSync(path, "utf8").trimEnd(), "````"]
    const markdown = [`# ${inRepository(path)}`, "", ...code].join("\n")
    // Source files are not in the search index, because the API reference and the pages describe them.
    add(path, basename(path), markdown, folderAt(dirname(path), false)).relevanceBoost = 0
  }

  addMarkdown(join(root, "docs/README.md"), sections.project)
  for (const { file, section } of contentsOf(readFileSync(join(root, "docs/README.md"), "utf8"))) {
    addMarkdown(join(root, "docs", file), section)
  }
  const linked = () =>
    [...project.files.getMediaPaths()].filter((path) =>
      path.startsWith(`${root}/`) && !assets.has(extname(path)) && existsSync(path)
    )
  const isFolder = (path: string) => statSync(path).isDirectory()
  // A page that is added may link to further files.
  for (let paths = linked(); paths.length > 0; paths = linked()) {
    for (const path of paths.filter(isFolder)) folderAt(path, true)
    for (const path of paths.filter((path) => !isFolder(path))) {
      if (path.endsWith(".md")) addMarkdown(path, sections.project)
      else addSource(path)
    }
  }
}

/** The docstring of a re-export describes it to users. TypeDoc prefers the one of the declaration, which is internal. */
const describeReExport = (context: Context, reflection: DeclarationReflection): void => {
  const module = reflection.parent === undefined ? undefined : context.getSymbolFromReflection(reflection.parent)
  const symbol = [...module?.exports?.values() ?? []].find(({ name }) => name === reflection.name)
  const specifier = symbol?.declarations?.find(TypeScript.isExportSpecifier)
  const comment = specifier === undefined ? undefined : context.getNodeComment(specifier, false)
  if (comment !== undefined) reflection.comment = comment
}

export const load = (app: Application): void => {
  app.renderer.defineRouter("path", PathRouter)
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, describeReExport)
  app.converter.on(
    Converter.EVENT_RESOLVE_BEGIN,
    ({ project }) => {
      for (const module of project.children ?? []) describeModule(app.converter, module)
      // The constructor of a service takes `never`.
      for (const reflection of project.getReflectionsByKind(ReflectionKind.Constructor)) {
        const [signature] = reflection.isDeclaration() ? reflection.signatures ?? [] : []
        if (signature?.parameters?.[0]?.type?.toString() === "never") project.removeReflection(reflection)
      }
      addPages(app.converter, project)
    },
    // After TypeDoc has read the README.
    -100
  )
}
