/** `@azure/identity`, filled by its own requests: its cache cannot be loaded, and a miss takes as long as there are tokens. */
import { createHttpHeaders, type HttpClient } from "@azure/core-rest-pipeline"
import { ClientSecretCredential } from "@azure/identity"
import { type Key, type Scenario, tokenOf } from "./keys.ts"
import { type Contender, cycle, type Laps, nanoseconds } from "./measure.ts"
import { clientId, slicesOf } from "./msal.ts"

export const name = "@azure/identity, promise"

/** Above this many tokens filling it would take minutes. */
export const most = 1_000

export const transport = (answer: () => string): HttpClient => ({
  sendRequest: async (request) => ({
    request,
    status: 200,
    headers: createHttpHeaders({ "content-type": "application/json" }),
    bodyAsText: answer()
  })
})

const loop = async (
  credential: ClientSecretCredential,
  requests: () => number,
  visits: ReadonlyArray<Key>,
  laps?: Laps
): Promise<number> => {
  const before = requests()
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    await credential.getToken(scope, { tenantId })
    if (laps !== undefined) laps.lap()
  }
  const took = nanoseconds() - begun
  if (requests() !== before) throw new Error("not only hits")
  return took
}

export const make = async (scenario: Scenario): Promise<Contender> => {
  let requests = 0
  let asked: Key | undefined
  const httpClient = transport(() => {
    requests++
    const access_token = tokenOf(asked?.tenantId ?? "", asked?.scope ?? "", scenario.tokenLength)
    return JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
  })
  const [first] = scenario.keys()
  if (first === undefined) throw new Error("no keys")
  const credential = new ClientSecretCredential(first.tenantId, clientId, "a-secret", {
    httpClient,
    additionallyAllowedTenants: ["*"]
  })
  for (const key of scenario.keys()) {
    asked = key
    await credential.getToken(key.scope, { tenantId: key.tenantId })
  }
  if (requests !== scenario.tokens) throw new Error("filling took another number of requests")
  for (const { scope, tenantId } of scenario.visits.flat().slice(0, 20)) {
    const { token } = await credential.getToken(scope, { tenantId })
    if (token !== tokenOf(tenantId, scope, scenario.tokenLength)) {
      throw new Error(`not the token of ${tenantId} ${scope}`)
    }
  }
  const slices = slicesOf(scenario)
  const next = cycle(slices)
  return {
    name,
    group: scenario.label,
    operations: slices[0]?.length ?? 0,
    run: (laps) => loop(credential, () => requests, next(), laps)
  }
}
