/** A change of the public declarations, and growth of an entry point, are visible in the diff of a change. */
import { Schema } from "effect"
import { assert, describe, it } from "vitest"
import { readText } from "../docs/repository.ts"
import { apiReport, reportOf } from "./api.ts"
import { verdictOf } from "./audit.ts"
import { effectOf, newestOf } from "./effect.ts"
import { entries } from "./entries.ts"
import { overBudget, sizeOf } from "./sizes.ts"

describe("the entry points", () => {
  const Budgets = Schema.Record(Schema.String, Schema.Struct({ minified: Schema.Finite, gzip: Schema.Finite }))
  const budgets = Schema.decodeUnknownSync(Schema.fromJsonString(Budgets))(readText("test/package/sizes.json"))

  it.each(entries())("$name keeps to its budget", async (entry) => {
    assert.isUndefined(overBudget(entry.name, await sizeOf(entry), budgets[entry.name]))
  })

  it("are those that have a budget", () => {
    assert.sameMembers(Object.keys(budgets), entries().map(({ name }) => name))
  })

  it.each([
    { grows: "not at all", minified: 100, gzip: 30, said: undefined },
    { grows: "a little", minified: 103, gzip: 30.9, said: undefined },
    { grows: "too much", minified: 103.1, gzip: 30, said: /103\.1 kB minified, 100 kB before/ },
    { grows: "too much in gzip", minified: 100, gzip: 31, said: /31 kB gzip/ },
    { grows: "far smaller", minified: 84, gzip: 30, said: /its budget is 100 kB: npm run sizes/ }
  ])("that grow $grows", ({ gzip, minified, said }) => {
    const complaint = overBudget("a", { minified, gzip }, { minified: 100, gzip: 30 })
    if (said === undefined) assert.isUndefined(complaint)
    else assert.match(complaint ?? "", said)
  })

  it("without a budget get one", () => {
    assert.match(overBudget("a", { minified: 0, gzip: 0 }, undefined) ?? "", /a has no budget/)
  })
})

describe("the API report", () => {
  it("is test/package/api.txt; `npm run api` writes it anew, and its diff belongs to the commit", () => {
    const [before, now] = [readText("test/package/api.txt") ?? "", apiReport()].map((text) => text.split("\n"))
    assert.deepStrictEqual(now, before)
  }, 120_000)

  const report = (files: Readonly<Record<string, string>>) =>
    reportOf(Object.keys(files).filter((name) => !name.startsWith("internal/")), (name) => files[name] ?? "")

  it("has no comments, no order of the source, and all signatures of a function", () => {
    assert.strictEqual(
      report({
        B: `export declare function f(a: string): void;\nexport declare function f(a: number): void;`,
        A: `/** Two. */\nexport interface Two {\n    /** A member. */\n    readonly a: string;\n}\n`
          + `/** One. */\nexport declare const one: Two;\nexport {};\n`
      }),
      "// A\nexport declare const one: Two;\nexport interface Two {\n    readonly a: string;\n}\n\n"
        + "// B\nexport declare function f(a: string): void;\nexport declare function f(a: number): void;\n"
    )
  })

  it.each([
    { how: "by its name", text: `import { type X } from "./internal/x.ts";\nexport type A = X | undefined;` },
    { how: "in a namespace", text: `import type * as In from "./internal/x.ts";\nexport type A = In.X | undefined;` },
    { how: "under another name", text: `import { X as Y } from "./internal/x.ts";\nexport type A = Y | undefined;` },
    { how: "by a re-export", text: `export { \n/** X. */\ntype X } from "./internal/x.ts";` },
    { how: "by a re-export of everything", text: `export * from "./internal/x.ts";` }
  ])("has what a public module names of an internal one $how, and what that names", ({ text }) => {
    const internal = `interface Inner {\n    readonly b: 1;\n}\nexport type X = Inner;\nexport {};`
    const said = report({ A: text, "internal/x": internal })
    assert.include(said, "// internal/x\nexport type X = Inner;\ninterface Inner {\n    readonly b: 1;\n}\n")
  })

  it("has nothing of an internal module that no public declaration names", () => {
    const said = report({
      A: `import { X } from "./internal/x.ts";\nexport type A = { readonly x: "X" };`,
      "internal/x": `export type X = 1;\nexport type Z = 2;`
    })
    assert.notInclude(said, "Z")
  })
})

describe("an audit", () => {
  const found = (counts: Readonly<Record<string, number>>) =>
    JSON.stringify({
      auditReportVersion: 2,
      metadata: { vulnerabilities: { info: 0, low: 0, moderate: 0, high: 0, critical: 0, total: 0, ...counts } }
    })

  it.each([
    { of: "a clean package", printed: found({}), isBad: false, said: /^audited: 0 critical, 0 high/ },
    { of: "moderate faults", printed: found({ moderate: 2, low: 1 }), isBad: false, said: /2 moderate, 1 lower/ },
    { of: "a high fault", printed: found({ high: 1 }), isBad: true, said: /1 high/ },
    { of: "a critical fault", printed: found({ critical: 1 }), isBad: true, said: /1 critical/ },
    {
      of: "a registry without audits",
      printed: JSON.stringify({ message: "405 Method Not Allowed", statusCode: 405, error: { summary: "" } }),
      isBad: false,
      said: /^not audited, the registry does not answer: 405/
    }
  ])("of $of", ({ isBad, printed, said }) => {
    const verdict = verdictOf(printed)
    assert.strictEqual(verdict.isBad, isBad)
    assert.match(verdict.text, said)
  })

  it.each(["", "{}", "no JSON"])("that printed %j is a failure", (printed) => {
    assert.throws(() => verdictOf(printed))
  })
})

describe("the workflows", () => {
  it.each(["ci", "publish"])("%s runs what is there, with no more rights than it needs", (name) => {
    const text = readText(`.github/workflows/${name}.yml`) ?? ""
    const scripts = [...text.matchAll(/(?<![\w/])\.ci\/\w+/g)].map(([path]) => path)
    assert.include(scripts, ".ci/run")
    for (const path of scripts) assert.isDefined(readText(path), path)
    assert.deepStrictEqual(
      [...text.matchAll(/^ *([\w-]+): write$/gm)].map(([, right]) => right),
      name === "publish" ? ["id-token"] : []
    )
    assert.notMatch(text, /uses: (?!actions\/[\w-]+@v\d+$)/m)
  })
})

describe("effect", () => {
  it("is the lowest version of the peer range here", () => {
    const { installed, range } = effectOf(readText("package.json") ?? "")
    assert.strictEqual(range, `^${installed}`)
  })

  it.each([
    { printed: `"4.1.0"`, newest: "4.1.0" },
    { printed: `["4.1.0"]`, newest: "4.1.0" },
    { printed: `["4.1.9", "4.10.0", "4.2.0"]`, newest: "4.10.0" }
  ])("the newest of $printed", ({ newest, printed }) => assert.strictEqual(newestOf(printed), newest))

  it.each(["", "[]", "{}"])("%j is no list of versions", (printed) => {
    assert.throws(() => newestOf(printed))
  })
})
