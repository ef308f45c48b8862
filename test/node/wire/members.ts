/** A recorded token request as a flat list of members, in which what must differ from request to request has a name. */
import { Schema } from "effect"
import * as jose from "jose"
import type { KeyObject } from "node:crypto"
import type { Recorded } from "./recorder.ts"

export type Members = ReadonlyMap<string, string>

export interface Known {
  readonly correlationId: string
  /** The key that signs assertions. */
  readonly publicKey: KeyObject
}

/** Which of its own parts a value was, for a reader of the table. */
const nameOf = (value: string, { correlationId }: Known): string =>
  value === correlationId ? "<correlation id>" : /^\d+\.\d+\.\d+$/.test(value) ? "<version>" : value

export const membersOf = async (recorded: Recorded, known: Known): Promise<Members> => {
  const members = new Map<string, string>()
  const add = (name: string, value: string) => {
    let free = name
    for (let n = 2; members.has(free); n++) free = `${name} (${n})`
    members.set(free, nameOf(value, known))
  }

  const { pathname, searchParams } = new URL(recorded.url, "https://host")
  add("method", recorded.method)
  add("http version", recorded.httpVersion)
  add("path", pathname)
  for (const [name, value] of searchParams) add(`query ${name}`, value)
  for (const [name, value] of recorded.headers) {
    add(
      `header ${name}`,
      name === "content-length" && Number(value) === Buffer.byteLength(recorded.body) ? "<length of the body>" : value
    )
  }

  for (const pair of recorded.body.split("&")) {
    const [[name = "", value = ""] = []] = new URLSearchParams(pair)
    if (name === "claims") {
      for (const [path, leaf] of leavesOf("claims", JSON.parse(value))) add(`form ${path}`, leaf)
    } else if (name === "client_assertion") {
      for (const [path, part] of await partsOf(value, recorded, known)) add(`assertion ${path}`, part)
    } else {
      add(`form ${name}`, value)
    }
  }
  return members
}

export interface Difference {
  readonly member: string
  /** Undefined where it is not sent. */
  readonly ours: string | undefined
  readonly theirs: string | undefined
}

export const differencesOf = (ours: Members, theirs: Members): ReadonlyArray<Difference> =>
  [...new Set([...ours.keys(), ...theirs.keys()])]
    .map((member) => ({ member, ours: ours.get(member), theirs: theirs.get(member) }))
    .filter(({ ours, theirs }) => ours !== theirs)

/** Parameters of query and form that both send with the same value, in other bytes. */
export const encodingsOf = (ours: Recorded, theirs: Recorded): ReadonlyArray<Difference> => {
  const others = new Map(pairsOf(theirs))
  return pairsOf(ours).flatMap(([name, { bytes, value }]) => {
    const other = others.get(name)
    return value === other?.value && bytes !== other.bytes
      ? [{ member: `${name}, encoded`, ours: bytes, theirs: other.bytes }]
      : []
  })
}

const pairsOf = ({ body, url }: Recorded) => {
  const [, query = ""] = url.split("?")
  return Object.entries({ query, form: body }).flatMap(([place, encoded]) =>
    encoded.split("&").map((bytes) => {
      const [[name = "", value = ""] = []] = new URLSearchParams(bytes)
      return [`${place} ${name}`, { value, bytes }] as const
    })
  )
}

/** The values of a JSON document that are no objects, by their path. */
const leavesOf = (path: string, value: unknown): ReadonlyArray<readonly [path: string, value: string]> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([name, inner]) => leavesOf(`${path}.${name}`, inner))
    : [[path, JSON.stringify(value)]]

const Times = Schema.Struct({ nbf: Schema.Finite, exp: Schema.Finite })

const partsOf = async (assertion: string, { receivedAt }: Recorded, { publicKey }: Known) => {
  const { payload, protectedHeader } = await jose.compactVerify(assertion, publicKey)
  const claims: unknown = JSON.parse(new TextDecoder().decode(payload))
  const { exp, nbf } = Schema.decodeUnknownSync(Times)(claims)
  const shape = (path: string, value: string): string => {
    const isNow = Math.abs(Number(value) - receivedAt / 1000) < 30
    switch (path) {
      case "claim.iat":
      case "claim.nbf":
        return isNow ? "<now>" : value
      case "claim.exp":
        return Math.abs(nbf - receivedAt / 1000) < 30 ? `<nbf + ${exp - nbf}>` : value
      case "claim.jti":
        return /^"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}"$/.test(value) ? "<GUID>" : value
      default:
        return value
    }
  }
  return [
    ...[...leavesOf("header", protectedHeader), ...leavesOf("claim", claims)]
      .map(([path, value]) => [path, shape(path, value)] as const),
    ["signature", "<verified>"] as const
  ]
}
