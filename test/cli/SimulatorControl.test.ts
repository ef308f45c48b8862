import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { parseFault } from "../../src/cli/internal/simulator/faultInput.ts"
import { describeFault } from "../../src/cli/internal/simulator/faultText.ts"
import { isOwnHost, isOwnOrigin } from "../../src/cli/internal/simulator/origins.ts"

describe("a request to the controls", () => {
  const own = { host: "localhost:8443" }
  const cases: ReadonlyArray<readonly [name: string, headers: Record<string, string>, isAllowed: boolean]> = [
    ["a program", own, true],
    ["a program, by address", { host: "127.0.0.1:8443" }, true],
    ["a program, by IPv6", { host: "[::1]:8443" }, true],
    ["a program, in capitals", { host: "LOCALHOST:8443" }, true],
    ["the page", { ...own, origin: "http://localhost:8443", "sec-fetch-site": "same-origin" }, true],
    ["the page over https", { ...own, origin: "https://localhost:8443", "sec-fetch-site": "same-origin" }, true],
    ["an address that was typed", { ...own, "sec-fetch-site": "none" }, true],
    ["a page of another origin", { ...own, origin: "https://evil.example", "sec-fetch-site": "cross-site" }, false],
    ["a page in an old browser", { ...own, origin: "https://evil.example" }, false],
    ["an image or a script of a page", { ...own, "sec-fetch-site": "cross-site" }, false],
    ["another program on this machine, in the browser", { ...own, origin: "http://localhost:3000" }, false],
    ["the same, as the browser names it", { ...own, "sec-fetch-site": "same-site" }, false],
    ["a file or a sandbox", { ...own, origin: "null" }, false],
    ["a name that begins with the right one", { ...own, origin: "http://localhost:8443.evil.example" }, false],
    ["an origin with a user", { ...own, origin: "http://localhost:8443@evil.example" }, false],
    ["a rebound name", {
      host: "evil.example:8443",
      origin: "http://evil.example:8443",
      "sec-fetch-site": "same-origin"
    }, false],
    ["a rebound name without its port", { host: "evil.example" }, false],
    ["another port", { host: "localhost:80" }, false],
    ["a simulated host", { host: "graph.microsoft.com" }, false],
    ["no host", {}, false]
  ]
  it.each(cases)("%s", (_name, headers, isAllowed) => {
    assert.strictEqual(isOwnOrigin(headers, 8443), isAllowed)
    assert.isTrue(!isAllowed || isOwnHost(headers, 8443))
  })

  it("knows hosts without the default port", () => {
    assert.deepStrictEqual([isOwnHost({ host: "localhost" }, 80), isOwnHost({ host: "localhost" }, 443)], [true, true])
  })
})

