/**
 * The optional packages of a subcommand, which are loaded before it begins.
 */
import * as Effect from "effect/Effect"
import { CommandError } from "./commandError.ts"

/** Fails if the packages that create certificates cannot be loaded. */
export const certificatePackages: Effect.Effect<void, CommandError> = Effect.tryPromise({
  try: async () => {
    await import("reflect-metadata")
    await import("@peculiar/x509")
  },
  catch: (cause) =>
    new CommandError({
      message: `The packages that create certificates cannot be loaded: ${
        (cause instanceof Error ? cause.message : "").split("\n")[0]
      }`,
      remedy: "Install them: npm i -D @peculiar/x509 reflect-metadata"
    })
})
