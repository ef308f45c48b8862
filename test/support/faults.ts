/** Helpers of the fault tables: a transport that must not be used, and the assertions on every fault. */
import { Effect, Layer } from "effect"
import type { EntraError } from "effect-entra"
import { HttpClient } from "effect/http"
import { assert } from "vitest"
import { printed } from "../internal/support.ts"
import { assertToldInFull } from "./shown.ts"

/** The expected error; `remedy` is a phrase of its remedy. */
export interface Fault {
  readonly name: string
  readonly tag: "Authority" | "Credential" | "Request" | "Scope"
  readonly code: string
  readonly field: string
  readonly remedy: string
  /** A phrase of the message, where code and field are those of other rows too. */
  readonly says?: string | undefined
  /** Default: local. */
  readonly origin?: "local" | "service" | undefined
}

const tags = {
  Authority: "EntraInvalidAuthorityError",
  Credential: "EntraCredentialError",
  Request: "EntraInvalidRequestError",
  Scope: "EntraInvalidScopeError"
} as const

/** A secret in the input of a row. No error may show it. */
export const hidden = "hunter2-THE-SECRET"

/** Notes what is asked for, and answers nothing. */
export const Transport = (sent: Array<string>) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((_request, url) =>
      Effect.suspend(() => {
        sent.push(url.href)
        return Effect.die(new Error("nothing is to be sent"))
      })
    )
  )

export const assertFault = (error: EntraError.AcquireTokenError, fault: Fault, secrets: ReadonlyArray<string> = []) => {
  assert.deepInclude<object>(error, {
    _tag: tags[fault.tag],
    code: fault.code,
    field: fault.field,
    origin: fault.origin ?? "local",
    isRetryable: false
  })
  assert.include(error.remedy, fault.remedy)
  assert.isNotEmpty(error.message)
  assert.include(error.message, fault.says ?? "")
  assertToldInFull(error)
  const shown = printed(error)
  for (const secret of [hidden, ...secrets]) assert.notInclude(shown, secret)
}
