/** The scripts of this folder, each in a process of its own. */
import { spawn } from "node:child_process"
import { rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { load, type Result } from "./result.ts"

/** In the order of the report. */
export const names = [
  "hit",
  "keys",
  "miss",
  "herd",
  "shared",
  "faults",
  "memory",
  "eviction",
  "sustained",
  "startup",
  "paths"
] as const

export const bench = new URL("../", import.meta.url)

/** A million tokens fit, and the young generation is that of a program of our users'. */
const flags = ["--conditions=@effect-entra/source", "--expose-gc", "--max-old-space-size=8192"]

export interface Ran {
  readonly name: string
  /** Undefined when it did not come to its end. */
  readonly result: Result | undefined
  /** 1 as well when a goal was missed. */
  readonly code: number
}

export const runScript = async (name: string, options: { readonly quick: boolean }): Promise<Ran> => {
  await rm(new URL(`results/${name}.json`, bench), { force: true })
  const code = await new Promise<number>((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [...flags, fileURLToPath(new URL(`${name}.ts`, bench)), ...(options.quick ? ["--quick"] : [])],
      { stdio: "inherit" }
    )
    child.once("error", reject)
    child.once("exit", (code) => resolve(code ?? 1))
  })
  return { name, result: await load(name), code }
}
