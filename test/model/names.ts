/** The small world of the model: three clients, three tenants, three scopes, each spelled in several ways. */

/** Clients 0 and 1 are the same app twice; client 2 is another app. All share one cache and one endpoint. */
export const apps = ["aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"] as const
export const appOf = (client: number): string => client === 2 ? apps[1] : apps[0]

/** Each in its canonical form, with other ways to write it. */
export const tenants: ReadonlyArray<ReadonlyArray<string>> = [
  ["bbbbbbbb-0000-4000-8000-000000000001", "BBBBBBBB-0000-4000-8000-000000000001"],
  ["fabrikam.example", "Fabrikam.Example"],
  ["bbbbbbbb-0000-4000-8000-000000000003"]
]

export const scopes: ReadonlyArray<ReadonlyArray<string | ReadonlyArray<string>>> = [
  ["api://orders/.default", ["api://orders/.default"], " API://Orders/.default", [
    "api://orders/.default",
    "API://ORDERS/.DEFAULT"
  ]],
  ["https://graph.microsoft.com/.default", ["https://Graph.microsoft.com/.default"]],
  ["api://orders/2/.default", ["api://orders/2/.default "]]
]

export interface Key {
  readonly app: string
  readonly tenant: string
  readonly scope: string
}

export const keyOf = (client: number, tenant: number, scope: number): Key => ({
  app: appOf(client),
  tenant: spelled(tenants, tenant, 0),
  scope: textOf(spelled(scopes, scope, 0))
})

export const nameOf = ({ app, scope, tenant }: Key): string => `${app.slice(-1)}|${tenant}|${scope}`

export const spelled = <A>(table: ReadonlyArray<ReadonlyArray<A>>, row: number, spelling: number): A => {
  const spellings = table[row]
  const found = spellings?.[spelling % spellings.length]
  if (found === undefined) throw new Error(`no spelling ${spelling} of ${row}`)
  return found
}

const textOf = (scope: string | ReadonlyArray<string>): string => typeof scope === "string" ? scope : scope.join(" ")
