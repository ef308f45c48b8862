/**
 * A driver of `effect/sql` for the SQLite that is part of Node. It has one connection, and one statement or transaction
 * runs at a time. (The drivers on npm are for earlier versions of Effect 4, or need a compiler.)
 */
import { Effect, Layer, Semaphore, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"

/** Opens a database, and creates its file if it does not exist. Foreign keys are checked. */
export const layer = (filename: string): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const database = yield* Effect.acquireRelease(
        attempt(() => {
          const database = new DatabaseSync(filename, { enableForeignKeyConstraints: true, timeout: 5000 })
          // The first statement reads the file, so a file that is no database is found here.
          database.exec("PRAGMA journal_mode = WAL")
          return database
        }, `The database ${filename} cannot be opened.`),
        (database) => Effect.sync(() => database.close())
      )
      const turns = yield* Semaphore.make(1)
      return yield* SqlClient.make({
        acquirer: Effect.as(Semaphore.takeScoped(turns, 1), connect(database)),
        driver: "node-sqlite",
        compiler: Statement.makeCompilerSqlite(),
        spanAttributes: [["db.system.name", "sqlite"]]
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const connect = (database: DatabaseSync): SqlConnection.Connection => {
  const prepared = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    const statement = prepared.get(sql) ?? database.prepare(sql)
    if (prepared.size < 200) prepared.set(sql, statement)
    return statement
  }
  const all = (sql: string, parameters: ReadonlyArray<unknown>) =>
    attempt(() => prepare(sql).all(...parameters.map(toInput)))
  const rows: SqlConnection.Connection["execute"] = (sql, parameters, transform) =>
    Effect.map(all(sql, parameters), (rows) => transform === undefined ? rows : transform(rows))
  const values = (sql: string, parameters: ReadonlyArray<unknown>) =>
    Effect.map(all(sql, parameters), (rows) => rows.map((row) => Object.values(row)))
  return {
    execute: rows,
    executeUnprepared: rows,
    executeValues: values,
    executeValuesUnprepared: values,
    executeRaw: (sql, parameters) => attempt(() => prepare(sql).run(...parameters.map(toInput))),
    executeStream: (sql, parameters, transform) => Stream.fromIterableEffect(rows(sql, parameters, transform))
  }
}

const toInput = (value: unknown): SQLInputValue => {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
      return value
    case "boolean":
      return value ? 1 : 0
    default:
      if (value === null || value instanceof Uint8Array) return value
      throw new TypeError(`SQLite has no ${typeof value}.`)
  }
}

const attempt = <A>(run: () => A, message?: string): Effect.Effect<A, SqlError.SqlError> =>
  Effect.try({ try: run, catch: (cause) => new SqlError.SqlError({ reason: reasonOf(cause, message) }) })

/** Returns the reason of an error. Effect reads it from `errno`, which Node calls `errcode`. */
const reasonOf = (cause: unknown, message: string | undefined): SqlError.SqlErrorReason =>
  SqlError.classifySqliteError(
    cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause,
    { message }
  )
