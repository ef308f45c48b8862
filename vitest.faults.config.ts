/**
 * `npm run coverage:faults`: the parsers and loaders, with the tests that have a row for each of their branches. A branch
 * without a row fails the run, and so does a file that is named here and gone.
 */
import { tmpdir } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** Everything that decides about something a caller passed or a file held, before anything is sent for a token. */
const parsers = [
  "src/{Authority,TokenScope}.ts",
  "src/internal/request/{requestPlan,clientOptions,extraParameters}.ts",
  "src/internal/endpoint/claimsParameter.ts",
  "src/internal/authority/{endpointLayout,openIdConfigurationCache,instanceDiscovery}.ts",
  "src/internal/environment/{environmentOptions,environmentCredential,combinedProblems}.ts",
  "src/internal/shared/validate.ts",
  "src/internal/credential/{certificate,privateKey,signedAssertion,clientAssertion,certificateValidity,credentialSource,rotationState}.ts",
  "src/node/internal/{certificates,files,managedIdentity}/*.ts",
  "src/node/internal/githubActions.ts"
]

/** Who has the rows: the two tables, and the tests of the parts that have tables of their own. */
const rows = [
  "test/{Faults,Authority,TokenScope,Environment,AuthorityResolver,ClientCredential,Oidc,Extras}.test.ts",
  "test/internal/{request,authority}/*.test.ts",
  "test/internal/endpoint/claimsParameter.test.ts",
  "test/internal/credential/{clientAssertion,certificate,certificateValidity,rotationState}.test.ts",
  "test/node/{CredentialFaults,CertificateFile,FileCredentials,Pkcs12,GitHubActions,ManagedIdentity}.test.ts"
]

// Not merged: lists would be joined.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: rows,
    // Loading the library anew for each file would take longer than the tests.
    isolate: false,
    // They are no rows, or about time, and take a minute of it.
    testNamePattern: /^(?!.*(?:100,000 iterations|never comes|as we do))/,
    coverage: {
      enabled: true,
      provider: "v8",
      include: parsers,
      reporter: [["text", { skipFull: true }]],
      reportsDirectory: join(tmpdir(), "effect-entra-faults"),
      thresholds: { branches: 100, perFile: true }
    }
  }
})
