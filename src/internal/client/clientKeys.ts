/** The cache keys of a client's tokens. The parts that all ordinary requests share are built once. */
import { type CacheKey, keyOf, ownerOf, spaceOf } from "../cache/cacheKey.ts"
import type { ClientSettings, RequestPlan } from "../request/requestPlan.ts"

export interface Keys {
  readonly owner: string
  /** Returns the space of requests without their own parameters or partition. */
  readonly space: () => string
  readonly keyOf: (plan: RequestPlan) => CacheKey
}

/** Creates the keys of one client. */
export const make = (settings: ClientSettings, binding: () => Parameters<typeof spaceOf>[1]): Keys => {
  const owner = ownerOf(settings.clientId, settings.authority.environment)
  const own = settings.extras.own.partition
  const bearer = spaceOf(owner, undefined, own)
  const space = (): string => {
    const bound = binding()
    return bound === undefined ? bearer : spaceOf(owner, bound, own)
  }
  return {
    owner,
    space,
    keyOf: ({ extras: { partition }, scopes, tenant }) =>
      keyOf(partition === own ? space() : spaceOf(owner, binding(), partition), tenant, scopes.canonical)
  }
}
