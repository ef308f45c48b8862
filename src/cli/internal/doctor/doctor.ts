/** Runs the checks in their order. A check is skipped if a check that it needs failed. No check ends the run. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import * as Authority from "../../../Authority.ts"
import type { NetworkError } from "../../../EntraError.ts"
import { configurationRequest } from "../../../internal/authority/openIdConfiguration.ts"
import * as IdentityHttp from "../../../internal/http/identityHttp.ts"
import type { Transport } from "../../../internal/http/identityHttp.ts"
import { randomId } from "../../../internal/shared/randomId.ts"
import type { Files } from "../../../node/NodeClientCredential.ts"
import * as NodeTransport from "../../../node/NodeTransport.ts"
import * as TokenScope from "../../../TokenScope.ts"
import type { ClientSetup } from "../clientFlags.ts"
import { withProgress } from "../progress.ts"
import { acquisitionFindings } from "./acquisition.ts"
import { checkConfiguration } from "./configuration.ts"
import { addressOf, observed } from "./connection.ts"
import { checkCredential } from "./credential.ts"
import { discoveryFinding, documentUrl } from "./discovery.ts"
import { fail, failure, type Finding, type Report, reportOf, skipped, type Step, warn } from "./finding.ts"
import { networkFindings } from "./network.ts"
import { redisFinding } from "./redis.ts"
import { packagesFinding, runtimeFinding, type RuntimeVersions } from "./runtime.ts"

export interface Options {
  readonly setup: ClientSetup
  /** The scopes of the token; default: Microsoft Graph of the authority's cloud. */
  readonly scopes: ReadonlyArray<string>
  /** The folder whose packages are examined. */
  readonly project: string
  readonly runtime: RuntimeVersions
  /** Runs with each finding as soon as it is known. */
  readonly onFinding: (finding: Finding) => Effect.Effect<void>
}

/** Checks the environment, and returns the report. It takes less than 30 seconds if no server responds. */
export const diagnose = (options: Options): Effect.Effect<Report, never, Files> =>
  Effect.gen(function*() {
    const environment = yield* ConfigProvider.ConfigProvider
    const findings: Array<Finding> = []
    const add = (found: ReadonlyArray<Finding>) =>
      Effect.forEach(found.map(withFlagNames(options.setup)), (finding) => {
        findings.push(finding)
        return options.onFinding(finding)
      }, { discard: true })
    yield* Effect.scoped(examine(options, add)).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, options.setup.provider(environment))
    )
    return reportOf(findings)
  })

const withFlagNames = ({ inFlags }: ClientSetup) => (finding: Finding): Finding =>
  finding.status === "warn" || finding.status === "fail"
    ? { ...finding, detail: inFlags(finding.detail), remedy: inFlags(finding.remedy) }
    : finding

type Add = (findings: ReadonlyArray<Finding>) => Effect.Effect<void>

const examine = Effect.fnUntraced(function*(
  { project, runtime, scopes, setup }: Options,
  add: Add
): Effect.fn.Return<void, never, Files | Scope.Scope> {
  const redis = yield* Effect.forkScoped(guarded("redis", redisFinding, (finding) => finding))
  yield* add([runtimeFinding(runtime)])
  yield* add([
    yield* guarded("packages", packagesFinding(resolve(project)), (finding) => finding)
  ])
  const { authority, findings, material, settings } = yield* checkConfiguration(setup)
  yield* add(findings)
  const { credential, finding } = material === undefined
    ? { credential: undefined, finding: blocked("credential", "configuration") }
    : yield* guarded("credential", checkCredential(setup, material, settings?.clientId ?? ""), (finding) => ({
      credential: undefined,
      finding
    })).pipe(withProgress("Loading the credential"))
  yield* add([finding])
  if (authority === undefined) {
    yield* add(networkSteps.map((step) => blocked(step, "configuration")))
  } else {
    const signsAssertions = material?.kind === "certificate"
    const acquire = settings === undefined
      ? "configuration"
      : credential === undefined
      ? "credential"
      : scopes.length === 0 && !Authority.isTenanted(authority)
      ? Effect.succeed([noScope])
      : acquisitionFindings(authority, settings, credential, scopes.length === 0 ? graphOf(authority) : scopes)
    yield* examineNetwork(authority, { signsAssertions, acquire }, add)
  }
  yield* add([yield* withProgress("Waiting for Redis")(Fiber.join(redis))])
})

