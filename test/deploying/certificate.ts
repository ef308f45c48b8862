/** A program that loads `jose` when it signs. */
import { Redacted } from "effect"
import { ClientCredential } from "effect-entra"

const options = { certificate: "", privateKey: Redacted.make("") }
console.log(typeof ClientCredential.layerCertificate(options))
