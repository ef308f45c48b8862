/** What has to hold, judged within one run. */
import type { Shape } from "./keys.ts"
import * as Native from "./native.ts"
import * as Ours from "./ours.ts"
import { round, type Row } from "./report.ts"

export interface Goal {
  readonly goal: string
  readonly measured: string
  /** Absent when the figure is only told. */
  readonly passed?: boolean
}

/** The machine is shared, so a growth that is this much above the native maps' is noise. */
export const tolerance = 1.15

export const goalsOf = (table: ReadonlyArray<Row>): ReadonlyArray<Goal> => [
  ...faster(table, 1, 40),
  ...faster(table, 10_000, 10_000),
  ...growth(table, Ours.names.fiber, "tenants", "judged"),
  ...growth(table, Ours.names.kept, "tenants", "told"),
  ...growth(table, Ours.names.fiber, "scopes", "told"),
  ...growth(table, Ours.names.kept, "scopes", "told")
]

/** Judged where Effect programs call, in a fiber, against the promise that msal-node has; the other ways to run are told. */
const faster = (table: ReadonlyArray<Row>, tokens: number, times: number): ReadonlyArray<Goal> => {
  const ratio = (variant: string) => find(table, tokens, "tenants", variant).timesFasterThanMsal
  const goal = `at least ${round(times)} times faster than msal-node at ${round(tokens)} ${
    tokens === 1 ? "token" : "tokens"
  }`
  return [
    {
      goal: `${goal}, ${Ours.names.fiber}`,
      measured: `${round(ratio(Ours.names.fiber))} times`,
      passed: ratio(Ours.names.fiber) >= times
    },
    ...[Ours.names.sync, Ours.names.promise, Ours.names.runtime].map((variant) => ({
      goal: `${goal}, ${variant}`,
      measured: `${round(ratio(variant))} times`
    }))
  ]
}

const growth = (
  table: ReadonlyArray<Row>,
  variant: string,
  shape: Shape,
  how: "judged" | "told"
): ReadonlyArray<Goal> => {
  const factor = (name: string) => find(table, 10_000, shape, name).perHit / find(table, 1, "tenants", name).perHit
  const [ours, native] = [factor(variant), factor(Native.name)]
  return [{
    goal: `growth from 1 to 10,000 ${shape} at most that of two native Maps (${tolerance} tolerated), ${variant}`,
    measured: `${ours.toFixed(2)}x, native ${native.toFixed(2)}x`,
    ...(how === "judged" ? { passed: ours <= native * tolerance } : {})
  }]
}

const find = (table: ReadonlyArray<Row>, tokens: number, shape: Shape, variant: string): Row => {
  const row = table.find((row) => row.tokens === tokens && row.shape === shape && row.variant === variant)
  if (row === undefined) throw new Error(`not measured: ${variant}, ${tokens} ${shape}`)
  return row
}
