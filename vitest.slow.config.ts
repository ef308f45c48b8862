/** `npm run test:slow`: the tests that `npm test` leaves out, and the model with as many fresh seeds as fit into a minute. */
import { defineConfig } from "vitest/config"
import base, { slow } from "./vitest.config.ts"

// Not merged: lists would be joined.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: [...slow, "test/Model.test.ts"],
    exclude: [],
    env: {
      MODEL_SEEDS: process.env["MODEL_SEEDS"] ?? "1000",
      MODEL_SECONDS: process.env["MODEL_SECONDS"] ?? "60"
    }
  }
})
