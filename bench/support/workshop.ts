/**
 * Programs as they ship: this library built with `tsc`, installed into a folder of its own under the system's temporary
 * one, and what rolldown makes of a program there.
 */
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { minifySync, parseSync, Visitor } from "rolldown/utils"
import { packageFolder } from "./tell.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

export interface Bundle {
  readonly file: string
  /** Of the code as it stands in the file, all chunks together. */
  readonly bytes: number
  readonly code: string
  readonly modules: ReadonlyArray<Part>
}

/** The part of a bundle that comes from one module. */
export interface Part {
  readonly id: string
  /** Minified alone, names at its top kept, so the sum is a little more than the bundle. */
  readonly bytes: number
}

/** Of a process, from its start to its end, in milliseconds. */
export interface Time {
  readonly wall: number
  /** On all processors; hardly changed by what else the machine does. */
  readonly processor: number
}

export interface Workshop {
  /** `external`: what stays an import. */
  readonly bundle: (
    program: string,
    options?: { readonly name?: string; readonly external?: RegExp; readonly minify?: boolean }
  ) => Promise<Bundle>
  /** The size of a program as esbuild bundles it. */
  readonly sizeByEsbuild: (program: string) => Promise<number>
  /** Runs it in a process of its own. With the cache, Node keeps the compiled code of one run for the next. */
  readonly time: (bundle: Bundle, options?: { readonly compileCache?: boolean }) => Time
  /** A program that keeps what another one uses of the packages it was bundled without. */
  readonly keepImportsOf: (bundle: Bundle, name: string) => Promise<void>
  readonly close: () => Promise<void>
}

export const open = async (packages: ReadonlyArray<string>): Promise<Workshop> => {
  const folder = await mkdtemp(join(tmpdir(), "effect-entra-startup-"))
  const installed = join(folder, "node_modules")
  const own = join(installed, "effect-entra")
  await mkdir(own, { recursive: true })
  await Promise.all(packages.map(async (name) => {
    const target = packageFolder(name)
    if (target === undefined) return
    await mkdir(join(installed, name, ".."), { recursive: true })
    await symlink(fileURLToPath(target).replace(/\/$/, ""), join(installed, name))
  }))
  for (const file of ["package.json", "LICENSE"]) await cp(join(root, file), join(own, file))
  await cp(join(root, "bench/support/programs"), join(folder, "programs"), { recursive: true })
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }))
  await writeFile(join(folder, "report.cjs"), reporting)
  run([
    fileURLToPath(new URL("bin/tsc", packageFolder("typescript"))),
    "-p",
    join(root, "tsconfig.build.json"),
    "--outDir",
    join(own, "dist")
  ])
  const merging = join(root, ".rolldown.config.mjs")
  run([fileURLToPath(new URL("bin/cli.mjs", packageFolder("rolldown"))), "-c", merging, "--log-level", "warn"], {
    cwd: own
  })

  const bundle: Workshop["bundle"] = async (program, { external, minify = true, name = program } = {}) => {
    const built = await rolldown({
      input: join(folder, "programs", `${program}.ts`),
      cwd: folder,
      platform: "node",
      ...(external === undefined ? {} : { external: (id: string) => external.test(id) })
    })
    const { output } = await built.write({
      dir: join(folder, "bundles", name),
      entryFileNames: "main.mjs",
      format: "esm",
      minify,
      comments: false
    })
    await built.close()
    const chunks = output.flatMap((file) => file.type === "chunk" ? [file] : [])
    return {
      file: join(folder, "bundles", name, "main.mjs"),
      bytes: chunks.reduce((sum, { code }) => sum + Buffer.byteLength(code), 0),
      code: chunks.map(({ code }) => code).join("\n"),
      modules: chunks.flatMap(({ modules }) =>
        Object.entries(modules).map(([id, { code }]) => ({ id: nameOf(id), bytes: code === null ? 0 : minified(code) }))
      )
    }
  }

  return {
    bundle,
    sizeByEsbuild: async (program) => {
      const { outputFiles } = await build({
        entryPoints: [join(folder, "programs", `${program}.ts`)],
        bundle: true,
        minify: true,
        platform: "node",
        format: "esm",
        // The modules, as rolldown takes them.
        mainFields: ["module", "main"],
        legalComments: "none",
        logLevel: "error",
        write: false
      })
      return outputFiles.reduce((sum, { contents }) => sum + contents.byteLength, 0)
    },
    time: ({ file }, { compileCache = false } = {}) => {
      const begun = process.hrtime.bigint()
      const reported = run(
        ["--require", join(folder, "report.cjs"), file],
        compileCache ? { env: { NODE_COMPILE_CACHE: join(folder, "compiled") } } : {}
      )
      return { wall: Number(process.hrtime.bigint() - begun) / 1e6, processor: Number(reported) / 1000 }
    },
    keepImportsOf: ({ code }, name) => writeFile(join(folder, "programs", `${name}.ts`), keeping(code)),
    close: () => rm(folder, { recursive: true, force: true })
  }
}

/** Gives what the process wrote to its fourth channel. */
const run = (
  args: ReadonlyArray<string>,
  { cwd, env }: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}
): string => {
  const { output, status, stderr, stdout } = spawnSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"]
  })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stdout}${stderr}`)
  return output[3] ?? ""
}

/** Microseconds of processor time that the process took until it ended. */
const reporting = `process.on("exit", () => {
  const { user, system } = process.cpuUsage()
  require("node:fs").writeSync(3, String(user + system))
})
`

/** `effect/dist/Effect.js` of wherever it is installed. */
const nameOf = (id: string): string => id.replace(/^.*\/node_modules\//, "").replace(/^.*\/programs\//, "programs/")

const minified = (code: string): number =>
  Buffer.byteLength(
    minifySync("module.mjs", code, { module: true, compress: { unused: false }, mangle: { toplevel: false } }).code
  )

/**
 * The imports of a bundle, and the members of them that it touches, in a program that keeps those and nothing else: what
 * an app has already that uses the same functions.
 */
const keeping = (code: string): string => {
  const statements: Array<string> = []
  const locals = new Set<string>()
  const members = new Set<string>()
  const objects = new Set<unknown>()
  const bare = new Set<string>()
  const { program } = parseSync("bundle.mjs", code)
  const imports = new Visitor({
    ImportDeclaration: (node) => {
      statements.push(code.slice(node.start, node.end))
      for (const { local } of node.specifiers) {
        locals.add(local.name)
        objects.add(local)
      }
    },
    ImportSpecifier: (node) => {
      objects.add(node.imported)
    },
    MemberExpression: (node) => {
      if (!node.computed && node.object.type === "Identifier" && node.property.type === "Identifier") {
        if (locals.has(node.object.name)) members.add(`${node.object.name}.${node.property.name}`)
        objects.add(node.object)
        objects.add(node.property)
      }
    },
    Identifier: (node) => {
      if (locals.has(node.name) && !objects.has(node)) bare.add(node.name)
    }
  })
  imports.visit(program)
  return `${statements.join("\n")}\nObject.assign(globalThis, { kept: [${[...members, ...bare].join(", ")}] })\n`
}
