/** The short form of `npm run soak`: some minutes of it would find more. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { runChild } from "./support/child.ts"

const script = fileURLToPath(new URL("soak/soak.ts", import.meta.url))

describe("the soak", () => {
  it.live("runs for some seconds without a problem", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* runChild(
        [
          "--conditions=@effect-entra/source",
          "--expose-gc",
          script,
          "--seconds",
          "8"
        ],
        {},
        120
      )
      assert.strictEqual(stderr, "", `status ${status}, printed: ${stdout}`)
      assert.match(stdout, /soak of 8 s .*, no problem\n$/, stdout)
      assert.match(stdout, /memory after full collections/)
      assert.strictEqual(status, 0)
      const [, operations = "0", requests = "0", faults = "0"] =
        /(\d+) operations, (\d+) requests, (\d+) faults, no problem/.exec(stdout) ?? []
      assert.isAbove(Number(operations), 500)
      assert.isAbove(Number(requests), 100)
      assert.isAbove(Number(faults), 10)
    }), 130_000)
})
