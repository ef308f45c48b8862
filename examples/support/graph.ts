/** Reads the users of a tenant from Microsoft Graph, page by page, over a client whose requests carry the token. */
import { Effect, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"

const Page = Schema.Struct({
  value: Schema.Array(Schema.Struct({ displayName: Schema.NullOr(Schema.String) })),
  "@odata.nextLink": Schema.optionalKey(Schema.String)
})

const readPage = HttpClientResponse.schemaBodyJson(Page)

export const users = Effect.fn("Graph.users")(function*(options: {
  readonly baseUrl: string
  readonly maxPages: number
}) {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const names: Array<string> = []
  let url: string | undefined = `${options.baseUrl}/v1.0/users?$top=50`
  for (let page = 0; page < options.maxPages && url !== undefined; page++) {
    // A request for a link to another host carries no token.
    const answer: typeof Page.Type = yield* Effect.flatMap(client.get(url), readPage)
    names.push(...answer.value.map(({ displayName }) => displayName ?? "(no name)"))
    url = answer["@odata.nextLink"]
  }
  return names
})
