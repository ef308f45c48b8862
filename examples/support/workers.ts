/** The processes of a fleet: this program again, started by `node:child_process` and led by messages. */
import { Effect, Queue, type Scope, Stream } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"

/** What the program tells a process. */
export type Order =
  | { readonly _tag: "Go" }
  | { readonly _tag: "Invalidate"; readonly tenantId: string }
  | { readonly _tag: "Stop" }

/** What a process tells the program, since its start. */
export interface Report {
  /** The calls that were served from memory, from the store, and by the service. */
  readonly memory: number
  readonly store: number
  readonly service: number
  readonly failed: number
  /** The token requests that this process sent. */
  readonly requests: number
  /** The tokens in its memory. */
  readonly tokens: number
  /** How often another process invalidated tokens. */
  readonly invalidations: number
  /** Whether Redis does not answer. */
  readonly isDown: boolean
}

export interface Worker {
  readonly name: string
  /** The last report; undefined until the process is ready. */
  readonly report: () => Report | undefined
  readonly isRunning: () => boolean
  readonly send: (order: Order) => Effect.Effect<void>
  /** Kills the process without a warning. */
  readonly kill: Effect.Effect<void>
  /** Waits until the process has ended. */
  readonly ended: Effect.Effect<void>
}

/** Starts a process. It is killed when the scope closes. */
export const startWorker = (
  name: string,
  environment: Readonly<Record<string, string>>
): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fork(process.argv[1] ?? "", ["worker"], { env: { ...process.env, ...environment } })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child): Worker => {
      let report: Report | undefined
      child.on("message", (message: Report) => report = message)
      // A process that is killed closes its channel.
      child.on("error", () => {})
      const ended = Effect.promise(async () => {
        if (isRunning(child)) await once(child, "exit")
      })
      return {
        name,
        report: () => report,
        isRunning: () => isRunning(child),
        send: (order) => Effect.sync(() => void (child.connected && child.send(order))),
        kill: Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), ended),
        ended
      }
    }
  )

/** In a process of the fleet: the program that has started it. The orders end with `Stop`, or with the program. */
export const parent = {
  orders: Stream.callback<Order>((queue) =>
    Effect.sync(() => {
      process.on("message", (order: Order) => {
        if (order._tag === "Stop") Queue.endUnsafe(queue)
        else Queue.offerUnsafe(queue, order)
      })
      process.once("disconnect", () => Queue.endUnsafe(queue))
    })
  ),
  tell: (report: Report): Effect.Effect<void> => Effect.sync(() => void (process.connected && process.send?.(report))),
  /** Lets the process end. */
  leave: Effect.sync(() => process.connected && process.disconnect())
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null
