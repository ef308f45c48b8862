/** A task for both libraries. A separate process reads it from the variable PARAMETERS and prints the outcome. */
import { Schema } from "effect"

const Certificate = Schema.Struct({
  /** PEM, the leaf first. */
  chain: Schema.String,
  privateKey: Schema.String,
  thumbprintSha256: Schema.String
})

export const Task = Schema.Struct({
  authority: Schema.String,
  clientId: Schema.String,
  scopes: Schema.Array(Schema.String),
  correlationId: Schema.String,
  credential: Schema.Union([
    Schema.TaggedStruct("Secret", { secret: Schema.String }),
    Schema.TaggedStruct("Certificate", {
      certificate: Certificate,
      sendCertificateChain: Schema.Literals(["no", "app", "request", "not this request"])
    }),
    Schema.TaggedStruct("Assertion", { assertion: Schema.String })
  ]),
  claims: Schema.optionalKey(Schema.String),
  clientCapabilities: Schema.optionalKey(Schema.Array(Schema.String)),
  region: Schema.optionalKey(Schema.String),
  extraQueryParameters: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
})
export type Task = typeof Task.Type

export const Tasks = Schema.fromJsonString(Schema.Array(Task))

/** The outcome of a task: the token, and the arguments of the function that makes assertions. */
export const Outcome = Schema.Struct({
  token: Schema.String,
  told: Schema.Array(Schema.Struct({ clientId: Schema.String, tokenEndpoint: Schema.String }))
})
export type Outcome = typeof Outcome.Type
export const Outcomes = Schema.fromJsonString(Schema.Array(Outcome))
