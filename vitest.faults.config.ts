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
  "src/{Authority,Scope}.ts",
  "src/internal/{plan,settings,extras,claims,endpoints,openIdDocuments,instanceDiscovery,environmentSettings}.ts",
  "src/internal/{credentialChoice,configurationProblems,variables,candidates,quantities}.ts",
  "src/internal/{certificate,signingKey,signedAssertion,assertion,notAfter,materials}.ts",
  "src/node/internal/{pem,privateKeys,certificateFile,certificateSource,credentialFiles,files,tokenFile,secretFile}.ts",
  "src/node/internal/{pkcs12,githubActions}.ts",
  "src/node/internal/managedIdentity{Agent,Answer,Challenge,Endpoint,Platform}.ts"
]

/** Who has the rows: the two tables, and the tests of the parts that have tables of their own. */
const rows = [
  "test/{Faults,Authority,Scope,Environment,AuthorityResolver,ClientCredential,Oidc,Extras}.test.ts",
  "test/internal/{plan,settings,extras,claims,endpoints,instanceDiscovery,assertion,certificate,notAfter,candidates}.test.ts",
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
