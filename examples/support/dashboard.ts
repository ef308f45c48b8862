/** The metrics that a dashboard or a file of rules uses, and those that a program exports. */
import { Effect, FileSystem } from "effect"

/** Returns the expressions of a file, JSON or YAML. Each follows the name `expr` and ends before the next name. */
export const expressionsIn = (text: string): ReadonlyArray<string> =>
  text.match(/\bexpr"?: [\s\S]*?(?=\n\s*"?\w+"?:)/g) ?? []

/** Returns the names of the metrics in the expressions of a text. */
const metricsIn = (text: string): ReadonlySet<string> =>
  new Set(expressionsIn(text).flatMap((expression) => expression.match(/\bentra_[a-z_]+/g) ?? []))

/** Returns the names on a page in Prometheus's text format. */
const metricsOnPage = (page: string): ReadonlySet<string> => new Set(page.match(/^[a-z]\w*/gm))

/** Returns the number of metrics that a file uses, and the names that a page does not have. */
export const load = Effect.fnUntraced(function*(path: string, page: string) {
  const files = yield* FileSystem.FileSystem
  const asked = metricsIn(yield* files.readFileString(path))
  const there = metricsOnPage(page)
  return { asked: asked.size, missing: [...asked].filter((name) => !there.has(name)) }
})
