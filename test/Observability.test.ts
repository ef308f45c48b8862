/** Over OTLP, as a collector on this machine gets it: spans of misses, metrics, logs; and what must not be in them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Redacted, Schedule } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraMetrics,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { Otlp } from "effect/observability"
import { runChild } from "./support/child.ts"
import { silent } from "./support/log.ts"
import { serve } from "./support/server.ts"
import { contoso, fabrikam, orders } from "./support/world.ts"

const clientId = EntraSimulator.daemonClientId

/** A server that records the posted bodies by path: `/v1/traces`, `/v1/metrics`, `/v1/logs`. */
const collector = Effect.gen(function*() {
  const posted = new Map<string, Array<string>>()
  const port = yield* serve((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const path = request.url ?? ""
      posted.set(path, [...posted.get(path) ?? [], Buffer.concat(chunks).toString()])
      response.setHeader("content-type", "application/json").end("{}")
    })
  })
  const text = (signal: "traces" | "metrics" | "logs") => (posted.get(`/v1/${signal}`) ?? []).join("\n")
  return { baseUrl: `http://127.0.0.1:${port}`, text, posted }
})

/** Every object under `value` that has all of the fields. */
const find = (value: unknown, ...fields: ReadonlyArray<string>): ReadonlyArray<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) return []
  const inside = Object.values(value).flatMap((child) => find(child, ...fields))
  return fields.every((field) => field in value) ? [{ ...value }, ...inside] : inside
}

const attributesOf = (of: Record<string, unknown>) =>
  Object.fromEntries(
    find(of["attributes"], "key", "value").map(({ key, value }) => [
      String(key),
      find(value, "stringValue")[0]?.["stringValue"] ?? find(value, "intValue")[0]?.["intValue"]
    ])
  )

const parsed = (text: string): ReadonlyArray<unknown> => text.split("\n").map((line): unknown => JSON.parse(line))

const Client = ConfidentialClient.layer({ clientId, tenantId: contoso }).pipe(
  Layer.provide([
    ClientCredential.layerSecret(EntraSimulator.daemonSecret),
    AuthorityResolver.layer,
    TokenEndpoint.layerWith({ retry: RetryPolicy.none }),
    TokenCache.layerMemory()
  ]),
  Layer.provideMerge(EntraSimulator.layerMemory())
)

describe("OTLP", () => {
  it.live("spans of misses and failures, metrics without tenants, logs; no secret, no trace header", () =>
    Effect.gen(function*() {
      const { baseUrl, text } = yield* collector
      const token = yield* Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const request = { scopes: orders, tenantId: fabrikam }
        const { accessToken } = yield* ConfidentialClient.acquireToken(request)
        for (let hit = 0; hit < 100; hit++) yield* ConfidentialClient.acquireToken(request)
        yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, scopes: "api://nobody/.default" }))
        for (const { headers } of yield* simulator.requests) {
          assert.deepStrictEqual(Object.keys(headers).filter((name) => /trace|^b3$|baggage/.test(name)), [])
        }
        // As any other request of this program would have them.
        yield* HttpClient.execute(
          HttpClientRequest.post(`https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`)
        )
        assert.property((yield* simulator.requests).at(-1)?.headers, "traceparent")
        return Redacted.value(accessToken)
      }).pipe(
        Effect.withSpan("the caller"),
        Effect.provide(Client),
        Effect.provide(
          Otlp.layerJson({ baseUrl, resource: { serviceName: "a-service" } }).pipe(Layer.provide(FetchHttpClient.layer))
        ),
        Effect.provideService(Metric.MetricRegistry, new Map()),
        Effect.provide(silent)
      )

      const spans = parsed(text("traces")).flatMap((body) => find(body, "name", "spanId", "traceId"))
      const flights = spans.filter(({ name }) => name === "effect-entra.acquireToken")
      assert.strictEqual(flights.length, 2)
      const caller = spans.find(({ name }) => name === "the caller")
      assert.deepStrictEqual(flights.map(({ parentSpanId }) => parentSpanId), [caller?.["spanId"], caller?.["spanId"]])
      const [miss, failure] = flights.map(attributesOf)
      assert.deepInclude(miss, {
        "entra.client_id": clientId,
        "entra.tenant_id": fabrikam,
        "entra.scope": orders,
        "entra.refresh_reason": "NoCachedAccessToken",
        "entra.token_source": "IdentityProvider",
        "entra.cache_level": "None",
        "entra.attempts": 1
      })
      assert.match(String(miss?.["entra.correlation_id"]), /^[0-9a-f-]{36}$/)
      assert.deepInclude(failure, {
        "entra.error": "EntraTokenRequestError",
        "entra.error_code": "resource_unknown",
        "entra.error_codes": "500011"
      })

      const metrics = parsed(text("metrics")).flatMap((body) => find(body, "name", "description"))
      const names = new Set(metrics.map(({ name }) => name))
      const ids = Object.values(EntraMetrics).flatMap((metric) => "id" in metric ? [metric.id] : [])
      assert.deepStrictEqual(
        ids.filter((id) => !names.has(id) && !/^entra_(?:store|lease)_/.test(id)),
        [EntraMetrics.credentialExpiry.id],
        "of a secret the end is not known, and this cache has no store"
      )
      const points = metrics.flatMap((metric) => find(metric, "attributes", "timeUnixNano")).map(attributesOf)
      assert.deepStrictEqual(
        [...new Set(points.flatMap((point) => Object.keys(point)))].sort(),
        ["client_id", "error", "reason", "source", "unit"]
      )
      for (const tenant of [fabrikam, contoso, EntraSimulator.fabrikamDomain, "orders"]) {
        assert.notInclude(text("metrics"), tenant)
      }

      assert.include(text("logs"), "token request failed (EntraTokenRequestError resource_unknown)")
      for (const signal of ["traces", "metrics", "logs"] as const) {
        for (const secret of [token, Redacted.value(EntraSimulator.daemonSecret), "client_secret="]) {
          assert.notInclude(text(signal), secret)
        }
      }
    }))

  it.live("the example sends to the collector that the environment names", () =>
    Effect.gen(function*() {
      const { baseUrl, posted } = yield* collector
      const { status, stderr } = yield* runChild(
        ["--conditions=@effect-entra/source", "examples/observability.ts"],
        { OTEL_EXPORTER_OTLP_ENDPOINT: baseUrl }
      )
      assert.strictEqual(status, 0, stderr)
      yield* Effect.sync(() =>
        assert.deepStrictEqual([...posted.keys()].sort(), ["/v1/logs", "/v1/metrics", "/v1/traces"])
      )
        .pipe(Effect.retry(Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(40)])))
    }))
})
