/** Runs a script of `test/foreign` in a process that trusts a certificate. */
import { Effect, Schema } from "effect"
import { fileURLToPath } from "node:url"
import { runChild, temporaryFile } from "../support/child.ts"

class ChildFailed extends Schema.TaggedError<ChildFailed>()("ChildFailed", { message: Schema.String }) {}

/** The line a script prints, decoded. */
export const runForeign = Effect.fnUntraced(function*<A>(options: {
  readonly script: "msal" | "identity" | "openid"
  readonly parameters: unknown
  readonly certificate: string
  readonly output: Schema.Codec<A, unknown>
}) {
  const script = fileURLToPath(new URL(`../foreign/${options.script}.ts`, import.meta.url))
  const { status, stderr, stdout } = yield* runChild(["--conditions=@effect-entra/source", script], {
    NODE_EXTRA_CA_CERTS: yield* temporaryFile(options.certificate),
    PARAMETERS: JSON.stringify(options.parameters)
  })
  if (status !== 0) return yield* new ChildFailed({ message: `${options.script}: ${stderr}` })
  return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(options.output))(stdout)
}, Effect.scoped)