/** Runs a check. A defect of the check becomes a finding, and the other checks continue. */
const guarded = <A, R>(
  step: Step,
  check: Effect.Effect<A, never, R>,
  orElse: (finding: Finding) => A
): Effect.Effect<A, never, R> => Effect.catchDefect(check, (defect) => Effect.succeed(orElse(defectOf(step, defect))))

/** Returns a finding without the message of the defect, which may contain a secret. */
const defectOf = (step: Step, defect: unknown): Finding =>
  fail(
    step,
    `The check ended with ${defect instanceof Error ? defect.name : "an error"}`,
    "This is a bug in effect-entra. Report it with the output of this command."
  )

/** The steps that need the network. Each step needs the steps before it, except the clock. */
const networkSteps = ["proxy", "dns", "connect", "tls", "clock", "discovery", "acquisition", "token"] as const

const examineNetwork = Effect.fnUntraced(function*(
  authority: Authority.Authority,
  { acquire, signsAssertions }: {
    readonly signsAssertions: boolean
    /** The acquisition, or the step that failed before it. */
    readonly acquire: Effect.Effect<ReadonlyArray<Finding>, never, Transport> | Step
  },
  add: Add
): Effect.fn.Return<void, never, Scope.Scope> {
  const done = new Set<Step>()
  let barrier: Step = typeof acquire === "string" ? acquire : "acquisition"
  const addNext = (findings: ReadonlyArray<Finding>) => {
    for (const { status, step } of findings) {
      done.add(step)
      if (status === "fail" && step !== "clock") barrier = step
    }
    return add(findings)
  }
  const pending = () => networkSteps.filter((step) => !done.has(step))
  const chain = Effect.gen(function*() {
    const transport = yield* Effect.result(Layer.build(NodeTransport.layer))
    if (Result.isFailure(transport)) return yield* addNext([failure("proxy", transport.failure)])
    const isReady = yield* Effect.provideContext(reach(authority, signsAssertions, addNext), transport.success)
    if (isReady && typeof acquire !== "string") {
      yield* addNext(
        yield* acquire.pipe(withProgress("Requesting a token"), Effect.provideContext(transport.success))
      )
    }
  })
  yield* Effect.catchDefect(chain, (defect) => addNext([defectOf(pending()[0] ?? "token", defect)]))
  yield* add(pending().map((step) => blocked(step, barrier)))
})

const blocked = (step: Step, barrier: Step): Finding =>
  skipped(step, `Not checked, because ${barrier} has to succeed first`)

/** Adds the findings up to `discovery`, and returns whether a token can be requested. */
const reach = Effect.fnUntraced(function*(
  authority: Authority.Authority,
  signsAssertions: boolean,
  add: Add
): Effect.fn.Return<boolean, never, Transport> {
  const http = yield* IdentityHttp.make()
  const newId = yield* randomId
  const url = documentUrl(authority)
  const connection = yield* observed(http, configurationRequest(url, newId())).pipe(
    withProgress(`Connecting to ${authority.host}`)
  )
  const findings = yield* networkFindings(addressOf(new URL(url)), connection, signsAssertions)
  yield* add(findings)
  if (findings.some(({ status, step }) => status === "fail" && step !== "clock")) return false
  const finding = Result.isSuccess(connection.response)
    ? yield* discoveryFinding(authority, connection.response.success, connection.receivedAt)
    : noResponse(authority, connection.response.failure)
  yield* add([finding])
  return finding.status !== "fail"
})

/** Returns the finding of a host that does not respond after the TLS handshake. */
const noResponse = ({ host }: Authority.Authority, failed: NetworkError | "timeout"): Finding =>
  fail(
    "discovery",
    `${host} accepted the connection, but did not respond (${failed === "timeout" ? "TIMEOUT" : failed.reason})`,
    "Try again later. A firewall that inspects connections may drop the request.",
    failed === "timeout" ? {} : { code: failed.reason }
  )

const noScope = warn(
  "acquisition",
  "No token was requested, because AD FS has no Microsoft Graph",
  "Pass --scope with a scope of an API that is registered with AD FS."
)

/** The hosts of Microsoft Graph in national clouds (https://learn.microsoft.com/graph/deployments). */
const graphHosts: Partial<Record<Authority.CloudName, string>> = {
  china: "microsoftgraph.chinacloudapi.cn",
  usGovernment: "graph.microsoft.us"
}

const graphOf = ({ cloud }: Authority.Authority): ReadonlyArray<string> => [
  TokenScope.fromResource(`https://${(cloud === undefined ? undefined : graphHosts[cloud]) ?? "graph.microsoft.com"}`)
]
