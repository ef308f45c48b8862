/**
 * A fault as the page and scripts send it: the constructors of `Fault` as JSON.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import { problemsOf, sentenceOf } from "../schemaProblems.ts"

const { Fault } = EntraSimulator

/** A fault with its place and the number of its uses; `Infinity`: until it is switched off. */
export interface FaultInput {
  readonly fault: EntraSimulator.Fault.Fault
  readonly endpoint: EntraSimulator.Endpoint
  readonly tenant: string | undefined
  readonly host: string | undefined
  readonly times: number
}

// -----------------------------------------------------------------------------
// schema
// -----------------------------------------------------------------------------

const optional = Schema.optionalKey
const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const textOf = (maximum: number) => Schema.String.check(Schema.isMaxLength(maximum))
const Text = textOf(2000)
/** A line of a header cannot have a line break. */
const HeaderText = Text.check(
  Schema.isPattern(/^[\t\x20-\x7e\x80-\xff]*$/, { message: "Expected the text of a header" })
)
const Headers = Schema.Record(Schema.String, HeaderText).check(
  Schema.makeFilter((headers) =>
    Object.keys(headers).every((name) => /^[\w!#$%&'*+.^`|~-]+$/.test(name)) || "Expected names of headers"
  )
)

const day = 86_400
const Seconds = between(0, 365 * day)
const Status = between(200, 599)
const Format = Schema.Literals(["seconds", "date"])

const place = {
  endpoint: optional(Schema.Literals(["token", "discovery", "graph", "consent"])),
  tenant: optional(textOf(200)),
  host: optional(textOf(200)),
  times: optional(between(1, 1_000_000))
}

const kind = <const Kind extends string, Fields extends Schema.Struct.Fields>(name: Kind, fields: Fields) =>
  Schema.Struct({ kind: Schema.Literal(name), ...place, ...fields })

/** Times are in seconds, `delay` is in milliseconds. */
const Input = Schema.Union([
  kind("throttled", { retryAfter: optional(Seconds), format: optional(Format) }),
  kind("unavailable", {
    status: optional(Status),
    retryAfter: optional(Seconds),
    format: optional(Format),
    body: optional(Schema.Literals(["json", "html"]))
  }),
  kind("loopDetected", {}),
  kind("refused", {
    code: between(0, 99_999_999),
    error: Text.check(Schema.isNonEmpty()),
    status: optional(Status),
    text: optional(Text),
    suberror: optional(Text),
    claims: optional(Text),
    retryAfter: optional(Seconds)
  }),
  kind("delay", { milliseconds: between(0, day * 1000) }),
  kind("dropped", {}),
  kind("malformed", { content: optional(Schema.Literals(["notJson", "noAccessToken", "cut"])) }),
  kind("redirect", { location: HeaderText, status: optional(Schema.Literals([301, 302, 303, 307, 308])) }),
  kind("echo", {}),
  kind("hugeBody", { bytes: optional(between(0, 64 * 1024 * 1024)) }),
  kind("custom", {
    status: Status,
    headers: optional(Headers),
    body: optional(textOf(100_000))
  })
])

/** The kind is checked first, because the problems of the other members depend on it. */
const Kind = Schema.Struct({ kind: Schema.Literals(Input.members.map(({ fields }) => fields.kind.literal)) })
const decodeKind = Schema.decodeUnknownResult(Schema.fromJsonString(Kind))
const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Input), { errors: "all", onExcessProperty: "error" })

// -----------------------------------------------------------------------------
// parsing
// -----------------------------------------------------------------------------

/** Parses a fault. The failure lists the problems, each with the name of its member. */
export const parseFault = (json: string): Result.Result<FaultInput, ReadonlyArray<string>> =>
  decodeKind(json).pipe(
    Result.flatMap(() => decode(json)),
    Result.map((input) => ({
      fault: faultOf(input),
      endpoint: input.endpoint ?? "token",
      tenant: input.tenant,
      host: input.host,
      times: input.times ?? Infinity
    })),
    Result.mapError((error) => problemsOf(error).map(sentenceOf))
  )

const seconds = (value: number | undefined) => value === undefined ? undefined : Duration.seconds(value)

const faultOf = (input: typeof Input.Type): EntraSimulator.Fault.Fault => {
  switch (input.kind) {
    case "throttled":
      return Fault.throttled({ ...input, retryAfter: seconds(input.retryAfter) })
    case "unavailable":
      return Fault.unavailable({ ...input, retryAfter: seconds(input.retryAfter) })
    case "loopDetected":
      return Fault.loopDetected
    case "refused":
      return Fault.refused({ ...input, retryAfter: seconds(input.retryAfter) })
    case "delay":
      return Fault.delay(input.milliseconds)
    case "dropped":
      return Fault.dropped
    case "malformed":
      return Fault.malformed(input.content)
    case "redirect":
      return Fault.redirect(input.location, input.status)
    case "echo":
      return Fault.echo
    case "hugeBody":
      return Fault.hugeBody(input.bytes)
    case "custom":
      return Fault.custom(input)
  }
}
