/** The claims of `docs/comparison.md` lead to tests and sources that exist. */
import { globSync } from "node:fs"
import { basename, posix } from "node:path"
import { assert, describe, it } from "vitest"
import { columns, comparisonProblems, rowsOf, type World } from "./docs/comparison.ts"
import { readText, root } from "./docs/repository.ts"
import { testNamesOf } from "./docs/testNames.ts"

const page = readText("docs/comparison.md") ?? ""
const fromDocs = (path: string) => posix.join("docs", path)

/** The packages of the columns, with those packages of Microsoft that do part of their work. */
const packages: Readonly<Record<string, ReadonlyArray<string>>> = {
  "msal-node": ["msal-node", "msal-common"],
  "@azure/identity": ["identity", "core-rest-pipeline"]
}
const installed = new Map(
  Object.entries(packages).map(([peer, names]) => [
    peer,
    new Set(
      globSync(names.map((name) => `node_modules/@azure/${name}/**/*.{mjs,js,json}`), { cwd: root }).map((path) =>
        basename(path)
      )
    )
  ])
)

const repository: World = {
  isFile: (path) => readText(fromDocs(path)) !== undefined,
  isInstalled: (peer, name) => installed.get(peer)?.has(name) === true,
  testNames: (path) => {
    const text = readText(fromDocs(path))
    return text === undefined ? undefined : testNamesOf(path, text)
  }
}

describe("docs/comparison.md", () => {
  it("has tables with a column for each library, and a row for each feature", () => {
    assert.strictEqual(rowsOf(page).filter(({ cells: [first] }) => first === columns[0]).length, 7)
    assert.isAtLeast(rowsOf(page).length, 45)
  })

  it("links each claim of ours to a test and each claim about a peer to a source", () => {
    assert.deepStrictEqual(comparisonProblems(page, repository), [])
  })

  it("says where peers are better", () => {
    const count = (column: number) => rowsOf(page).filter(({ cells }) => cells[column]?.startsWith("Better")).length
    assert.deepStrictEqual([2, 3, 4, 5].map((column) => count(column) > 0), [true, true, true, true])
  })

  it.each(["msal-node", "identity"])("is about the version of %s that is installed", (name) => {
    const { version }: { readonly version: string } = JSON.parse(
      readText(`node_modules/@azure/${name}/package.json`) ?? ""
    )
    assert.match(page, new RegExp(`${name} is version ${version.replaceAll(".", "\\.")}|${name} version ${version}`))
  })
})

describe("the rules", () => {
  const world: World = {
    isFile: (path) => path === "../test/A.test.ts" || path === "../bench/REPORT.md",
    isInstalled: (peer, name) => peer === "msal-node" && name === "a.mjs",
    testNames: (path) => path === "../test/A.test.ts" ? ["\"a secret is read\"", "`${name}: a refusal`"] : undefined
  }
  const good = [
    `| ${columns.join(" | ")} |`,
    `| ${columns.map(() => "---").join(" | ")} |`,
    "| Secret | Yes: [a secret](../test/A.test.ts) | Yes ([docs][n-a]) | Yes (`a.mjs`) | No: that of msal-node | No |",
    "| Broker | No | Better ([docs][n-a]) | Not verified | No | No |",
    "| Cost | Partly: [a refusal](../test/A.test.ts), not more | No | No ([report](../bench/REPORT.md)) | No | Partly ([docs][n-a]) |",
    "",
    "## Where a peer is better",
    "",
    "- **Broker**: theirs.",
    "",
    "[n-a]: https://example.com/a"
  ].join("\n")

  it("accept a page that keeps to them, on Windows too", () => {
    assert.deepStrictEqual(comparisonProblems(good, world), [])
    assert.deepStrictEqual(rowsOf(good.replaceAll("\n", "\r\n")), rowsOf(good))
  })

  it.each([
    {
      wrong: "a claim without a test",
      from: "Yes: [a secret](../test/A.test.ts)",
      to: "Yes",
      says: "no link to a test"
    },
    { wrong: "a test that is gone", from: "[a secret]", to: "[a password]", says: "no test of ../test/A.test.ts has" },
    {
      wrong: "a file that is gone",
      from: "[a secret](../test/A",
      to: "[a](../test/B",
      says: "B.test.ts is not a file"
    },
    {
      wrong: "a link that is no test",
      from: "test/A.test.ts) | Yes",
      to: "bench/REPORT.md) | Yes",
      says: "no link to a"
    },
    { wrong: "no verdict", from: "Yes: [a secret]", to: "Yesterday [a secret]", says: "is no verdict" },
    { wrong: "a cell too few", from: "| No: that of msal-node | No |", to: "| No |", says: "not 6 cells" },
    { wrong: "an empty cell", from: "| No: that of msal-node |", to: "| |", says: "not 6 cells" },
    { wrong: "another order", from: "| MSAL.NET | msal-node |", to: "| msal-node | MSAL.NET |", says: "other columns" },
    { wrong: "a peer without a source", from: "Yes ([docs][n-a])", to: "Yes", says: "MSAL.NET: no source" },
    { wrong: "a file that is not installed", from: "a.mjs", to: "b.mjs", says: "is not installed" },
    { wrong: "a report that is gone", from: "bench/REPORT", to: "bench/OLD", says: "OLD.md is not a file" },
    { wrong: "a peer that is better", from: "Better ([docs]", to: "Yes ([docs]", says: "does not say so" },
    { wrong: "a peer beyond a Yes", from: "Yes ([docs]", to: "Better ([docs]", says: "cannot be better" },
    { wrong: "a better peer, kept quiet", from: "**Broker**", to: "**Other**", says: "not in the section" },
    { wrong: "a feature twice", from: "| Broker |", to: "| Secret |", says: "there twice" },
    { wrong: "a source without a definition", from: "[n-a]: https", to: "[n-b]: https", says: "[n-a] is not defined" },
    { wrong: "a source that is not used", from: "[n-a]: https", to: "[n-b]: https", says: "[n-b] is not used" },
    { wrong: "a source without TLS", from: "https://", to: "http://", says: "is not https" }
  ])("find $wrong", ({ from, says, to }) => {
    assert.include(good, from)
    assert.include(comparisonProblems(good.replace(from, to), world).join("\n"), says)
  })
})

describe("the names of tests", () => {
  it("are those of tests and groups that run, in every form", () => {
    const source = `
      describe("group", () => {
        it("plain", () => {})
        it.live.each([["row"]])("of a table", () => {})
        it.effect(\`\${name}: computed\`, () => {})
        it.skip("skipped", () => {})
        it.live.skip("skipped live", () => {})
        describe.skip("a skipped group", () => {})
        other("no test", () => {})
        other.it("no test either", () => {})
      })
      describe(isFull ? "whole" : "bare", () => {})`
    assert.deepStrictEqual(testNamesOf("a.test.ts", source), [
      "\"group\"",
      "\"plain\"",
      "\"of a table\"",
      "`${name}: computed`",
      "isFull ? \"whole\" : \"bare\""
    ])
  })
})
