/**
 * `effect-entra cert new`: creates a private key and its self-signed certificate.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestCertificate from "../testing/TestCertificate.ts"
import { guideTo } from "./internal/cert/guide.ts"
import { writeNewFiles } from "./internal/cert/newFiles.ts"
import { encodePfx } from "./internal/cert/pfx.ts"
import { fileNameOf, subjectOf } from "./internal/cert/subject.ts"
import { checked } from "./internal/checkedFlag.ts"
import { CommandError } from "./internal/commandError.ts"
import { Guid, matching } from "./internal/names.ts"
import { certificatePackages } from "./internal/packages.ts"
import { withProgress } from "./internal/progress.ts"
import { style } from "./internal/style.ts"

const day = 86_400_000

const flags = {
  name: Flag.String("name").pipe(
    Flag.withAlias("n"),
    Flag.withDescription("Common name of the certificate; default: my-daemon"),
    // The limit of X.520 for a common name.
    checked(
      matching(
        /^(?!\s*$)[^\p{C}\p{Zl}\p{Zp}]{1,64}$/u,
        "Expected 1 to 64 characters, not only spaces, and no control characters"
      )
    ),
    Flag.withDefault("my-daemon")
  ),
  algorithm: Flag.Literals("algorithm", ["rsa", "ec"]).pipe(
    Flag.withDescription("Key: RSA, or EC on P-256; default: rsa"),
    Flag.withDefault("rsa")
  ),
  bits: Flag.Literals("bits", ["2048", "3072", "4096"]).pipe(
    Flag.withDescription("Bits of an RSA key; default: 2048"),
    Flag.optional
  ),
  days: Flag.Int("days").pipe(
    Flag.withDescription("Days until the certificate expires; default: 365"),
    checked(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3650 }))),
    Flag.withDefault(365)
  ),
  format: Flag.Literals("format", ["pem", "pfx"]).pipe(
    Flag.withDescription(
      "File of the key: PEM, or PKCS#12 with the password of AZURE_CLIENT_CERTIFICATE_PASSWORD; default: pem"
    ),
    Flag.withDefault("pem")
  ),
  out: Flag.String("out").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("path"),
    Flag.withDescription("Path of the files without extension; default: the name, in this folder"),
    Flag.optional
  ),
  clientId: Flag.String("client-id").pipe(
    Flag.withMetavar("id"),
    Flag.withDescription("App for which the steps are printed"),
    checked(Guid),
    Flag.optional
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withDescription("Replace files that exist"),
    Flag.withDefault(false)
  )
}

const newCommand = Command.make(
  "new",
  flags,
  Effect.fn(function*({ algorithm, bits, clientId, days, force, format, name, out }) {
    if (algorithm === "ec" && Option.isSome(bits)) {
      return yield* new CommandError({
        message: "--bits is for RSA keys, but --algorithm is ec.",
        remedy: "Leave out one of the two."
      })
    }
    yield* certificatePackages
    const path = yield* Path.Path
    const given = Option.getOrElse(out, () => fileNameOf(name))
    if (isFolder(given)) {
      return yield* new CommandError({
        message: "--out is not the name of a file, without its extension.",
        remedy: "Pass a path with a name at its end, such as keys/my-daemon."
      })
    }
    const base = path.resolve(given)
    const [keyFile, certificateFile] = [`${base}.${format}`, `${base}.cer`]
    const password = Option.filter(
      yield* Config.option(Config.Redacted("AZURE_CLIENT_CERTIFICATE_PASSWORD")),
      (password) => Redacted.value(password) !== ""
    )
    const now = yield* Clock.currentTimeMillis
    const { certificate, privateKey } = yield* TestCertificate.make({
      subject: subjectOf(name),
      algorithm: algorithm === "ec" ? "EC" : "RSA",
      modulusLength: Number(Option.getOrElse(bits, () => "2048")),
      notAfter: new Date(now + days * day)
    }).pipe(withProgress("Creating the key"))
    yield* writeNewFiles([
      {
        path: keyFile,
        content: format === "pfx"
          ? encodePfx(certificate, privateKey, Option.getOrUndefined(password))
          : certificate + Redacted.value(privateKey),
        isPrivate: true
      },
      { path: certificateFile, content: certificate, isPrivate: false }
    ], force)
    yield* Console.log(guideTo({
      certificate,
      keyFile,
      certificateFile,
      isPfx: format === "pfx",
      hasPassword: Option.isSome(password),
      algorithm,
      clientId: Option.getOrUndefined(clientId)
    }, yield* style))
  })
).pipe(
  Command.withDescription(
    "Create a private key and its self-signed certificate, and print how to register it with an app. The key stays on "
      + "this machine, in a file with mode 0600 (on Windows with the permissions of its folder)."
  ),
  Command.withShortDescription("Create a private key and its certificate"),
  Command.withExamples([
    { command: "npx effect-entra cert new --name my-daemon", description: "Write my-daemon.pem and my-daemon.cer" },
    { command: "npx effect-entra cert new --bits 4096 --days 180", description: "Create a longer key for half a year" },
    { command: "npx effect-entra cert new --algorithm ec --format pfx", description: "Create an EC key in PKCS#12" }
  ])
)

/** Returns whether a path can only be that of a folder, beside which nobody expects a key. */
const isFolder = (path: string): boolean => path.trim() === "" || /(?:^|[\\/])\.{0,2}$/.test(path)

export const certCommand = Command.make("cert").pipe(
  Command.withDescription("Certificates of apps"),
  Command.withExamples([{ command: "npx effect-entra cert new", description: "Create a key and its certificate" }]),
  Command.withSubcommands([newCommand])
)
