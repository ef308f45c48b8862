/** The time limit of an acquisition, which depends on the budget of its endpoint. Times are in milliseconds. */

/** A member of the endpoint, so that an endpoint that wraps another one by `{ ...endpoint }` has its budget too. */
const Budget = Symbol.for("effect-entra/TokenEndpoint/budget")

const usualBudget = 30_000

/** The longest discovery before a request. The budget does not include it. */
const longestDiscovery = 10_000

/** Stores the budget of an endpoint, and returns the endpoint. */
export const withBudget = <E extends object>(endpoint: E, budget: number): E =>
  Object.assign(endpoint, { [Budget]: budget })

/**
 * Returns the time after which other callers stop waiting for an acquisition. A custom endpoint has the default budget.
 */
export const limitOf = (endpoint: object): number => {
  const noted = Budget in endpoint ? endpoint[Budget] : undefined
  const budget = typeof noted === "number" ? noted : usualBudget
  return budget + Math.min(budget, longestDiscovery)
}
