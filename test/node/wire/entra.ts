/** Does the tasks of the variable PARAMETERS with this library, one after the other, each with a client of its own. */
import { Effect, Layer, Logger, Redacted, Schema } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { FetchHttpClient } from "effect/http"
import { type Outcome, type Task, Tasks } from "./task.ts"

const credentialOf = ({ credential }: Task, told: Array<Outcome["told"][number]>) => {
  switch (credential._tag) {
    case "Secret":
      return ClientCredential.layerSecret(Redacted.make(credential.secret))
    case "Certificate":
      return ClientCredential.layerCertificate({
        certificate: credential.certificate.chain,
        privateKey: Redacted.make(credential.certificate.privateKey),
        sendCertificateChain: ["app", "not this request"].includes(credential.sendCertificateChain)
      })
    case "Assertion":
      return ClientCredential.layerAssertion(({ clientId, tokenEndpoint }) =>
        Effect.sync(() => {
          told.push({ clientId, tokenEndpoint })
          return credential.assertion
        })
      )
  }
}

const ofRequest = { no: undefined, app: undefined, request: true, "not this request": false }

const done = Effect.fnUntraced(function*(task: Task) {
  const told: Array<Outcome["told"][number]> = []
  const { authority, clientCapabilities, clientId, credential, region } = task
  const result = yield* ConfidentialClient.acquireToken({
    scopes: task.scopes,
    correlationId: task.correlationId,
    claims: task.claims,
    extraQueryParameters: task.extraQueryParameters,
    sendCertificateChain: credential._tag === "Certificate" ? ofRequest[credential.sendCertificateChain] : undefined
  }).pipe(Effect.provide(
    ConfidentialClient.layer({ clientId, authority, clientCapabilities }).pipe(
      Layer.provide([
        credentialOf(task, told),
        AuthorityResolver.layerWith({ region }),
        TokenEndpoint.layer,
        TokenCache.layerMemory()
      ]),
      Layer.provide(FetchHttpClient.layer)
    )
  ))
  const outcome: Outcome = { token: Redacted.value(result.accessToken), told }
  return outcome
})

const tasks = Schema.decodeUnknownSync(Tasks)(process.env["PARAMETERS"])
// Ours warns of apps that make one client after the other, which is just what is done here; the output is one line.
const quiet = Effect.provide(Logger.layer([]))
console.log(JSON.stringify(await Effect.runPromise(quiet(Effect.forEach(tasks, done)))))
