/** Brings every include of the pages up to date: `node test/docs/regenerate.ts`. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { regenerated } from "./includes.ts"
import { markdown, readText, root } from "./repository.ts"

for (const [file, text] of markdown()) {
  const wanted = regenerated(text, readText)
  if (wanted !== text) {
    writeFileSync(join(root, file), wanted)
    console.log(`wrote ${file}`)
  }
}
