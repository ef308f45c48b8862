/** The time limit of an acquisition, which depends on the budget of its endpoint. Times are in milliseconds. */

const budgets = new WeakMap<object, number>()

const usualBudget = 30_000

/** The longest discovery before a request. The budget does not include it. */
const longestDiscovery = 10_000

/** Stores the budget of an endpoint, and returns the endpoint. */
export const withBudget = <E extends object>(endpoint: E, budget: number): E => {
  budgets.set(endpoint, budget)
  return endpoint
}

/**
 * Returns the time after which other callers stop waiting for an acquisition. A custom endpoint has the default budget.
 */
export const limitOf = (endpoint: object): number => {
  const budget = budgets.get(endpoint) ?? usualBudget
  return budget + Math.min(budget, longestDiscovery)
}
