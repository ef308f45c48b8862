/** The names of the tests and groups of a test file, as they stand in its source. */
import { type ESTree, Visitor } from "rolldown/utils"
import { parse } from "../architecture/source.ts"

/** Returns the first argument of each `it` and `describe`, those that are skipped left out. */
export const testNamesOf = (path: string, text: string): ReadonlyArray<string> => {
  const names: Array<string> = []
  new Visitor({
    CallExpression: ({ arguments: [name], callee }) => {
      const words = wordsOf(callee)
      const [root = "", ...modifiers] = words
      // `it.each(rows)` is no test yet, `it.each(rows)("name", ...)` is.
      if (name === undefined || words.at(-1) === "each" || !["it", "describe"].includes(root)) return
      if (!modifiers.some((word) => word === "skip" || word === "todo")) names.push(text.slice(name.start, name.end))
    }
  }).visit(parse(path, text).program)
  return names
}

/** `it.live.each(rows)` is `it`, `live`, `each`, and the call. */
const wordsOf = (callee: ESTree.Expression | ESTree.Super): ReadonlyArray<string> => {
  if (callee.type === "Identifier") return [callee.name]
  if (callee.type === "CallExpression") return [...wordsOf(callee.callee), "()"]
  return callee.type === "MemberExpression" && callee.property.type === "Identifier"
    ? [...wordsOf(callee.object), callee.property.name]
    : []
}
