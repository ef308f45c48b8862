/**
 * The effect of a request: the one object that an acquisition allocates on a hit. It has a prototype of Effect's own rather
 * than being made of effects.
 */
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { AuthenticationResult } from "../AccessToken.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import type { TokenRequest } from "../TokenRequest.ts"
import type { Entry } from "./entry.ts"
import type { Asked } from "./hitPath.ts"

type Run = (asked: Asked) => Effect.Effect<AuthenticationResult, AcquireTokenError>

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the members come with the prototype below
export interface AcquireToken extends Effect.Effect<AuthenticationResult, AcquireTokenError> {}
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see above
export class AcquireToken implements Asked {
  readonly request: TokenRequest
  readonly client: { readonly run: Run }
  entry: Entry | undefined = undefined
  constructor(request: TokenRequest, client: { readonly run: Run }) {
    this.request = request
    this.client = client
  }
}
Object.setPrototypeOf(
  AcquireToken.prototype,
  Effectable.Prototype<AcquireToken>({
    label: "effect-entra/acquireToken",
    evaluate() {
      return this.client.run(this)
    }
  })
)
