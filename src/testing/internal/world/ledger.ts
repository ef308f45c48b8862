/**
 * The record of the requests to a simulator: counters, and the last token requests.
 */

/**
 * The counters of a simulator since its creation or its last `reset`.
 *
 * **Details**
 *
 * - `tokenRequests`: the token requests.
 * - `tokenRequestsByTenant`: the token requests by tenant id, also when the path has the domain. Requests for unknown tenants
 *   count as `unknown`, requests to AD FS as `adfs`, requests to a realm as `realms/<name>`.
 * - `tokensIssued`: the issued tokens.
 * - `refusals`: the refusals by AADSTS code, or by `error` for AD FS and realms, without scripted faults.
 * - `faults`: the scripted faults.
 * - `discoveryRequests`, `graphRequests`: the requests for discovery documents and to Microsoft Graph.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counters {
  readonly tokenRequests: number
  readonly tokenRequestsByTenant: Readonly<Record<string, number>>
  readonly tokensIssued: number
  readonly refusals: Readonly<Record<string, number>>
  readonly faults: number
  readonly discoveryRequests: number
  readonly graphRequests: number
}

/**
 * A token request as it arrived, including its credentials.
 *
 * **Details**
 *
 * `query` is the parsed query of `url`, and `form` the parsed `body`. `tenant` is the tenant in the path, or the name of the
 * realm.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecordedRequest {
  readonly method: string
  readonly url: string
  readonly tenant: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly form: Readonly<Record<string, string>>
}

/** The record of one simulator. */
export interface Ledger {
  readonly tokenRequest: (tenantId: string | undefined, request: RecordedRequest) => void
  readonly tokenIssued: () => void
  readonly refused: (code: number | string) => void
  readonly faulted: () => void
  readonly discoveryRequest: () => void
  readonly graphRequest: () => void
  readonly counters: () => Counters
  readonly requests: () => ReadonlyArray<RecordedRequest>
  readonly reset: () => void
}

/** The number of token requests that are kept. */
const requestLimit = 1000

const increment = (record: Record<string, number>, key: string) => {
  record[key] = (record[key] ?? 0) + 1
}

const zero = () => ({
  tokenRequests: 0,
  tokenRequestsByTenant: {} as Record<string, number>,
  tokensIssued: 0,
  refusals: {} as Record<string, number>,
  faults: 0,
  discoveryRequests: 0,
  graphRequests: 0
})

export const makeLedger = (): Ledger => {
  let counters = zero()
  let requests: Array<RecordedRequest> = []
  return {
    tokenRequest: (tenantId, request) => {
      counters.tokenRequests++
      increment(counters.tokenRequestsByTenant, tenantId ?? "unknown")
      requests.push(request)
      if (requests.length > requestLimit) requests.shift()
    },
    tokenIssued: () => counters.tokensIssued++,
    refused: (code) => increment(counters.refusals, String(code)),
    faulted: () => counters.faults++,
    discoveryRequest: () => counters.discoveryRequests++,
    graphRequest: () => counters.graphRequests++,
    counters: () => ({
      ...counters,
      tokenRequestsByTenant: { ...counters.tokenRequestsByTenant },
      refusals: { ...counters.refusals }
    }),
    requests: () => [...requests],
    reset: () => {
      counters = zero()
      requests = []
    }
  }
}
