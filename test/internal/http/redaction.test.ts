import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { scrubber, scrubberOf } from "../../../src/internal/http/redaction.ts"
import { anyString } from "../support.ts"

const secret = "p\"a\\s/s w+r&d=?<\u00e9>"

describe("scrubber", () => {
  it.each([
    { name: "raw", echo: secret },
    { name: "percent-encoded", echo: encodeURIComponent(secret) },
    { name: "form-encoded", echo: new URLSearchParams({ s: secret }).toString().slice(2) },
    { name: "as JSON", echo: JSON.stringify(secret).slice(1, -1) },
    { name: "in Base64", echo: Buffer.from(secret).toString("base64").replace(/=+$/, "") },
    { name: "in Base64 for URLs", echo: Buffer.from(secret).toString("base64url") },
    { name: "as HTML", echo: "p&quot;a\\s/s w+r&amp;d=?&lt;\u00e9&gt;" }
  ])("finds a secret $name", ({ echo }) => {
    assert.strictEqual(scrubber([secret])(`a ${echo} b ${echo}`), "a <redacted> b <redacted>")
  })

  it.each([
    { name: "percent-encoded in lower case", echo: "p%22a%5cs%2fs%20w%2br%26d%3d%3f%3c%c3%a9%3e" },
    { name: "form-encoded in lower case", echo: "p%22a%5cs%2fs+w%2br%26d%3d%3f%3c%c3%a9%3e" }
  ])("finds a secret $name", ({ echo }) => {
    assert.strictEqual(scrubber([secret])(`a ${echo} b`), "a <redacted> b")
  })

  const awkward = "Winter's 2026! ~a*b(c)/\\d\"e\u00e4 \u{1f600}\n"
  const bytes = (character: string, spell: (byte: string) => string) =>
    Array.from(new TextEncoder().encode(character), (byte) => spell(byte.toString(16).padStart(2, "0"))).join("")
  const each = (spell: (character: string) => string) =>
    Array.from(awkward, (character) => /[a-z0-9]/i.test(character) ? character : spell(character)).join("")
  it.each([
    { name: "as RFC 3986 has it", echo: each((character) => bytes(character, (byte) => `%${byte.toUpperCase()}`)) },
    { name: "in lower case", echo: each((character) => bytes(character, (byte) => `%${byte}`)) },
    { name: "in the query of a URL", echo: new URL(`https://x/?${encodeURIComponent(awkward)}`).search.slice(1) },
    { name: "in decimal entities", echo: each((character) => `&#${character.codePointAt(0)};`) },
    { name: "in hexadecimal entities", echo: each((character) => `&#x${character.codePointAt(0)?.toString(16)};`) },
    { name: "in named entities", echo: awkward.replace("'", "&apos;").replace("\"", "&quot;") },
    { name: "in JSON that is careful", echo: JSON.stringify(awkward).slice(1, -1).replace("/", "\\/") },
    {
      name: "in JSON in ASCII",
      echo: JSON.stringify(awkward).slice(1, -1)
        .replace(/[^ -~]|'/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    },
    {
      name: "in JSON in ASCII, in upper case",
      echo: JSON.stringify(awkward).slice(1, -1)
        .replace(/[^ -~]|[+']/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`)
    }
  ])("finds a secret $name", ({ echo }) => {
    assert.strictEqual(scrubber([awkward])(`a ${echo} b`), "a <redacted> b")
  })

  it.each([
    { name: "without the line break at its end", secret: "Hunter 2+secret\n", echo: "Hunter 2+secret" },
    { name: "without the white space before it", secret: " \tHunter 2+secret", echo: "Hunter 2+secret" },
    { name: "without the white space around it", secret: "\n Hunter 2+secret \r\n", echo: "Hunter+2%2Bsecret" },
    { name: "with the white space around it in a form", secret: " Hunter 2+secret ", echo: "+Hunter+2%2Bsecret+" },
    { name: "with other white space", secret: "line1abc\nline2def", echo: "line1abc\r\n line2def" },
    { name: "percent-encoded twice", secret: "p/W w~", echo: encodeURIComponent(encodeURIComponent("p/W w~")) }
  ])("finds a secret $name", ({ echo, secret }) => {
    assert.strictEqual(scrubber([secret])(`a ${echo} b`).replaceAll(" ", ""), "a<redacted>b")
  })

  it("finds a secret of any length", () => {
    const long = "a b+c/".repeat(20_000)
    for (const echo of [long, encodeURIComponent(long), encodeURIComponent(long).replaceAll("%20", "+")]) {
      assert.strictEqual(scrubber([long])(`a ${echo} b`, "data"), "a <redacted> b")
    }
  })

  it("reads a text with many readings in time", () => {
    const percents = "%".repeat(200)
    assert.strictEqual(scrubber([`${percents}x`])("%25".repeat(200), "data"), "%25".repeat(200))
    assert.strictEqual(scrubber([percents])(`<${"%25".repeat(200)}>`, "data"), "<<redacted>>")
    // Each blank before the secret may be missing, so there are very many ways to read some of them.
    const blanks = " ".repeat(200)
    assert.strictEqual(scrubber([`${blanks}secret`])(`${blanks}other`, "data"), `${blanks}other`)
  })

  it("takes white space inside a secret for any other, and leaves what follows the secret", () => {
    assert.strictEqual(scrubber(["a \n b"])("x a%20%0D%0A+b y"), "x <redacted> y")
    assert.strictEqual(scrubber([" "])("a b"), "a<redacted>b")
    assert.strictEqual(scrubber(["abc\n"])("x abc y"), "x <redacted> y")
  })

  it.each([
    { name: "a percent sign that is one", secret: "%aa~secret", echo: "%25aa~secret" },
    { name: "an escape that is part of it", secret: "%41~secret", echo: "%2541~secret" },
    { name: "an escape that was escaped", secret: "A/~secret", echo: "A%25252f~secret" }
  ])("finds $name", ({ echo, secret }) => {
    assert.strictEqual(scrubber([secret])(`a ${echo} b`), "a <redacted> b")
  })

  it.each([
    { name: "a secret of Entra's alphabet", secret: "Ab8Q~abcdefgh.ijklmnopq.rs~TheRestOfIt" },
    { name: "a secret that begins like a JWT", secret: "abcdefgh.ijklmnop.qr~TheRestOfIt" },
    { name: "a secret that ends like one", secret: "TheRestOfIt~abcdefgh.ijklmnop." }
  ])("leaves nothing of $name", ({ secret }) => {
    assert.strictEqual(scrubber([secret])(`secret '${secret}' is wrong`), "secret '<redacted>' is wrong")
  })

  it.each([
    {
      name: "a signed JWT",
      text: "got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0xxx.c2lnbmF0dXJl!",
      clean: "got <redacted>!"
    },
    { name: "a JWT without its signature", text: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0xxx.", clean: "<redacted>" },
    {
      name: "two of them",
      text: "eyJhbGciOiJS.eyJzdWIiOiIx.a eyJhbGciOiJS.eyJzdWIiOiIx.b",
      clean: "<redacted> <redacted>"
    }
  ])("finds $name without being told", ({ clean, text }) => {
    assert.strictEqual(scrubber([])(text), clean)
  })

  it.each([
    { name: "plain text", text: "AADSTS7000215: Invalid client secret provided." },
    { name: "an id", text: "Trace ID: 11111111-2222-3333-4444-555555555555" },
    { name: "a resource", text: "https://graph.microsoft.com/.default" },
    { name: "a time", text: "2026-01-01 00:00:00Z" }
  ])("leaves $name alone", ({ text }) => {
    assert.strictEqual(scrubber([secret])(text), text)
  })

  it.each([
    { name: "a tenant's domain", text: "AADSTS90002: Tenant 'fabrikam-eu.onmicrosoft.com' not found." },
    { name: "a host", text: "https://management.usgovcloudapi.net/.default" }
  ])("leaves $name alone", ({ text }) => {
    assert.strictEqual(scrubber([])(text), text)
  })

  it.each([
    { name: "no secret", secrets: [] },
    { name: "an empty secret", secrets: [""] }
  ])("$name changes nothing", ({ secrets }) => {
    assert.strictEqual(scrubber(secrets)("abc"), "abc")
  })

  it("of a secret that holds another, nothing is left", () => {
    for (const secrets of [["inner", "an-inner-secret"], ["an-inner-secret", "inner"]]) {
      assert.strictEqual(scrubber(secrets)("an-inner-secret inner"), "<redacted> <redacted>")
    }
  })

  it("cuts at 2,000 characters, after scrubbing", () => {
    assert.strictEqual(scrubber([])("x".repeat(2000)), "x".repeat(2000))
    assert.strictEqual(scrubber([])("x".repeat(2001)), `${"x".repeat(2000)}...`)
    assert.notInclude(scrubber(["pa55word"])(`${"x".repeat(1996)}pa55word`), "pa55")
  })

  it("cuts no data, and leaves its JWTs", () => {
    const data = `eyJhbGciOiJS.eyJzdWIiOiIx.a ${"x".repeat(3000)}`
    assert.strictEqual(scrubber([])(data, "data"), data)
  })

  it("leaves nothing of a JWT that the cut breaks, whatever stands before it", () => {
    const jwt = "eyJhbGciOiJS.eyJzdWIiOiIx.c2lnbmF0dXJl"
    const text = `${jwt} ${"x".repeat(1900)} eyJhbGciOiJS.${"A".repeat(200)}.c2lnbmF0dXJl`
    assert.strictEqual(scrubber([])(text), `<redacted> ${"x".repeat(1900)} ...`)
    const broken = `${"x".repeat(1990)} ${jwt} and more`
    assert.strictEqual(scrubber([])(broken), `${"x".repeat(1990)} ...`)
  })

  it("leaves a text that is not cut as it is, even if it ends like the start of a JWT", () => {
    assert.strictEqual(scrubber([])("the header begins with eyJ"), "the header begins with eyJ")
  })

  const piece = fc.constantFrom(..."aZ9~.-_+/= &<>\"'\\%\u00e9\u{1f600}", "abcdefgh", "0123456789", "~ends~")
  const hostile = fc.array(piece, { minLength: 3, maxLength: 20 }).map((pieces) => pieces.join(""))
    .filter((secret) => secret.length >= 8)

  it("no spelling of a secret is left, wherever it stands", () => {
    const spelling = fc.constantFrom(
      (text: string) => text,
      encodeURIComponent,
      (text: string) => new URLSearchParams({ s: text }).toString().slice(2),
      (text: string) => JSON.stringify(text).slice(1, -1)
    )
    const around = fc.string({ unit: fc.constantFrom(..."xyz :,'\n"), maxLength: 10 })
    fc.assert(
      fc.property(hostile, spelling, around, around, (secret, spell, before, after) => {
        const clean = scrubber([secret])(`${before}${spell(secret)}${after}`)
        assert.notInclude(clean, spell(secret))
        assert.notInclude(clean, secret)
      }),
      { numRuns: 2000 }
    )
  })

  it("no end of a secret is left either", () => {
    fc.assert(
      fc.property(hostile, (secret) => {
        const clean = scrubber([secret])(`x ${secret} x`)
        assert.notInclude(clean, secret.slice(-6))
        assert.notInclude(clean, secret.slice(0, 6))
      }),
      { numRuns: 2000, seed: 1 }
    )
  })

  it("never throws, whatever the secret and the text", () => {
    fc.assert(
      fc.property(fc.array(anyString, { maxLength: 3 }), anyString, (secrets, text) => {
        assert.isAtMost(scrubber(secrets)(text).length, 2003)
      }),
      { numRuns: 1000, seed: 1, examples: [[["\ud800"], ""]] }
    )
  })
})

describe("scrubberOf", () => {
  it("of a secret in a header of Basic authentication nothing is left, in no spelling", () => {
    fc.assert(fc.property(fc.string({ minLength: 8 }).filter((secret) => secret.trim().length > 7), (secret) => {
      const form = (value: string) => new URLSearchParams({ v: value }).toString().slice(2)
      const pair = `${form("client:id")}:${form(secret)}`
      const authorization = `Basic ${Buffer.from(pair).toString("base64")}`
      const scrub = scrubberOf([], [authorization])
      for (const echoed of [secret, form(secret), authorization, authorization.slice(6), pair]) {
        const clean = scrub(`> ${echoed} <`)
        assert.notInclude(clean, secret)
        assert.notInclude(clean, form(secret))
        assert.notInclude(clean, authorization.slice(6))
      }
    }))
  })

  it("finds the secret of Basic authentication that was encoded with a plain ampersand", () => {
    const authorization = `Basic ${Buffer.from("client:pa&ss%2Fword").toString("base64")}`
    const scrub = scrubberOf([], [authorization])
    for (const echo of ["pa&ss/word", "pa&ss%2Fword", "pa%26ss%2fword"]) {
      assert.strictEqual(scrub(`> ${echo} <`), "> <redacted> <")
    }
  })

  it.each(["Basic", "Basic ", "Basic ****", "Bearer abcdefgh"])("never throws: %s", (authorization) => {
    assert.isString(scrubberOf([], [authorization])("text"))
  })
})
