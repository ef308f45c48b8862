import { globSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"

const conditions = ["@effect-entra/source", "module", "node", "development|production"]

/** `npm run test:slow`: what runs for long, under load, or against servers and clients that are not ours. */
export const slow = [
  "test/{Soak,Hostile,ManyKeys,Workers,Site,Runtimes,Deploying}.test.ts",
  "test/node/{Rotation,RotationUnderLoad}.test.ts",
  "test/node/{ForeignClients,OidcProvider,WireComparison,Tarball}.test.ts",
  "test/cli/SimulatorPage.test.ts",
  "test/node/vault/Vault.test.ts",
  "test/promise/Standalone.test.ts",
  "test/support/RedisFailover.test.ts",
  "test/examples/UserSync.browser.test.ts",
  "test/fleet/{Example,LargeSimulation,RedisFaults,Processes}.test.ts"
]

/**
 * The modules that decide about values of callers and contents of files, before a token request is sent. With `--coverage`
 * the run fails if one of their branches is taken by no test of the suite.
 */
const parsers = [
  "src/{Authority,TokenScope}.ts",
  "src/internal/request/{requestPlan,clientOptions,extraParameters}.ts",
  "src/internal/endpoint/claimsParameter.ts",
  "src/internal/authority/{endpointLayout,openIdConfigurationCache,instanceDiscovery}.ts",
  "src/internal/environment/{environment,environmentOptions,environmentCredential,defaultChain,combinedProblems}.ts",
  "src/internal/shared/validate.ts",
  "src/internal/credential/{certificate,privateKey,signedAssertion,clientAssertion,certificateValidity,credentialSource,rotationState}.ts",
  "src/node/internal/{certificates,files,managedIdentity}/*.ts",
  "src/node/internal/githubActions.ts"
]

// A file that is moved away is not to drop out in silence.
for (const pattern of parsers) {
  const [, before = "", names, after = ""] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? []
  for (const path of names === undefined ? [pattern] : names.split(",").map((name) => before + name + after)) {
    if (globSync(path, { cwd: import.meta.dirname }).length === 0) throw new Error(`coverage of ${path}: no such file`)
  }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: slow,
    environment: "node",
    testTimeout: 30_000,
    // A test without its snapshot fails here too, as it does in CI.
    update: "none",
    // Loading the library anew for each file takes longer than most of the tests.
    isolate: false,
    maxWorkers: "100%",
    coverage: {
      provider: "v8",
      include: parsers,
      reporter: [["text", { skipFull: true }]],
      reportsDirectory: join(tmpdir(), "effect-entra-coverage"),
      thresholds: { branches: 100, perFile: true }
    }
  }
})
