/** Fails if the tests run on another runtime than the caller asked for. */
import assert from "node:assert"

const { bun, deno, node } = process.versions
assert.strictEqual(bun ?? deno ?? node, process.env["RUNTIME_VERSION"])
