/**
 * What a simulator saw: counters and the last requests.
 */

/**
 * What a simulator counted since it was built or reset.
 *
 * **Details**
 *
 * Tenants are counted by id, whatever name the path used; requests for unknown tenants under `"unknown"`, those to AD FS
 * and to a realm under `adfs` and `realms/<name>`. `refusals` counts what the simulator refused of its own accord: by AADSTS
 * code, for AD FS and realms by `error`; scripted answers are counted in `faults`.
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
 * A token request as it arrived, credentials included. `query` and `form` are what `url` and `body` hold, read.
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

/** The book one simulator keeps. */
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

/** How many token requests are kept. */
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
