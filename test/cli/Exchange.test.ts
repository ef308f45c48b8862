import { assert, describe, it } from "@effect/vitest"
import { type Exchange, summaryOf } from "../../src/cli/internal/simulator/exchange.ts"

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
const jwt = (claims: object) => `${encode({ alg: "RS256" })}.${encode(claims)}.c2lnbmF0dXJl`
const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => ({
  status,
  headers,
  body: JSON.stringify(body)
})
const tokenFor = (tid: string) => json(200, { token_type: "Bearer", expires_in: 3599, access_token: jwt({ tid }) })

const exchange = (fields: Partial<Exchange> & { readonly form?: Readonly<Record<string, string>> }): Exchange => ({
  part: "token",
  url: "/contoso.com/oauth2/v2.0/token",
  headers: {},
  body: new URLSearchParams(fields.form ?? {}).toString(),
  response: tokenFor("t1"),
  fault: undefined,
  at: 1_000_000,
  ms: 1.6,
  ...fields
})

const form = { client_id: "app", client_secret: "hush-hush", scope: "api://x/.default" }

describe("a row of the page", () => {
  it("has the client, the tenant, the scope and the answer", () => {
    assert.deepStrictEqual(summaryOf(exchange({ form })), {
      row: {
        at: 1_000_000,
        endpoint: "token",
        client: "app",
        tenant: "contoso.com",
        scope: "api://x/.default",
        credential: "secret",
        outcome: "ok",
        answer: "token for 3599 s",
        fault: false,
        ms: 2
      },
      issuedTo: "t1",
      throttled: undefined
    })
  })

  const assertion = (claims: object) => ({ client_id: "app", client_assertion: jwt(claims) })
  const credentials: ReadonlyArray<readonly [credential: string, fields: Parameters<typeof exchange>[0]]> = [
    ["certificate", { form: assertion({ iss: "app", sub: "app" }) }],
    ["federated token", { form: assertion({ iss: "https://issuer.example", sub: "system" }) }],
    ["certificate", { form: { client_id: "app", client_assertion: "not a JWT" } }],
    ["secret, certificate", { form: { ...assertion({ iss: "app" }), client_secret: "x" } }],
    ["secret (Basic)", { headers: { authorization: `Basic ${btoa("app:hush:hush")}` } }],
    ["", { headers: { authorization: "Basic !" }, form: { client_id: "app" } }],
    ["", { form: { client_id: "app", client_secret: "" } }]
  ]
  it.each(credentials)("has the kind of the credential: %s", (credential, fields) => {
    const { row } = summaryOf(exchange(fields))
    assert.deepStrictEqual([row.credential, row.client], [credential, "app"])
  })

  const refusal = { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret. Trace ID: x" }
  const responses: ReadonlyArray<readonly [answer: string, outcome: string, response: Exchange["response"]]> = [
    ["401 AADSTS7000215 invalid_client", "refused", json(401, refusal)],
    ["429 x, Retry-After: 30", "refused", json(429, { error: "x" }, { "retry-after": "30" })],
    ["401 Graph.Code", "refused", json(401, { error: { code: "Graph.Code", message: "m" } })],
    [
      "400 MSIS9611 invalid_request",
      "refused",
      json(400, { error: "invalid_request", error_description: "MSIS9611: x" })
    ],
    ["503", "failed", { status: 503, headers: {}, body: "<html>" }],
    ["200", "failed", { status: 200, headers: {}, body: "<html>" }],
    ["200", "failed", json(200, { token_type: "Bearer" })],
    ["200", "failed", json(200, { access_token: 7 })],
    ["307", "failed", { status: 307, headers: { location: "https://elsewhere.example" }, body: "" }],
    ["connection closed", "failed", undefined]
  ]
  it.each(responses)("has the answer: %s, %s", (answer, outcome, response) => {
    const { issuedTo, row } = summaryOf(exchange({ form, response }))
    assert.deepStrictEqual([row.answer, row.outcome, issuedTo], [answer, outcome, undefined])
  })

  const parts: ReadonlyArray<readonly [part: Exchange["part"], url: string, tenant: string]> = [
    ["realmToken", "/realms/one/protocol/openid-connect/token?x=1", "realms/one"],
    ["adfsToken", "/adfs/oauth2/token", "adfs"],
    ["instance", "/common/discovery/instance?api-version=1.1", ""],
    ["openIdConfiguration", "/contoso.com/v2.0/.well-known/openid-configuration", "contoso.com"]
  ]
  it.each(parts)("has the tenant of %s", (part, url, tenant) => {
    assert.strictEqual(summaryOf(exchange({ part, url })).row.tenant, tenant)
  })

  it("has the app and the tenant of the token at Graph, and of the link at the consent page", () => {
    const graph = summaryOf(exchange({
      part: "users",
      url: "/v1.0/users",
      headers: { authorization: `Bearer ${jwt({ azp: "app", tid: "t1" })}` },
      response: json(200, { value: [] })
    })).row
    assert.deepStrictEqual(
      [graph.client, graph.tenant, graph.credential, graph.outcome, graph.answer],
      ["app", "t1", "token", "ok", "200"]
    )
    const consent = summaryOf(exchange({
      part: "adminConsent",
      url: "/contoso.com/v2.0/adminconsent?client_id=app&scope=s",
      response: { status: 302, headers: {}, body: "" }
    })).row
    assert.deepStrictEqual([consent.client, consent.scope, consent.outcome], ["app", "s", "ok"])
  })

  const consents: ReadonlyArray<readonly [fault: Exchange["fault"], outcome: string, answer: string]> = [
    [undefined, "ok", "consent recorded (400 AADSTS500113: no reply address)"],
    ["Refused", "refused", "400"]
  ]
  it.each(consents)("says that a consent without a reply address was recorded; fault: %s", (fault, outcome, answer) => {
    const { row } = summaryOf(exchange({
      part: "adminConsent",
      url: "/contoso.com/adminconsent?client_id=app",
      fault,
      response: { status: 400, headers: {}, body: "<pre>AADSTS500113: No reply address is registered.</pre>" }
    }))
    assert.deepStrictEqual([row.outcome, row.answer], [outcome, answer])
  })

  const waits: ReadonlyArray<readonly [header: string | undefined, until: number]> = [
    ["30", 1_030_000],
    [new Date(1_090_000).toUTCString(), 1_090_000],
    [undefined, 1_060_000],
    ["soon", 1_060_000],
    [new Date(0).toUTCString(), 1_000_000]
  ]
  it.each(waits)("has the time until which a client has to wait: %s", (header, until) => {
    const headers: Record<string, string> = header === undefined ? {} : { "retry-after": header }
    const { throttled } = summaryOf(exchange({ form, ms: 0, response: json(429, {}, headers) }))
    assert.deepStrictEqual(throttled, { key: "app · contoso.com · api://x/.default", until })
  })
})

describe("a hostile request", () => {
  it("has its secrets nowhere, even in the wrong fields", () => {
    const token = jwt({ sub: "app" })
    const forms = [
      { ...form, client_id: "hush-hush", scope: "hush-hush/.default" },
      { client_secret: "a b/c", client_id: "a b/c", scope: "" },
      { client_id: token, client_assertion: token, scope: `x ${token}` }
    ]
    for (const values of forms) {
      const text = JSON.stringify(summaryOf(exchange({
        form: values,
        url: `/${encodeURIComponent(values.client_id)}/oauth2/v2.0/token`,
        response: json(401, { error: values.client_id })
      })))
      for (const secret of ["hush-hush", "a b/c", "a%20b", token]) assert.notInclude(text, secret)
      assert.include(text, "[hidden]")
    }
    assert.notInclude(JSON.stringify(summaryOf(exchange({ form }))), jwt({ tid: "t1" }))
    // RFC 6749 section 2.3.1: the secret in the header is encoded like a form.
    const basic = summaryOf(exchange({
      form: { scope: "hush + hush&/.default" },
      headers: { authorization: `Basic ${btoa("app:hush+%2B+hush%26")}` }
    })).row
    assert.deepStrictEqual([basic.credential, basic.scope], ["secret (Basic)", "[hidden]/.default"])
  })

  const texts: ReadonlyArray<readonly [text: string, shown: string]> = [
    ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
    ["a\u0000b\u001b[31mc\r\nd", "a\\u{0}b\\u{1b}[31mc\\u{d}\\u{a}d"],
    ["\u202egnp.exe", "\\u{202e}gnp.exe"],
    ["zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"],
    ["日本 é 🎉", "日本 é 🎉"],
    ["\ud800", "\\u{fffd}"].map((text) => text.replace("\\u{fffd}", "\ufffd")) as [string, string]
  ]
  it.each(texts)("is shown with escapes: %j", (text, shown) => {
    assert.strictEqual(summaryOf(exchange({ form: { ...form, client_id: text } })).row.client, shown)
  })

  it("is cut", () => {
    const { client, scope } = summaryOf(exchange({
      form: { ...form, client_id: "x".repeat(1_000_000), scope: "🎉".repeat(1000) }
    })).row
    assert.deepStrictEqual([client.length, client.at(-1)], [120, "…"])
    assert.isAtMost(scope.length, 120)
  })

  it("may have any shape", () => {
    for (const body of ["", "%", "a=b&a=c", "\u0000", "client_id", "=".repeat(1000)]) {
      for (const url of ["", "/", "//", "?", "/%00/..", "*", "http://[::1"]) {
        const { row } = summaryOf(exchange({ body, url, response: { status: 400, headers: {}, body: "[1" } }))
        assert.strictEqual(row.outcome, "refused")
      }
    }
  })
})
