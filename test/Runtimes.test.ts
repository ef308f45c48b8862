/** The core suite on every other runtime. `npm run runtimes` writes the table of docs/deploying.md. */
import { assert, describe, it } from "vitest"
import { readText } from "./docs/repository.ts"
import { division, lacksOf, runtimes } from "./runtimes/core.ts"
import { type Outcome, runCore } from "./runtimes/run.ts"
import { countsIn } from "./runtimes/table.ts"

const { core } = await division()
/** `npm test` is a run on Node 24. */
const others = runtimes.filter((runtime) => runtime !== "Node 24")
const outcomes = new Map<string, Outcome>()

describe("the core suite", () => {
  it.each(others)("passes on %s", { timeout: 180_000 }, async (runtime) => {
    const outcome = await runCore(runtime, core)
    outcomes.set(runtime, outcome)
    assert.deepStrictEqual(outcome.failed, [])
    assert.strictEqual(outcome.skipped, lacksOf(runtime).flatMap(({ tests }) => tests).length)
  })

  it("has the same tests everywhere", () => {
    const counts = [...outcomes.values()].map(({ passed, skipped }) => passed + skipped)
    assert.strictEqual(counts.length, others.length)
    assert.strictEqual(new Set(counts).size, 1)
    assert.isAbove(counts[0] ?? 0, 3000)
  })

  it("has as many tests as docs/deploying.md says, within 5 % (npm run runtimes writes that table)", () => {
    const stated = countsIn(readText("docs/deploying.md") ?? "")
    for (const [runtime, { passed }] of outcomes) assert.closeTo(stated.get(runtime) ?? 0, passed, passed / 20, runtime)
  })
})
