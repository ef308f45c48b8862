/** Everything a program logs, as text: messages, annotations, causes, spans. */
import { Layer, Logger, References, Tracer } from "effect"
import { inspect } from "node:util"

export interface Recorded {
  readonly lines: Array<string>
  readonly spans: Array<string>
  readonly layer: Layer.Layer<never>
}

export const record = (): Recorded => {
  const lines: Array<string> = []
  const spans: Array<string> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    lines.push(
      inspect([logLevel, message, cause, fiber.getRef(References.CurrentLogAnnotations)], {
        depth: 20,
        maxStringLength: null
      })
    )
  })
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const { end } = span
      span.end = (time, exit) => {
        end.call(span, time, exit)
        spans.push(inspect([span.name, span.attributes, span.events, exit], { depth: 20, maxStringLength: null }))
      }
      return span
    }
  })
  return {
    lines,
    spans,
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(Tracer.Tracer, tracer),
      Layer.succeed(References.MinimumLogLevel, "All")
    )
  }
}

export const warnings = (recorded: Recorded): ReadonlyArray<string> =>
  recorded.lines.filter((line) => line.includes("'Warn'"))
