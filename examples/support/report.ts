/** Tables in plain text. */
import { Console, type Effect } from "effect"

type Row = Readonly<Record<string, string | number>>

/** Prints a table. */
export const table = (rows: ReadonlyArray<Row>): Effect.Effect<void> => Console.log(tableLines(rows).join("\n"))

/** Returns the lines of a table: each column is as wide as its widest cell, and numbers are right-aligned. */
export const tableLines = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const columns = Object.keys(rows[0] ?? {})
  const width = (column: string) => Math.max(column.length, ...rows.map((row) => String(row[column]).length))
  const line = (cell: (column: string) => string | number | undefined) =>
    columns.map((column) => {
      const text = cell(column)
      return typeof text === "number" ? String(text).padStart(width(column)) : String(text).padEnd(width(column))
    }).join("  ").trimEnd()
  return [
    line((column) => column),
    line((column) => "-".repeat(width(column))),
    ...rows.map((row) => line((column) => row[column]))
  ]
}

export const heading = (text: string): Effect.Effect<void> => Console.log(`\n${text}\n`)
