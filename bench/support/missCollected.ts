/**
 * Misses right after a full collection, with a secret and without network. Prints one line of JSON: nanoseconds each.
 *
 * node missCollected.ts ("between misses" | "during a miss") <rounds>
 */
import { measure } from "./measure.ts"
import * as Misses from "./misses.ts"
import { transport } from "./ours.ts"

const when = Misses.collections.find((one) => one === process.argv[2])
if (when === undefined) throw new Error("no such collection")
const proof: Misses.Proof = { name: "secret", certificate: undefined }
const options = { cached: 0, origin: Misses.publicOrigin }
const subjects = [
  ...Misses.transportsAlone("alone").filter(({ name }) => name === Misses.names.ours || name === Misses.names.msal),
  await Misses.ours("miss", proof, transport(Misses.answerLong), options),
  await Misses.msal("miss", proof, options)
]
const measured = await measure(
  subjects.map((subject) => Misses.afterCollection(subject, when)),
  { rounds: Number(process.argv[3]), budget: 0, atLeast: 2 }
)
await Promise.all(subjects.map(({ close }) => close()))
console.log(JSON.stringify(measured.map(({ best, group, name }) => ({ name, group, best }))))
