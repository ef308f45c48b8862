/** The real thing under test: three clients over one cache and one endpoint, `TestClock`, and a transport that asks the model. */
import {
  Clock,
  type Context,
  Effect,
  Exit,
  type Fiber,
  Layer,
  Logger,
  ManagedRuntime,
  Random,
  Redacted,
  Scope
} from "effect"
import {
  type AccessToken,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint,
  type TokenRequest
} from "effect-entra"
import {
  HttpClient,
  HttpClientError,
  type HttpClientRequest,
  type HttpClientResponse,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import { type Answer, type Arrival, Model, random, type WorldOptions } from "./model.ts"
import { appOf } from "./names.ts"

export type Result = AccessToken.AuthenticationResult
type Acquisition = Effect.Effect<Result, EntraError.AcquireTokenError>

/** One run of an effect, and what came of it. */
export interface Call {
  readonly number: number
  readonly client: number
  readonly fiber: Fiber.Fiber<Result, EntraError.AcquireTokenError>
  ended: { readonly exit: Exit.Exit<Result, EntraError.AcquireTokenError>; readonly at: number } | undefined
}

interface Slot {
  readonly client: ConfidentialClient.ConfidentialClient["Service"]
  readonly scope: Scope.Closeable
}

export class System {
  readonly model: Model
  readonly calls: Array<Call> = []
  private readonly runtime
  private readonly slots: Array<Slot> = []
  private readonly kept = new Map<
    string,
    Effect.Effect<Result, EntraError.AcquireTokenError, ConfidentialClient.ConfidentialClient>
  >()
  private context: Context.Context<Services> | undefined

  private constructor(options: WorldOptions) {
    const model = new Model(options)
    this.model = model
    this.runtime = ManagedRuntime.make(layerOf(model))
  }

  static async make(options: WorldOptions): Promise<System> {
    const system = new System(options)
    system.context = await system.runtime.context()
    for (let client = 0; client < 3; client++) await system.build(client)
    return system
  }

  async build(client: number): Promise<void> {
    const { model } = this
    const scope = Scope.makeUnsafe()
    const credential = ClientCredential.ClientCredential.of({
      channel: "standard",
      binding: () => undefined,
      begin: () => {
        const revision = model.revisions[client] ?? ""
        return {
          revision: () => revision,
          authenticate: () => Effect.succeed({ form: { client_secret: Redacted.make(`${client} ${revision}`) } }),
          refused: () => Effect.succeed(false)
        }
      }
    })
    this.slots[client] = {
      scope,
      client: await this.run(
        ConfidentialClient.make({
          clientId: appOf(client),
          credential,
          renewal: { serveStaleOnOutage: model.options.serveStaleOnOutage }
        }).pipe(Scope.provide(scope))
      )
    }
  }

  async close(client: number): Promise<void> {
    this.model.close(client)
    await this.run(Scope.close(this.slot(client).scope, Exit.void))
    await this.settle()
    this.model.closing = undefined
  }

  client(client: number): ConfidentialClient.ConfidentialClient["Service"] {
    return this.slot(client).client
  }

  private slot(client: number): Slot {
    const slot = this.slots[client]
    if (slot === undefined) throw new Error(`there is no client ${client}`)
    return slot
  }

  /** Start a run and return without waiting: `ended` says whether it is over already. */
  start(client: number, request: TokenRequest.TokenRequest, kept: boolean): Call {
    const service = this.client(client)
    const effect: Acquisition = kept
      ? Effect.provideService(this.keptOf(request), ConfidentialClient.ConfidentialClient, service)
      : service.acquireToken(request)
    if (this.context === undefined) throw new Error("not started")
    const fiber = Effect.runForkWith(this.context)(effect)
    const call: Call = { number: this.calls.length + 1, client, fiber, ended: undefined }
    this.calls.push(call)
    fiber.addObserver((exit) => {
      call.ended = { exit, at: this.model.now }
    })
    return call
  }

  /** One effect value a request, whoever runs it. */
  private keptOf(request: TokenRequest.TokenRequest) {
    const name = JSON.stringify(request)
    const known = this.kept.get(name) ?? ConfidentialClient.acquireToken(request)
    this.kept.set(name, known)
    return known
  }

  run<A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> {
    return this.runtime.runPromise(effect)
  }

  /** Let everything that waits for no clock come to its end. */
  settle(): Promise<void> {
    return this.pass(0)
  }

  pass(seconds: number): Promise<void> {
    return this.run(TestClock.adjust(seconds * 1000))
  }

  async dispose(): Promise<void> {
    for (let client = 0; client < 3; client++) await this.close(client)
    await this.runtime.dispose()
  }
}

type Services =
  | AuthorityResolver.AuthorityResolver
  | TokenEndpoint.TokenEndpoint
  | TokenCache.TokenCache

const layerOf = (model: Model): Layer.Layer<Services, EntraError.InvalidRequestError> =>
  Layer.mergeAll(
    AuthorityResolver.layerKnownClouds,
    TokenEndpoint.layerWith({ breaker: { failures: model.options.breaker ? 5 : 1e9 } }),
    TokenCache.layerMemory({ maxEntries: model.options.maxEntries })
  ).pipe(
    Layer.provide(transport(model)),
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(Random.Random, { nextDoubleUnsafe: () => random, nextIntUnsafe: () => 7 }),
        Logger.layer([])
      )
    ),
    Layer.provideMerge(ticking(model)),
    Layer.provideMerge(TestClock.layer({ warningDelay: "1 hour" }))
  )

