/** `docs/operating.md` against the code: what is said of metrics, log lines, spans, events and alarms is all there is. */
import { assert, describe, it } from "@effect/vitest"
import { EntraMetrics } from "effect-entra"
import { readFileSync } from "node:fs"
import { expressionsIn } from "../examples/support/dashboard.ts"
import { chooseCredential } from "../src/internal/environment/environmentCredential.ts"
import { keptEvents } from "../src/internal/telemetry/telemetry.ts"
import { day, expiryWarning } from "../src/internal/telemetry/warnings.ts"
import { sources } from "./docs/repository.ts"

const page = readFileSync("docs/operating.md", "utf8")
const section = (heading: string): string => page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ""

/** The cells of the first table of a section, code without its marks. */
const rows = (heading: string): ReadonlyArray<ReadonlyArray<string>> =>
  (/(?:^\|.*\n)+/m.exec(section(heading))?.[0] ?? "").trim().split("\n").slice(2).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  )

const coded = (text: string): ReadonlyArray<string> => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? "")

const metrics = Object.values(EntraMetrics).flatMap((metric) => "id" in metric ? [metric] : [])

describe("metrics", () => {
  it("are in the table, each with its type and unit, and no others", () => {
    assert.deepStrictEqual(
      rows("Metrics").map(([name, type, unit]) => [coded(name ?? "")[0], type, unit]),
      metrics.map(({ attributes, id, type }) => [id, type.toLowerCase(), attributes?.["unit"] ?? "1"])
    )
  })

  it("are the only ones that the page, the dashboard and the rules name", () => {
    const known = new Set(metrics.flatMap(({ id, type }) => type === "Histogram" ? [id, `${id}_bucket`] : [id]))
    for (const path of ["docs/operating.md", "docs/grafana.json", "docs/prometheus-rules.yaml"]) {
      const named = readFileSync(path, "utf8").match(/\bentra_[a-z_]+/g) ?? []
      assert.deepStrictEqual(named.filter((name) => !known.has(name)), [], path)
    }
  })
})

// -----------------------------------------------------------------------------
// log lines
// -----------------------------------------------------------------------------

