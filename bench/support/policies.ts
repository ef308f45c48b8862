/** Eviction policies over numbered keys, each as plain as its paper allows, to compare ours with. */

export interface Policy {
  readonly name: string
  /** Records an access, and returns whether it was a hit. */
  readonly access: (key: number) => boolean
}

export const lru = (capacity: number): Policy => {
  const kept = new Set<number>()
  return {
    name: "LRU",
    access: (key) => {
      const hit = kept.delete(key)
      if (!hit && kept.size >= capacity) dropFirst(kept)
      kept.add(key)
      return hit
    }
  }
}

interface Node {
  readonly key: number
  visited: boolean
  older: Node | undefined
  younger: Node | undefined
}

/** Zhang et al., NSDI 2024. */
export const sieve = (capacity: number): Policy => {
  const kept = new Map<number, Node>()
  let oldest: Node | undefined
  let youngest: Node | undefined
  let hand: Node | undefined
  const evict = (): void => {
    let candidate = hand ?? oldest
    while (candidate?.visited) {
      candidate.visited = false
      candidate = candidate.younger ?? oldest
    }
    if (candidate === undefined) return
    hand = candidate.younger
    if (candidate.older === undefined) oldest = candidate.younger
    else candidate.older.younger = candidate.younger
    if (candidate.younger === undefined) youngest = candidate.older
    else candidate.younger.older = candidate.older
    kept.delete(candidate.key)
  }
  return {
    name: "SIEVE",
    access: (key) => {
      const node = kept.get(key)
      if (node !== undefined) {
        node.visited = true
        return true
      }
      if (kept.size >= capacity) evict()
      const added: Node = { key, visited: false, older: youngest, younger: undefined }
      if (youngest === undefined) oldest = added
      else youngest.younger = added
      youngest = added
      kept.set(key, added)
      return false
    }
  }
}

/** Einziger et al., ACM TOS 2017: a window of one hundredth, a segmented LRU, and counts (exact here) that are halved. */
export const tinyLfu = (capacity: number): Policy => {
  const windowSize = Math.max(1, Math.floor(capacity * 0.01))
  const mainSize = capacity - windowSize
  const protectedSize = Math.floor(mainSize * 0.8)
  const [window, probation, guarded] = [new Set<number>(), new Set<number>(), new Set<number>()]
  let counts = new Map<number, number>()
  let accesses = 0
  const countOf = (key: number) => counts.get(key) ?? 0
  const count = (key: number): void => {
    counts.set(key, Math.min(15, countOf(key) + 1))
    if (++accesses < capacity * 10) return
    accesses = 0
    counts = new Map([...counts].flatMap(([key, count]) => count < 2 ? [] : [[key, count >> 1] as const]))
  }
  const admit = (candidate: number): void => {
    if (probation.size + guarded.size < mainSize) {
      probation.add(candidate)
      return
    }
    const from = probation.size > 0 ? probation : guarded
    const [victim] = from
    if (victim === undefined || countOf(candidate) <= countOf(victim)) return
    from.delete(victim)
    probation.add(candidate)
  }
  return {
    name: "W-TinyLFU",
    access: (key) => {
      count(key)
      if (window.delete(key)) {
        window.add(key)
        return true
      }
      if (guarded.delete(key)) {
        guarded.add(key)
        return true
      }
      if (probation.delete(key)) {
        guarded.add(key)
        const [demoted] = guarded.size > protectedSize ? guarded : []
        if (demoted !== undefined) {
          guarded.delete(demoted)
          probation.add(demoted)
        }
        return true
      }
      window.add(key)
      const [candidate] = window.size > windowSize ? window : []
      if (candidate !== undefined) {
        window.delete(candidate)
        admit(candidate)
      }
      return false
    }
  }
}

/** The hit rate that no policy can beat, which knows the future: it gives up what is used again last (Belady 1966). */
export const optimum = (trace: Int32Array, capacity: number): number => {
  const never = trace.length
  const nextUse = new Int32Array(trace.length)
  const seen = new Map<number, number>()
  for (let at = trace.length - 1; at >= 0; at--) {
    const key = trace[at] ?? 0
    nextUse[at] = seen.get(key) ?? never
    seen.set(key, at)
  }
  // By next use: whoever is due at a place of the trace stands there, so the furthest is found from the end.
  const kept = new Map<number, number>()
  const due = new Int32Array(trace.length + 1).fill(-1)
  let furthest = 0
  let hits = 0
  for (const [at, key] of trace.entries()) {
    const next = nextUse[at] ?? never
    if (kept.has(key)) {
      hits++
      due[at] = -1
    } else if (next === never) continue
    else if (kept.size >= capacity) {
      while (furthest > at && (due[furthest] ?? -1) === -1) furthest--
      const victim = due[furthest] ?? -1
      if (furthest <= next) continue
      due[furthest] = -1
      kept.delete(victim)
    }
    if (next === never) {
      kept.delete(key)
      continue
    }
    kept.set(key, next)
    due[next] = key
    if (next > furthest) furthest = next
  }
  return hits / trace.length
}

const dropFirst = (keys: Set<number>): void => {
  const [first] = keys
  if (first !== undefined) keys.delete(first)
}
