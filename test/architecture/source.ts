/** One TypeScript file as the rules see it: what it imports, which globals it reaches for, how long it is. */
import { type ESTree, parseSync, Visitor } from "rolldown/utils"

export interface Import {
  readonly specifier: string
  readonly line: number
}

export interface Source {
  /** `import`, `import type`, `export ... from`, `import("...")`, `typeof import("...")`, `import x = require("...")`. */
  readonly imports: ReadonlyArray<Import>
  /** Names, and members of them (`Date.now`), that no scope of the file declares. */
  readonly globals: ReadonlyArray<{ readonly name: string; readonly line: number }>
  /** Lines with something on them besides comments. */
  readonly linesOfCode: number
  /** Top-level statements: `export * as Name from "specifier"` by name and specifier, anything else by its line alone. */
  readonly statements: ReadonlyArray<{
    readonly line: number
    readonly namespace?: { readonly name: string; readonly specifier: string }
  }>
}

export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

/** The parser's tree and comments; a file that does not parse is an error of the test's own. */
export const parse = (path: string, text: string) => {
  const { comments, errors, program } = parseSync(path, text)
  const [error] = errors
  if (error !== undefined) throw new Error(`${path} does not parse: ${error.message}`)
  return { comments, program }
}

export const read = (path: string, text: string): Source => {
  const { comments, program } = parse(path, text)
  const line = (node: ESTree.Span) => lineAt(text, node.start)
  return {
    imports: importsOf(program).map(({ node, specifier }) => ({ specifier, line: line(node) })),
    globals: globalsOf(program).map(({ name, node }) => ({ name, line: line(node) })),
    linesOfCode: withoutComments(text, comments).split("\n").filter((line) => line.trim() !== "").length,
    statements: program.body.map((node) =>
      node.type === "ExportAllDeclaration" && node.exported !== null
        ? { line: line(node), namespace: { name: nameOf(node.exported), specifier: node.source.value } }
        : { line: line(node) }
    )
  }
}

export const nameOf = (name: ESTree.ModuleExportName): string => name.type === "Literal" ? name.value : name.name

export const withoutComments = (text: string, comments: ReadonlyArray<ESTree.Span>): string => {
  let rest = ""
  let from = 0
  for (const { end, start } of comments) {
    rest += text.slice(from, start) + text.slice(start, end).replace(/[^\n]/g, " ")
    from = end
  }
  return rest + text.slice(from)
}

const importsOf = (program: ESTree.Program) => {
  const found: Array<{ readonly node: ESTree.Span; readonly specifier: string }> = []
  const add = (node: ESTree.Span, source: ESTree.Expression | null) => {
    if (source === null) return
    const known = source.type === "Literal" && typeof source.value === "string"
    found.push({ node, specifier: known ? source.value : computed })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node, node.source),
    ImportExpression: (node) => add(node, node.source),
    ExportAllDeclaration: (node) => add(node, node.source),
    ExportNamedDeclaration: (node) => add(node, node.source),
    TSImportType: (node) => add(node, node.source),
    TSExternalModuleReference: (node) => add(node, node.expression)
  }).visit(program)
  return found.sort((one, other) => one.node.start - other.node.start)
}

/** Stands for the name in `import(name)`, which nobody can check. */
export const computed = "(computed)"

const globalsOf = (program: ESTree.Program) => {
  const bindings: Array<{ readonly name: string; readonly scope: ESTree.Span }> = []
  const uses: Array<{ readonly name: string; readonly node: ESTree.Span }> = []
  const keys = new Set<number>()
  const scopes: Array<ESTree.Span> = [program]
  const bind = (names: ReadonlyArray<string>) => {
    const scope = scopes.at(-1) ?? program
    for (const name of names) bindings.push({ name, scope })
  }
  const open = (node: ESTree.Span) => {
    scopes.push(node)
  }
  const close = () => {
    scopes.pop()
  }
  const enterFunction = (
    node: ESTree.Span & { readonly params: ReadonlyArray<ESTree.ParamPattern> }
  ) => {
    open(node)
    bind(node.params.flatMap(namesIn))
  }
  const key = (node: { readonly key: ESTree.Span; readonly computed?: boolean }) => {
    if (node.computed !== true) keys.add(node.key.start)
  }
  const named = (node: { readonly id: { readonly name: string } | null }) =>
    bind(node.id === null ? [] : [node.id.name])
  new Visitor({
    BlockStatement: open,
    "BlockStatement:exit": close,
    ForStatement: open,
    "ForStatement:exit": close,
    ForOfStatement: open,
    "ForOfStatement:exit": close,
    ForInStatement: open,
    "ForInStatement:exit": close,
    CatchClause: (node) => {
      open(node)
      if (node.param !== null) bind(namesIn(node.param))
    },
    "CatchClause:exit": close,
    ArrowFunctionExpression: enterFunction,
    "ArrowFunctionExpression:exit": close,
    FunctionExpression: enterFunction,
    "FunctionExpression:exit": close,
    FunctionDeclaration: (node) => {
      named(node)
      enterFunction(node)
    },
    "FunctionDeclaration:exit": close,
    TSFunctionType: enterFunction,
    "TSFunctionType:exit": close,
    TSMethodSignature: (node) => {
      key(node)
      enterFunction(node)
    },
    "TSMethodSignature:exit": close,
    ClassDeclaration: named,
    VariableDeclarator: (node) => bind(namesIn(node.id)),
    ImportDeclaration: (node) => bind(node.specifiers.map(({ local }) => local.name)),
    MemberExpression: (node) => {
      if (node.computed) {
        if (node.object.type === "Identifier" && node.property.type === "Literal") {
          uses.push({ name: `${node.object.name}.${String(node.property.value)}`, node: node.object })
        }
      } else {
        keys.add(node.property.start)
        if (node.object.type === "Identifier" && node.property.type === "Identifier") {
          uses.push({ name: `${node.object.name}.${node.property.name}`, node: node.object })
        }
      }
    },
    Property: (node) => {
      if (!node.shorthand) key(node)
    },
    MethodDefinition: key,
    PropertyDefinition: key,
    TSPropertySignature: key,
    Identifier: (node) => {
      uses.push({ name: node.name, node })
    }
  }).visit(program)
  const bound = (name: string, at: number) =>
    bindings.some(({ name: other, scope }) => other === name && scope.start <= at && at < scope.end)
  return uses.filter(({ name, node }) =>
    !(keys.has(node.start) && !name.includes(".")) && !bound(name.split(".")[0] ?? name, node.start)
  )
}

export const namesIn = (pattern: ESTree.ParamPattern): ReadonlyArray<string> => {
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
