/** The example of a fleet runs as a user runs it, with shorter phases. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { runChild } from "../support/child.ts"

describe("examples/fleet.ts", () => {
  it.live("requests each token once for all processes, and no call fails", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* runChild(
        ["--conditions=@effect-entra/source", "examples/fleet.ts"],
        { FLEET_SECONDS: "1" },
        110
      )
      assert.strictEqual(status, 0, stderr + stdout)
      for (
        const line of [
          /^cold start: \d+ calls served, 0 failed/m,
          /^one process is killed, another takes its place: \d+ calls served, 0 failed/m,
          /^Redis is killed: \d+ calls served, 0 failed/m,
          /^Redis is back, and empty: \d+ calls served, 0 failed/m,
          /^a tenant is invalidated: \d+ calls served, 0 failed.*; all other processes had forgotten it after \d+ ms/m,
          /^contoso graph +2 +2\ncontoso orders +2 +2\nfabrikam graph +1 +1\nfabrikam orders +1 +1$/m,
          /^\d{4,} calls served, 0 failed$/m
        ]
      ) assert.match(stdout, line)
    }), { timeout: 120_000 })
})
