/**
 * The startup time of an app with effect-entra, and the size of its bundle. See README.md.
 *
 * node --conditions=@effect-entra/source bench/startup.ts [--quick]
 */
import type { Goal } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"
import * as Workshop from "./support/workshop.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 8 : 25
const begun = performance.now()

const packages = ["effect", "jose", "@azure/msal-node", "@azure/identity", "@azure/core-rest-pipeline", "openid-client"]
const workshop = await Workshop.open(packages)
try {
  await measure()
} finally {
  await workshop.close()
}

async function measure(): Promise<void> {
  const peers = [
    { name: "effect-entra", program: "ours" },
    { name: "@azure/msal-node", program: "msal" },
    { name: "@azure/identity", program: "identity" },
    { name: "openid-client", program: "openid" },
    { name: "effect, the same POST by hand", program: "by-hand" }
  ]

  // ---------------------------------------------------------------------------
  // size
  // ---------------------------------------------------------------------------

  const bundled = await Promise.all(
    peers.map(async (peer) => ({ ...peer, bundle: await workshop.bundle(peer.program) }))
  )
  const [ours] = bundled
  const byHand = bundled.at(-1)
  if (ours === undefined || byHand === undefined) throw new Error("nothing was bundled")

  const msal = bundled.find(({ program }) => program === "msal")
  if (msal === undefined) throw new Error("msal-node was not bundled")
  const knownClouds = await workshop.bundle("known-clouds")
  const fetching = {
    name: "effect, one request without a token",
    program: "fetching",
    bundle: await workshop.bundle("fetching")
  }
  const byEsbuild = {
    barrel: await workshop.sizeByEsbuild("ours"),
    modules: await workshop.sizeByEsbuild("ours-by-modules"),
    msal: await workshop.sizeByEsbuild("msal")
  }
  const ofMsal = (own: number, theirs: number) =>
    `${(own / theirs).toFixed(2)} times (${kilobytes(own)} kB, ${kilobytes(theirs)} kB)`

  const withoutEffect = { external: /^effect(?:\/|$)/ }
  const alone = await workshop.bundle("ours", { name: "ours-alone", ...withoutEffect })
  const readable = await workshop.bundle("ours", { name: "ours-readable", minify: false, ...withoutEffect })
  await workshop.keepImportsOf(readable, "effect-used")
  const effectUsed = await workshop.bundle("effect-used")

  const share = ours.bundle.bytes - effectUsed.bytes
  const added = ours.bundle.bytes - byHand.bundle.bytes
  const sumOf = (prefix: string) =>
    ours.bundle.modules.filter(({ id }) => id.startsWith(prefix)).reduce((sum, { bytes }) => sum + bytes, 0)
  const parts = (prefix: string, atLeast: number) =>
    ours.bundle.modules
      .filter(({ bytes, id }) => id.startsWith(prefix) && bytes >= atLeast)
      .toSorted((a, b) => b.bytes - a.bytes)
      .map(({ bytes, id }) => [id, kilobytes(bytes)] as const)

  // ---------------------------------------------------------------------------
  // time
  // ---------------------------------------------------------------------------

  const anyPackage = /^(?:effect|@azure|effect-entra|openid-client)(?:\/|$)/
  const unbundled = async (name: string, program: string) => ({
    name,
    program,
    how: "un-bundled",
    bundle: await workshop.bundle(program, { name: `${program}-unbundled`, external: anyPackage })
  })
  const empty = { name: "an empty process", program: "empty", how: "", bundle: await workshop.bundle("empty") }
  const cached = "bundled, with Node's compile cache"
  const started = [
    empty,
    ...[...bundled, fetching].map(({ bundle, name, program }) => ({ name, program, how: "bundled", bundle })),
    ...[ours, msal].map(({ bundle, name, program }) => ({ name, program, how: cached, bundle })),
    // Nothing is judged by these, and they take long.
    ...quick ? [] : await Promise.all(peers.map(({ name, program }) => unbundled(name, program))),
    await unbundled("effect and the transport, barrels", "effect"),
    await unbundled("the same and effect-entra", "effect-ours"),
    await unbundled("effect and the transport, modules", "modules"),
    await unbundled("the same and effect-entra's modules", "modules-ours")
  ]
  const measured = started.map(() => Array<Workshop.Time>())

  // The quick mode gives its time to what is judged.
  const judged = new Set(["empty", "ours", "msal", "fetching", "effect", "effect-ours"])
  for (let round = 0; round < rounds; round++) {
    for (const [index, { bundle, how, program }] of started.entries()) {
      const compileCache = how === cached
      if (!quick || round % 3 === 0 || judged.has(program) && !compileCache) {
        measured[index]?.push(workshop.time(bundle, { compileCache }))
      }
    }
  }
  const best = (program: string, how: string): number => {
    const times = measured[started.findIndex((start) => start.program === program && start.how === how)]
    if (times === undefined) throw new Error(`not started: ${program} ${how}`)
    return Math.min(...times.map(({ processor }) => processor))
  }
  const floor = best("empty", "")
  const oursBundled = best("ours", "bundled")
  const msalBundled = best("msal", "bundled")
  const oneRequest = best("fetching", "bundled")
  const barrels = best("effect-ours", "un-bundled") - best("effect", "un-bundled")
  const modules = best("modules-ours", "un-bundled") - best("modules", "un-bundled")

  // ---------------------------------------------------------------------------
  // result
  // ---------------------------------------------------------------------------

  const goals: ReadonlyArray<Goal> = [
    {
      goal: "our own share at most 35 kB minified beyond a bundle of the effect modules that we use",
      measured: `${kilobytes(share)} kB`,
      passed: share <= 35_000
    },
    {
      goal: "the same, as our modules bundled with effect left out, imports and program included",
      measured: `${kilobytes(alone.bytes)} kB`
    },
    {
      goal: "what an app gains in size that asked for its token by hand with effect, over the same transport",
      measured: `${kilobytes(added)} kB`
    },
    {
      goal: "the whole bundle at most 0.96 times msal-node's, by rolldown",
      measured: ofMsal(ours.bundle.bytes, msal.bundle.bytes),
      passed: ours.bundle.bytes <= 0.96 * msal.bundle.bytes
    },
    {
      goal: "the same without discovery (AuthorityResolver.layerKnownClouds)",
      measured: ofMsal(knownClouds.bytes, msal.bundle.bytes)
    },
    {
      goal: "the whole bundle at most 0.9 times msal-node's, by esbuild, imported by modules",
      measured: ofMsal(byEsbuild.modules, byEsbuild.msal),
      passed: byEsbuild.modules <= 0.9 * byEsbuild.msal
    },
    {
      goal: "un-bundled import adds at most 25 ms to effect and the transport",
      measured: `${barrels.toFixed(1)} ms`,
      passed: barrels <= 25
    },
    {
      goal: "un-bundled import of our modules beside just the modules of effect that the program names",
      measured: `${modules.toFixed(1)} ms`
    },
    {
      goal: "bundled start-up at most 25 ms beyond that of a program with one request over effect",
      measured: `${(oursBundled - oneRequest).toFixed(1)} ms`,
      passed: oursBundled - oneRequest <= 25
    },
    {
      goal: "bundled start-up within 1.2 times msal-node's bundled",
      measured: `${(oursBundled / msalBundled).toFixed(2)} times (${oursBundled.toFixed(1)} ms, ${
        msalBundled.toFixed(1)
      } ms)`,
      passed: oursBundled <= 1.2 * msalBundled
    },
    {
      goal: "the same beyond an empty process",
      measured: `${((oursBundled - floor) / (msalBundled - floor)).toFixed(2)} times`
    }
  ]

  await finish({
    name: "startup",
    question: "What does an app pay to start, and what does it weigh?",
    method: [
      "Each program makes a client with a secret and acquires one token; `fetch` (of `@azure/identity`: its `httpClient`)",
      "answers at once from within the process, so that the default transport of each is loaded and used. Built with",
      "`tsc`, bundled with rolldown (where a row says so, with esbuild), minified and tree-shaken.",
      "",
      "**Own share** is the bundle of our program less the bundle of a program that keeps, of each module of `effect`,",
      "exactly the members that ours touch. Minified alone, modules are a little larger than within the bundle.",
      "",
      "**Start-up** is the processor time of `node program.mjs` from its start to its end, the least of the interleaved",
      "rounds: on a quiet machine that is the wall time too, on a shared one it is disturbed less. Un-bundled, the packages are loaded from their installed folders; ours is built,",
      "so that no types are stripped."
    ].join("\n"),
    quick,
    rounds,
    seconds: Math.round((performance.now() - begun) / 1000),
    machine: machineWith(packages),
    tables: [
      {
        title: "Bundles, minified and tree-shaken",
        columns: ["program", "kB"],
        rows: [
          ...bundled.map(({ bundle, name }) => [name, kilobytes(bundle.bytes)]),
          ["effect-entra without discovery", kilobytes(knownClouds.bytes)],
          ["effect, one request without a token", kilobytes(fetching.bundle.bytes)],
          ["effect-entra, by esbuild", kilobytes(byEsbuild.barrel)],
          ["effect-entra by modules, by esbuild", kilobytes(byEsbuild.modules)],
          ["@azure/msal-node, by esbuild", kilobytes(byEsbuild.msal)],
          ["the members of effect that effect-entra uses", kilobytes(effectUsed.bytes)],
          ["effect-entra without effect", kilobytes(alone.bytes)]
        ]
      },
      {
        title: "Start-up with one token acquired, in ms",
        columns: ["process", "processor, best", "beyond an empty process", "wall, best", "wall, median"],
        rows: started.map(({ how, name }, index) => {
          const wall = (measured[index] ?? []).map((time) => time.wall)
          const processor = Math.min(...(measured[index] ?? []).map((time) => time.processor))
          return [
            how === "" ? name : `${name}, ${how}`,
            tenths(processor),
            tenths(processor - floor),
            tenths(Math.min(...wall)),
            tenths(median(wall))
          ]
        })
      },
      {
        title: "Where our share goes, kB of each module minified alone",
        columns: ["module", "kB"],
        rows: [["all of effect-entra", kilobytes(sumOf("effect-entra/"))], ...parts("effect-entra/", 500)]
      },
      {
        title: "What our program has of effect, kB of each module minified alone",
        columns: ["module", "kB"],
        rows: [["all of effect", kilobytes(sumOf("effect/"))], ...parts("effect/", 2_000)]
      }
    ],
    goals,
    plots: [
      {
        file: "startup-size",
        title: "Size of a bundle that acquires one token",
        kind: "bar",
        x: { label: "" },
        y: { label: "kB, minified" },
        series: [{ name: "bundle", points: bundled.map(({ bundle, name }) => [name, kilobytes(bundle.bytes)]) }]
      },
      {
        file: "startup-time",
        title: "From spawning a process to its first token",
        kind: "bar",
        x: { label: "" },
        y: { label: "ms of processor time, best of the rounds" },
        series: (quick ? ["bundled"] : ["bundled", "un-bundled"]).map((how) => ({
          name: how,
          points: peers.map(({ name, program }) => [name, tenths(best(program, how))] as const)
        }))
      }
    ],
    watched: [
      { name: "startup: own share in kB", kind: "count", value: kilobytes(share) },
      { name: "startup: whole bundle in kB", kind: "count", value: kilobytes(ours.bundle.bytes) },
      {
        name: "startup: whole bundle by esbuild, by modules, in kB",
        kind: "count",
        value: kilobytes(byEsbuild.modules)
      },
      { name: "startup: bundled, of msal-node's", kind: "ratio", value: oursBundled / msalBundled }
    ]
  })
}

function kilobytes(bytes: number): number {
  return Math.round(bytes / 100) / 10
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

function median(values: ReadonlyArray<number>): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