describe("a fault as JSON", () => {
  const { Fault } = EntraSimulator
  const cases: ReadonlyArray<readonly [input: object, text: string]> = [
    [{ kind: "throttled" }, "429 AADSTS90055 temporarily_unavailable"],
    [{ kind: "throttled", retryAfter: 90 }, "429 AADSTS90055 temporarily_unavailable with Retry-After of 1m 30s"],
    [
      { kind: "unavailable", retryAfter: 3, format: "date" },
      "503 AADSTS90033 temporarily_unavailable with Retry-After of 3s as a date"
    ],
    [{ kind: "unavailable", status: 502, body: "html" }, "502 as an HTML page"],
    [{ kind: "loopDetected" }, "400 AADSTS50196 invalid_grant"],
    [
      { kind: "refused", code: 65001, error: "invalid_grant", suberror: "s", claims: "{}", text: "t" },
      "400 AADSTS65001 invalid_grant"
    ],
    [{ kind: "delay", milliseconds: 1500 }, "a delay of 1s 500ms"],
    [{ kind: "dropped" }, "a dropped connection"],
    [{ kind: "malformed" }, "200 without JSON"],
    [{ kind: "malformed", content: "noAccessToken" }, "200 without a token"],
    [{ kind: "malformed", content: "cut" }, "200 with cut JSON"],
    [{ kind: "redirect", location: "https://a.example/" }, "307 to https://a.example/"],
    [{ kind: "echo" }, "401 AADSTS7000215 that repeats the credential"],
    [{ kind: "hugeBody", bytes: 9 }, "200 with 9 bytes"],
    [{ kind: "custom", status: 418, headers: { "X-A": "b" }, body: "c" }, "418 with a body of your own"]
  ]
  it.each(cases)("%j", (input, text) => {
    const { fault, times, ...place } = Result.getOrThrow(parseFault(JSON.stringify(input)))
    assert.deepStrictEqual({ times, ...place }, {
      endpoint: "token",
      tenant: undefined,
      host: undefined,
      times: Infinity
    })
    const scripted = { id: 1, fault, endpoint: "token", tenant: undefined, host: undefined } as const
    assert.strictEqual(
      describeFault({ ...scripted, remaining: Infinity }),
      `${text}, at token, until it is switched off`
    )
    assert.strictEqual(
      describeFault({ ...scripted, endpoint: "graph", tenant: "t", host: "h", remaining: 2 }),
      `${text}, at graph, for tenant t, on host h, 2 times`
    )
    assert.include(describeFault({ ...scripted, remaining: 1 }), ", once")
  })

  it("can be every fault of the simulator", () => {
    const tags = cases.map(([input]) => Result.getOrThrow(parseFault(JSON.stringify(input))).fault._tag)
    const constructors = Object.keys(Fault)
    assert.deepStrictEqual(
      constructors.filter((name) => !cases.some(([input]) => Object.values(input).includes(name))),
      []
    )
    assert.deepStrictEqual([...new Set(tags)].sort(), [
      "Custom",
      "Delay",
      "Dropped",
      "Echo",
      "HugeBody",
      "Malformed",
      "Redirect",
      "Refused"
    ])
  })

  const refused: ReadonlyArray<readonly [json: string, problem: RegExp]> = [
    ["", /Expected a valid JSON string/],
    ["{", /Expected a valid JSON string/],
    ["5", /Expected object/],
    ["{}", /^kind: Missing key/],
    [JSON.stringify({ kind: "nope" }), /^kind: Expected "throttled" \|/],
    [JSON.stringify({ kind: "dropped", x: 1 }), /^x: There is no such property/],
    [JSON.stringify({ kind: "throttled", retryAfter: -1 }), /^retryAfter: Expected a value between/],
    [JSON.stringify({ kind: "throttled", retryAfter: "30" }), /^retryAfter: Expected/],
    [JSON.stringify({ kind: "throttled", times: 0 }), /^times: Expected/],
    [JSON.stringify({ kind: "throttled", endpoint: "page" }), /^endpoint: Expected "token" \| /],
    [JSON.stringify({ kind: "refused", error: "" }), /code: Missing key/],
    [JSON.stringify({ kind: "unavailable", status: 99 }), /^status: Expected/],
    [JSON.stringify({ kind: "hugeBody", bytes: 1e12 }), /^bytes: Expected/],
    [JSON.stringify({ kind: "delay", milliseconds: 1e300 }), /^milliseconds: Expected/],
    [JSON.stringify({ kind: "redirect", location: "/\r\nSet-Cookie: a" }), /^location: Expected the text of a header/],
    [JSON.stringify({ kind: "custom", status: 200, headers: { a: "b\r\nc: d" } }), /^headers\.a: Expected the text/],
    [JSON.stringify({ kind: "custom", status: 200, headers: { "a b": "c" } }), /^headers: Expected names/],
    [JSON.stringify({ kind: "custom", status: 200, body: "x".repeat(100_001) }), /^body: Expected/]
  ]
  it.each(refused)("is refused: %.60s", (json, problem) => {
    const result = parseFault(json)
    if (Result.isSuccess(result)) assert.fail("It was accepted.")
    else assert.match(result.failure.join("\n"), problem)
  })
})
