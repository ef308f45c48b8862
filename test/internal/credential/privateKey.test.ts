import { assert, describe, it } from "vitest"
import { memoized } from "../../../src/internal/credential/privateKey.ts"

describe("memoized", () => {
  it("imports a key once for each algorithm", async () => {
    const imported: Array<string> = []
    const key = memoized(async (algorithm) => {
      imported.push(algorithm)
      return await crypto.subtle.importKey("raw", new Uint8Array(32), "AES-GCM", false, ["encrypt"])
    })
    assert.strictEqual(await key("PS256"), await key("PS256"))
    assert.notStrictEqual(await key("RS256"), await key("PS256"))
    assert.deepStrictEqual(imported, ["PS256", "RS256"])
  })
})
