/** What a dashboard or a file of rules is made of, as far as it must fit the program that it watches. */
import { Effect, FileSystem } from "effect"

/** The expressions of a file, JSON or YAML: each stands under the name `expr` and goes on until the next name. */
export const expressionsIn = (text: string): ReadonlyArray<string> =>
  text.match(/\bexpr"?: [\s\S]*?(?=\n\s*"?\w+"?:)/g) ?? []

/** The names of metrics in them, as Prometheus has them. */
const metricsIn = (text: string): ReadonlySet<string> =>
  new Set(expressionsIn(text).flatMap((expression) => expression.match(/\bentra_[a-z_]+/g) ?? []))

/** The names on a page of Prometheus's text format, one for each series. */
const metricsOnPage = (page: string): ReadonlySet<string> => new Set(page.match(/^[a-z]\w*/gm))

/** The metrics that a file asks for, and those of them that a page does not have. */
export const load = Effect.fnUntraced(function*(path: string, page: string) {
  const files = yield* FileSystem.FileSystem
  const asked = metricsIn(yield* files.readFileString(path))
  const there = metricsOnPage(page)
  return { asked: asked.size, missing: [...asked].filter((name) => !there.has(name)) }
})
