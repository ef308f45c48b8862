/** Everything a program logs, as text: messages, annotations, causes, spans. */
import { Layer, Logger, References, Tracer } from "effect"
import { inspect } from "node:util"

export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

export interface Recorded {
  readonly entries: Array<Line>
  readonly lines: Array<string>
  readonly spans: Array<string>
  readonly attributes: Array<Readonly<Record<string, unknown>>>
  readonly layer: Layer.Layer<never>
}

export const record = (): Recorded => {
  const entries: Array<Line> = []
  const lines: Array<string> = []
  const spans: Array<string> = []
  const attributes: Array<Readonly<Record<string, unknown>>> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    entries.push({ level: logLevel, text: [message].flat().join(" "), annotations })
    lines.push(
      inspect([logLevel, message, cause, annotations], {
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
        attributes.push({ span: span.name, ...Object.fromEntries(span.attributes) })
        spans.push(inspect([span.name, span.attributes, span.events, exit], { depth: 20, maxStringLength: null }))
      }
      return span
    }
  })
  return {
    entries,
    lines,
    spans,
    attributes,
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(Tracer.Tracer, tracer),
      Layer.succeed(References.MinimumLogLevel, "All")
    )
  }
}

/** For a test that is not about what is logged: a client may warn, of the number of its builds too, and nobody reads it. */
export const silent = Logger.layer([])

export const warnings = (recorded: Recorded): ReadonlyArray<string> =>
  recorded.lines.filter((line) => line.includes("'Warn'"))
