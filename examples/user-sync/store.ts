/** The database: the connected tenants with the states of their syncs, and their users. One SQLite file. */
import { Context, Effect, Layer, Schema } from "effect"
import { Migrator, SqlClient, type SqlError, SqlSchema } from "effect/sql"
import { SyncState } from "./syncState.ts"

export interface Tenant {
  readonly tenantId: string
  readonly customer: string
  readonly state: SyncState
  /** The number of users in the database. */
  readonly users: number
}

export interface User {
  readonly id: string
  readonly name: string
  readonly principalName: string
}

/** A change of a user. Graph may omit properties that have not changed. */
export type UserChange =
  | { readonly id: string; readonly name: string | undefined; readonly principalName: string | undefined }
  | { readonly id: string; readonly isRemoved: true }

export const pageSize = 50

/** Returns the number of pages of a search. */
export const pagesOf = (total: number): number => Math.max(1, Math.ceil(total / pageSize))

/** A page of the users that a search found. `total` is their number on all pages. */
export interface Found {
  readonly page: number
  readonly users: ReadonlyArray<User>
  readonly total: number
}

/** Errors of the database are defects: no caller can do anything about them. */
export class Store extends Context.Service<Store, {
  readonly all: Effect.Effect<ReadonlyArray<Tenant>>
  readonly find: (tenantId: string) => Effect.Effect<Tenant | undefined>
  /** Adds a tenant without users. An existing tenant is not changed. */
  readonly add: (tenant: Pick<Tenant, "tenantId" | "customer" | "state">) => Effect.Effect<void>
  /** Deletes a tenant and all its users. */
  readonly remove: (tenantId: string) => Effect.Effect<void>
  /** Changes the state. Returns undefined if there is no such tenant. */
  readonly change: (
    tenantId: string,
    next: (state: SyncState) => SyncState
  ) => Effect.Effect<SyncState | undefined>
  /** Stores a page with the state after it, all or nothing. `dropOthers` deletes the users not seen in this full round. */
  readonly applyPage: (
    tenantId: string,
    users: ReadonlyArray<UserChange>,
    next: (state: SyncState) => { readonly state: SyncState; readonly dropOthers: boolean }
  ) => Effect.Effect<SyncState | undefined>
  /**
   * A page of the users whose names contain the text, without regard to case and accents. Pages begin at 1, and a page
   * beyond the last one is the last one.
   */
  readonly search: (options: {
    readonly tenantId: string
    readonly text: string
    readonly page: number
  }) => Effect.Effect<Found>
}>()("user-sync/Store") {}

/** Returns the form of a name that searches compare. */
export const fold = (text: string): string => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim()

