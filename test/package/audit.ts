/** `npm run check:audit`: known vulnerabilities of the dependencies, if the registry has audits. */
import { Schema } from "effect"
import { spawnSync } from "node:child_process"
import { root } from "../docs/repository.ts"

const Counts = Schema.Struct({
  info: Schema.Number,
  low: Schema.Number,
  moderate: Schema.Number,
  high: Schema.Number,
  critical: Schema.Number
})
const decode = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Union([
    Schema.Struct({ metadata: Schema.Struct({ vulnerabilities: Counts }) }),
    Schema.Struct({ message: Schema.String })
  ]))
)

export interface Verdict {
  readonly isBad: boolean
  readonly text: string
}

/** Judges the output of `npm audit --json`. A registry without audits is not a fault of the package. */
export const verdictOf = (printed: string): Verdict => {
  const answer = decode(printed)
  if ("message" in answer) return { isBad: false, text: `not audited, the registry does not answer: ${answer.message}` }
  const { critical, high, info, low, moderate } = answer.metadata.vulnerabilities
  return {
    isBad: high + critical > 0,
    text: `audited: ${critical} critical, ${high} high, ${moderate} moderate, ${low + info} lower`
  }
}

if (import.meta.main) {
  const { stdout } = spawnSync("npm", ["audit", "--omit=dev", "--json"], { cwd: root, encoding: "utf8" })
  const { isBad, text } = verdictOf(stdout)
  console.log(text)
  if (isBad) process.exitCode = 1
}
