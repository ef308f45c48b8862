/**
 * The name of a certificate, in its subject and in the name of its files.
 */

/** Returns a distinguished name (RFC 4514) with the name as its only part. */
export const subjectOf = (name: string): string => `CN=${name.trim().replace(/^#|[",+;<>\\=]/g, "\\$&")}`

/**
 * Returns the name as a file name: without path separators, not hidden, and not mistaken for a flag by other programs.
 */
export const fileNameOf = (name: string): string =>
  name.trim().replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+/, "") || "certificate"
