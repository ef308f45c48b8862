/** The finding of `doctor` about Redis, with real servers that each have one fault. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { redisFinding } from "../../src/cli/internal/doctor/redis.ts"
import { standalone } from "../support/redis.ts"
import { trusting } from "./doctorWorld.ts"

const found = (REDIS_URL: string, more: Readonly<Record<string, string>> = {}) =>
  redisFinding.pipe(
    Effect.map((finding) => ({ remedy: "", ...finding })),
    Effect.provideService(
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env: { REDIS_URL, ...more } })
    )
  )

describe("the certificate of Redis", () => {
  it.live("that is not checked is a failure, and the password is not sent", () =>
    Effect.gen(function*() {
      const { authority = "", url } = yield* standalone({ tls: true })
      yield* trusting(authority)
      assert.strictEqual((yield* found(url)).status, "ok")
      const { detail, remedy, status } = yield* found(url, { NODE_TLS_REJECT_UNAUTHORIZED: "0" })
      assert.strictEqual(status, "fail")
      assert.match(
        detail,
        /^NODE_TLS_REJECT_UNAUTHORIZED=0 turns off .* in place of 127\.0\.0\.1 would get the password\.$/
      )
      assert.match(remedy, /^Unset NODE_TLS_REJECT_UNAUTHORIZED\./)
    }).pipe(Effect.scoped))
})
