/** Garbage collection on demand, which V8 has in Node. */
import { Effect } from "effect"

/** Returns the function that collects all garbage. Not an import, so that the other tests of a file run on every platform. */
export const collector = (): () => void => {
  process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc")
  const collect: unknown = process.getBuiltinModule("node:vm").runInNewContext("gc")
  if (typeof collect !== "function") throw new Error("no gc")
  return () => collect()
}

/** Counts the objects that are still referenced. */
export const survivors = (references: ReadonlyArray<WeakRef<object>>): Effect.Effect<number> =>
  Effect.promise(async () => {
    const collect = collector()
    // A `WeakRef` holds its object until the end of its turn, and code that is just being compiled may hold it a little longer.
    for (let turns = 3; turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve))
      collect()
    }
    return references.filter((reference) => reference.deref() !== undefined).length
  })
