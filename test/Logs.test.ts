/** Every line of `docs/operating.md`: its level, its text, its annotations, how often it comes, and that it holds no secret. */
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  DateTime,
  type Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Redacted,
  References
} from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { wrapped } from "./support/credentials.ts"
import { type Line, record } from "./support/log.ts"
import { contoso, fabrikam, graph, orders, Simulator, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const clientId = EntraSimulator.daemonClientId
const id = (call: number) => `00000000-0000-0000-0000-00000000000${call}`
const acquire = ConfidentialClient.acquireToken({ scopes: graph, correlationId: id(1) })
const about = { clientId, tenantId: contoso, scope: graph }

/** Run against a world; what was logged comes back, and no line or span holds a secret. */
const logged = <A, E>(
  program: (log: ReadonlyArray<Line>) => Effect.Effect<
    A,
    E,
    ConfidentialClient.ConfidentialClient | EntraSimulator.EntraSimulator
  >,
  options: Parameters<typeof World>[0] = {},
  secrets: ReadonlyArray<string> = []
) =>
  Effect.suspend(() => {
    const log = record()
    return program(log.entries).pipe(
      Effect.provide(World({ retry: RetryPolicy.none, ...options })),
      Effect.provide(log.layer),
      Effect.map(() => {
        const said = [...log.lines, ...log.spans].join("\n")
        for (const secret of [Redacted.value(EntraSimulator.daemonSecret), "eyJ", ...secrets]) {
          assert.notInclude(said, secret)
        }
        return others(log.entries)
      })
    )
  })

/** The clock of a test stands at zero, so the clients of this file seem to be built all at once; `BuildOnce.test.ts` is about that. */
const others = (log: ReadonlyArray<Line>) => log.filter(({ text }) => !text.startsWith("this client was built"))

const from = (log: ReadonlyArray<Line>, level: string) => others(log).filter((line) => line.level === level)

const fail = (fault: EntraSimulator.Fault.Fault, times = 1) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(fault, { times }))

describe("Debug", () => {
  it.effect("one line per miss, none per hit, one for those who share a flight", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* Effect.all([acquire, acquire, acquire], { concurrency: "unbounded" })
          yield* acquire
          yield* acquire
          yield* ConfidentialClient.acquireToken({ scopes: orders, tenantId: fabrikam, correlationId: id(2) })
        })
      )
      assert.deepStrictEqual(from(log, "Debug"), [
        {
          level: "Debug",
          text: "token acquired (IdentityProvider, NoCachedAccessToken)",
          annotations: { ...about, correlationId: id(1), cacheLevel: "None", attempts: 1 }
        },
        {
          level: "Debug",
          text: "token acquired (IdentityProvider, NoCachedAccessToken)",
          annotations: {
            clientId,
            tenantId: fabrikam,
            scope: orders,
            correlationId: id(2),
            cacheLevel: "None",
            attempts: 1
          }
        }
      ])
    }))

  it.effect("one line per background renewal", () =>
    Effect.gen(function*() {
      const log = yield* logged((log) =>
        Effect.gen(function*() {
          yield* acquire
          yield* TestClock.adjust("1800 seconds")
          assert.strictEqual(others(log).length, 1)
          yield* acquire
          yield* TestClock.adjust(0)
        })
      )
      assert.deepStrictEqual(log.map(({ text }) => text), [
        "token acquired (IdentityProvider, NoCachedAccessToken)",
        "token refreshed (IdentityProvider, ProactivelyRefreshed)"
      ])
    }))
})

describe("Info", () => {
  it.effect("credential reloaded: when its revision has changed, once", () =>
    Effect.gen(function*() {
      let revision = "first"
      const base = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          yield* ConfidentialClient.acquireToken({ scopes: orders })
          revision = "second"
          yield* ConfidentialClient.acquireToken({ scopes: orders, forceRefresh: true, correlationId: id(2) })
          yield* ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })
        }), {
        credential: Layer.succeed(
          ClientCredential.ClientCredential,
          wrapped(base, () => ({ revision: () => revision }))
        )
      }, ["second"])
      assert.deepStrictEqual(from(log, "Info"), [
        {
          level: "Info",
          text: "credential reloaded",
          annotations: { ...about, scope: orders, correlationId: id(2) }
        }
      ])
    }))
})

