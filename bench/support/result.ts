/** What every script of this folder leaves behind: one file of figures, from which the report and the plots are made. */
import { mkdir, writeFile } from "node:fs/promises"

export interface Result {
  /** The script's name without its ending, which is also that of its file in `results/`. */
  readonly name: string
  /** The question that the script answers, as a heading. */
  readonly question: string
  /** What was measured and how, in Markdown: what a reader must know to trust the figures. */
  readonly method: string
  readonly quick: boolean
  readonly rounds: number
  readonly seconds: number
  readonly machine: Machine
  readonly tables: ReadonlyArray<Table>
  readonly goals: ReadonlyArray<Goal>
  readonly plots: ReadonlyArray<Plot>
  /** What `bench:compare` judges, by a name that stays the same from run to run. */
  readonly watched: ReadonlyArray<Watched>
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memory: string
  readonly node: string
  /** Versions by package name. */
  readonly versions: Readonly<Record<string, string>>
}

export interface Table {
  readonly title: string
  /** The first column is text, the others are figures. */
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string | number>>
  /** What to say below it, in Markdown; where a peer wins, it is said here. */
  readonly note?: string
}

export interface Goal {
  readonly goal: string
  readonly measured: string
  /** Absent when the figure is only told. */
  readonly passed?: boolean
}

/** A plot by its data; `bench/report.ts` draws it with a library. */
export interface Plot {
  /** Name of the SVG file without its ending. */
  readonly file: string
  readonly title: string
  readonly kind: "line" | "bar"
  readonly x: { readonly label: string; readonly logarithmic?: boolean }
  readonly y: { readonly label: string; readonly logarithmic?: boolean }
  /** Of bars, `x` is a category. */
  readonly series: ReadonlyArray<{
    readonly name: string
    readonly points: ReadonlyArray<readonly [x: number | string, y: number]>
  }>
}

export interface Watched {
  readonly name: string
  /**
   * `ratio`: to a reference of the same run, may worsen by 50 %; `count`: requests, bytes per hit, bytes per token, by 5 %.
   * Less is better.
   */
  readonly kind: "ratio" | "count"
  readonly value: number
}

const results = new URL("../results/", import.meta.url)

export const save = async (result: Result): Promise<void> => {
  await mkdir(results, { recursive: true })
  await writeFile(new URL(`${result.name}.json`, results), `${JSON.stringify(result, undefined, 2)}\n`)
}
