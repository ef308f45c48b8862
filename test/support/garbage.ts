/** Garbage collection on demand. */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Counts the objects that are still referenced. */
export const survivors = (references: ReadonlyArray<WeakRef<object>>): Effect.Effect<number> =>
  Effect.promise(async () => {
    setFlagsFromString("--expose-gc")
    const collect: unknown = runInNewContext("gc")
    if (typeof collect !== "function") throw new Error("no gc")
    // Until the end of its turn a `WeakRef` holds its object.
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    return references.filter((reference) => reference.deref() !== undefined).length
  })
