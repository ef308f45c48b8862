/**
 * Random sequences of everything that may happen to a client, against a naive model (`model/model.ts`), under `TestClock`.
 * `MODEL_RUNS` sets how many, `MODEL_SEED` which.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import { Board, commands, finish, worlds } from "./model/commands.ts"
import { System } from "./model/system.ts"

const runs = Number(process.env["MODEL_RUNS"] ?? 300)
const seed = process.env["MODEL_SEED"]

/** WebCrypto answers from a thread of its own, which no test clock waits for. */
const syncDigest = () =>
  vi.spyOn(crypto.subtle, "digest").mockImplementation(async (_algorithm, data) => {
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)
    return new Uint8Array(createHash("sha256").update(bytes).digest()).buffer
  })

describe("the model", () => {
  it(`holds for ${runs} random sequences`, { timeout: 60_000 + runs * 200 }, async () => {
    const digest = syncDigest()
    let requests = 0
    try {
      await fc.assert(
        fc.asyncProperty(worlds, commands, async (options, commands) => {
          const system = await System.make(options)
          try {
            const board = new Board(system)
            await fc.asyncModelRun(() => ({ model: system.model, real: board }), commands)
            await finish(system.model, board)
            requests += system.model.requests
          } finally {
            await system.dispose()
          }
        }),
        { numRuns: runs, ...(seed === undefined ? {} : { seed: Number(seed) }) }
      )
    } finally {
      digest.mockRestore()
    }
    assert.isAbove(requests, runs)
  })
})
