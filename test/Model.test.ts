/**
 * Random sequences of everything that may happen to a client, against a naive model (`model/model.ts`), under `TestClock`.
 * A seed makes `MODEL_RUNS` of them. Each run takes a new seed, or `MODEL_SEEDS` in a row while `MODEL_SECONDS` last. The
 * first is printed, a failure tells its own, and `MODEL_SEED` replays one.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import { Board, commands, finish, worlds } from "./model/commands.ts"
import { System } from "./model/system.ts"

/** Seeds that failed once. */
const known = [
  80,
  86,
  137,
  142,
  5_000_153,
  697_804_926,
  86_176_196,
  -769_962_313,
  1_351_671_461,
  -246_866_062,
  -2_112_919_960,
  113_768_242,
  1_903_541_719,
  827_145_215,
  1_844_682_902
]

const { env } = process
const runs = Number(env["MODEL_RUNS"] ?? 300)
const first = Number(env["MODEL_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
const seeds = env["MODEL_SEED"] === undefined ? Number(env["MODEL_SEEDS"] ?? 1) : 1
const seconds = Number(env["MODEL_SECONDS"] ?? 60)

/** WebCrypto answers from a thread of its own, which no test clock waits for. */
const syncDigest = () =>
  vi.spyOn(crypto.subtle, "digest").mockImplementation(async (_algorithm, data) => {
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)
    return new Uint8Array(createHash("sha256").update(bytes).digest()).buffer
  })

/** Every sequence of a seed holds; the number of requests that they sent. */
const holds = async (seed: number): Promise<number> => {
  let requests = 0
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
    { numRuns: runs, seed }
  )
  return requests
}

describe("the model", () => {
  it("holds for seeds that failed once", { timeout: known.length * (30_000 + runs * 200) }, async () => {
    const digest = syncDigest()
    try {
      for (const seed of known) assert.isAbove(await holds(seed), runs)
    } finally {
      digest.mockRestore()
    }
  })

  it("holds for random sequences", { timeout: 60_000 + runs * 200 + seconds * 2000 }, async () => {
    console.log(`MODEL_SEED=${first}, ${runs} sequences`)
    const digest = syncDigest()
    const started = performance.now()
    let done = 0
    try {
      while (done < seeds && (done === 0 || performance.now() - started < seconds * 1000)) {
        assert.isAbove(await holds(first + done), runs)
        done++
      }
    } finally {
      digest.mockRestore()
    }
    if (seeds > 1) console.log(`${done} seeds from that one on`)
  })
})
