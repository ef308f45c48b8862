/** The reason why a transport failed, as one word and as a remedy. */
import { assert, describe, it } from "vitest"
import { reasonOf, remedyOf } from "../../../src/internal/http/networkReason.ts"
import { assertShown } from "../../support/shown.ts"

const coded = (code: unknown, message = "", rest: object = {}) => Object.assign(new Error(message), { code, ...rest })
const refused = "Proxy response (407) !== 200 when HTTP Tunneling"

describe("a reason", () => {
  it.each<[string, unknown, string | undefined]>([
    ["a code", coded("ECONNREFUSED"), "ECONNREFUSED"],
    ["a code below", new TypeError("fetch failed", { cause: coded("ENOTFOUND") }), "ENOTFOUND"],
    ["the first of two", Object.assign(coded("UND_ERR_PRX_TLS"), { cause: coded("OTHER") }), "UND_ERR_PRX_TLS"],
    [
      "a tunnel that undici was refused",
      new TypeError("fetch failed", { cause: coded("UND_ERR_ABORTED", refused) }),
      "PROXY_RESPONSE_407"
    ],
    ["a response with 407 over fetch", new TypeError("fetch failed", { cause: new Error("") }), "PROXY_RESPONSE_407"],
    [
      "the same in words",
      new TypeError("fetch failed", { cause: new Error("proxy authentication required") }),
      "PROXY_RESPONSE_407"
    ],
    [
      "a failure of fetch with a code below an empty message",
      new TypeError("fetch failed", { cause: new Error("", { cause: coded("ECONNRESET") }) }),
      "ECONNRESET"
    ],
    ["another failure of fetch", new TypeError("fetch failed", { cause: new Error("bad port") }), undefined],
    ["an error without a message", new Error("failed", { cause: new Error("") }), undefined],
    ["a code in words", coded("ConnectionRefused"), "ConnectionRefused"],
    ["a tunnel that node:http was refused", coded("ERR_PROXY_TUNNEL", "", { statusCode: 403 }), "PROXY_RESPONSE_403"],
    ["a tunnel that failed otherwise", coded("ERR_PROXY_TUNNEL", "", { statusCode: "secret" }), "ERR_PROXY_TUNNEL"],
    ["another end that undici calls so", coded("UND_ERR_ABORTED", "Request aborted"), "UND_ERR_ABORTED"],
    ["a message that is no proxy's", coded("OTHER", refused), "OTHER"],
    ["a code that is a message", coded("the secret is x"), undefined],
    ["a code that only ends like one", coded("the secret is ECONNREFUSED"), undefined],
    ["a code that is no text", coded(7), undefined],
    ["nothing", undefined, undefined],
    ["text", "ECONNREFUSED", undefined]
  ])("%s", (_name, failure, expected) => assert.strictEqual(reasonOf(failure), expected))

  it("is not looked for without end", () => {
    const loop: { cause?: unknown } = {}
    loop.cause = loop
    assert.strictEqual(reasonOf(loop), undefined)
  })
})

describe("a remedy", () => {
  it.each([
    ["PROXY_RESPONSE_407", "user name and password"],
    ["PROXY_RESPONSE_403", "NO_PROXY"],
    ["PROXY_RESPONSE_502", "typing errors"],
    ["PROXY_RESPONSE_503", "could not resolve or reach"],
    ["PROXY_RESPONSE_504", "could not resolve or reach"],
    ["PROXY_RESPONSE_302", "Sign in to the network"],
    ["PROXY_RESPONSE_511", "Sign in to the network"],
    ["PROXY_ECONNREFUSED", "proxy could not be reached"],
    ["PROXY_ENOTFOUND", "proxy could not be reached"],
    ["UND_ERR_PRX_CONN", "proxy could not be reached"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "certificateAuthorities"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "NODE_EXTRA_CA_CERTS"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "NODE_EXTRA_CA_CERTS"],
    ["CERT_SIGNATURE_FAILURE", "NODE_EXTRA_CA_CERTS"],
    ["PROXY_SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    ["CERT_HAS_EXPIRED", "clock"],
    ["PROXY_CERT_NOT_YET_VALID", "clock"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "another host"],
    ["UND_ERR_PRX_TLS", "another host"],
    ["ECONNRESET", "name resolution, the proxy and the firewall"],
    ["TransportError", "name resolution, the proxy and the firewall"]
  ])("for %s", (reason, expected) => {
    assert.include(remedyOf(reason), expected)
    assertShown(remedyOf(reason))
  })
})
