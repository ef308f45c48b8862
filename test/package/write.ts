/** `npm run api` writes the API report, and `npm run sizes` the budgets of the entry points. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { apiReport } from "./api.ts"
import { entries } from "./entries.ts"
import { sizeOf } from "./sizes.ts"

const write = (name: string, text: string) => writeFileSync(join(import.meta.dirname, name), text)

if (process.argv[2] === "api") write("api.txt", apiReport())
else {
  const sizes: Record<string, object> = {}
  for (const entry of entries()) sizes[entry.name] = await sizeOf(entry)
  console.table(sizes)
  write("sizes.json", `${JSON.stringify(sizes, undefined, 2)}\n`)
}
