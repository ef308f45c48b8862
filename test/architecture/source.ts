/** Reads one TypeScript file for the rules: its imports and its top-level statements. */
import { type ESTree, parseSync, Visitor } from "rolldown/utils"

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface Source {
  /** `import`, `import type`, `export ... from`, `import("...")`, `typeof import("...")`, `import x = require("...")`. */
  readonly imports: ReadonlyArray<Import>
  /** Top-level statements: `export * as Name from "specifier"` with name and specifier, any other with its line alone. */
  readonly statements: ReadonlyArray<{
    readonly line: number
    readonly namespace?: { readonly name: string; readonly specifier: string }
  }>
}

/** Stands for the name in `import(name)`, which cannot be checked. */
export const computed = "(computed)"

export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

/** Returns the parser's tree and comments. Throws if the file does not parse. */
export const parse = (path: string, text: string) => {
  const { comments, errors, program } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  return { comments, program }
}

export const read = (path: string, text: string): Source => {
  const { program } = parse(path, text)
  const line = (node: ESTree.Span) => lineAt(text, node.start)
  const imports: Array<Import> = []
  const add = (node: ESTree.Span, source: ESTree.Expression | null) => {
    if (source === null) return
    const known = source.type === "Literal" && typeof source.value === "string"
    imports.push({ specifier: known ? source.value : computed, line: line(node) })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node, node.source),
    ImportExpression: (node) => add(node, node.source),
    ExportAllDeclaration: (node) => add(node, node.source),
    ExportNamedDeclaration: (node) => add(node, node.source),
    TSImportType: (node) => add(node, node.source),
    TSExternalModuleReference: (node) => add(node, node.expression)
  }).visit(program)
  return {
    imports,
    statements: program.body.map((node) =>
      node.type === "ExportAllDeclaration" && node.exported !== null
        ? { line: line(node), namespace: { name: nameOf(node.exported), specifier: node.source.value } }
        : { line: line(node) }
    )
  }
}

export const nameOf = (name: ESTree.ModuleExportName): string => name.type === "Literal" ? name.value : name.name
