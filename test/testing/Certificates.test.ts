/** Certificates need two optional packages: where they are not installed, the defect says how to get them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { runChild } from "../support/child.ts"

const blocking = (packages: string) =>
  `import { registerHooks } from "node:module"
registerHooks({ resolve: (specifier, context, next) => {
  if (/^(?:${packages})(?:\\/|$)/.test(specifier)) {
    throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: "ERR_MODULE_NOT_FOUND" })
  }
  return next(specifier, context)
} })`

const runWithout = (packages: string, program: string, environment: Record<string, string> = {}) =>
  runChild([
    "--conditions=@effect-entra/source",
    `--import=data:text/javascript,${encodeURIComponent(blocking(packages))}`,
    "--input-type=module",
    `--eval=import { Cause, Effect, Exit } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
const pem = process.env.CERTIFICATE
const exit = await Effect.runPromiseExit(${program})
console.log(Exit.isSuccess(exit) ? "built" : Cause.squash(exit.cause).message)
if (Exit.isFailure(exit)) console.log(Cause.hasDies(exit.cause), Cause.squash(exit.cause).cause.code)`
  ], environment)

const advice = "EntraSimulator and TestCertificate need @peculiar/x509 for certificates: "
  + "npm i -D @peculiar/x509 reflect-metadata"

const programs = {
  addCertificate: `EntraSimulator.EntraSimulator.use((simulator) =>
    simulator.addCertificate(EntraSimulator.daemonClientId, pem)).pipe(Effect.provide(EntraSimulator.layerMemory()))`,
  "an app's certificates": `EntraSimulator.make({ apps: [{ clientId: "a", certificates: [pem] }] })`,
  "TestCertificate.make": "TestCertificate.make()"
}

describe("without the packages for certificates", () => {
  it.live.each([
    ...["reflect-metadata", "@peculiar"].map((packages) => ({
      name: "addCertificate",
      packages,
      program: programs.addCertificate
    })),
    ...Object.entries(programs).map(([name, program]) => ({ name, packages: "reflect-metadata|@peculiar", program }))
  ])("$name is a defect that says what to install ($packages)", ({ packages, program }) =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make()
      const { status, stderr, stdout } = yield* runWithout(packages, program, { CERTIFICATE: certificate })
      assert.strictEqual(stderr, "")
      assert.strictEqual(stdout, `${advice}\ntrue ERR_MODULE_NOT_FOUND\n`)
      assert.strictEqual(status, 0)
    }))

  it.live("a simulator without certificates needs none of them", () =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* runWithout("reflect-metadata|@peculiar", "EntraSimulator.make()")
      assert.strictEqual(stderr, "")
      assert.strictEqual(stdout, "built\n")
    }))

  it.live("with them the same program works", () =>
    Effect.gen(function*() {
      const { certificate } = yield* TestCertificate.make()
      const { addCertificate } = yield* EntraSimulator.EntraSimulator
      yield* addCertificate(EntraSimulator.daemonClientId, certificate)
    }).pipe(Effect.provide(EntraSimulator.layerMemory())))
})
