/** The file of figures that each script of this folder writes. The report and the plots are made from these files. */
import { Schema } from "effect"
import { mkdir, readFile, writeFile } from "node:fs/promises"

export const Machine = Schema.Struct({
  cpu: Schema.String,
  cores: Schema.Number,
  memory: Schema.String,
  node: Schema.String,
  /** Versions by package name. */
  versions: Schema.Record(Schema.String, Schema.String)
})
export type Machine = typeof Machine.Type

export const Table = Schema.Struct({
  title: Schema.String,
  /** The first column is text, the others are figures. */
  columns: Schema.Array(Schema.String),
  rows: Schema.Array(Schema.Array(Schema.Union([Schema.String, Schema.Finite]))),
  /** A remark below the table, in Markdown. It says where a peer is better. */
  note: Schema.optionalKey(Schema.String)
})
export type Table = typeof Table.Type

export const Goal = Schema.Struct({
  goal: Schema.String,
  measured: Schema.String,
  /** Absent when the figure is only told. */
  passed: Schema.optionalKey(Schema.Boolean),
  /** Judged by times that lie close together: a quick run, which is noisy, tells it and does not fail by it. */
  timed: Schema.optionalKey(Schema.Boolean)
})
export type Goal = typeof Goal.Type

const Axis = Schema.Struct({ label: Schema.String, logarithmic: Schema.optionalKey(Schema.Boolean) })

/** A plot by its data; `bench/report.ts` draws it with a library. */
export const Plot = Schema.Struct({
  /** Name of the SVG file without its ending. */
  file: Schema.String,
  title: Schema.String,
  kind: Schema.Literals(["line", "bar"]),
  x: Axis,
  y: Axis,
  /** Of bars, `x` is a category. */
  series: Schema.Array(Schema.Struct({
    name: Schema.String,
    points: Schema.Array(Schema.Tuple([Schema.Union([Schema.Finite, Schema.String]), Schema.Finite]))
  }))
})
export type Plot = typeof Plot.Type

export const Watched = Schema.Struct({
  name: Schema.String,
  /**
   * `ratio`: to a reference of the same run, may worsen by 50 %; `count`: requests, bytes per hit, bytes per token, by 5 %.
   * Less is better.
   */
  kind: Schema.Literals(["ratio", "count"]),
  value: Schema.Finite
})
export type Watched = typeof Watched.Type

export const Result = Schema.Struct({
  /** The script's name without its ending, which is also that of its file in `results/`. */
  name: Schema.String,
  /** The question that the script answers, as a heading. */
  question: Schema.String,
  /** The subject and the method of the measurement, in Markdown. A reader needs them to trust the figures. */
  method: Schema.String,
  quick: Schema.Boolean,
  rounds: Schema.Finite,
  seconds: Schema.Finite,
  machine: Machine,
  tables: Schema.Array(Table),
  goals: Schema.Array(Goal),
  plots: Schema.Array(Plot),
  /** The figures that `bench:compare` judges, by a name that stays the same from run to run. */
  watched: Schema.Array(Watched)
})
export type Result = typeof Result.Type

const results = new URL("../results/", import.meta.url)

const fileOf = (name: string): URL => new URL(`${name}.json`, results)

export const save = async (result: Result): Promise<void> => {
  await mkdir(results, { recursive: true })
  await writeFile(fileOf(result.name), `${JSON.stringify(result, undefined, 2)}\n`)
}

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Result))

/** Returns the result of a script, or `undefined` if it has not run to its end. */
export const load = async (name: string): Promise<Result | undefined> => {
  const text = await readFile(fileOf(name), "utf8").catch(() => undefined)
  return text === undefined ? undefined : decode(text)
}