describe("Warning", () => {
  it.effect("renewal failed: once per cool-down, however many ask", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          yield* TestClock.adjust("1800 seconds")
          yield* fail(Fault.unavailable(), 100)
          for (let second = 0; second < 60; second++) {
            yield* acquire
            yield* TestClock.adjust("1 second")
          }
        })
      )
      const ids: Array<unknown> = []
      assert.deepStrictEqual(
        from(log, "Warn").map(({ annotations: { correlationId, ...annotations }, text }) => {
          ids.push(correlationId)
          return { text, annotations }
        }),
        [30_000, 60_000].map((nextTryInMillis) => ({
          text:
            "token refresh failed (EntraServiceUnavailableError service_unavailable); the current token stays in use",
          annotations: { ...about, errorCodes: "90033", nextTryInMillis }
        }))
      )
      assert.deepStrictEqual(ids.map((id) => /^[0-9a-f-]{36}$/.test(String(id))), [true, true])
    }))

  it.effect("in the last minutes the next try follows after maxWait, and the line says so", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          // Ten seconds before its last five minutes, of 3599 seconds.
          yield* TestClock.adjust("3289 seconds")
          yield* fail(Fault.unavailable(), 100)
          for (let second = 0; second < 15; second++) {
            yield* acquire
            yield* TestClock.adjust("1 second")
          }
        })
      )
      assert.deepStrictEqual(
        from(log, "Warn").map(({ annotations: { nextTryInMillis } }) => nextTryInMillis),
        [10_000, 2000, 2000, 2000]
      )
    }))

  it.effect("in the last minutes: what leaves the token in use is a renewal's, and a remembered refusal is not logged again", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          yield* ConfidentialClient.acquireToken({ scopes: orders })
          yield* TestClock.adjust("3400 seconds")
          yield* fail(Fault.unavailable())
          assert.isTrue((yield* acquire).metadata.outage)
          yield* fail(Fault.refused({ code: 65001, error: "invalid_grant" }))
          for (let call = 0; call < 5; call++) {
            assert.isTrue((yield* ConfidentialClient.acquireToken({ scopes: orders })).metadata.outage)
            yield* TestClock.adjust("999 millis")
          }
        })
      )
      const [outage, refusal, ...more] = from(log, "Warn")
      assert.deepStrictEqual(more, [])
      assert.strictEqual(
        outage?.text,
        "token refresh failed (EntraServiceUnavailableError service_unavailable); the current token stays in use"
      )
      assert.strictEqual(
        refusal?.text,
        "token refresh failed (EntraTokenRequestError consent_missing); the current token stays in use"
      )
      assert.deepInclude(refusal?.annotations, { ...about, scope: orders, errorCodes: "65001" })
    }))

  it.effect("a token that is kept fresh: a refusal is a renewal's until the token expires, for callers hear it then", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.scoped(Effect.gen(function*() {
          yield* ConfidentialClient.keepFresh({ scopes: orders })
          yield* TestClock.adjust("1 second")
          yield* fail(Fault.refused({ code: 65001, error: "invalid_grant" }), 1000)
          yield* TestClock.adjust("4200 seconds")
        }))
      )
      const texts = from(log, "Warn").map(({ text }) => text.split(/[:;]/)[0])
      assert.strictEqual(texts[0], "token refresh failed (EntraTokenRequestError consent_missing)")
      assert.strictEqual(texts.at(-1), "token request failed (EntraTokenRequestError consent_missing)")
    }))

  it.effect("throttled: once per closing of the gate, not per caller", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
          for (let call = 0; call < 50; call++) yield* Effect.flip(acquire)
          yield* TestClock.adjust("30 seconds")
          yield* acquire
        })
      )
      const [line, ...more] = from(log, "Warn")
      assert.deepStrictEqual(more, [])
      assert.match(line?.text ?? "", /^throttled \(EntraThrottledError \w+\): \S.* \S.*\.$/)
      assert.deepStrictEqual(line?.annotations, {
        ...about,
        correlationId: id(1),
        errorCodes: "90055",
        retryAfterInMillis: 30_000
      })
    }))

  it.effect("throttled: said of a renewal too, and of every answer that closes the gate", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          yield* TestClock.adjust("1800 seconds")
          yield* fail(Fault.throttled())
          yield* acquire
          yield* TestClock.adjust(0)
          yield* fail(Fault.unavailable({ retryAfter: "10 minutes" }))
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: orders }))
        })
      )
      assert.deepStrictEqual(
        from(log, "Warn").map(({ annotations, text }) => [text.split(":")[0], annotations["retryAfterInMillis"]]),
        [
          ["throttled (EntraThrottledError throttled)", 60_000],
          ["token refresh failed (EntraThrottledError throttled); the current token stays in use", undefined],
          ["throttled (EntraServiceUnavailableError service_unavailable)", 600_000]
        ]
      )
    }))

  it.effect("token request failed: what is neither refusal of the client nor throttling, with what to do", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* fail(Fault.unavailable())
          const error = yield* Effect.flip(acquire)
          assert.include(error.remedy, " ")
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "api://nobody/.default" }))
          // Remembered: nothing was sent, so nothing is said.
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "api://nobody/.default" }))
          // Wrong by itself: the caller hears it.
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "User.Read" }))
        })
      )
      const [outage, refusal, ...more] = from(log, "Warn")
      assert.deepStrictEqual(more, [])
      assert.match(
        outage?.text ?? "",
        /^token request failed \(EntraServiceUnavailableError service_unavailable\): .+\.$/
      )
      assert.deepInclude(outage?.annotations, { ...about, correlationId: id(1) })
      assert.match(refusal?.text ?? "", /^token request failed \(EntraTokenRequestError \w+\): \w+: AADSTS500011/)
      assert.deepInclude(refusal?.annotations, { clientId, tenantId: contoso, errorCodes: "500011" })
    }))

  it.effect("live tokens evicted: at most once a minute", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          const ask = (name: string) =>
            ConfidentialClient.acquireToken({ scopes: orders, tenantId: fabrikam, claims: undefined }).pipe(
              Effect.andThen(ConfidentialClient.acquireToken({ scopes: graph })),
              Effect.andThen(ConfidentialClient.acquireToken({ scopes: graph, tenantId: fabrikam })),
              Effect.as(name)
            )
          yield* ask("fills the cache of two, and one leaves").pipe(Effect.annotateLogs({ user: "alice" }))
          yield* ask("more leave at once")
          yield* TestClock.adjust("61 seconds")
          yield* ask("and a minute later")
        }), { cache: TokenCache.layerMemory({ maxEntries: 2 }) })
      const lines = from(log, "Warn")
      assert.deepStrictEqual(
        lines.map(({ text }) => text),
        Array.from({ length: 2 }, () => "live tokens were evicted to make room for others: the cache is too small")
      )
      assert.deepInclude(lines[0]?.annotations, { evicted: 1, entries: 2 })
      // It is about the cache, not about the flight that happened to see it, nor about who asked for that.
      assert.hasAllKeys(lines[0]?.annotations, ["evicted", "entries", "bytes"])
      assert.isAbove(Number(lines[1]?.annotations["evicted"]), 1)
      assert.isAbove(Number(lines[0]?.annotations["bytes"]), 0)
    }))

  it.effect("live tokens evicted: once for all clients of a cache", () =>
    Effect.gen(function*() {
      const log = record()
      const Services = Layer.mergeAll(
        AuthorityResolver.layer,
        TokenEndpoint.layer,
        TokenCache.layerMemory({ maxEntries: 2 })
      ).pipe(Layer.provideMerge(Simulator()), Layer.provideMerge(log.layer))
      yield* Effect.gen(function*() {
        const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
        const clients = yield* Effect.forEach([1, 2, 3], () =>
          ConfidentialClient.make({ clientId, tenantId: contoso, credential }))
        for (const tenantId of [contoso, fabrikam, contoso, fabrikam]) {
          for (const client of clients) {
            yield* client.acquireToken({ scopes: graph, tenantId })
            yield* client.acquireToken({ scopes: orders, tenantId })
          }
        }
      }).pipe(Effect.scoped, Effect.provide(Services))
      assert.strictEqual(
        log.entries.filter(({ text }) =>
          text.startsWith("live tokens")
        ).length,
        1
      )
    }))

  describe("credential expires", () => {
    const expiring = (left: Duration.Input) =>
      Layer.effect(
        ClientCredential.ClientCredential,
        Effect.gen(function*() {
          const base = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
          const expiresOn = DateTime.addDuration(yield* DateTime.now, left)
          return { ...base, expiresOn: () => expiresOn }
        })
      )

    it.effect("when the client is built, and at most once a day while it is used", () =>
      Effect.gen(function*() {
        const log = yield* logged((log) =>
          Effect.gen(function*() {
            yield* acquire
            assert.strictEqual(from(log, "Warn").length, 1)
            for (let hour = 0; hour < 49; hour++) {
              yield* TestClock.adjust("1 hour")
              yield* acquire
              yield* TestClock.adjust(0)
            }
          }), { credential: expiring("29 days") })
        assert.deepStrictEqual(
          from(log, "Warn").map(({ text }) => text),
          [29, 28, 27].map((days) => `the credential expires in ${days} days, on 1970-01-30`)
        )
        for (const { annotations } of from(log, "Warn")) {
          assert.deepStrictEqual(annotations, { clientId, expiresOn: "1970-01-30T00:00:00.000Z" })
        }
      }))

    it.effect("says nothing when it is not built or used, or the end is far", () =>
      Effect.gen(function*() {
        const idle = yield* logged(() => TestClock.adjust("10 days"), { credential: expiring("20 days") })
        assert.strictEqual(idle.length, 1)
        const far = yield* logged(() => acquire, { credential: expiring("31 days") })
        assert.deepStrictEqual(from(far, "Warn"), [])
      }))
  })

  it.effect("a certificate's own end is what is known of it", () =>
    Effect.gen(function*() {
      const log = record()
      const notAfter = new Date(Date.UTC(1970, 0, 8, 12))
      const material = yield* TestCertificate.make({ notBefore: new Date(0), notAfter })
      const credential = yield* ClientCredential.certificate(material)
      assert.strictEqual(credential.expiresOn?.()?.epochMilliseconds, notAfter.getTime())
      yield* Effect.scoped(ConfidentialClient.make({ clientId: "certificate-app", tenantId: contoso, credential }))
        .pipe(
          Effect.provide([AuthorityResolver.layerKnownClouds, TokenEndpoint.layer, TokenCache.layerMemory()]),
          Effect.provide(EntraSimulator.layerMemory()),
          Effect.provide(log.layer)
        )
      assert.deepStrictEqual(from(log.entries, "Warn").map(({ text }) => text), [
        "the credential expires in 7 days, on 1970-01-08"
      ])
      assert.notInclude(log.lines.join("\n"), "PRIVATE KEY")
    }))

  it.effect("the region's origin is replaced", () =>
    Effect.gen(function*() {
      const log = record()
      const region = AuthorityResolver.layerWith({ region: "westeurope" })
      const Client = ConfidentialClient.layer({ clientId, tenantId: contoso }).pipe(
        Layer.provide([
          ClientCredential.layerSecret(EntraSimulator.daemonSecret),
          region,
          TokenEndpoint.layerWith({ retry: RetryPolicy.none }),
          TokenCache.layerMemory()
        ]),
        Layer.provideMerge(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })),
        Layer.provideMerge(log.layer)
      )
      yield* Effect.gen(function*() {
        yield* fail(Fault.unavailable())
        yield* acquire
      }).pipe(Effect.provide(Client))
      const [line] = from(log.entries, "Warn")
      assert.match(
        line?.text ?? "",
        /^https:\/\/westeurope\.\S+ issues no token \(service_unavailable\); https:\/\/\S+ is used until it does$/
      )
    }))
})

