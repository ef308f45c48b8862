import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { execFileSync } from "node:child_process"
import { assignments, environmentOf } from "../../src/cli/internal/simulator/environment.ts"
import { type Selection, setupOf } from "../../src/cli/internal/simulator/setup.ts"

const { contosoTenantId, daemonClientId, daemonSecret, fabrikamTenantId } = EntraSimulator
const clientId = "11111111-1111-4111-8111-111111111111"
const tenantId = "22222222-2222-4222-8222-222222222222"

const nothing: Selection = { clientId: undefined, clientSecret: undefined, certificate: undefined, tenants: [] }
const setup = (selection: Partial<Selection>, world: Parameters<typeof setupOf>[0] = {}) =>
  setupOf(world, { ...nothing, ...selection }, (domain) => `id of ${domain}`)

const certificate = { certificate: "pem", hasKey: true, path: "/app.pem" }
const secret = Redacted.make("mine")

describe("the world of a run", () => {
  it("is the default world, as its daemon in Contoso", () => {
    const { identity, options } = setup({})
    assert.deepStrictEqual(identity, {
      clientId: daemonClientId,
      tenantId: contosoTenantId,
      secret: daemonSecret,
      certificatePath: undefined
    })
    assert.deepStrictEqual([options.tenants.length, options.apps.length], [2, 1])
  })

  it("selects a tenant that it has, and adds one that it has not", () => {
    assert.strictEqual(setup({ tenants: ["FABRIKAM.onmicrosoft.com"] }).identity.tenantId, fabrikamTenantId)
    const { identity, options } = setup({ tenants: ["woodgrove.com", tenantId, "woodgrove.com", contosoTenantId] })
    assert.strictEqual(identity.tenantId, "id of woodgrove.com")
    assert.deepStrictEqual(options.tenants.slice(2), [
      { id: "id of woodgrove.com", domain: "woodgrove.com", displayName: "woodgrove.com" },
      { id: tenantId }
    ])
  })

  it("adds an app with the permissions and the secret of the daemon", () => {
    const { identity, options } = setup({ clientId })
    assert.deepStrictEqual([identity.clientId, identity.secret], [clientId, daemonSecret])
    assert.deepStrictEqual(options.apps.map((app) => app.clientId), [daemonClientId, clientId])
    assert.deepStrictEqual(options.apps[1]?.roles, options.apps[0]?.roles)
  })

  it("adds the credentials of the flags to an app", () => {
    const known = setup({ clientSecret: secret, certificate })
    assert.deepStrictEqual(known.options.apps[0]?.secrets, [daemonSecret, secret])
    assert.deepStrictEqual(known.options.apps[0]?.certificates, ["pem"])
    assert.deepStrictEqual([known.identity.secret, known.identity.certificatePath], [secret, "/app.pem"])
    const added = setup({ clientId, certificate })
    assert.deepStrictEqual([added.options.apps[1]?.secrets, added.identity.secret], [[], undefined])
    // A certificate without its key cannot be used by a program.
    assert.isUndefined(setup({ certificate: { ...certificate, hasKey: false } }).identity.certificatePath)
  })

  it("takes a tenant in which the app is installed", () => {
    const apps = [{ clientId, tenants: ["fabrikam.onmicrosoft.com"] }]
    assert.strictEqual(setup({}, { apps }).identity.tenantId, fabrikamTenantId)
    assert.isUndefined(setup({}, { apps }).identity.secret)
  })
})

describe("the environment", () => {
  const identity = { clientId, tenantId, secret, certificatePath: "/app.pem" }
  const names = (authorityFile: string | undefined, ...present: ReadonlyArray<string>) =>
    environmentOf(identity, { port: 8443, authorityFile }, new Set(present)).map(([name, value]) => `${name}=${value}`)

  it("leads a program for Microsoft's addresses to the simulator", () => {
    assert.deepStrictEqual(names("/ca.pem"), [
      `AZURE_CLIENT_ID=${clientId}`,
      `AZURE_TENANT_ID=${tenantId}`,
      "AZURE_CLIENT_SECRET=mine",
      "AZURE_CLIENT_CERTIFICATE_PATH=/app.pem",
      "AZURE_AUTHORITY_HOST=https://localhost:8443",
      "NODE_EXTRA_CA_CERTS=/ca.pem",
      "NODE_USE_ENV_PROXY=1",
      "HTTPS_PROXY=http://localhost:8443",
      "NO_PROXY=localhost,127.0.0.1"
    ])
  })

  it("overrides names in lower case, which programs read first", () => {
    assert.deepStrictEqual(names("/ca.pem", "https_proxy", "no_proxy", "http_proxy").slice(-4), [
      "HTTPS_PROXY=http://localhost:8443",
      "https_proxy=http://localhost:8443",
      "NO_PROXY=localhost,127.0.0.1",
      "no_proxy=localhost,127.0.0.1"
    ])
  })

  it("has no proxy and no certificate without TLS", () => {
    assert.deepStrictEqual(names(undefined).slice(-1), ["AZURE_AUTHORITY_HOST=http://localhost:8443"])
  })

  const values = ["plain", "it's", "$(touch x) `y` \"z\" \\ !", "two\nlines", "‘typographic’", "", "é 日本 🎉"]
  it.each(values)("survives a POSIX shell: %j", (value) => {
    const script = [...assignments([["VALUE", value]], "posix"), "printf %s \"$VALUE\""].join("\n")
    assert.strictEqual(execFileSync("sh", ["-c", script], { encoding: "utf8" }), value)
  })

  it("doubles each quote of PowerShell", () => {
    assert.deepStrictEqual(assignments([["A", "it's ‘$x’"]], "powershell"), ["$env:A = 'it''s ‘‘$x’’'"])
  })
})
