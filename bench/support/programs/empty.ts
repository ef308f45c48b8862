/** A program that does nothing, to measure the cost of a process. */
export const nothing = undefined
