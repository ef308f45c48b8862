/** Requests of malicious callers, and requests whose tenants come from the internet. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { fileURLToPath } from "node:url"
import { runChild } from "./support/child.ts"

const script = fileURLToPath(new URL("hostile/refused.ts", import.meta.url))

const Left = Schema.fromJsonString(Schema.Struct({
  sent: Schema.Number,
  entries: Schema.Number,
  bytes: Schema.Number,
  hits: Schema.Number,
  grown: Schema.Number
}))

describe("requests that are refused", () => {
  it.live("leave nothing behind, whatever names they bring", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* runChild(
        [
          "--conditions=@effect-entra/source",
          "--expose-gc",
          script,
          "20000"
        ],
        {},
        120
      )
      assert.strictEqual(stderr, "", `status ${status}, printed: ${stdout}`)
      assert.strictEqual(status, 0, `printed: ${stdout}`)
      const { grown, sent, ...left } = yield* Schema.decodeEffect(Left)(stdout)
      assert.deepStrictEqual(left, { entries: 0, bytes: 0, hits: 0 })
      assert.strictEqual(sent, 6_000)
      // Not fifty bytes a request, where the names of one take more than a hundred; the engine itself grows by leaps.
      assert.isBelow(grown, 1_000_000)
    }), 130_000)
})
