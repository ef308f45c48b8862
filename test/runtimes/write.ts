/** `npm run runtimes`: runs the core suite on every runtime and writes the table of docs/deploying.md. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { readText, root } from "../docs/repository.ts"
import { division, runtimes } from "./core.ts"
import { runCore } from "./run.ts"
import { tableOf, withTable } from "./table.ts"

const path = "docs/deploying.md"
const { core, outside } = await division()
for (const [file, reason] of outside) console.log(`outside: ${file} (${reason})`)

const passed = new Map<string, string>()
for (const runtime of runtimes) {
  const outcome = await runCore(runtime, core)
  for (const failure of outcome.failed) console.error(failure)
  if (outcome.failed.length > 0) process.exitCode = 1
  passed.set(runtime, outcome.passed.toLocaleString("en"))
  console.log(`${runtime}: ${outcome.passed} passed, ${outcome.skipped} not run, ${outcome.failed.length} failed`)
}
writeFileSync(join(root, path), withTable(readText(path) ?? "", tableOf((runtime) => passed.get(runtime) ?? "0")))
