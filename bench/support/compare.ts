/** Compares new figures with earlier ones in a plain function, so that it can be tested without measuring. */
import type { Watched } from "./result.ts"

export interface Compared {
  readonly name: string
  readonly kind: Watched["kind"]
  /** Undefined when it is new. */
  readonly baseline: number | undefined
  /** Undefined when it was not measured. */
  readonly now: number | undefined
  readonly verdict: "ok" | "better" | "worse" | "missing" | "new"
}

/** How much of its baseline a value may have, by its kind. */
export const tolerance = { ratio: 1.5, count: 1.05 } as const

/**
 * `worse` and `missing` fail. What is as much below its baseline as it may be above is `better`: a reason to write the
 * baseline anew. A value is judged by the kind that it has now.
 */
export const compare = (
  baseline: ReadonlyArray<Watched>,
  now: ReadonlyArray<Watched>
): ReadonlyArray<Compared> => [
  ...baseline.map((before): Compared => {
    const found = now.find(({ name }) => name === before.name)
    if (found === undefined) {
      return { name: before.name, kind: before.kind, baseline: before.value, now: undefined, verdict: "missing" }
    }
    return {
      name: before.name,
      kind: found.kind,
      baseline: before.value,
      now: found.value,
      verdict: verdictOf(before.value, found.value, tolerance[found.kind])
    }
  }),
  ...now.filter(({ name }) => baseline.every((before) => before.name !== name)).map((
    { kind, name, value }
  ): Compared => ({
    name,
    kind,
    baseline: undefined,
    now: value,
    verdict: "new"
  }))
]

export const fails = ({ verdict }: Compared): boolean => verdict === "worse" || verdict === "missing"

const verdictOf = (before: number, now: number, tolerance: number): "ok" | "better" | "worse" =>
  // A value that is none is never good enough.
  !(now <= before * tolerance) ? "worse" : now * tolerance < before ? "better" : "ok"
