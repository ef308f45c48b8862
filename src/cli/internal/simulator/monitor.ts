/**
 * The data of the page: the last requests, tokens by tenant, throttled keys, and scripted faults.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import { type Row, type Summary, summaryOf } from "./exchange.ts"
import { describeFault } from "./faultText.ts"

/** A message to the page. The first message of a connection has all rows that are kept; the others have the new rows. */
export interface Message {
  readonly rows: ReadonlyArray<Row>
  readonly requests: number
  readonly tokens: ReadonlyArray<{ readonly tenant: string; readonly count: number }>
  readonly throttled: ReadonlyArray<{ readonly key: string; readonly until: number }>
  readonly faults: ReadonlyArray<ListedFault>
}

/** A fault that is switched on. */
export interface ListedFault {
  readonly id: number
  readonly text: string
}

export interface Monitor {
  /** The simulator. Its requests are recorded for the page. */
  readonly simulator: EntraSimulator.EntraSimulator["Service"]
  /** Tells the pages that the faults were changed. */
  readonly changed: Effect.Effect<void>
  readonly faults: Effect.Effect<ReadonlyArray<ListedFault>>
  readonly messages: Stream.Stream<Message>
}

/** The number of rows that are kept, for pages that are opened later. */
const rowLimit = 200
const throttledLimit = 50
/** The shortest time between two messages, so that a busy simulator sends many rows in one message. */
const interval = "100 millis"

/** Creates the monitor of a simulator. `nameOf` returns the name of a tenant by its id. */
export const makeMonitor = Effect.fnUntraced(function*(
  simulator: EntraSimulator.EntraSimulator["Service"],
  nameOf: (tenantId: string) => string
): Effect.fn.Return<Monitor> {
  const signal = yield* PubSub.sliding<void>(1)
  const changed = Effect.asVoid(PubSub.publish(signal, undefined))
  let rows: ReadonlyArray<Row> = []
  let requests = 0
  const tokens = new Map<string, number>()
  const throttled = new Map<string, number>()

  const record = ({ issuedTo, row, throttled: told }: Summary): Effect.Effect<void> => {
    requests++
    rows = [...rows, row].slice(-rowLimit)
    if (issuedTo !== undefined) tokens.set(issuedTo, (tokens.get(issuedTo) ?? 0) + 1)
    if (told !== undefined) {
      throttled.delete(told.key)
      throttled.set(told.key, told.until)
      const [oldest] = throttled.keys()
      if (throttled.size > throttledLimit && oldest !== undefined) throttled.delete(oldest)
    }
    return changed
  }

  const faults = Effect.map(
    simulator.faults,
    (list) => list.map((fault) => ({ id: fault.id, text: describeFault(fault) }))
  )

  const messageAfter = Effect.fnUntraced(function*(seen: number) {
    const now = yield* Clock.currentTimeMillis
    const fresh = requests - seen
    return {
      rows: fresh === 0 ? [] : rows.slice(-fresh),
      requests,
      tokens: [...tokens].map(([id, count]) => ({ tenant: nameOf(id), count })),
      throttled: [...throttled].flatMap(([key, until]) => until > now ? [{ key, until }] : []),
      faults: yield* faults
    }
  })

  const messages = Stream.unwrap(
    Effect.map(PubSub.subscribe(signal), (subscription) =>
      Stream.unfold<number | undefined, Message, never, never>(
        undefined,
        Effect.fnUntraced(function*(seen) {
          if (seen !== undefined) {
            yield* PubSub.take(subscription)
            yield* Effect.sleep(interval)
          }
          const message = yield* messageAfter(seen ?? 0)
          return [message, message.requests] as const
        })
      ))
  )

  const respond = Effect.fnUntraced(function*(
    part: EntraSimulator.Part,
    request: HttpServerRequest.HttpServerRequest
  ): Effect.fn.Return<HttpServerResponse.HttpServerResponse> {
    const at = yield* Clock.currentTimeMillis
    const start = yield* Clock.currentTimeNanos
    // The request keeps its body for the simulator.
    const body = yield* Effect.catch(request.text, () => Effect.succeed(""))
    let fault: EntraSimulator.Fault.Fault["_tag"] | undefined
    const recorded = (response: HttpServerResponse.HttpServerResponse | undefined) =>
      Effect.gen(function*() {
        const end = yield* Clock.currentTimeNanos
        yield* record(summaryOf({
          part,
          url: request.url,
          headers: request.headers,
          body,
          response: response === undefined
            ? undefined
            : { status: response.status, headers: response.headers, body: textOf(response) },
          fault,
          at,
          ms: Number(end - start) / 1e6
        }))
      })
    return yield* simulator.respond(part, request).pipe(
      Effect.provideService(EntraSimulator.OnFault, ({ _tag }) =>
        Effect.sync(() => {
          fault = _tag
        })),
      Effect.onInterrupt(() => recorded(undefined)),
      Effect.tap(recorded)
    )
  })

  return { simulator: { ...simulator, respond }, changed, faults, messages }
})

const decoder = new TextDecoder()

/** Returns the body of a response; a streamed body counts as empty. */
const textOf = ({ body }: HttpServerResponse.HttpServerResponse): string =>
  body._tag === "Uint8Array" ? decoder.decode(body.body) : ""
