/** Detects whether a program traces. Spans are created only for a tracer that reads them. */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

const platformTracer = Context.get(Context.empty(), Tracer.Tracer)

/** Returns whether the program has a tracer of its own. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.getRef(Tracer.Tracer) !== platformTracer
