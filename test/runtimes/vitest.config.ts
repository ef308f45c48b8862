/** The core suite on a runtime that vitest runs on. `CORE` has the files, and the pattern of the tests to run. */
import { defineConfig } from "vitest/config"
import base from "../../vitest.config.ts"
import { root } from "../docs/repository.ts"
import { decodeSelection } from "./core.ts"

const { files, run } = decodeSelection(process.env["CORE"] ?? "")

export default defineConfig({
  ...base,
  root,
  test: {
    ...base.test,
    include: [...files],
    exclude: [],
    testNamePattern: run,
    setupFiles: ["test/runtimes/setup.ts"]
  }
})
