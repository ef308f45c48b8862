/** Stands for `vitest` in a Worker: its runner, chai, and the snapshots that come with the bundle. */
import { assert } from "chai"
import { getCurrentSuite, getCurrentTest } from "vitest-runner"

export { assert } from "chai"
export { expectTypeOf } from "expect-type"
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
} from "vitest-runner"

export const TestRunner = { getCurrentSuite }

interface Named {
  readonly name: string
  readonly suite?: Named
}

/** The names of a test and of the suites around it. */
export const namesOf = ({ name, suite }: Named): ReadonlyArray<string> => [
  ...(suite === undefined ? [] : namesOf(suite)),
  name
]

/** The snapshots of the file that runs, and how many of them each of its tests has compared. */
const state = { snapshots: new Map<string, string>(), compared: new Map<string, number>() }

export const useSnapshots = (snapshots: Readonly<Record<string, string>>): void => {
  state.snapshots = new Map(Object.entries(snapshots))
  state.compared = new Map()
}

/** Compares texts only. A snapshot has quotes around a text, and new lines around those if the text has several lines. */
export const expect = Object.assign(
  (text: string) => ({
    toMatchSnapshot: () => {
      const current = getCurrentTest()
      const test = current === undefined ? "" : namesOf(current).join(" > ")
      const count = (state.compared.get(test) ?? 0) + 1
      state.compared.set(test, count)
      const quoted = `"${text.replaceAll("\r\n", "\n")}"`
      assert.strictEqual(quoted.includes("\n") ? `\n${quoted}\n` : quoted, state.snapshots.get(`${test} ${count}`))
    }
  }),
  { addEqualityTesters: () => {} }
)
