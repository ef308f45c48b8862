/** The exports of a module, and the docstring of each export. */
import type { ESTree } from "rolldown/utils"
import { lineAt, nameOf, parse } from "../architecture/source.ts"
import { distinct, type Fence, fencesInComment } from "./fences.ts"

export interface Declaration {
  readonly name: string
  readonly line: number
  /** True if it is an exported `const` or `function`, which can have an example. */
  readonly isValue: boolean
  /** The docstring between its stars, "" when there is none. */
  readonly doc: string
  /** Where a re-export comes from, and what it is called there. */
  readonly from: { readonly specifier: string; readonly name: string } | undefined
}

interface Doc {
  readonly start: number
  readonly end: number
  readonly text: string
}

export const declarationsOf = (path: string, source: string): ReadonlyArray<Declaration> =>
  exportsOf(path, source).map(({ doc, from, isValue, line, name }) => ({
    name,
    line,
    isValue,
    from,
    doc: doc?.text ?? ""
  }))

/** The fences of all docstrings of a module, named after what they document. */
export const fencesInSource = (path: string, source: string): ReadonlyArray<Fence> => {
  const owners = new Map(
    exportsOf(path, source).flatMap(({ doc, name }) => doc === undefined ? [] : [[doc.start, name]])
  )
  const { program } = parse(path, source)
  const first = program.body[0]?.start ?? source.length
  return distinct(
    docsOf(path, source).flatMap(({ end, start, text }) =>
      fencesInComment(path, text, lineAt(source, start), owners.get(start) ?? (end <= first ? "module" : "other"))
    )
  )
}

export const tagOf = (doc: string, tag: string): string | undefined =>
  new RegExp(`^\\s*\\* @${tag} +(\\S.*)$`, "m").exec(doc)?.[1]

/** Exports whose docstring says no category or no version; a re-export may have its docstring where it is declared. */
export const undocumented = (
  path: string,
  files: ReadonlyMap<string, string>,
  resolve: (from: string, specifier: string) => string
): ReadonlyArray<string> =>
  declarationsOf(path, files.get(path) ?? "").flatMap((declaration) => {
    const doc = declaration.doc === "" ? docAtOrigin(path, declaration, files, resolve) : declaration.doc
    const missing = ["category", "since"].filter((tag) => tagOf(doc, tag) === undefined)
    return missing.length === 0
      ? []
      : [
        `${path}:${declaration.line} ${declaration.name}: ${
          doc === "" ? "no docstring" : `no @${missing.join(", no @")}`
        }`
      ]
  })

const docAtOrigin = (
  path: string,
  { from }: Declaration,
  files: ReadonlyMap<string, string>,
  resolve: (from: string, specifier: string) => string
): string => {
  if (from === undefined) return ""
  const origin = resolve(path, from.specifier)
  return declarationsOf(origin, files.get(origin) ?? "").find(({ name }) => name === from.name)?.doc ?? ""
}

const docsOf = (path: string, source: string): ReadonlyArray<Doc> =>
  parse(path, source).comments.flatMap(({ end, start, type, value }) =>
    type === "Block" && value.startsWith("*") ? [{ start, end, text: value }] : []
  )

const exportsOf = (path: string, source: string) => {
  const docs = docsOf(path, source)
  const { program } = parse(path, source)
  const found: Array<Omit<Declaration, "doc"> & { readonly doc: Doc | undefined }> = []
  let previous = 0
  for (const node of program.body) {
    const add = (
      name: string,
      at: ESTree.Span,
      after: number,
      rest: Partial<Pick<Declaration, "isValue" | "from">> = {}
    ) =>
      found.push({
        name,
        line: lineAt(source, at.start),
        isValue: false,
        from: undefined,
        ...rest,
        doc: docs.findLast(({ end, start }) => start >= after && end <= at.start)
      })
    if (node.type === "ExportAllDeclaration") {
      add(node.exported === null ? "*" : nameOf(node.exported), node, previous)
    } else if (node.type === "ExportDefaultDeclaration") {
      add("default", node, previous)
    } else if (node.type === "ExportNamedDeclaration") {
      for (const { isValue, name } of namesDeclaredBy(node.declaration)) add(name, node, previous, { isValue })
      let last = node.start
      for (const specifier of node.specifiers) {
        const from = node.source === null
          ? undefined
          : { specifier: node.source.value, name: nameOf(specifier.local) }
        add(nameOf(specifier.exported), specifier, last, { from })
        last = specifier.end
      }
    }
    previous = node.end
  }
  // Further signatures of an overloaded function share the first one's docstring.
  return found.filter(({ isValue, name }, index) =>
    !isValue || found.findIndex((other) => other.isValue && other.name === name) === index
  )
}

const namesDeclaredBy = (
  declaration: ESTree.Declaration | null
): ReadonlyArray<{ readonly name: string; readonly isValue: boolean }> => {
  switch (declaration?.type) {
    case "VariableDeclaration":
      return declaration.declarations.flatMap(({ id }) => namesIn(id).map((name) => ({ name, isValue: true })))
    case "FunctionDeclaration":
    case "TSDeclareFunction":
      return declaration.id === null ? [] : [{ name: declaration.id.name, isValue: true }]
    case "ClassDeclaration":
    case "TSInterfaceDeclaration":
    case "TSTypeAliasDeclaration":
    case "TSEnumDeclaration":
      return declaration.id === null ? [] : [{ name: declaration.id.name, isValue: false }]
    default:
      return []
  }
}

const namesIn = (pattern: ESTree.ParamPattern): ReadonlyArray<string> => {
  switch (pattern.type) {
    case "Identifier":
      return [pattern.name]
    case "ObjectPattern":
      return pattern.properties.flatMap((property) =>
        namesIn(property.type === "RestElement" ? property.argument : property.value)
      )
    case "ArrayPattern":
      return pattern.elements.flatMap((element) =>
        element === null ? [] : namesIn(element.type === "RestElement" ? element.argument : element)
      )
    case "AssignmentPattern":
      return namesIn(pattern.left)
    case "RestElement":
      return namesIn(pattern.argument)
    case "TSParameterProperty":
      return namesIn(pattern.parameter)
  }
}
