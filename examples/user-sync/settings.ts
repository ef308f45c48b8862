/** The settings of the app, from its environment. */
import { Config, Effect, Option, Schema } from "effect"
import type { Account } from "./sessions.ts"

export interface Settings {
  readonly port: number
  readonly publicUrl: string | undefined
  /** The path of the database; undefined: in memory with the simulator, else `user-sync.db`. */
  readonly database: string | undefined
  /** Undefined: the simulator. */
  readonly real: {
    readonly clientId: string
    readonly authorityHost: string
    readonly accounts: ReadonlyArray<Account>
  } | undefined
}

/** An invalid setting. The message names it and has the remedy. */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  message: Schema.String
}) {}

const text = (name: string) =>
  Config.option(Config.String(name)).pipe(
    Effect.mapError(() => new InvalidSetting({ message: `${name} cannot be read.` })),
    Effect.map((value) => Option.getOrUndefined(value)?.trim() || undefined)
  )

export const readSettings: Effect.Effect<Settings, InvalidSetting> = Effect.gen(function*() {
  const tenantId = yield* text("AZURE_TENANT_ID")
  const clientId = yield* text("AZURE_CLIENT_ID")
  const isReal = tenantId !== undefined || clientId !== undefined
  return {
    port: yield* portOf(yield* text("USER_SYNC_PORT")),
    publicUrl: yield* publicUrlOf(yield* text("USER_SYNC_URL")),
    database: yield* text("USER_SYNC_DATABASE"),
    real: isReal
      ? {
        clientId: clientId ??
          (yield* invalid(
            "AZURE_CLIENT_ID is not set, but AZURE_TENANT_ID is. Set both, or neither for the simulator."
          )),
        authorityHost: yield* authorityHostOf(yield* text("AZURE_AUTHORITY_HOST")),
        accounts: [
          ...(yield* customersOf(yield* text("USER_SYNC_CUSTOMERS"), tenantId)),
          { kind: "operator", name: "Operator" }
        ]
      }
      : undefined
  }
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const invalid = (message: string): Effect.Effect<never, InvalidSetting> => Effect.fail(new InvalidSetting({ message }))

const portOf = (value = "3000") =>
  /^\d{1,5}$/.test(value) && Number(value) < 65_536
    ? Effect.succeed(Number(value))
    : invalid(`USER_SYNC_PORT is ${JSON.stringify(value)}. Set a number from 0 to 65535.`)

const publicUrlOf = (value: string | undefined) => {
  if (value === undefined) return Effect.undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isUsable = url !== undefined && url.href === `${url.origin}/` &&
    // Without TLS the cookie of the session can be read on its way.
    (url.protocol === "https:" || (url.protocol === "http:" && url.hostname === "localhost"))
  return isUsable ? Effect.succeed(value) : invalid(
    `USER_SYNC_URL is ${JSON.stringify(value)}. Set an https address without a path, such as https://users.contoso.com.`
  )
}

const authorityHostOf = (value = "https://login.microsoftonline.com") =>
  URL.canParse(value) && new URL(value).protocol === "https:"
    ? Effect.succeed(new URL(value).origin)
    : invalid(
      `AZURE_AUTHORITY_HOST is ${JSON.stringify(value)}. Set an https address, or nothing for the public cloud.`
    )

const guid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Reads `Contoso=<tenant id>,Fabrikam=<tenant id>`. Default: one customer, the tenant of the app. */
const customersOf = (list: string | undefined, tenantId: string | undefined) =>
  Effect.forEach(
    (list ?? `My organization=${tenantId ?? ""}`).split(","),
    (item): Effect.Effect<Account, InvalidSetting> => {
      const [name = "", id = "", ...others] = item.split("=").map((part) => part.trim())
      return name !== "" && guid.test(id.toLowerCase()) && others.length === 0
        ? Effect.succeed({ kind: "customer", name, tenantId: id.toLowerCase() })
        : invalid(
          list === undefined
            ? "AZURE_TENANT_ID is not the id of a tenant (a GUID). Set it, or list your customers in USER_SYNC_CUSTOMERS, "
              + "such as \"Contoso=3f6a2c1e-8b4d-4e57-9a10-c5d2e7f48b36\"."
            : `USER_SYNC_CUSTOMERS has ${
              JSON.stringify(item)
            }. Separate customers by commas, each as name=tenant id (a GUID).`
        )
    }
  )
