/** Writes modules into `.docs` and has the compiler check them all in one run. */
import { execFile } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./repository.ts"

const directory = join(root, ".docs")

const config = JSON.stringify(
  {
    extends: "../tsconfig.json",
    compilerOptions: { skipLibCheck: true },
    include: ["*.ts"],
    exclude: []
  },
  undefined,
  2
)

export const pathOf = (name: string): string => join(directory, `${name}.ts`)

/**
 * Makes `.docs` hold these modules and nothing else. What is right already stays untouched, so that two runs at once do
 * not pull files from under each other.
 */
export const write = (modules: ReadonlyMap<string, string>): void => {
  mkdirSync(directory, { recursive: true })
  const wanted = new Map([
    ["tsconfig.json", config],
    ...[...modules].map(([name, code]) => [`${name}.ts`, code] as const)
  ])
  const present = readdirSync(directory)
  for (const file of present) if (!wanted.has(file)) rmSync(join(directory, file), { recursive: true, force: true })
  for (const [file, text] of wanted) {
    if (!present.includes(file) || readFileSync(join(directory, file), "utf8") !== text) {
      writeFileSync(join(directory, file), text)
    }
  }
}

export interface Diagnostic {
  /** The module's name; undefined for what lies outside `.docs` or in no file at all. */
  readonly name: string | undefined
  readonly line: number
  readonly text: string
}

export const diagnosticsOf = (output: string): ReadonlyArray<Diagnostic> => {
  const found: Array<Diagnostic> = []
  for (const line of output.split("\n").filter((line) => line.trim() !== "")) {
    const [, file, number, text] = /^(\S.*)\((\d+),\d+\): (error .*)$/.exec(line) ?? []
    const last = found.at(-1)
    if (file !== undefined && text !== undefined) {
      const name = /^([^/\\]+)\.ts$/.exec(file)?.[1]
      found.push({ name, line: Number(number), text: name === undefined ? `${file}(${number}): ${text}` : text })
    } else if (/^\s/.test(line) && last !== undefined) {
      found[found.length - 1] = { ...last, text: `${last.text}\n${line}` }
    } else found.push({ name: undefined, line: 0, text: line })
  }
  return found
}

export const compile = (): Promise<ReadonlyArray<Diagnostic>> =>
  new Promise((resolve, reject) => {
    const tsc = join(root, "node_modules/typescript/bin/tsc")
    execFile(
      process.execPath,
      [tsc, "--project", "tsconfig.json", "--pretty", "false"],
      { cwd: directory, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error !== null && stdout.trim() === ""
          ? reject(new Error(`tsc did not run: ${error.message} ${stderr}`))
          : resolve(diagnosticsOf(stdout))
    )
  })
