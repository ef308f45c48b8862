/** Loads the X.509 library on demand. `reflect-metadata` must be loaded before it. */
import type * as X509 from "@peculiar/x509"
import * as Effect from "effect/Effect"

let library: Promise<typeof X509> | undefined

const load = async (): Promise<typeof X509> => {
  try {
    await import("reflect-metadata")
    return await import("@peculiar/x509")
  } catch (cause) {
    throw new Error(
      "EntraSimulator and TestCertificate need @peculiar/x509 for certificates: " +
        "npm i -D @peculiar/x509 reflect-metadata",
      { cause }
    )
  }
}

export const x509 = Effect.promise(() => library ??= load())
