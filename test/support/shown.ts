/** Compares whole texts that users read with the snapshots of the tests (`npx vitest run <file> -u` writes them anew). */
import { Duration } from "effect"
import type { EntraError } from "effect-entra"
import { tmpdir } from "node:os"
import { expect } from "vitest"

/** Replaces the values that differ between runs. */
const stable = (text: string): string =>
  text
    .replaceAll(`folder "${process.cwd()}"`, "folder <cwd>")
    .replaceAll(tmpdir(), "<tmp>")
    .replace(/<tmp>\/([\w-]+)-\w{6}\b/g, "<tmp>/$1")
    .replace(/Trace ID: \S+ Correlation ID: \S+ Timestamp: [\d-]+ [\d:]+Z/g, "<ids>")
    .replace(/returned 7\d bytes/g, "returned <number> bytes")
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<time>")
    .replace(/\b(localhost|127\.0\.0\.1):\d{4,5}\b/g, "$1:<port>")

/** The text is the snapshot of the running test. */
export const assertShown = (text: string): void => expect(stable(text)).toMatchSnapshot()

/** Left out of the details: shown before them, or different between runs. */
const apart = new Set(["_tag", "name", "code", "field", "origin", "message", "remedy", "stack", "cause"])
const varying = new Set(["correlationId", "traceId", "timestamp", "durations"])

/** Returns the other fields of an error, those that vary by name only. */
const detailsOf = (error: EntraError.AcquireTokenError): string =>
  Object.entries(error)
    .filter(([name, value]) => value !== undefined && !apart.has(name))
    .map(([name, value]) =>
      varying.has(name)
        ? name
        : `${name}: ${Duration.isDuration(value) ? Duration.format(value) : JSON.stringify(value)}`
    )
    .sort()
    .join(", ")

/** Everything that the error tells a user is the snapshot of the running test. */
export const assertToldInFull = (error: EntraError.AcquireTokenError): void => {
  const place = "field" in error && error.field !== undefined ? ` at ${error.field}` : ""
  assertShown(
    [`${error._tag}: ${error.code}${place} (${error.origin})`, error.message, error.remedy, detailsOf(error)].join("\n")
  )
}