export const layer: Layer.Layer<Store, Migrator.MigrationError | SqlError.SqlError, SqlClient.SqlClient> = Layer.effect(
  Store,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* migrate

    const selectTenants = sql`SELECT tenant_id AS tenantId, customer, state,
      (SELECT count(*) FROM users WHERE users.tenant_id = tenants.tenant_id) AS users FROM tenants`
    const all = SqlSchema.findAll({
      Request: Schema.Void,
      Result: TenantRow,
      execute: () => sql`${selectTenants} ORDER BY customer, tenant_id`
    })
    const find = SqlSchema.findAll({
      Request: Schema.String,
      Result: TenantRow,
      execute: (id) => sql`${selectTenants} WHERE tenant_id = ${id}`
    })
    const findOne = (tenantId: string) => Effect.map(find(tenantId), ([tenant]) => tenant)
    const write = (tenantId: string, state: SyncState) =>
      Effect.flatMap(
        encodeState(state),
        (json) => sql`UPDATE tenants SET state = ${json} WHERE tenant_id = ${tenantId}`
      )

    const put = (tenantId: string, change: UserChange, round: number) => {
      if ("isRemoved" in change) return sql`DELETE FROM users WHERE tenant_id = ${tenantId} AND id = ${change.id}`
      const { name, principalName } = change
      return sql`INSERT INTO users (tenant_id, id, round, name, principal_name, folded_name, folded_principal)
        VALUES (${tenantId}, ${change.id}, ${round}, ${name ?? ""}, ${principalName ?? ""}, ${fold(name ?? "")},
          ${fold(principalName ?? "")})
        ON CONFLICT DO UPDATE SET
          round = excluded.round,
          name = iif(${name === undefined}, name, excluded.name),
          folded_name = iif(${name === undefined}, folded_name, excluded.folded_name),
          principal_name = iif(${principalName === undefined}, principal_name, excluded.principal_name),
          folded_principal = iif(${principalName === undefined}, folded_principal, excluded.folded_principal)`
    }

    const found = (tenantId: string, text: string) =>
      sql`FROM users WHERE tenant_id = ${tenantId}
        AND (${text} = '' OR instr(folded_name, ${text}) > 0 OR instr(folded_principal, ${text}) > 0)`
    const count = SqlSchema.findAll({
      Request: SearchRequest,
      Result: Schema.Struct({ total: Schema.Int }),
      execute: ({ tenantId, text }) => sql`SELECT count(*) AS total ${found(tenantId, text)}`
    })
    const list = SqlSchema.findAll({
      Request: SearchRequest,
      Result: UserRow,
      execute: ({ page, tenantId, text }) =>
        sql`SELECT id, name, principal_name AS principalName ${found(tenantId, text)}
          ORDER BY folded_name, id LIMIT ${pageSize} OFFSET ${(page - 1) * pageSize}`
    })

    return Store.of({
      all: Effect.orDie(all()),
      find: (tenantId) => Effect.orDie(findOne(tenantId)),
      add: ({ customer, state, tenantId }) =>
        Effect.flatMap(
          encodeState(state),
          (json) =>
            sql`INSERT INTO tenants (tenant_id, customer, state) VALUES (${tenantId}, ${customer}, ${json})
            ON CONFLICT DO NOTHING`
        ).pipe(Effect.asVoid, Effect.orDie),
      remove: (tenantId) => Effect.orDie(Effect.asVoid(sql`DELETE FROM tenants WHERE tenant_id = ${tenantId}`)),
      change: Effect.fn("Store.change")(
        function*(tenantId, next) {
          const tenant = yield* findOne(tenantId)
          if (tenant === undefined) return undefined
          const state = next(tenant.state)
          yield* write(tenantId, state)
          return state
        },
        sql.withTransaction,
        Effect.orDie
      ),
      applyPage: Effect.fn("Store.applyPage")(
        function*(tenantId, users, next) {
          const tenant = yield* findOne(tenantId)
          if (tenant === undefined) return undefined
          const { dropOthers, state } = next(tenant.state)
          for (const change of users) yield* put(tenantId, change, state.fullRounds)
          if (dropOthers) yield* sql`DELETE FROM users WHERE tenant_id = ${tenantId} AND round < ${state.fullRounds}`
          yield* write(tenantId, state)
          return state
        },
        sql.withTransaction,
        Effect.orDie
      ),
      search: Effect.fn("Store.search")(function*(options) {
        const request = { ...options, text: fold(options.text) }
        const [{ total } = { total: 0 }] = yield* count(request)
        const page = Math.min(request.page, pagesOf(total))
        return { page, total, users: yield* list({ ...request, page }) }
      }, Effect.orDie)
    })
  })
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const StateJson = Schema.fromJsonString(SyncState)
const encodeState = Schema.encodeEffect(StateJson)

const TenantRow = Schema.Struct({
  tenantId: Schema.String,
  customer: Schema.String,
  state: StateJson,
  users: Schema.Int
})

const UserRow = Schema.Struct({ id: Schema.String, name: Schema.String, principalName: Schema.String })

const SearchRequest = Schema.Struct({ tenantId: Schema.String, text: Schema.String, page: Schema.Int })

const migrate = Migrator.make({})({
  loader: Migrator.fromRecord({
    "0001_tenants_and_users": Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE tenants (
        tenant_id TEXT PRIMARY KEY,
        customer TEXT NOT NULL,
        state TEXT NOT NULL
      ) STRICT, WITHOUT ROWID`
      yield* sql`CREATE TABLE users (
        tenant_id TEXT NOT NULL REFERENCES tenants ON DELETE CASCADE,
        id TEXT NOT NULL,
        round INTEGER NOT NULL,
        name TEXT NOT NULL,
        principal_name TEXT NOT NULL,
        folded_name TEXT NOT NULL,
        folded_principal TEXT NOT NULL,
        PRIMARY KEY (tenant_id, id)
      ) STRICT, WITHOUT ROWID`
      yield* sql`CREATE INDEX users_by_name ON users (tenant_id, folded_name, id)`
    })
  })
})
