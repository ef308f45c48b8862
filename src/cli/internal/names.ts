/**
 * Schemas of the names in flags and files.
 */
import * as Schema from "effect/Schema"

/** Returns a schema of texts that match a pattern. `message` begins with "Expected". */
export const matching = (pattern: RegExp, message: string) =>
  Schema.String.check(Schema.isPattern(pattern, { message }))

/** A GUID. */
export const Guid = matching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  "Expected a GUID, such as 11111111-1111-1111-1111-111111111111"
)

const label = "[0-9a-z]([0-9a-z-]*[0-9a-z])?"

/** A domain name with two labels or more. */
export const Domain = matching(new RegExp(`^(${label}\\.)+${label}$`, "i"), "Expected a domain, such as contoso.com")

/** A host name with an optional port. */
export const Host = matching(
  new RegExp(`^${label}(\\.${label})*(:\\d{1,5})?$`, "i"),
  "Expected a host, such as contoso.ciamlogin.com"
).check(
  Schema.makeFilter((host) => {
    const port = host.split(":")[1]
    return port === undefined || Number(port) >= 1 && Number(port) <= 65_535 || "Expected a port from 1 to 65535"
  })
)
