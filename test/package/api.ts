/**
 * The API report: the declarations of all public modules without their docstrings, and the declarations of internal modules
 * that they name.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, posix } from "node:path"
import type { ESTree } from "rolldown/utils"
import { nameOf, parse } from "../architecture/source.ts"
import { root } from "../docs/repository.ts"
import { publicModules } from "./entries.ts"

/** Compiles the declarations, and returns the report. */
export const apiReport = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "effect-entra-api-"))
  try {
    execFileSync(process.execPath, [
      join(root, "node_modules/typescript/bin/tsc"),
      "--project",
      join(root, "tsconfig.build.json"),
      "--emitDeclarationOnly",
      "--declarationMap",
      "false",
      "--outDir",
      folder
    ])
    return reportOf(publicModules(), (module) => readFileSync(join(folder, `${module}.d.ts`), "utf8"))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const reportOf = (modules: ReadonlyArray<string>, read: (module: string) => string): string => {
  const known = new Map<string, Declarations>()
  const declarationsOf = (module: string): Declarations => {
    const found = known.get(module) ?? declarationsIn(module, read(module))
    known.set(module, found)
    return found
  }
  const reported = new Map(modules.map((module) => [module, new Set(declarationsOf(module).local.keys())]))
  // Declarations of internal modules, as far as a declaration that is in the report names them.
  const pending = modules.flatMap((module) =>
    [...declarationsOf(module).local].map(([, { text }]) => ({ module, text }))
  )
  const add = (module: string, name: string) => {
    const declared = declarationsOf(module)
    const names = reported.get(module) ?? new Set<string>()
    reported.set(module, names)
    const declaration = declared.local.get(name)
    if (declaration === undefined) {
      const from = declared.imported.get(name)
      if (from !== undefined) add(from.module, from.name)
    } else if (!names.has(name)) {
      names.add(name)
      pending.push({ module, text: declaration.text })
    }
  }
  for (const module of modules) {
    for (const { module: from, name } of declarationsOf(module).reexported) {
      for (const one of name === "*" ? declarationsOf(from).local.keys() : [name]) add(from, one)
    }
  }
  for (const { module, text } of pending) {
    const { imported, local } = declarationsOf(module)
    for (
      const [, name = "", member = ""] of text.matchAll(/(?<![\w."'])([A-Za-z_$][\w$]*)(?:\.([A-Za-z_$][\w$]*))?/g)
    ) {
      const from = imported.get(name)
      if (from !== undefined) add(from.module, from.name === "*" ? member : from.name)
      else if (local.has(name)) add(module, name)
    }
  }
  return [...reported]
    .filter(([, names]) => names.size > 0)
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map(([module, names]) => {
      const { exports, local } = declarationsOf(module)
      const texts = [...local].filter(([name]) => names.has(name)).map(([, { text }]) => text)
      return [`// ${module}`, ...[...exports, ...texts].sort()].join("\n")
    })
    .join("\n\n") + "\n"
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Named {
  readonly module: string
  /** "*" for a namespace. */
  readonly name: string
}

interface Declarations {
  readonly local: ReadonlyMap<string, { readonly text: string }>
  readonly imported: ReadonlyMap<string, Named>
  /** The texts of `export ... from`. */
  readonly exports: ReadonlyArray<string>
  readonly reexported: ReadonlyArray<Named>
}

const declarationsIn = (module: string, source: string): Declarations => {
  const { comments, program } = parse(`${module}.d.ts`, source)
  const textOf = ({ end, start }: ESTree.Span): string => {
    const inside = comments.filter((comment) => comment.start >= start && comment.end <= end)
    let text = ""
    let at = start
    for (const comment of inside) {
      text += source.slice(at, comment.start)
      at = comment.end
    }
    return (text + source.slice(at, end)).replace(/\n(?:[ \t]*\n)+/g, "\n").replace(/[ \t]+$/gm, "")
  }
  const moduleAt = (specifier: string): string | undefined =>
    specifier.startsWith(".")
      ? posix.join(posix.dirname(module), specifier).replace(/\.(?:ts|js)$/, "")
      : undefined
  const local = new Map<string, { readonly text: string }>()
  const imported = new Map<string, Named>()
  const exports: Array<string> = []
  const reexported: Array<Named> = []
  for (const node of program.body) {
    if (node.type === "ImportDeclaration") {
      const from = moduleAt(node.source.value)
      if (from === undefined) continue
      for (const specifier of node.specifiers) {
        imported.set(specifier.local.name, {
          module: from,
          name: specifier.type === "ImportSpecifier" ? nameOf(specifier.imported) : "*"
        })
      }
    } else if (node.type === "ExportAllDeclaration") {
      exports.push(textOf(node))
      const from = moduleAt(node.source.value)
      if (from !== undefined) reexported.push({ module: from, name: "*" })
    } else if (node.type === "ExportNamedDeclaration" && node.declaration === null) {
      if (node.specifiers.length === 0) continue
      exports.push(textOf(node).replace(/\s+/g, " "))
      const from = node.source === null ? undefined : moduleAt(node.source.value)
      if (from === undefined) continue
      for (const specifier of node.specifiers) reexported.push({ module: from, name: nameOf(specifier.local) })
    } else {
      for (const name of namesOf(node)) {
        const before = local.get(name)?.text
        const text = textOf(node)
        // Signatures of one function, or a class with an interface of its name.
        local.set(name, { text: before === undefined ? text : `${before}\n${text}` })
      }
    }
  }
  return { local, imported, exports, reexported }
}

const namesOf = (node: ESTree.Statement | ESTree.Declaration | ESTree.Directive): ReadonlyArray<string> => {
  switch (node.type) {
    case "ExportNamedDeclaration":
      return node.declaration === null ? [] : namesOf(node.declaration)
    case "VariableDeclaration":
      return node.declarations.flatMap(({ id }) => id.type === "Identifier" ? [id.name] : [])
    case "FunctionDeclaration":
    case "TSDeclareFunction":
    case "ClassDeclaration":
      return node.id === null ? [] : [node.id.name]
    case "TSInterfaceDeclaration":
    case "TSTypeAliasDeclaration":
      return [node.id.name]
    default:
      throw new Error(`the API report does not know ${node.type}`)
  }
}
