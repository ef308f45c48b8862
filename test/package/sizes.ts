/** The size of each entry point: everything in it, bundled and minified, without other packages. */
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { root } from "../docs/repository.ts"
import type { Entry } from "./entries.ts"

/** Kilobytes with one decimal place. */
export interface Size {
  readonly minified: number
  readonly gzip: number
}

/** Returns the growth of an entry point that its budget allows: 3 %, or half a kilobyte if that is more. */
const slackOf = (budget: number): number => Math.max(budget * 0.03, 0.5)

export const sizeOf = async ({ module }: Entry): Promise<Size> => {
  const build = await rolldown({
    input: join(root, `src/${module}.ts`),
    platform: "node",
    // jose and the optional packages too: most of them load only when a program uses them.
    external: (id) => !/^[./]/.test(id),
    logLevel: "silent"
  })
  const { output } = await build.generate({ format: "esm", minify: true })
  await build.close()
  const code = output.map((file) => file.type === "chunk" ? file.code : "").join("")
  return { minified: kilobytes(code.length), gzip: kilobytes(gzipSync(code).length) }
}

/** Returns the problem of an entry point. */
export const overBudget = (name: string, size: Size, budget: Size | undefined): string | undefined => {
  if (budget === undefined) return `${name} has no budget: npm run sizes`
  for (const kind of ["minified", "gzip"] as const) {
    const slack = slackOf(budget[kind])
    if (size[kind] > budget[kind] + slack) {
      return `${name}: ${size[kind]} kB ${kind}, ${
        budget[kind]
      } kB before. Make it smaller, or raise its budget: npm run sizes`
    }
    // A budget that is far too large would hide growth.
    if (size[kind] < budget[kind] - 5 * slack) {
      return `${name}: ${size[kind]} kB ${kind}, and its budget is ${budget[kind]} kB: npm run sizes`
    }
  }
  return undefined
}

const kilobytes = (bytes: number): number => Math.round(bytes / 100) / 10
