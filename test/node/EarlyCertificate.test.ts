/** Certificates whose validity begins a little later than the clock of this machine says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { ClientCredential } from "effect-entra"
import { NodeClientCredential } from "effect-entra/node"
import { TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { attempt, authenticate } from "../support/credentials.ts"
import { record, warnings } from "../support/log.ts"

const from = Date.UTC(2026, 0, 1)
const minute = 60_000
const made = TestCertificate.make({ notBefore: new Date(from), notAfter: new Date(from + 86_400_000) })
const other = TestCertificate.make({ notBefore: new Date(from - 86_400_000), notAfter: new Date(from + 86_400_000) })

const content = ({ certificate, privateKey }: TestCertificate.TestCertificate) => ({
  content: Redacted.make(certificate + Redacted.value(privateKey))
})

const makers = [
  {
    module: "ClientCredential",
    make: (list: ReadonlyArray<TestCertificate.TestCertificate>) => ClientCredential.certificate(list)
  },
  {
    module: "NodeClientCredential",
    make: (list: ReadonlyArray<TestCertificate.TestCertificate>) => NodeClientCredential.certificate(list.map(content))
  }
]

describe.each(makers)("$module.certificate", ({ make }) => {
  it.effect.each([
    { ahead: 0, code: undefined, lines: 0 },
    { ahead: 1, code: undefined, lines: 1 },
    { ahead: 3000, code: undefined, lines: 1 },
    { ahead: 5 * minute, code: undefined, lines: 1 },
    { ahead: 5 * minute + 1, code: "certificate_not_yet_valid", lines: 0 },
    { ahead: -86_400_000, code: "certificate_expired", lines: 0 }
  ])("$ahead ms before its validity: $code, with $lines warnings", ({ ahead, code, lines }) => {
    const recorded = record()
    return Effect.gen(function*() {
      yield* TestClock.setTime(from - ahead)
      const outcome = yield* Effect.result(make([yield* made]))
      assert.strictEqual(outcome._tag === "Failure" ? outcome.failure.code : undefined, code)
      assert.strictEqual(warnings(recorded).length, lines)
      if (lines > 0) {
        assert.match(
          recorded.entries[0]?.text ?? "",
          /^the certificate is not valid before 2026-01-01T00:00:00.000Z by the clock of this machine, and is used already/
        )
      }
    }).pipe(Effect.provide(recorded.layer))
  })

  it.effect("a certificate that is valid now goes before one that is not valid yet, without a warning", () => {
    const recorded = record()
    return Effect.gen(function*() {
      yield* TestClock.setTime(from - minute)
      const [early, valid] = [yield* made, yield* other]
      const expiry = (list: ReadonlyArray<TestCertificate.TestCertificate>) =>
        Effect.map(make(list), ({ expiresOn }) => expiresOn?.())
      assert.deepStrictEqual(yield* expiry([early, valid]), yield* expiry([valid]))
      assert.strictEqual(warnings(recorded).length, 0)
    }).pipe(Effect.provide(recorded.layer))
  })

  it.effect("a source that is reloaded warns once for a certificate", () => {
    const recorded = record()
    return Effect.gen(function*() {
      yield* TestClock.setTime(from - 2 * minute)
      const early = yield* made
      const source = Effect.succeed(early)
      const credential = yield* ClientCredential.certificate(source, { reloadEvery: "10 seconds" })
      for (let count = 0; count < 4; count++) {
        yield* authenticate(credential, attempt)
        yield* TestClock.adjust("11 seconds")
      }
      assert.strictEqual(warnings(recorded).length, 1)
    }).pipe(Effect.provide(recorded.layer))
  })
})
