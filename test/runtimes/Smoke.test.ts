/** Each runtime runs one file of the core suite, and every test file has its place in or outside that suite. */
import { assert, describe, it } from "vitest"
import { readText } from "../docs/repository.ts"
import { divide, division, lacks, runtimes, selectionOf, testFiles } from "./core.ts"
import { runCore } from "./run.ts"
import { countsIn, tableIn, tableOf } from "./table.ts"

describe.concurrent("a client on", () => {
  it.each(runtimes)("%s", { timeout: 60_000 }, async (runtime) => {
    const { failed, passed } = await runCore(runtime, ["test/ConfidentialClient.test.ts"])
    assert.deepStrictEqual(failed, [])
    assert.isAtLeast(passed, 20)
  })
})

describe("the core suite", () => {
  it("has each test file, or a reason why not", async () => {
    const { core, outside } = await division()
    assert.sameMembers([...core, ...outside.keys()], [...testFiles()])
    assert.isAtLeast(core.length, 90)
    assert.includeMembers([...core], ["test/TokenLifecycle.test.ts", "test/internal/fleet/sealing.test.ts"])
    assert.strictEqual(outside.get("test/ManyKeys.test.ts"), "node:http")
    assert.strictEqual(outside.get("test/TwoCopies.test.ts"), "effect-entra/node")
  })

  it.each([
    { needs: "nothing", imports: { "a.test.ts": ["effect", "node:util"] }, reason: undefined },
    { needs: "a socket", imports: { "a.test.ts": ["node:net"] }, reason: "node:net" },
    { needs: "files, in a helper", imports: { "a.test.ts": ["b.ts"], "b.ts": ["node:fs", "b.ts"] }, reason: "node:fs" },
    { needs: "a package", imports: { "a.test.ts": ["ioredis/lib", "redisx"] }, reason: "ioredis/lib" }
  ])("has no file that needs $needs", ({ imports, reason }) => {
    const inputs = Object.fromEntries(
      Object.entries<ReadonlyArray<string>>(imports).map(([path, paths]) => [
        path,
        { bytes: 0, imports: paths.map((path) => ({ path, kind: "import-statement" as const })) }
      ])
    )
    assert.strictEqual(divide(["a.test.ts"], { inputs }).outside.get("a.test.ts"), reason)
  })

  it("leaves out the tests of a list, and no others", () => {
    const names = lacks.flatMap(({ tests }) => tests)
    assert.strictEqual(new Set(names).size, names.length)
    const { run } = selectionOf("workerd", [])
    for (const name of names) {
      assert.notMatch(name, run)
      assert.match(`${name}.`, run)
      assert.match(`a ${name}`, run)
    }
    assert.match(names.join(), selectionOf("Node 24", []).run)
  })
})

describe("docs/deploying.md", () => {
  it("has the versions, the parts and the lacks of each runtime (npm run runtimes)", () => {
    const page = readText("docs/deploying.md") ?? ""
    const counts = countsIn(page)
    assert.strictEqual(tableIn(page), tableOf((runtime) => (counts.get(runtime) ?? 0).toLocaleString("en")))
  })
})
