/** The variables of the environment, each read by itself, so that one that cannot be read hides no other. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Found } from "./environmentSettings.ts"

export const variables: Effect.Effect<Found> = /*#__PURE__*/ Effect.suspend(() => {
  const unreadable: Array<string> = []

  const optional = <A>(name: string, config: Config.Config<A>): Effect.Effect<A | undefined> =>
    Effect.suspend(() => Config.option(config)).pipe(
      Effect.map(Option.getOrUndefined),
      Effect.catchCause(() =>
        Effect.sync(() => {
          unreadable.push(name)
          return undefined
        })
      )
    )

  const text = (name: string) => Effect.map(optional(name, Config.String(name)), (value) => value || undefined)

  const redacted = (name: string) =>
    Effect.map(
      optional(name, Config.Redacted(name)),
      (value) => value === undefined || Redacted.value(value) === "" ? undefined : value
    )

  return Effect.map(
    Effect.all({
      AZURE_CLIENT_ID: text("AZURE_CLIENT_ID"),
      AZURE_TENANT_ID: text("AZURE_TENANT_ID"),
      AZURE_AUTHORITY_HOST: text("AZURE_AUTHORITY_HOST"),
      AZURE_REGIONAL_AUTHORITY_NAME: text("AZURE_REGIONAL_AUTHORITY_NAME"),
      AZURE_CLIENT_SECRET: redacted("AZURE_CLIENT_SECRET"),
      AZURE_CLIENT_CERTIFICATE_PATH: text("AZURE_CLIENT_CERTIFICATE_PATH"),
      AZURE_CLIENT_CERTIFICATE_PASSWORD: redacted("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
      AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: text("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"),
      AZURE_FEDERATED_TOKEN_FILE: text("AZURE_FEDERATED_TOKEN_FILE")
    }),
    (variables) => ({ variables, unreadable })
  )
})
