/** The blocks of a PEM file (RFC 7468), found in one pass. */

export interface Block {
  readonly label: string
  readonly pem: string
}

/** What stands around the blocks (attributes, remarks) is left out. A block without an end is one that nobody can read. */
export const blocksOf = (text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let begun: { readonly label: string; readonly index: number } | undefined
  const cutOff = (end: number) => {
    if (begun !== undefined) blocks.push({ label: begun.label, pem: text.slice(begun.index, end) })
  }
  for (const { 0: mark, 1: side, 2: label = "", index } of text.matchAll(/-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----/g)) {
    if (side === "BEGIN") {
      cutOff(index)
      begun = { label, index }
    } else if (begun?.label === label) {
      blocks.push({ label, pem: text.slice(begun.index, index + mark.length) })
      begun = undefined
    }
  }
  cutOff(text.length)
  return blocks
}
