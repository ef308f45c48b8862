/** Bytes that a miss allocates, with a secret and without network, and its transport alone. Prints one line of JSON. */
import { growthOf } from "./heap.ts"
import * as Misses from "./misses.ts"
import { transport } from "./ours.ts"

const operations = 1_000
const proof: Misses.Proof = { name: "secret", certificate: undefined }
const options = { cached: 0, origin: Misses.publicOrigin }
const subjects = [
  ...Misses.transportsAlone("alone"),
  await Misses.ours("miss", proof, transport(Misses.answerLong), options),
  await Misses.msal("miss", proof, options)
]

const counted: Array<{ readonly name: string; readonly group: string; readonly bytes: number }> = []
for (const { close, group, miss, name } of subjects) {
  const { allocated } = await growthOf(name, operations, async (times) => {
    for (let at = 0; at < times; at++) await miss()
  })
  counted.push({ name, group, bytes: allocated })
  await close()
}
console.log(JSON.stringify(counted))
