/** The documentation is code: examples compile and run, every export has a docstring, links lead into the tarball, defaults are the real ones. */
import { ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { posix } from "node:path"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import { assert, beforeAll, describe, it, vi } from "vitest"
import { contentsOf, moduleDocOf, titleOf } from "../.site/text.ts"
import { compile, type Diagnostic, diagnosticsOf, pathOf, write } from "./docs/compile.ts"
import { declarationsOf, fencesInSource, tagOf, undocumented } from "./docs/declarations.ts"
import { defaultsProblems } from "./docs/defaults.ts"
import { blocksOf, type Fence, fencesInMarkdown, unknownWords } from "./docs/fences.ts"
import { includeProblems, regenerated } from "./docs/includes.ts"
import { anchorsOf, linkProblems, linksOf, packed, pointerProblems } from "./docs/links.ts"
import { filesAt, markdown, readText, sources } from "./docs/repository.ts"

const allSources = sources()
/** The command is no part of the exports. */
const isPublic = (path: string) => !path.includes("/internal/") && !path.startsWith("src/cli/")
const publicSources = [...allSources].filter(([path]) => isPublic(path))
const pages = [...markdown()]

const fences: ReadonlyArray<Fence> = [
  ...publicSources.flatMap(([path, text]) => fencesInSource(path, text)),
  ...pages.flatMap(([path, text]) => fencesInMarkdown(path, text))
]

/** Public functions and layers without an example. This list only ever gets shorter. */
const withoutExample: ReadonlyArray<string> = [
  "testing.Fault.unavailable",
  "testing.Fault.loopDetected",
  "testing.Fault.refused",
  "testing.Fault.delay",
  "testing.Fault.dropped",
  "testing.Fault.malformed",
  "testing.Fault.redirect",
  "testing.Fault.echo",
  "testing.Fault.hugeBody",
  "testing.Fault.custom"
]

/** Runs an example. What it prints belongs to it, and is shown when it fails. */
const run = async (name: string): Promise<void> => {
  const printed: Array<string> = []
  const spies = (["log", "info", "warn", "error"] as const).map((method) =>
    vi.spyOn(console, method).mockImplementation((...parts: ReadonlyArray<unknown>) => {
      printed.push(parts.map((part) => typeof part === "string" ? part : inspect(part)).join(" "))
    })
  )
  try {
    await import(pathToFileURL(pathOf(name)).href)
  } catch (cause) {
    throw new Error([`${name} failed: ${inspect(cause)}`, ...printed].join("\n"), { cause })
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

describe("the examples", () => {
  /** Checked and run with the rest, to see that somebody looks. */
  const wrong = "a-wrong-example"
  const wrongCode = `import { TokenScope } from "effect-entra"

export const n: number = TokenScope.fromResource("api://orders")
throw new Error(\`ran with \${n}\`)
`
  let diagnostics: ReadonlyArray<Diagnostic> = []

  beforeAll(async () => {
    write(
      new Map([
        ...fences.map(({ code, name }) => [name, `${code}\n`] as const),
        [wrong, wrongCode]
      ])
    )
    diagnostics = await compile()
  }, 120_000)

  it("are found", () => {
    assert.isAtLeast(fences.length, 20)
    assert.strictEqual(new Set(fences.map(({ name }) => name)).size, fences.length)
    assert.deepStrictEqual(pages.flatMap(([path, text]) => unknownWords(path, text)), [])
  })

  it("are type-checked", () => {
    assert.deepStrictEqual(diagnostics.filter(({ name }) => name === wrong), [
      { name: wrong, line: 3, text: "error TS2322: Type 'string' is not assignable to type 'number'." }
    ])
    assert.deepStrictEqual(diagnostics.filter(({ name }) => name === undefined).map(({ text }) => text), [])
  })

  it.each(fences)("$file:$line $name type-checks", ({ file, line, name }) => {
    assert.deepStrictEqual(
      diagnostics.filter((diagnostic) => diagnostic.name === name)
        .map((diagnostic) => `${file}:${line + diagnostic.line - 1}: ${diagnostic.text}`),
      []
    )
  })

  it.each(fences.filter(({ run }) => run))("$file:$line $name runs", ({ name }) => run(name))

  it("are run", async () => {
    const failure: unknown = await import(pathToFileURL(pathOf(wrong)).href).catch((error: unknown) => error)
    assert.strictEqual(failure instanceof Error ? failure.message : failure, "ran with api://orders/.default")
  })

  it("are there for every public function and layer, but for those on the list", () => {
    const missing = publicSources.flatMap(([path, text]) =>
      declarationsOf(path, text).flatMap(({ doc, isValue, name }) =>
        isValue && ["constructors", "layers", "combinators"].includes(tagOf(doc, "category") ?? "")
          && !/^\s*\* ```ts\b/m.test(doc)
          ? [`${path.replace(/^src\//, "").replace(/\.ts$/, "").replaceAll("/", ".")}.${name}`]
          : []
      )
    )
    assert.deepStrictEqual(missing, withoutExample)
  })
})

describe("the docstrings", () => {
  it("have no tags but these", () => {
    const known = /^ *\* @(?:category \S|since \d|stability unstable$|internal$)/
    assert.deepStrictEqual(
      publicSources.flatMap(([path, text]) =>
        text.split("\n").flatMap((line, index) =>
          /^ *\* @/.test(line) && !known.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []
        )
      ),
      []
    )
  })

  it("give every export a category and a version", () => {
    const resolve = (from: string, specifier: string) => posix.join(posix.dirname(from), specifier)
    assert.deepStrictEqual(
      publicSources.flatMap(([path]) => path.endsWith("/index.ts") ? [] : undocumented(path, allSources, resolve)),
      []
    )
  })
})

describe("the docstrings of the errors", () => {
  const path = "src/EntraError.ts"
  const source = readText(path) ?? ""
  const docs = new Map(declarationsOf(path, source).map(({ doc, name }) => [name, doc]))
  const codes = readText("src/internal/shared/errorCodes.ts") ?? ""
  const unions = [...codes.matchAll(/^ {2}readonly (\w+):((?:[\s|]*"\w+")+)/gm)].map(([, name = "", union = ""]) => ({
    name: `${name}Error`,
    codes: [...union.matchAll(/"(\w+)"/g)].map(([, code = ""]) => code)
  }))

  it("are found, with their unions of codes", () => {
    const classes = [...source.matchAll(/^export class (\w+)/gm)].map(([, name]) => name)
    assert.deepStrictEqual(unions.map(({ name }) => name), classes)
    assert.isTrue(unions.every(({ codes }) => codes.length > 0))
  })

  it.each(unions)("of $name list each code once", ({ codes, name }) => {
    const doc = docs.get(name) ?? ""
    const listed = [...doc.slice(doc.indexOf("Codes")).matchAll(/^ \* - `(\w+)`: \S/gm)].map(([, code]) => code)
    assert.deepStrictEqual(listed.toSorted(), codes.toSorted())
  })

  describe("docs/errors.md", () => {
    const page = readText("docs/errors.md") ?? ""
    const [, tables = ""] = page.split(/^## Codes$/m)
    const listed = tables.split(/^### /m).slice(1).map((section) => ({
      tag: section.split("\n", 1)[0],
      codes: [...section.matchAll(/^\| `(\w+)` +\| \S/gm)].map(([, code]) => code)
    }))

    it("has a table for each tag, and no other", () => {
      assert.deepStrictEqual(listed.map(({ tag }) => tag), unions.map(({ name }) => `Entra${name}`))
    })

    it.each(unions)("lists each code of $name once, and no other", ({ codes, name }) => {
      const found = listed.find(({ tag }) => tag === `Entra${name}`)?.codes ?? []
      assert.deepStrictEqual(found.toSorted(), codes.toSorted())
    })
  })
})

describe("the pages", () => {
  it("include files as they are", () => {
    assert.deepStrictEqual(pages.flatMap(([path, text]) => includeProblems(path, text, readText)), [])
  })

  it("state the defaults of the code", () => {
    assert.deepStrictEqual(
      defaultsProblems("docs/layers.md", readText("docs/layers.md"), {
        ConfidentialClient: ConfidentialClient.defaults,
        TokenEndpoint: TokenEndpoint.defaults,
        TokenCache: TokenCache.defaults
      }),
      []
    )
  })

  it("have a README of at most 200 lines", () => {
    assert.isAtMost((readText("README.md") ?? "").trimEnd().split("\n").length, 200)
  })

  it("are all in the table of contents, a line each", () => {
    const contents = (readText("docs/README.md") ?? "").split("\n")
    for (const path of filesAt(["docs/*.md"]).keys()) {
      const name = posix.basename(path)
      if (name === "README.md") continue
      assert.strictEqual(contents.filter((line) => line.startsWith(`- [${name}](${name}): `)).length, 1, name)
    }
  })

  it("say how the package is tested: every version is the installed one", () => {
    const [, section = ""] = (readText("docs/layers.md") ?? "").split("## Tested with")
    const { devDependencies, dependencies }: Record<string, Record<string, string>> = JSON.parse(
      readText("package.json") ?? ""
    )
    const said = [...section.matchAll(/`(\S+)`\s(\d\S*\d)/g)].map(([, name = "", version]) => [name, version] as const)
    assert.isAtLeast(said.length, 8)
    for (const [name, version] of said) {
      const wanted = devDependencies?.[name] ?? dependencies?.[name] ?? "absent"
      assert.isTrue(name === "jose" ? version?.startsWith("6.2.") : version === wanted, `${name} ${version}, ${wanted}`)
    }
  })
})

describe("links", () => {
  const shipped = packed()

  it("of what ships are found", () => {
    const names = [...shipped.keys()]
    for (const name of ["README.md", "AGENTS.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs/README.md"]) {
      assert.include(names, name)
    }
    assert.isAtLeast([...shipped].flatMap(([, text]) => linksOf(text)).length, 150)
  })

  it("of pages lead to a file and a heading inside the tarball", () => {
    // The comparison says that its links to tests work in the repository only.
    const withTests = new Map([...filesAt(["test/**/*.test.ts"]), ...shipped])
    assert.deepStrictEqual(
      [...shipped].flatMap(([path, text]) =>
        linkProblems(path, text, path === "docs/comparison.md" ? withTests : shipped)
      ),
      []
    )
  })

  it("of code lead there, too", () => {
    const code = filesAt(["src/**/*.ts", "examples/**/*.ts"])
    assert.deepStrictEqual([...code].flatMap(([path, text]) => pointerProblems(path, text, shipped)), [])
  })
})

// -----------------------------------------------------------------------------
// the tools themselves
// -----------------------------------------------------------------------------

describe("fences", () => {
  const source = `/**
 * A module.
 *
 * \`\`\`ts
 * first()
 * \`\`\`
 */
import * as X from "x"

/**
 * A thing.
 *
 * \`\`\`ts
 * const a = 1
 *
 * use(a)
 * \`\`\`
 *
 * \`\`\`ts
 * second()
 * \`\`\`
 *
 * @category models
 * @since 0.1.0
 */
// a remark
export const thing = X.thing

/** \`\`\`not a fence\`\`\` */
export const other = 1
`

  it("of docstrings are named after what they document", () => {
    assert.deepStrictEqual(
      fencesInSource("src/testing/Thing.ts", source).map(({ code, line, name }) => [name, line, code]),
      [
        ["testing.Thing.module", 5, "first()"],
        ["testing.Thing.thing", 14, "const a = 1\n\nuse(a)"],
        ["testing.Thing.thing.2", 20, "second()"]
      ]
    )
  })

  it("of Markdown are named after their heading", () => {
    const text = [
      "# Quick start",
      "```ts",
      "start()",
      "```",
      "```ts no-run",
      "# not a heading",
      "```",
      "```bash",
      "npm i",
      "```",
      "<!-- include examples/a.ts -->",
      "```ts",
      "included()",
      "```"
    ].join("\n")
    assert.deepStrictEqual(fencesInMarkdown("docs/operating.md", text), [
      { name: "docs.operating.quick-start", file: "docs/operating.md", line: 3, code: "start()", run: true },
      { name: "docs.operating.quick-start.2", file: "docs/operating.md", line: 6, code: "# not a heading", run: false }
    ])
    assert.deepStrictEqual(unknownWords("README.md", text), [])
    assert.deepStrictEqual(unknownWords("README.md", "```ts norun\n```"), ["README.md:1: ts norun"])
    assert.throws(() => blocksOf("```ts\nopen"), /not closed/)
  })

  it("with errors are found in what the compiler says", () => {
    assert.deepStrictEqual(
      diagnosticsOf("A.b.ts(2,3): error TS1: bad\n  because\n../src/A.ts(4,5): error TS2: worse\nerror TS3: worst\n"),
      [
        { name: "A.b", line: 2, text: "error TS1: bad\n  because" },
        { name: undefined, line: 4, text: "../src/A.ts(4): error TS2: worse" },
        { name: undefined, line: 0, text: "error TS3: worst" }
      ]
    )
  })
})

describe("docstrings", () => {
  it("are missing where they are missing", () => {
    const files = new Map([
      [
        "src/A.ts",
        [
          "/**\n * Whole.\n *\n * @category models\n * @since 0.1.0\n */\nexport interface A {}",
          "/** No tags. */\nexport const b = 1",
          "export class C {}",
          "/**\n * @category models\n */\nexport type D = 1",
          `export { e, f } from "./internal/e.ts"`,
          `export {\n  /**\n   * @category models\n   * @since 0.1.0\n   */\n  type G,\n  H\n} from "./internal/e.ts"`
        ].join("\n\n")
      ],
      ["src/internal/e.ts", "/**\n * @category models\n * @since 0.1.0\n */\nexport const e = 1\nexport const f = 1"]
    ])
    assert.deepStrictEqual(undocumented("src/A.ts", files, () => "src/internal/e.ts"), [
      "src/A.ts:10 b: no @category, no @since",
      "src/A.ts:12 C: no docstring",
      "src/A.ts:17 D: no @since",
      "src/A.ts:19 f: no docstring",
      "src/A.ts:27 H: no docstring"
    ])
  })
})

describe("includes", () => {
  const read = (path: string) =>
    path === "examples/a.ts"
      ? "const a = 1\nconst run = () => {\n  // #region body\n  go(a)\n\n  if (a) stop()\n  // #endregion\n}\n"
      : undefined

  const page = (whole: string, region: string) =>
    `text\n\n<!-- include examples/a.ts -->\n\`\`\`ts\n${whole}\`\`\`\n\n<!-- include examples/a.ts#body -->\n`
    + `\`\`\`ts\n${region}\`\`\`\n\nmore\n`

  const current = page(read("examples/a.ts") ?? "", "go(a)\n\nif (a) stop()\n")

  it("are what they name", () => {
    assert.deepStrictEqual(includeProblems("README.md", current, read), [])
    assert.deepStrictEqual(includeProblems("README.md", page("old()\n", ""), read), [
      "README.md:3: differs from examples/a.ts; run: node test/docs/regenerate.ts",
      "README.md:8: differs from examples/a.ts#body; run: node test/docs/regenerate.ts"
    ])
  })

  it("are brought up to date", () => {
    assert.strictEqual(regenerated(page("old()\n", ""), read), current)
    assert.strictEqual(regenerated(current, read), current)
  })

  it("name something, and stand before a fence", () => {
    const lost =
      "<!-- include examples/a.ts#gone -->\n\n```ts\n```\n\n<!-- include examples/a.ts -->\n\ntext\n\n```ts\n```\n"
    assert.deepStrictEqual(includeProblems("README.md", lost, read), [
      "README.md:1: examples/a.ts#gone does not exist",
      "README.md:6: an include without a fence"
    ])
    assert.strictEqual(regenerated(lost, read), lost)
  })
})

describe("links", () => {
  const files = new Map([
    ["README.md", "# Title\n\n[a](docs/a.md#one-two) [b](docs) [c](https://example.com) ![d](plot.svg)\n"],
    ["docs/a.md", "# A\n\n```md\n# Not a heading\n[no](link.md)\n```\n\n## One: `two`\n\n[up](../README.md#title)\n"],
    ["plot.svg", ""]
  ])

  it("lead somewhere", () => {
    assert.deepStrictEqual([...files].flatMap(([path, text]) => linkProblems(path, text, files)), [])
    assert.deepStrictEqual(anchorsOf("# It's *one*: a-b\n```sh\n# no\n```\n## C_d (e)\n## C_d (e)\n#no"), [
      "its-one-a-b",
      "c_d-e",
      "c_d-e-1"
    ])
  })

  it("that lead nowhere are found", () => {
    assert.deepStrictEqual(
      linkProblems("docs/a.md", "[a](b.md) [b](#c) [d](../README.md#e) [f](../../x.md) ![g](h.svg)", files),
      [
        "docs/a.md: b.md does not ship",
        "docs/a.md: #c is not a heading",
        "docs/a.md: ../README.md#e is not a heading",
        "docs/a.md: ../../x.md does not ship",
        "docs/a.md: h.svg does not ship"
      ]
    )
    assert.deepStrictEqual(
      pointerProblems(
        "src/A.ts",
        "See docs/a.md#one-two, `docs/b.md` and docs/a.md#three. Or docs/a.md#one-${page}",
        files
      ),
      ["src/A.ts: docs/b.md does not ship", "src/A.ts: docs/a.md#three is not a heading"]
    )
  })
})

describe("defaults", () => {
  const defaults = {
    Client: { margin: "5 minutes", rest: { base: "30 seconds" }, on: true },
    Cache: { entries: 50_000, bytes: 134_217_728 }
  }

  const page = (rows: ReadonlyArray<string>) =>
    ["# Title", "## Defaults", "", "| Option | Where | Default |", "| --- | :--- | --- |", ...rows, "", "## Next"].join(
      "\n"
    )

  const rows = [
    "| `margin` | `Client.layer` | 300 s |",
    "| `rest.base` | [Client](#client) | `\"30 seconds\"` |",
    "| on | Client | `true` |",
    "| entries | `Cache.layerMemory` | 50,000 |",
    "| bytes | `Cache.layerMemory` | 128 MiB |"
  ]

  it("agree by what they mean", () => {
    assert.deepStrictEqual(defaultsProblems("a.md", page(rows), defaults), [])
  })

  it("disagree when one is wrong, forgotten, invented, doubled, or nobody's", () => {
    assert.deepStrictEqual(
      defaultsProblems(
        "a.md",
        page([
          ...rows.slice(0, 3),
          "| on | Client | true |",
          "| entries | Cache | 60,000 |",
          "| colour | Cache | red |",
          "| retry | Elsewhere | 3 |"
        ]),
        defaults
      ),
      [
        "Client on: twice in a.md",
        "Cache entries: a.md says 60,000, Cache.defaults says 50000",
        "Cache colour: in a.md, not in Cache.defaults",
        `retry: "Elsewhere" names none of Client, Cache`,
        "Cache bytes: not in a.md; it is 134217728"
      ]
    )
  })

  it("are asked for when the page has none", () => {
    assert.deepStrictEqual(defaultsProblems("a.md", undefined, defaults), [
      "a.md is missing; it needs a section `## Defaults`"
    ])
    assert.deepStrictEqual(defaultsProblems("a.md", "# Title", defaults), ["a.md has no section `## Defaults`"])
    assert.deepStrictEqual(defaultsProblems("a.md", "## Defaults\n\nnone\n", defaults), [
      "a.md, `## Defaults`: there is no table with the columns Option | Where | Default"
    ])
  })
})

describe("the text of the site", () => {
  it("takes its navigation from the table of contents", () => {
    const table = [
      "# Docs",
      "- [early.md](early.md): before a section",
      "",
      "Using it:",
      "",
      "- [a.md](a.md): text with [another](b.md) link",
      "  and a line: that ends in a colon:",
      "- [c.json](c.json): not a page",
      "- [up](../README.md): not of this folder",
      "",
      "Running it:",
      "- [Ö](ö-1.md): one"
    ]
    const entries = [
      { section: "", file: "early.md" },
      { section: "Using it", file: "a.md" },
      { section: "Running it", file: "ö-1.md" }
    ]
    assert.deepStrictEqual(contentsOf(table.join("\n")), entries)
    assert.deepStrictEqual(contentsOf(table.join("\r\n")), entries)
    assert.deepStrictEqual(contentsOf(""), [])
  })

  it("takes titles from the first heading", () => {
    assert.strictEqual(titleOf("text\n# The `x` of *it*  \r\n# Other"), "The x of it")
    assert.strictEqual(titleOf("## Deeper\n#hash"), undefined)
  })

  it("takes the description of a module from its first docstring, without tags", () => {
    assert.strictEqual(
      moduleDocOf("/**\r\n * A module.\r\n *\r\n * More.\r\n *\r\n * @since 0.1.0\r\n */\r\nimport x"),
      "A module.\n\nMore."
    )
    assert.strictEqual(moduleDocOf("/** One line. */\nexport const a = 1"), "One line.")
    assert.strictEqual(moduleDocOf("import x\n/** Not the module. */"), "")
  })
})
