/** The material of the matrix: keys, platforms and identities, made once per file, and the app that trusts them. */
import { Effect, Redacted } from "effect"
import { EntraSimulator, MetadataService, TestCertificate, TestIssuer } from "effect-entra/testing"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { make as makeForms, password } from "../node/material.ts"
import { ensureOpenssl } from "../support/openssl.ts"

export const clientId = EntraSimulator.daemonClientId
/** A client that writes this secret into a header without encoding it is refused (RFC 6749 section 2.3.1). */
export const secret = Redacted.make("a secret: with + and % and ~")
export const pods = "system:serviceaccount:orders:daemon"
export const job = "repo:contoso/orders:ref:refs/heads/main"
export const subjectName = "daemon.contoso.com"
/** By which realms know the keys. */
export const keyIds = { RSA: "rsa-2026-11", EC: "ec-2026-11" } as const

export const make = async () => {
  ensureOpenssl()
  const folder = mkdtempSync(join(tmpdir(), "effect-entra-matrix-"))
  const write = (name: string, content: string | Uint8Array) => {
    const path = join(folder, name)
    writeFileSync(path, content)
    return path
  }
  const { cluster, gitHub, machine, named } = await Effect.runPromise(Effect.gen(function*() {
    const authority = yield* TestCertificate.makeAuthority()
    const signer = EntraSimulator.makeSignerRs256()
    const service = yield* MetadataService.make({ signer })
    return {
      cluster: yield* TestIssuer.make({ issuer: "https://oidc.cluster.example/1234/" }),
      gitHub: yield* TestIssuer.make({ issuer: "https://token.actions.githubusercontent.com" }),
      machine: { service, jwks: yield* signer.jwks },
      named: { ...(yield* authority.issue({ commonName: subjectName })), authority: authority.certificate }
    }
  }))
  const keyed = { RSA: await makeForms("RSA"), EC: await makeForms("EC") }
  const exported = (kind: "RSA" | "EC"): Buffer => {
    const { authority, key, leaf } = keyed[kind]
    const [pem, pfx] = [write(`${kind}-in.pem`, leaf + authority + key.pkcs8), join(folder, `${kind}.pfx`)]
    // Few iterations: it is read in every column, and test/node/Pkcs12.test.ts knows the usual number.
    const quick = ["-iter", "16", "-passout", `pass:${password}`]
    execFileSync("openssl", ["pkcs12", "-export", "-in", pem, "-out", pfx, ...quick], { stdio: "ignore" })
    return readFileSync(pfx)
  }
  const app: EntraSimulator.App = {
    clientId,
    secrets: [secret],
    certificates: [keyed.RSA.leaf, keyed.EC.leaf],
    trustedSubjects: [{ subject: subjectName, issuerCertificate: named.authority }],
    federatedCredentials: [
      { issuer: cluster.issuer, subject: pods },
      { issuer: gitHub.issuer, subject: job },
      { issuer: machine.service.issuer, subject: MetadataService.systemAssigned.objectId }
    ]
  }
  return {
    ...keyed,
    named,
    cluster,
    gitHub,
    machine,
    app,
    issuers: [cluster, gitHub, { issuer: machine.service.issuer, jwks: machine.jwks }],
    keyIds: { [keyIds.RSA]: keyed.RSA.leaf, [keyIds.EC]: keyed.EC.leaf },
    pkcs12: { RSA: exported("RSA"), EC: exported("EC") },
    folder,
    write
  }
}

export type Material = Awaited<ReturnType<typeof make>>
