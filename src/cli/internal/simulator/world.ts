/**
 * Loads the world of a JSON file, with the certificates that it names.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { usableKeys } from "../../../internal/credential/keyFault.ts"
import type * as SimulatorServer from "../../../node/SimulatorServer.ts"
import { CommandError } from "../commandError.ts"
import { reasonOf } from "../platformReason.ts"
import { pathOf, type Problem, sentenceOf } from "../schemaProblems.ts"
import { type CertificateText, readCertificateText } from "./certificateText.ts"
import { parseWorld } from "./worldFile.ts"

/** Returns whether a text may be shown as a path. A longer one may be a key without its first line. */
const isPath = (text: string): boolean => /^.{1,260}$/.test(text)

/** Reads a text file. `what` is the name of the file in the error. */
export const readFile = Effect.fnUntraced(function*(
  path: string,
  what: string
): Effect.fn.Return<string, CommandError, FileSystem.FileSystem> {
  const fileSystem = yield* FileSystem.FileSystem
  return yield* Effect.mapError(
    fileSystem.readFileString(path),
    (error) =>
      new CommandError({
        message: `${what}${isPath(path) ? ` ${path}` : ""} cannot be read: ${reasonOf(error)}.`,
        remedy: "Check its path and its permissions."
      })
  )
})

/** Reads the certificate of a PEM file. */
const readCertificateFile = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<CertificateText, CommandError, FileSystem.FileSystem> {
  const certificate = readCertificateText(yield* readFile(path, "The certificate"))
  if (certificate === undefined) {
    return yield* new CommandError({
      message: `${path} has no certificate in PEM format.`,
      remedy: "Name a file that has a block BEGIN CERTIFICATE, such as the .pem file of npx effect-entra cert new. "
        + "From a .pfx file: openssl pkcs12 -in app.pfx -nodes -out app.pem. From a .cer file in DER: openssl x509 -inform "
        + "DER -in app.cer -out app.pem. From a .p7b file: openssl pkcs7 -print_certs -in app.p7b -out app.pem"
    })
  }
  return certificate
})

/** Reads the certificate of a PEM file for an app, which authenticates with its key. */
export const readAppCertificate = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<CertificateText, CommandError, FileSystem.FileSystem> {
  const certificate = yield* readCertificateFile(path)
  if (certificate.keyFault !== undefined) {
    return yield* new CommandError({ message: `${path} has a key that ${certificate.keyFault}.`, remedy: usableKeys })
  }
  return certificate
})

const expected = "Expected a certificate (PEM), or the path of its file"

/** Loads a world. Paths of certificates are relative to the file. */
export const loadWorld = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<SimulatorServer.Options, CommandError, FileSystem.FileSystem | Path.Path> {
  const path = yield* Path.Path
  const refuse = (problems: ReadonlyArray<Problem>) =>
    new CommandError({
      message: `The world ${file} has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:\n${
        problems.map((problem) => `  ${sentenceOf(problem)}`).join("\n")
      }`,
      remedy: "Correct the file. docs/command.md#the-world-file of effect-entra describes it."
    })
  const world = yield* Effect.mapError(Effect.fromResult(parseWorld(yield* readFile(file, "The world"))), refuse)
  const problems: Array<Problem> = []

  /** Returns the certificate of a PEM text or of a file. */
  const certificateAt = (value: string, isOfApp: boolean, ...keys: ReadonlyArray<unknown>) =>
    Effect.gen(function*() {
      const certificate = value.includes("-----BEGIN")
        ? yield* Effect.fromNullishOr(readCertificateText(value)).pipe(
          Effect.mapError(() => expected)
        )
        : yield* Effect.mapError(
          readCertificateFile(path.resolve(path.dirname(file), value)),
          ({ message }) => isPath(value) ? `${expected}. ${message.replace(/\.$/, "")}` : expected
        )
      if (isOfApp && certificate.keyFault !== undefined) {
        return yield* Effect.fail(`${expected}, but its key ${certificate.keyFault}`)
      }
      return certificate.certificate
    }).pipe(
      Effect.catch((message) =>
        Effect.sync(() => {
          problems.push({ path: pathOf(...keys), message })
          return ""
        })
      )
    )

  const apps = world.apps === undefined ?
    undefined :
    yield* Effect.forEach(world.apps, (app, index) =>
      Effect.gen(function*() {
        const certificates = yield* Effect.forEach(
          app.certificates ?? [],
          (value, number) => certificateAt(value, true, "apps", index, "certificates", number)
        )
        const trustedSubjects = yield* Effect.forEach(
          app.trustedSubjects ?? [],
          ({ issuerCertificate, subject }, number) =>
            Effect.map(
              certificateAt(issuerCertificate, false, "apps", index, "trustedSubjects", number, "issuerCertificate"),
              (issuerCertificate) => ({ subject, issuerCertificate })
            )
        )
        return { ...app, certificates, trustedSubjects }
      }))
  return problems.length === 0 ? { ...world, apps } : yield* refuse(problems)
})
