import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { loopDetected, meaningOf } from "../../../src/internal/endpoint/aadsts.ts"
import { readText } from "../../docs/repository.ts"
import { assertShown } from "../../support/shown.ts"
import { anyString } from "../support.ts"

const rows = [
  { kind: "client", code: "secret_wrong", numbers: [7000215] },
  { kind: "client", code: "secret_expired", numbers: [7000222] },
  { kind: "client", code: "client_refused", numbers: [7000218] },
  { kind: "client", code: "client_disabled", numbers: [7000112] },
  { kind: "client", code: "client_unknown", numbers: [700016, 700038, 700011, 70001] },
  { kind: "client", code: "service_principal_missing", numbers: [7000229] },
  { kind: "client", code: "assertion_time", numbers: [700024] },
  {
    kind: "client",
    code: "assertion_refused",
    numbers: [700027, 700021, 700023, 700030, 700211, 700212, 700213, 7002137, 7002138, 70021, 50012, 50048]
  },
  { kind: "authority", code: "tenant_unknown", numbers: [90002, 900023] },
  { kind: "authority", code: "tenant_not_tenanted", numbers: [50059, 50194, 9001023] },
  { kind: "authority", code: "instance_invalid", numbers: [50049] },
  { kind: "refused", code: "consent_missing", numbers: [65001, 501051, 650056, 650057, 90008, 90094, 900941] },
  { kind: "refused", code: "resource_unknown", numbers: [500011, 50001, 650052] },
  { kind: "refused", code: "blocked_by_policy", numbers: [53003, 530032] },
  { kind: "refused", code: "region_refused", numbers: [100007] },
  { kind: "throttled", code: "throttled", numbers: [50196, 90055] },
  { kind: "unavailable", code: "service_unavailable", numbers: [90006, 90012, 90024, 90033, 50033] }
]

/** The headings of the page that remedies point to; they are all made of letters, digits and blanks but for two marks. */
const headings = [...(readText("docs/registering.md") ?? "").matchAll(/^#+ (.+)$/gm)]
  .map(([, heading]) => heading?.toLowerCase().replace(/[':]/g, "").replaceAll(" ", "-"))

describe("meaningOf", () => {
  it.each(rows.flatMap(({ numbers, ...row }) => numbers.map((number) => ({ ...row, number }))))(
    "AADSTS$number is $code",
    ({ code, kind, number }) => {
      const meaning = meaningOf("anything", [number])
      assert.strictEqual(meaning.code, code)
      assert.strictEqual(meaning.kind, kind)
      assertShown(meaning.remedy)
    }
  )

  it.each([
    { numbers: [7000215], anchor: "aadsts7000215" },
    { numbers: [7000222], anchor: "aadsts7000222" },
    { numbers: [700027, 700021, 700030, 50012], anchor: "aadsts700027" },
    { numbers: [70021, 700211, 700212, 700213, 7002137, 7002138], anchor: "a-federated-credential" },
    { numbers: [700016, 700038, 700011, 70001], anchor: "aadsts700016" },
    { numbers: [7000229], anchor: "aadsts7000229" },
    { numbers: [500011, 50001, 650052], anchor: "aadsts500011" },
    { numbers: [65001, 650056, 650057, 90008, 90094, 900941], anchor: "aadsts65001" },
    { numbers: [501051], anchor: "aadsts501051" },
    { numbers: [90002, 900023], anchor: "aadsts90002" },
    { numbers: [7000112], anchor: "aadsts7000112" },
    { numbers: [700024], anchor: "aadsts700024" },
    { numbers: [53003, 530032], anchor: "aadsts53003" },
    { numbers: [100007], anchor: "aadsts100007" }
  ])("the remedy of $numbers is one sentence and a pointer to #$anchor", ({ anchor, numbers }) => {
    for (const number of numbers) {
      const { remedy } = meaningOf("anything", [number])
      assert.isTrue(remedy.endsWith(`. See docs/registering.md#${anchor} of effect-entra.`), remedy)
      assert.lengthOf(remedy.split(/\. (?=[A-Z])/), 2, remedy)
      assert.include(headings, anchor)
    }
  })

  it("an administrator's consent helps where it is missing, and where the app is not installed", () => {
    const all = rows.flatMap(({ numbers }) => numbers)
    assert.sameMembers(all.filter((number) => meaningOf("anything", [1, number]).consentHelps === true), [
      65001,
      501051,
      650056,
      650057,
      7000229,
      700016,
      700011,
      70001,
      90008,
      90094,
      900941
    ])
  })

  it.each([28002, 700022])("AADSTS%i is about the scope, not about the client", (number) => {
    assert.strictEqual(meaningOf("invalid_request", [number]).kind, "refused")
  })

  it.each([
    { error: "invalid_client", kind: "client", code: "client_refused" },
    { error: "unauthorized_client", kind: "client", code: "client_refused" },
    { error: "invalid_tenant", kind: "authority", code: "tenant_unknown" },
    { error: "invalid_instance", kind: "authority", code: "instance_invalid" },
    { error: "temporarily_unavailable", kind: "unavailable", code: "service_unavailable" },
    { error: "server_error", kind: "unavailable", code: "service_unavailable" },
    { error: "invalid_request", kind: "refused", code: "request_refused" },
    { error: "invalid_grant", kind: "refused", code: "request_refused" },
    { error: "invalid_scope", kind: "refused", code: "request_refused" },
    { error: "__proto__", kind: "refused", code: "request_refused" },
    { error: "", kind: "refused", code: "request_refused" }
  ])("$error without a known number is $code", ({ code, error, kind }) => {
    for (const numbers of [[], [1], [-1, Number.NaN, Infinity]]) {
      const meaning = meaningOf(error, numbers)
      assert.strictEqual(meaning.code, code)
      assert.strictEqual(meaning.kind, kind)
    }
  })

  it.each([
    { name: "a known number before the error", error: "invalid_client", numbers: [65001], code: "consent_missing" },
    { name: "an unknown number is passed over", error: "x", numbers: [1, 2, 90002], code: "tenant_unknown" },
    { name: "the first of two known ones", error: "x", numbers: [7000222, 90002], code: "secret_expired" }
  ])("$name decides", ({ code, error, numbers }) => {
    assert.strictEqual(meaningOf(error, numbers).code, code)
  })

  it("every answer has a meaning with a remedy", () => {
    fc.assert(fc.property(anyString, fc.array(fc.oneof(fc.integer(), fc.double())), (error, numbers) => {
      const meaning = meaningOf(error, numbers)
      assert.match(meaning.code, /^[a-z_]+$/)
      assert.isNotEmpty(meaning.remedy)
    }))
  })

  it("a loop is a throttle", () => {
    assert.strictEqual(meaningOf("invalid_grant", [loopDetected]).kind, "throttled")
  })
})
