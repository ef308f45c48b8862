/** The X.509 library, loaded when it is first needed; its container library wants `reflect-metadata` loaded before it. */
import type * as X509 from "@peculiar/x509"
import * as Effect from "effect/Effect"

let library: Promise<typeof X509> | undefined

const load = async (): Promise<typeof X509> => {
  await import("reflect-metadata")
  return import("@peculiar/x509")
}

export const x509 = Effect.promise(() => library ??= load())
