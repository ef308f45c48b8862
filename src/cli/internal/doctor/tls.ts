/** The findings about the TLS handshake with the authority. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { quote } from "../../../internal/shared/text.ts"
import {
  type Address,
  addressWords,
  type Bundle,
  bundleOf,
  type Connection,
  type Peer,
  untrustedPeer
} from "./connection.ts"
import { fail, type Finding, ok, warn } from "./finding.ts"

/** Whether Node checks certificates: "0" turns the check off, and any other value leaves it on. */
export const checksCertificates: Effect.Effect<boolean> = Effect.map(
  Effect.option(Config.option(Config.String("NODE_TLS_REJECT_UNAUTHORIZED"))),
  (value) => Option.getOrUndefined(Option.flatten(value)) !== "0"
)

/** Returns the finding of a process that accepts every certificate, and would send a `secret` to every server. */
export const unchecked = (step: "tls" | "redis", hostname: string, secret: string): Finding =>
  fail(
    step,
    `NODE_TLS_REJECT_UNAUTHORIZED=0 turns off the check of certificates, so any server in place of ${hostname} would get `
      + secret,
    "Unset NODE_TLS_REJECT_UNAUTHORIZED. If the certificate is not trusted then, set NODE_EXTRA_CA_CERTS to a file with "
      + "the certificate (PEM) of the authority that issued it."
  )

/** Returns the finding of a handshake that succeeded. */
export const tlsFinding = (
  tls: Connection["tls"],
  { hostname }: Address,
  now: number,
  isChecked: boolean
): Finding => {
  if (!isChecked) return unchecked("tls", hostname, "the secret")
  const peer = tls?.peer
  if (tls === undefined || peer === undefined) {
    return ok("tls", "The certificate is trusted. This runtime does not show it")
  }
  const detail = `${tls.protocol}. ${peerWords(hostname, peer)}`
  // Servers renew certificates long before the last tenth of their lifetime, which is a year, 90 days or six days.
  return peer.validTo - now < (peer.validTo - peer.validFrom) / 10
    ? warn("tls", detail, `Ask the operator of ${hostname} to renew the certificate. The renewal is overdue.`)
    : ok("tls", detail)
}

/** Returns the finding of a handshake that failed. `isLocal`: the host or its proxy is on this machine. */
export const tlsFailure = Effect.fnUntraced(function*(
  target: Address,
  proxy: Address | undefined,
  { reason, remedy }: { readonly reason: string; readonly remedy: string },
  isLocal: boolean
) {
  const peer = yield* untrustedPeer(target, proxy)
  const extra = yield* extraAuthorities
  const detail = [
    `The TLS handshake with ${addressWords(target)} failed (${reason})`,
    ...(peer === undefined ? [] : [peerWords(target.hostname, peer)]),
    ...(extra === undefined ? [] : [extra.detail])
  ].join(". ")
  if (/ERR_SSL|EPROTO/.test(reason)) {
    return fail(
      "tls",
      detail,
      `Check that ${addressWords(target)} serves https, and that no other program answers there.`,
      { code: reason }
    )
  }
  const isUntrusted = remedy.includes("NODE_EXTRA_CA_CERTS")
  const remedies = [
    ...(isUntrusted && extra?.remedy !== undefined ? [extra.remedy] : []),
    remedy,
    ...(isUntrusted && isLocal ? [restarted] : [])
  ]
  return fail("tls", detail, remedies.join(" "), { code: reason })
})

/** Each start of `simulate` has another authority, and another file for it. */
const restarted =
  "If it is a simulator that was started again, load its new environment: the file of --save-env, or the "
  + "lines that it printed."

interface Extra {
  readonly detail: string
  readonly remedy?: string
}

/** Reads the file of `NODE_EXTRA_CA_CERTS`, whose absence Node does not treat as an error. */
const extraAuthorities = Effect.gen(function*() {
  const path = Option.getOrUndefined(
    Option.flatten(yield* Effect.option(Config.option(Config.String("NODE_EXTRA_CA_CERTS"))))
  )
  if (path === undefined || path === "") return undefined
  const content = yield* Effect.option(Effect.try(() => readFileSync(path, "utf8")))
  return extraOf(path, Option.map(content, bundleOf))
})

/** The most names of certificates in a finding. */
const mostNames = 5

/** Returns the words about the file of `NODE_EXTRA_CA_CERTS`; `bundle` is none if the file cannot be read. */
export const extraOf = (path: string, bundle: Option.Option<Bundle>): Extra => {
  const file = `NODE_EXTRA_CA_CERTS names ${quote(path)}`
  if (Option.isNone(bundle)) return { detail: `${file}, which cannot be read` }
  const { broken, names } = bundle.value
  const hidden = names.length - mostNames
  const shown = `${names.slice(0, mostNames).join("; ")}${hidden > 0 ? `; and ${hidden} more` : ""}`
  if (broken !== undefined) {
    return {
      detail: `${file}, whose certificate ${broken} is broken. ${
        names.length === 0
          ? "Node uses none of the file"
          : `Node uses only those before it, which are those of ${shown}`
      }`,
      remedy: `Repair or remove certificate ${broken} of the file. Node ignores it and those after it.`
    }
  }
  return {
    detail: names.length === 0
      ? `${file}, which has no certificate in PEM`
      : `The certificates of NODE_EXTRA_CA_CERTS are those of ${shown}`
  }
}

const peerWords = (hostname: string, { issuer, subject, validTo }: Peer): string =>
  `The certificate of ${hostname} (${subject}) was issued by ${issuer}, and expires at ${
    new Date(validTo).toISOString()
  }`
