/** The blocks of a PEM file (RFC 7468), found in one pass. */

export interface Block {
  readonly label: string
  readonly pem: string
}

/** Returns the blocks of a PEM file without the text around them. A block without an END line is returned as it is. */
export const blocksOf = (text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly label: string; readonly index: number } | undefined
  const cutOff = (end: number) => {
    if (open !== undefined) blocks.push({ label: open.label, pem: text.slice(open.index, end) })
  }
  for (const { 0: mark, 1: side, 2: label = "", index } of text.matchAll(/-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----/g)) {
    if (side === "BEGIN") {
      cutOff(index)
      open = { label, index }
    } else if (open?.label === label) {
      blocks.push({ label, pem: text.slice(open.index, index + mark.length) })
      open = undefined
    }
  }
  cutOff(text.length)
  return blocks
}