/** Returns the constant parts of a call's message, or `undefined` if the message is a variable. */
const piecesOf = (call: string): ReadonlyArray<string> | undefined => {
  const literals = call.match(/`[^`]*`|"(?:[^"\\]|\\.)*"/g)
  return literals?.flatMap((literal) => literal.slice(1, -1).split(/\$\{(?:[^{}]|\{[^}]*\})*\}/))
    .map((piece) => piece.trim())
    .filter((piece) => piece.length > 3)
}

const calls = [...sources()].flatMap(([file, text]) =>
  [...text.replace(/\/\*[\s\S]*?\*\//g, "").matchAll(/Effect\.log(Debug|Info|Warning|Error)\(/g)].map((match) => {
    const rest = text.replace(/\/\*[\s\S]*?\*\//g, "").slice(match.index + match[0].length)
    let depth = 1
    let end = 0
    while (depth > 0 && end < rest.length) {
      if (rest[end] === "(") depth++
      if (rest[end] === ")") depth--
      end++
    }
    return { file, level: match[1] ?? "", pieces: piecesOf(rest.slice(0, end - 1)) }
  })
)

const lines = rows("Log lines").map(([level, text]) => ({ level, text: coded(text ?? "")[0] ?? "" }))

/** Lines whose text is made elsewhere. */
const made = [
  expiryWarning(29 * day, 0),
  expiryWarning(0, 0),
  ...chooseCredential(
    {
      AZURE_CLIENT_SECRET: undefined,
      AZURE_CLIENT_CERTIFICATE_PATH: "daemon.pem",
      AZURE_CLIENT_CERTIFICATE_PASSWORD: undefined,
      AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: undefined,
      AZURE_FEDERATED_TOKEN_FILE: "token"
    },
    undefined
  ).warnings
]

const fits = (text: string, line: string): boolean =>
  new RegExp(
    `^${
      line.replace(/ \.\.\.$/, "").split(/<[^>]+>/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(
        ".+"
      )
    }`
  ).test(text)

describe("log lines", () => {
  it("are found", () => {
    assert.isAtLeast(calls.length, 10)
    assert.isAtLeast(lines.length, calls.length)
  })

  it.each(calls.filter(({ pieces }) => pieces !== undefined))(
    "$file: $level $pieces",
    ({ level, pieces = [] }) => {
      const of = lines.filter((line) => line.level === level).map(({ text }) => text)
      assert.isTrue(
        of.some((text) =>
          pieces.some((piece) => text.startsWith(piece.replace(/[ (:]+$/, "")) || text.includes(piece))
        ),
        `${pieces.join(" ... ")} is not in docs/operating.md`
      )
    }
  )

  it("that are made elsewhere are there too", () => {
    assert.deepStrictEqual(
      calls.filter(({ pieces }) => pieces === undefined).map(({ file }) => file),
      [
        "src/internal/environment/environment.ts",
        "src/internal/environment/environment.ts",
        "src/internal/telemetry/telemetry.ts"
      ]
    )
    assert.isAtLeast(made.length, 3)
    for (const text of made) {
      assert.isTrue(lines.some((line) => fits(text ?? "", line.text)), `${text} is not in docs/operating.md`)
    }
  })

  it("of the page are in the code: its longest fixed part is some literal's", () => {
    const code = [...sources().values()].join("\n").replace(/\$\{variableOf\.secret\}/g, "AZURE_CLIENT_SECRET")
      .replace(/\$\{\s*reason === "ProactivelyRefreshed" \? "refreshed" : "acquired"\s*\}/g, "refreshed")
    for (const { text } of lines) {
      const parts = text.replace("acquired", "refreshed").split(/<[^>]+>|\.\.\./).map((part) => part.trim())
      const longest = parts.toSorted((one, other) => other.length - one.length)[0] ?? ""
      assert.include(code, longest.replace(/ \($/, ""), text)
    }
  })
})

// -----------------------------------------------------------------------------
// the rest
// -----------------------------------------------------------------------------

describe("spans, events, alarms", () => {
  it("each attribute of a span is in the table, and no other", () => {
    const code = [...sources().values()].join("\n")
    const used = new Set([...code.matchAll(/"(entra\.[a-z_]+)"/g)].map(([, name]) => name))
    assert.deepStrictEqual(rows("Spans").flatMap(([name]) => coded(name ?? "")).sort(), [...used].sort())
  })

  it("each tag of an event", () => {
    const code = sources().get("src/ClientEvent.ts") ?? ""
    const tags = [...code.matchAll(/readonly _tag: "(\w+)"/g)].map(([, tag]) => tag)
    assert.deepStrictEqual(rows("Events").flatMap(([tag]) => coded(tag ?? "")), tags)
    assert.include(page, `more than ${keptEvents} events`)
  })

  it("each alarm has its row, with what it is about", () => {
    const rules = readFileSync("docs/prometheus-rules.yaml", "utf8")
    const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? "")
    const described = rows("Alarms").flatMap(([name]) => coded(name ?? ""))
    assert.deepStrictEqual(described, alerts)
    assert.strictEqual(expressionsIn(rules).length, alerts.length)
  })

  it("one step of a counter sets off no alarm that waits: it has left the window by then", () => {
    const rules = readFileSync("docs/prometheus-rules.yaml", "utf8").split("- alert: ").slice(1)
    const waiting = rules.flatMap((rule) => {
      const window = /increase\([^[]+\[(\d+)m\]/.exec(rule)?.[1]
      const wait = /\bfor: (\d+)m/.exec(rule)?.[1]
      return window === undefined || wait === undefined ? [] : [{ rule, window: Number(window), wait: Number(wait) }]
    })
    assert.strictEqual(waiting.length, 2)
    for (const { rule, wait, window } of waiting) {
      assert.isBelow(window, wait, rule)
      for (const [, offset] of rule.matchAll(/offset (\d+)m/g)) assert.strictEqual(Number(offset), window, rule)
    }
  })

  it("the dashboard is JSON whose panels each have expressions", () => {
    const text = readFileSync("docs/grafana.json", "utf8")
    const dashboard: {
      readonly panels: ReadonlyArray<{ readonly targets: ReadonlyArray<{ readonly expr: string }> }>
    } = JSON.parse(text)
    const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
    assert.isAtLeast(dashboard.panels.length, 10)
    assert.strictEqual(expressionsIn(text).length, expressions.length)
    for (const metric of metrics) {
      assert.isTrue(expressions.some((expr) => expr.includes(metric.id)), `${metric.id} is on no panel`)
    }
  })
})
