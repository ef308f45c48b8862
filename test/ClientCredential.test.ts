/** Secrets, certificates and assertions of a client against the simulator: rotation, and what is refused here. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { ClientCredential, ConfidentialClient, EntraError } from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { revealed } from "../src/internal/http/fields.ts"
import { printed, problem } from "./internal/support.ts"
import { authenticate, sessions } from "./support/credentials.ts"
import { record, warnings } from "./support/log.ts"
import { assertToldInFull } from "./support/shown.ts"
import { graph, tokenRequests, World } from "./support/world.ts"

const app = EntraSimulator.daemonClientId
const first = EntraSimulator.daemonSecret
const second = Redacted.make("the-second-secret~value")
const wrong = Redacted.make("never-registered~value")

const acquire = ConfidentialClient.ConfidentialClient.use((client) =>
  client.acquireToken({ scopes: [graph], forceRefresh: true })
)

const attempt: ClientCredential.Attempt = {
  clientId: "an app:&id",
  tenantId: "t",
  authority: "https://h/t",
  scope: "api://orders/.default",
  tokenEndpoint: "https://h/token",
  audience: "https://h/token",
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  secretMethod: undefined,
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId: "1"
}

const shown = (form: ClientCredential.Authentication["form"], name: string): string => {
  const value = form[name]
  return Redacted.isRedacted(value) ? Redacted.value(value) : value ?? ""
}

describe("secrets", () => {
  it.effect("of a list the older is tried when the newer is refused, and stays in use", () =>
    Effect.gen(function*() {
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 2)
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World({ credential: ClientCredential.layerSecret([wrong, first]) }))))

  it.effect("rotated three times in a row, each old one removed: nobody fails", () => {
    let stored: Redacted.Redacted<string> = first
    let loads = 0
    const vault = Effect.sync(() => {
      loads++
      return stored
    })
    return Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      for (const round of [1, 2, 3]) {
        const old = stored
        stored = Redacted.make(`secret-of-round-${round}~value`)
        yield* simulator.addSecret(app, stored)
        yield* simulator.removeSecret(app, old)
        const results = yield* Effect.all(Array.from({ length: 20 }, () => Effect.exit(acquire)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(results.filter(({ _tag }) => _tag === "Failure"), [])
        yield* TestClock.adjust("2 seconds")
      }
      assert.strictEqual(loads, 4)
    }).pipe(Effect.provide(World({ credential: ClientCredential.layerSecret(vault) })))
  })

  const plain = ConfidentialClient.ConfidentialClient.use((client) => client.acquireToken({ scopes: [graph] }))

  it.effect("a good new one is not held to the old one's refusal", () => {
    let stored = wrong
    const credential = ClientCredential.layerSecret(Effect.sync(() => stored))
    return Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(acquire)).code, "secret_wrong")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(acquire)).code, "secret_wrong")
      stored = first
      yield* TestClock.adjust("1 second")
      yield* acquire
      // The token is gone, and the refusal of the old secret stands for ten seconds.
      yield* TestClock.adjust("5 seconds")
      yield* plain
    }).pipe(Effect.provide(World({ credential, tokenLifetime: "4 seconds" })))
  })

  it.effect("what is refused as soon as it was loaded is not sent again while the refusal stands", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(plain)).origin, "service")
      assert.strictEqual((yield* Effect.flip(plain)).origin, "local")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World({ credential: ClientCredential.layerSecret(Effect.succeed(wrong)) }))))

  it.effect("all wrong: each is sent once, and the refusal is remembered", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(plain)
      assert.strictEqual(error.code, "secret_wrong")
      assertToldInFull(error)
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* Effect.flip(plain)).origin, "local")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World({ credential: ClientCredential.layerSecret([wrong, second]) }))))

  it.effect("of a store that always has another one, an acquisition tries eight", () => {
    let loads = 0
    const store = Effect.sync(() => Redacted.make(`wrong~${++loads}`))
    return Effect.gen(function*() {
      const error = yield* Effect.flip(acquire)
      assert.deepInclude<object>(error, { _tag: "EntraInvalidClientError", code: "secret_wrong", attempts: 8 })
      assert.strictEqual(yield* tokenRequests, 8)
    }).pipe(Effect.provide(World({ credential: ClientCredential.layerSecret(store) })))
  })

  it.effect("one that is a plain string, from JavaScript or a vault, is refused, and not shown", () =>
    Effect.gen(function*() {
      const plain: Redacted.Redacted<string> = JSON.parse(`"s3cret-plain"`)
      const loaded = yield* ClientCredential.secret(Effect.succeed(plain))
      const errors = [
        yield* Effect.flip(ClientCredential.secret(plain)),
        yield* Effect.flip(authenticate(loaded, attempt))
      ]
      for (const error of errors) {
        assert.strictEqual(error.code, "secret_malformed")
        assertToldInFull(error)
        assert.include(error.remedy, "Redacted.make")
        assert.notInclude(JSON.stringify(error), "s3cret")
      }
    }))

  it.effect("of a list with more than an acquisition tries none is taken", () =>
    Effect.gen(function*() {
      const list = Array.from({ length: 9 }, (_, index) => Redacted.make(`secret-${index}`))
      assert.strictEqual((yield* Effect.flip(ClientCredential.secret(list))).code, "source_too_long")
      const loaded = yield* ClientCredential.secret(Effect.succeed(list))
      assert.strictEqual((yield* Effect.flip(authenticate(loaded, attempt))).code, "source_too_long")
    }))

  it.effect.each([
    { name: "empty", source: Redacted.make("") },
    { name: "white space", source: Redacted.make(" \n") },
    { name: "an empty list", source: [] },
    { name: "one of a list", source: [first, Redacted.make("")] }
  ])("$name is refused at once", ({ source }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ClientCredential.secret(source))
      assert.strictEqual(error.code, "secret_empty")
      assertToldInFull(error)
      assert.strictEqual(error.field, "secret")
    }))

  it.effect("what a store fails with is named, and nothing of what is in it", () =>
    Effect.gen(function*() {
      class VaultError extends Error {
        override readonly name = "VaultError"
      }
      const credential = yield* ClientCredential.secret(Effect.fail(new VaultError("s3cret-text")))
      const error = yield* Effect.flip(authenticate(credential, attempt))
      assert.strictEqual(error.code, "source_failed")
      assertToldInFull(error)
      assert.include(error.message, "VaultError")
      assert.notInclude(printed(error), "s3cret-text")
    }))

  it.effect("is read again every reloadEvery, and a store that is away is worth one line", () => {
    const recorded = record()
    let stored: Effect.Effect<Redacted.Redacted<string>, string> = Effect.succeed(first)
    const credential = ClientCredential.layerSecret(Effect.suspend(() => stored), { reloadEvery: "1 hour" })
    return Effect.gen(function*() {
      yield* acquire
      // The number of builds is the process's.
      const before = warnings(recorded).length
      stored = Effect.fail("away")
      yield* TestClock.adjust("1 hour")
      yield* acquire
      yield* acquire
      assert.strictEqual(
        recorded.entries.filter(({ text }) => text.includes("the credential could not be reloaded")).length,
        1
      )
      assert.strictEqual(warnings(recorded).length, before + 1)
    }).pipe(Effect.provide(World({ credential }).pipe(Layer.provideMerge(recorded.layer))))
  })

  it.effect("a secret that has been wiped is told as none", () =>
    Effect.gen(function*() {
      const secret = Redacted.make("s3cr3t")
      const credential = yield* ClientCredential.secret(secret)
      Redacted.wipeUnsafe(secret)
      assert.strictEqual((yield* Effect.flip(authenticate(credential, attempt))).code, "secret_empty")
    }))

  it.effect("Basic authentication has the form's encoding of id and secret, and nothing in the form", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.secret(Redacted.make("s&c: r+t%~ü"))
      const { form, headers } = yield* authenticate(credential, { ...attempt, secretMethod: "client_secret_basic" })
      assert.deepStrictEqual(form, {})
      assert.notInclude(printed(headers), "Basic")
      const [scheme, pair] = revealed(headers?.["authorization"] ?? "").split(" ")
      assert.strictEqual(scheme, "Basic")
      assert.strictEqual(
        Buffer.from(pair ?? "", "base64").toString(),
        "an+app%3A%26id:s%26c%3A+r%2Bt%25%7E%C3%BC"
      )
      const post = yield* authenticate(credential, { ...attempt, secretMethod: "client_secret_post" })
      assert.deepStrictEqual(Object.keys(post.form), ["client_secret"])
      assert.isUndefined(post.headers)
    }))
})

describe("certificates", () => {
  const claimsOf = (form: ClientCredential.Authentication["form"]) => jose.decodeJwt(shown(form, "client_assertion"))
  const headerOf = (form: ClientCredential.Authentication["form"]) =>
    jose.decodeProtectedHeader(shown(form, "client_assertion"))

  it.live("a request says whether the chain is sent, whatever the app says", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.makeChain()
      for (const own of [true, false, undefined]) {
        const credential = yield* ClientCredential.certificate({ ...made, sendCertificateChain: own })
        for (const asked of [true, false, undefined]) {
          const { form } = yield* authenticate(credential, { ...attempt, sendCertificateChain: asked })
          assert.strictEqual("x5c" in headerOf(form), asked ?? own ?? false, `${own} ${asked}`)
        }
      }
    }))

  it.live("claims are merged over the usual ones, or replace them", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make({ algorithm: "EC" })
      const assertionClaims = { sub: "mine", extra: { nested: [1, { deep: null }] }, exp: 9_999_999_999 }
      const merged = yield* ClientCredential.certificate({ ...made, assertionClaims })
      const claims = claimsOf((yield* authenticate(merged, attempt)).form)
      assert.strictEqual(claims.sub, "mine")
      assert.strictEqual(claims.iss, attempt.clientId)
      assert.deepStrictEqual(claims["extra"], { nested: [1, { deep: null }] })
      assert.strictEqual(claims.exp, 9_999_999_999)
      const replaced = yield* ClientCredential.certificate({ ...made, assertionClaims, mergeWithDefaultClaims: false })
      assert.deepStrictEqual<unknown>(claimsOf((yield* authenticate(replaced, attempt)).form), assertionClaims)
    }))

  it.live("the algorithm and the key's name are those that were asked for", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make()
      const credential = yield* ClientCredential.certificate({ ...made, algorithm: "RS256", keyId: "k" })
      const { alg, kid } = headerOf((yield* authenticate(credential, attempt)).form)
      assert.deepStrictEqual([alg, kid], ["RS256", "k"])
    }))

  it.live("a key alone has neither thumbprint nor chain", () =>
    Effect.gen(function*() {
      const { privateKey } = yield* TestCertificate.make({ algorithm: "EC" })
      const credential = yield* ClientCredential.privateKeyJwt({ privateKey, keyId: "k" })
      const { form } = yield* authenticate(credential, attempt)
      assert.deepStrictEqual<unknown>(headerOf(form), { alg: "ES256", typ: "JWT", kid: "k" })
      assert.strictEqual(claimsOf(form).aud, attempt.audience)
    }))

  const refusal = new EntraError.InvalidClientError({
    ...problem,
    code: "client_refused",
    error: "invalid_client",
    errorCodes: [700027],
    correlationId: attempt.correlationId
  })

  it.live("of several keys alone, and with the same options, the second is tried when the first is refused", () =>
    Effect.gen(function*() {
      const one = yield* TestCertificate.make({ algorithm: "EC" })
      const other = yield* TestCertificate.make({ algorithm: "EC" })
      const credential = sessions(yield* ClientCredential.privateKeyJwt([one, other]))
      const signedBy = Effect.fnUntraced(function*({ certificate }: TestCertificate.TestCertificate) {
        const assertion = shown((yield* credential.authenticate(attempt)).form, "client_assertion")
        const key = yield* Effect.promise(() => jose.importX509(certificate, "ES256"))
        yield* Effect.promise(() => jose.jwtVerify(assertion, key))
      })
      yield* signedBy(one)
      assert.isTrue(yield* credential.refused(refusal))
      yield* signedBy(other)
      assert.isFalse(yield* credential.refused(refusal))
    }))

  it.live.each<
    readonly [
      name: string,
      change: Partial<
        Pick<ClientCredential.CertificateOptions, "algorithm" | "keyId" | "sendCertificateChain" | "assertionClaims">
      >
    ]
  >([
    ["its algorithm", { algorithm: "RS256" }],
    ["its key id", { keyId: "other" }],
    ["its chain", { sendCertificateChain: true }],
    ["its claims", { assertionClaims: { extra: 1 } }]
  ])("a reload that changes only %s is tried after a refusal", ([, change]) =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make()
      let options: ClientCredential.CertificateOptions = made
      const credential = sessions(yield* ClientCredential.certificate(Effect.sync(() => options)))
      const before = yield* credential.authenticate(attempt)
      options = { ...made, ...change }
      assert.isTrue(yield* credential.refused(refusal))
      const { form } = yield* credential.authenticate(attempt)
      const contentOf = (form: ClientCredential.Authentication["form"]) => {
        const { exp: _exp, iat: _iat, jti: _jti, nbf: _nbf, ...claims } = claimsOf(form)
        return { header: headerOf(form), claims }
      }
      assert.notDeepEqual(contentOf(form), contentOf(before.form))
      assert.isFalse(yield* credential.refused(refusal))
    }))

  const day = 86_400_000
  it.live("one that is not valid now is refused; of several the others are used", () =>
    Effect.gen(function*() {
      const expired = yield* TestCertificate.make({ notBefore: new Date(0), notAfter: new Date(day) })
      const early = yield* TestCertificate.make({ notBefore: new Date(Date.now() + day) })
      const good = yield* TestCertificate.make()
      assert.strictEqual((yield* Effect.flip(ClientCredential.certificate(expired))).code, "certificate_expired")
      const refused = yield* Effect.flip(ClientCredential.certificate([early, expired]))
      assert.strictEqual(refused.code, "certificate_not_yet_valid")
      assertToldInFull(refused)
      assert.strictEqual(refused.field, "certificate")
      const credential = yield* ClientCredential.certificate([early, good, expired])
      const thumbprint = headerOf((yield* authenticate(credential, attempt)).form)["x5t#S256"]
      const alone = yield* ClientCredential.certificate(good)
      assert.strictEqual(thumbprint, headerOf((yield* authenticate(alone, attempt)).form)["x5t#S256"])
    }))

  it.live.each(
    [
      { name: "an algorithm of the other kind", options: { algorithm: "ES256" }, code: "algorithm_unsupported" },
      { name: "an id for all assertions", options: { assertionClaims: { jti: "mine" } }, code: "claims_malformed" },
      { name: "a time that is no number", options: { assertionClaims: { exp: "soon" } }, code: "claims_malformed" },
      { name: "what is no JSON", options: { assertionClaims: { a: { b: 1n } } }, code: "claims_malformed" }
    ] as const
  )("$name is refused when it is built", ({ code, options }) =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make()
      const error = yield* Effect.flip(ClientCredential.certificate({ ...made, ...options }))
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
    }))
})

describe("what JavaScript passes", () => {
  it.live.each(["HS256", "RS512", "none", "", "PS256 "])(
    "an algorithm that is none is refused: %s",
    (algorithm) =>
      Effect.gen(function*() {
        const { privateKey } = yield* TestCertificate.make()
        const options = { privateKey }
        Reflect.set(options, "algorithm", algorithm)
        const error = yield* Effect.flip(ClientCredential.privateKeyJwt(options))
        assert.strictEqual(error.code, "algorithm_unsupported")
        assertToldInFull(error)
      })
  )

  it.live("an id of the user's own is let be where it replaces all claims", () =>
    Effect.gen(function*() {
      const options = { assertionClaims: { jti: "mine" }, mergeWithDefaultClaims: false }
      const credential = yield* ClientCredential.certificate({ ...(yield* TestCertificate.make()), ...options })
      const assertion = (yield* authenticate(credential, attempt)).form["client_assertion"]
      assert.isTrue(Redacted.isRedacted(assertion))
      if (!Redacted.isRedacted(assertion)) return
      assert.deepStrictEqual<unknown>(jose.decodeJwt(`${Redacted.value(assertion)}`), { jti: "mine" })
    }))
})

describe("a signer", () => {
  const keyOf = (made: TestCertificate.TestCertificate, algorithm: string) =>
    Effect.promise(() => jose.importPKCS8(Redacted.value(made.privateKey), algorithm))

  const vaultOf = (made: TestCertificate.TestCertificate) => (input: Uint8Array, options: { algorithm: string }) =>
    Effect.flatMap(keyOf(made, options.algorithm), (key) =>
      Effect.promise(async () => {
        const how = options.algorithm === "ES256"
          ? { name: "ECDSA", hash: "SHA-256" }
          : options.algorithm === "PS256"
          ? { name: "RSA-PSS", saltLength: 32 }
          : { name: "RSASSA-PKCS1-v1_5" }
        return new Uint8Array(await crypto.subtle.sign(how, key, new Uint8Array(input)))
      }))

  it.live.each(
    [
      { name: "PS256", algorithm: undefined, kind: "RSA" },
      { name: "RS256", algorithm: "RS256", kind: "RSA" },
      { name: "ES256", algorithm: undefined, kind: "EC" }
    ] as const
  )("makes assertions that the certificate verifies: $name", ({ algorithm, kind, name }) =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make({ algorithm: kind })
      const { certificate } = made
      const credential = yield* ClientCredential.certificate({ certificate, algorithm, sign: vaultOf(made) })
      const { form } = yield* authenticate(credential, attempt)
      const key = yield* Effect.promise(() => jose.importX509(certificate, name))
      const { protectedHeader } = yield* Effect.promise(() =>
        jose.jwtVerify(shown(form, "client_assertion"), key, { audience: attempt.audience, algorithms: [name] })
      )
      assert.strictEqual(protectedHeader.alg, name)
    }))

  it.live("is not called when the certificate is loaded", () =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make()
      let calls = 0
      yield* ClientCredential.certificate({ certificate, sign: () => Effect.sync(() => new Uint8Array([++calls])) })
      assert.strictEqual(calls, 0)
    }))

  it.live.each([
    { name: "with another key", sign: vaultOf, code: "signer_mismatch" },
    { name: "in DER", sign: () => () => Effect.succeed(new Uint8Array(70)), code: "signer_mismatch" },
    { name: "that fails", sign: () => () => Effect.fail({ _tag: "Sealed", text: "s3cret" }), code: "signer_failed" }
  ])("$name is a CredentialError of its own", ({ code, sign }) =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make({ algorithm: "EC" })
      const other = yield* TestCertificate.make({ algorithm: "EC" })
      const credential = yield* ClientCredential.certificate({ certificate, sign: sign(other) })
      const error = yield* Effect.flip(authenticate(credential, attempt))
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, "sign")
      assert.notInclude(printed(error), "s3cret")
    }))

  it.live("an RSA certificate of 1024 bits is refused for its length", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make({ modulusLength: 1024 })
      const error = yield* Effect.flip(
        ClientCredential.certificate({ certificate: made.certificate, sign: vaultOf(made) })
      )
      assert.strictEqual(error.code, "key_unsupported")
      assertToldInFull(error)
      assert.strictEqual(error.field, "certificate")
    }))
})

describe("assertions", () => {
  it.effect("may be a plain string, which is checked", () =>
    Effect.gen(function*() {
      for (const given of ["a.b.c", Redacted.make("a.b.c")]) {
        const credential = yield* ClientCredential.assertion(given)
        assert.strictEqual(shown((yield* authenticate(credential, attempt)).form, "client_assertion"), "a.b.c")
      }
      const { form } = yield* authenticate(yield* ClientCredential.assertion("a.b.c"), attempt)
      assert.strictEqual(String(form["client_assertion"]), "<redacted:client_assertion>")
      const bad = yield* ClientCredential.assertion("nonsense")
      assert.strictEqual((yield* Effect.flip(authenticate(bad, attempt))).code, "assertion_malformed")
    }))

  it.effect("are told what the request is about", () => {
    const seen: Array<ClientCredential.Attempt> = []
    const credential = ClientCredential.layerAssertion((attempt) => {
      seen.push(attempt)
      return Effect.succeed("a.b.c")
    })
    return Effect.gen(function*() {
      yield* Effect.flip(acquire)
      assert.strictEqual(seen.length, 1)
      assert.deepStrictEqual(seen[0]?.clientCapabilities, ["cp1"])
      assert.strictEqual(seen[0]?.clientId, app)
    }).pipe(Effect.provide(World({ credential, client: { clientCapabilities: ["cp1"] } })))
  })
})

describe("a service with a correlation id of its own", () => {
  it.effect("is no reason to forget what was tried", () => {
    let begun = 0
    const seen: Array<string> = []
    const credential = Layer.effect(
      ClientCredential.ClientCredential,
      Effect.map(ClientCredential.secret([wrong, first]), (base) => ({
        ...base,
        begin: (acquisition: ClientCredential.Acquisition) => {
          begun++
          const authentication = base.begin(acquisition)
          return {
            ...authentication,
            authenticate: (attempt: ClientCredential.Attempt) => {
              seen.push("authenticate")
              return authentication.authenticate(attempt)
            },
            refused: (error: EntraError.InvalidClientError) => {
              seen.push("refused")
              return authentication.refused(error)
            }
          }
        }
      }))
    )
    return Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const body = JSON.stringify({
        error: "invalid_client",
        error_description: "AADSTS7000215: Invalid client secret provided.",
        error_codes: [7000215],
        correlation_id: "00000000-0000-0000-0000-00000000abcd"
      })
      yield* simulator.fail(
        EntraSimulator.Fault.custom({ status: 401, headers: { "content-type": "application/json" }, body })
      )
      const client = yield* ConfidentialClient.ConfidentialClient
      const correlationId = "11111111-2222-3333-4444-555555555555"
      yield* client.acquireToken({ scopes: [graph], correlationId })
      assert.deepStrictEqual(seen, ["authenticate", "refused", "authenticate"])
      assert.strictEqual(begun, 1)
    }).pipe(Effect.provide(World({ credential })))
  })
})