describe("Error", () => {
  it.effect("credential refused: said once, then remembered; of a caller and of a renewal", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* acquire
          yield* EntraSimulator.EntraSimulator.use((simulator) =>
            simulator.removeSecret(clientId, EntraSimulator.daemonSecret)
          )
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: orders, correlationId: id(2) }))
          yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: orders, correlationId: id(3) }))
          yield* TestClock.adjust("1800 seconds")
          yield* acquire
          yield* TestClock.adjust(0)
        })
      )
      const [first, second, ...more] = from(log, "Error")
      assert.deepStrictEqual(more, [])
      assert.match(
        first?.text ?? "",
        /^credential refused \(EntraInvalidClientError \w+\): invalid_client: AADSTS7000215: .+\.$/
      )
      assert.deepStrictEqual(first?.annotations, {
        ...about,
        scope: orders,
        correlationId: id(2),
        errorCodes: "7000215"
      })
      assert.deepInclude(second?.annotations, { ...about, errorCodes: "7000215" })
      // The renewal's own line says that nobody has to hurry.
      assert.deepStrictEqual(from(log, "Warn").map(({ text }) => text), [
        "token refresh failed (EntraInvalidClientError secret_wrong); the current token stays in use"
      ])
    }))
})

describe("a logger that throws", () => {
  const throwing = Layer.merge(
    Logger.layer([Logger.make(() => {
      throw new Error("logger broke")
    })]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )
  /** A client without retries, with the logger that throws. */
  const world = (options: Parameters<typeof World>[0] = {}) =>
    World({ retry: RetryPolicy.none, ...options }).pipe(Layer.provideMerge(throwing))

  it.effect("harms no acquisition, and every failure stays what it is", () =>
    Effect.gen(function*() {
      yield* acquire
      for (const fault of [Fault.unavailable(), Fault.refused({ code: 65001, error: "invalid_grant" })]) {
        yield* fail(fault)
        const exit = yield* Effect.exit(ConfidentialClient.acquireToken({ scopes: orders, tenantId: fabrikam }))
        assert.deepStrictEqual(Exit.isFailure(exit) ? exit.cause.reasons.map(({ _tag }) => _tag) : [], ["Fail"])
      }
      yield* TestClock.adjust("1800 seconds")
      yield* fail(Fault.unavailable())
      yield* acquire
      yield* TestClock.adjust("1600 seconds")
      yield* fail(Fault.unavailable())
      assert.isTrue((yield* acquire).metadata.outage)
    }).pipe(Effect.provide(world({ cache: TokenCache.layerMemory({ maxEntries: 2 }) }))))

  it.effect("nor a client that is built too often, whose credential ends soon and is reloaded", () => {
    let revision = 0
    const credential = Layer.effect(
      ClientCredential.ClientCredential,
      Effect.map(ClientCredential.secret(EntraSimulator.daemonSecret), (base) => ({
        ...wrapped(base, () => ({ revision: () => `r${revision}` })),
        expiresOn: () => DateTime.makeUnsafe(1000)
      }))
    )
    return Effect.gen(function*() {
      for (revision = 0; revision < 15; revision++) {
        yield* Effect.scoped(Effect.flatMap(
          Layer.build(world({ credential })),
          (context) =>
            Effect.provide(
              Effect.gen(function*() {
                yield* acquire
                revision++
                yield* ConfidentialClient.acquireToken({ scopes: orders })
              }),
              context
            )
        )).pipe(Effect.provide(throwing))
      }
    })
  })

  it.effect("nor a client whose environment names several credentials", () => {
    const variables = ConfigProvider.fromEnvRecord({
      AZURE_CLIENT_ID: clientId,
      AZURE_TENANT_ID: contoso,
      AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
      AZURE_FEDERATED_TOKEN_FILE: "/token"
    })
    return acquire.pipe(
      Effect.provide(ConfidentialClient.layerFromEnv()),
      Effect.provide([EntraSimulator.layerMemory(), ConfigProvider.layer(variables), throwing])
    )
  })

  it.effect("nor a region's stand-in", () => {
    const Client = ConfidentialClient.layer({ clientId, tenantId: contoso }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(EntraSimulator.daemonSecret),
        AuthorityResolver.layerWith({ region: "westeurope" }),
        TokenEndpoint.layerWith({ retry: RetryPolicy.none }),
        TokenCache.layerMemory()
      ]),
      Layer.provideMerge(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })),
      Layer.provideMerge(throwing)
    )
    return Effect.gen(function*() {
      yield* fail(Fault.unavailable())
      assert.strictEqual((yield* acquire).metadata.tokenSource, "IdentityProvider")
    }).pipe(Effect.provide(Client))
  })
})

describe("nothing else", () => {
  it.effect("is said of hits, of closing and of callers who leave", () =>
    Effect.gen(function*() {
      const log = yield* logged(() =>
        Effect.gen(function*() {
          yield* fail(Fault.delay("5 seconds"))
          const caller = yield* Effect.forkChild(acquire, { startImmediately: true })
          yield* Fiber.interrupt(caller)
          const other = yield* Effect.forkChild(acquire, { startImmediately: true })
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(other)
          for (let hit = 0; hit < 10; hit++) yield* acquire
          yield* fail(Fault.delay("5 seconds"))
          yield* Effect.forkChild(Effect.exit(ConfidentialClient.acquireToken({ scopes: orders })), {
            startImmediately: true
          })
        })
      )
      assert.strictEqual(log.length, 1)
    }))
})
