/** A Worker that runs one file of the core suite for each request. `?run` is a pattern of the tests to run. */
import { startTests } from "vitest-runner"
import { namesOf, useSnapshots } from "./vitest.ts"

export interface CoreFile {
  readonly load: () => Promise<unknown>
  readonly snapshots: Readonly<Record<string, string>>
}

const configOf = (testNamePattern: RegExp | undefined) => ({
  root: "/",
  setupFiles: [],
  name: undefined,
  passWithNoTests: false,
  testNamePattern,
  allowOnly: false,
  sequence: { seed: 1, hooks: "stack", setupFiles: "parallel" },
  taskTitleValueFormatTruncate: 40,
  maxConcurrency: 5,
  testTimeout: 30_000,
  hookTimeout: 30_000,
  retry: 0,
  includeTaskLocation: false,
  tags: [],
  tagsFilter: undefined,
  strictTags: false
})

type Task = Awaited<ReturnType<typeof startTests>>[number]

const testsIn = (task: Task): ReadonlyArray<Task> => task.type === "test" ? [task] : (task.tasks ?? []).flatMap(testsIn)

const failuresOf = ({ result }: Task): ReadonlyArray<string> => (result?.errors ?? []).map(({ message }) => message)

export const serve = (files: Readonly<Record<string, CoreFile>>) => ({
  fetch: async (request: Request): Promise<Response> => {
    const { searchParams } = new URL(request.url)
    const path = searchParams.get("file") ?? ""
    const run = searchParams.get("run")
    const file = files[path]
    if (file === undefined) return new Response(`no file ${path}`, { status: 404 })
    useSnapshots(file.snapshots)
    const ran = await startTests([`/${path}`], {
      config: configOf(run === null ? undefined : new RegExp(run)),
      importFile: () => file.load()
    })
    return Response.json([
      ...ran.filter((task) => failuresOf(task).length > 0).map((task) => ({
        name: "",
        state: "fail",
        message: failuresOf(task).join("\n")
      })),
      ...ran.flatMap(testsIn).map((test) => ({
        name: namesOf(test).join(" "),
        state: test.result?.state ?? test.mode,
        message: failuresOf(test).join("\n")
      }))
    ])
  }
})
