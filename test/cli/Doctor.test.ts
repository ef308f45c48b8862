/** `doctor` names the fault of each broken set-up with a remedy, and has no complaint when the remedy was applied. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SimulatorServer } from "effect-entra/node"
import type { Finding } from "../../src/cli/internal/doctor/finding.ts"
import { secrets, setUps } from "./doctorSetups.ts"
import { place } from "./doctorWorld.ts"

const problemsOf = (findings: ReadonlyArray<Finding>) =>
  findings.filter(({ status }) => status === "warn" || status === "fail")

const withoutSecrets = (output: string) => {
  for (const secret of secrets) assert.notInclude(output, secret)
  assert.notMatch(output, /eyJ[\w-]+\.[\w-]+/, "a token or an assertion")
  assert.notMatch(output, /PRIVATE KEY/)
}

describe("a broken set-up", () => {
  it.live.each(setUps)("$name", ({ finding, make, untrusted = false, world }) =>
    Effect.gen(function*() {
      const here = yield* place({ untrusted })
      const { broken, mend } = yield* make(here)
      const before = yield* here.run(broken)
      const [first] = problemsOf(before.report.findings)
      assert.strictEqual(first?.step, finding.step, before.output)
      assert.strictEqual(first?.status, finding.status)
      assert.match(first?.detail ?? "", finding.detail)
      assert.ok(first !== undefined && "remedy" in first)
      assert.match(first.remedy, finding.remedy)
      if (finding.aadsts !== undefined) assert.deepStrictEqual(first.aadsts, [finding.aadsts])
      const after = yield* here.run(yield* mend)
      assert.deepStrictEqual(problemsOf(after.report.findings), [])
      assert.strictEqual(after.report.status, "ok")
      withoutSecrets(before.output + after.output)
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps(world))))
})