/** The model reads the same clock, so that it knows the time of what happens while time passes. */
const ticking = (model: Model): Layer.Layer<never> =>
  Layer.effectDiscard(Effect.map(Clock.Clock, (clock) => {
    Object.defineProperty(model, "now", { get: () => clock.currentTimeMillisUnsafe() })
  }))

// -----------------------------------------------------------------------------
// The endpoint
// -----------------------------------------------------------------------------

const transport = (model: Model): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.suspend(() => {
        const { answer, flight } = model.arrive(read(request, url))
        const wait = "after" in answer && answer.after > 0 ? Effect.sleep(answer.after * 1000) : Effect.void
        return wait.pipe(
          Effect.flatMap(() =>
            Effect.suspend(() => respond(request, answer, model.answered(flight, answer)?.text, model.now))
          ),
          Effect.onInterrupt(() => Effect.sync(() => model.answered(flight, undefined)))
        )
      })
    )
  )

const read = (request: HttpClientRequest.HttpClientRequest, url: URL): Arrival => {
  const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
  const form = new URLSearchParams(body)
  const [client = "", revision = ""] = (form.get("client_secret") ?? "").split(" ")
  return {
    key: {
      app: form.get("client_id") ?? "",
      tenant: url.pathname.split("/")[1] ?? "",
      scope: (form.get("scope") ?? "").toLowerCase()
    },
    client: Number(client),
    revision,
    claims: form.get("claims") ?? "",
    correlationId: request.headers["client-request-id"] ?? ""
  }
}

const respond = (
  request: HttpClientRequest.HttpClientRequest,
  answer: Answer,
  token: string | undefined,
  now: number
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
  const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    Effect.succeed(
      HttpServerResponse.toClientResponse(
        HttpServerResponse.text(typeof body === "string" ? body : JSON.stringify(body), { status, headers }),
        { request }
      )
    )
  const again = (seconds: number | undefined, date = false): Readonly<Record<string, string>> =>
    seconds === undefined
      ? {}
      : { "retry-after": date ? new Date(now + seconds * 1000).toUTCString() : String(seconds) }
  switch (answer.kind) {
    case "ok":
      return reply(200, {
        access_token: token,
        token_type: "Bearer",
        expires_in: answer.lifetime,
        ...(answer.refreshIn === undefined ? {} : { refresh_in: answer.refreshIn })
      })
    case "unavailable":
      return reply(503, "<html>down for maintenance</html>", again(answer.retryAfter))
    case "throttled":
      return reply(429, { error: "temporarily_unavailable" }, again(answer.retryAfter, answer.date))
    case "refused": {
      const { code, error, status } = refusals[answer.what]
      return reply(
        status,
        { error, error_description: `AADSTS${code}: no`, error_codes: [code] },
        again(answer.retryAfter)
      )
    }
    case "dropped":
      return Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({ request, description: "dropped" })
        })
      )
    case "malformed":
      return reply(200, "<html>a sign-in page</html>")
  }
}

const refusals = {
  client: { status: 401, code: 7000215, error: "invalid_client" },
  tenant: { status: 400, code: 90002, error: "invalid_request" },
  consent: { status: 400, code: 65001, error: "invalid_grant" }
} as const
