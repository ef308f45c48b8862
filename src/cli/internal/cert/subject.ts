/**
 * The name of a certificate, in its subject and in the name of its files.
 */

/** Returns a distinguished name (RFC 4514) with the name as its only part. */
export const subjectOf = (name: string): string => `CN=${name.trim().replace(/^#|[",+;<>\\=]/g, "\\$&")}`

/** Returns the name as a name of files: it has no separator of folders, is not hidden, and is no flag for other programs. */
export const fileNameOf = (name: string): string =>
  name.trim().replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+/, "") || "certificate"
