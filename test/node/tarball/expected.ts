/** The parts of the bundled program, and those that a runtime refuses. */

/** With all optional packages, or with none. */
export type App = "whole" | "bare"

export const parts = ["memory", "file", "fetch", "transport", "pfx"] as const

export type Part = (typeof parts)[number]

/** Returns the sentence that refuses a part of the program; undefined: a token is acquired. */
export const refusalOf = (part: Part, app: App, bundler: string, runtime: string): RegExp | undefined => {
  if (part !== "transport" && part !== "pfx") return undefined
  // esbuild's ES modules have no `require`, which CommonJS packages call; Bun defines it in every module.
  if (app === "whole" && bundler === "esbuild, ES module" && runtime !== "Bun") return /Dynamic require of/
  if (app === "bare") return part === "pfx" ? /node-forge/ : /@effect\/platform-node/
  return part === "transport" && bundler === "no bundler" && runtime === "Bun" ? /replaces undici/ : undefined
}
