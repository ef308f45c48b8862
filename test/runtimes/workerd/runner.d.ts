/** The part of vitest's runner that a Worker uses. vitest does not export it; `bundle.ts` finds it. */
declare module "vitest-runner" {
  import { type TestRunner } from "vitest"

  interface Test {
    readonly type: string
    readonly name: string
    readonly mode: string
    readonly suite?: Test
    readonly tasks?: ReadonlyArray<Test>
    readonly result?: { readonly state: string; readonly errors?: ReadonlyArray<{ readonly message: string }> }
  }
  export const startTests: (
    files: ReadonlyArray<string>,
    runner: { readonly config: object; readonly importFile: () => Promise<unknown> }
  ) => Promise<ReadonlyArray<Test>>
  export const getCurrentTest: () => Test | undefined
  export {
    afterAll,
    afterEach,
    aroundAll,
    aroundEach,
    beforeAll,
    beforeEach,
    describe,
    it,
    onTestFailed,
    onTestFinished,
    suite,
    test
  } from "vitest"
  export const getCurrentSuite: (typeof TestRunner)["getCurrentSuite"]
}
