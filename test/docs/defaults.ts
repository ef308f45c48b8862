/** The table of defaults of a page against the values in the code. */
import { Duration } from "effect"

/** Returns the differences between the page and `defaults` (by module); `markdown` is undefined when there is no page. */
export const defaultsProblems = (
  page: string,
  markdown: string | undefined,
  defaults: Readonly<Record<string, object>>
): ReadonlyArray<string> => {
  if (markdown === undefined) return [`${page} is missing; it needs a section \`## Defaults\``]
  const table = readTable(page, markdown)
  if (typeof table === "string") return [table]
  const actual = new Map(
    Object.entries(defaults).flatMap(([module, values]) =>
      flatten(values).map(([key, value]): [string, string] => [`${module} ${key}`, value])
    )
  )
  const seen = new Set<string>()
  return [
    ...table.flatMap(({ option, value, where }) => {
      const module = Object.keys(defaults).find((name) => new RegExp(`^${name}\\b`).test(where))
      if (module === undefined) {
        return [`${option}: "${where}" names none of ${Object.keys(defaults).join(", ")}`]
      }
      const key = `${module} ${option}`
      const expected = actual.get(key)
      if (seen.has(key)) return [`${key}: twice in ${page}`]
      seen.add(key)
      if (expected === undefined) return [`${key}: in ${page}, not in ${module}.defaults`]
      return meaning(value) === meaning(expected)
        ? []
        : [`${key}: ${page} says ${value}, ${module}.defaults says ${expected}`]
    }),
    ...[...actual].flatMap(([key, value]) => seen.has(key) ? [] : [`${key}: not in ${page}; it is ${value}`])
  ]
}

interface Row {
  readonly option: string
  readonly where: string
  readonly value: string
}

const readTable = (page: string, markdown: string): ReadonlyArray<Row> | string => {
  const lines = markdown.split("\n")
  const start = lines.findIndex((line) => /^## +Defaults\s*$/.test(line))
  if (start === -1) return `${page} has no section \`## Defaults\``
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => /^##? /.test(line))
  const [header, rule, ...rows] = rest.slice(0, end === -1 ? undefined : end).filter((line) => line.startsWith("|"))
  const columns = cells(header ?? "")
  if (columns.join(" | ") !== "Option | Where | Default" || rule === undefined) {
    return `${page}, \`## Defaults\`: there is no table with the columns Option | Where | Default`
  }
  return rows.map((row) => {
    const [option = "", where = "", value = ""] = cells(row)
    return { option, where, value }
  })
}

/** The texts of a row without code marks, link targets and quotes. */
const cells = (row: string): ReadonlyArray<string> =>
  row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) =>
    cell.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[`"*]/g, "").trim()
  )

const flatten = (values: object, prefix = ""): ReadonlyArray<readonly [string, string]> =>
  Object.entries(values).flatMap(([key, value]: [string, unknown]) =>
    typeof value === "object" && value !== null
      ? flatten(value, `${prefix}${key}.`)
      : [[`${prefix}${key}`, String(value)] as const]
  )

/** Equal for texts that mean the same duration, number or amount of bytes. */
const meaning = (text: string): string => {
  const words = text.replace(/(?<=^[\d.]+) ?(ms|s|min|h)$/, (_, unit: string) => ` ${longUnits.get(unit) ?? unit}`)
  if (isDuration(words)) return `${Duration.toMillis(words)} ms`
  const [, digits, unit] = /^([\d,_]*\d(?:\.\d+)?)(?:\s*([KMG]iB))?$/.exec(text) ?? []
  return digits === undefined ? text : `${Number(digits.replace(/[,_]/g, "")) * bytes(unit)}`
}

const longUnits: ReadonlyMap<string, Duration.Unit> = new Map([
  ["ms", "millis"],
  ["s", "seconds"],
  ["min", "minutes"],
  ["h", "hours"]
])

const isDuration = (text: string): text is `${number} ${Duration.Unit}` =>
  /^\d+(?:\.\d+)? (?:nano|micro|milli|second|minute|hour|day|week)s?$/.test(text)

const bytes = (unit: string | undefined): number =>
  1024 ** (unit === undefined ? 0 : ["KiB", "MiB", "GiB"].indexOf(unit) + 1)
