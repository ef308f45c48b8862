/** One exchange with an identity provider: what is sent, and what comes back. */
import type { Fields } from "./form.ts"

export interface IdentityRequest {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Fields
  readonly form?: Fields | undefined
  readonly correlationId: string
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** Whether the body went on after the limit, where it was cut. */
  readonly cut: boolean
}
