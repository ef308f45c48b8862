/**
 * The name of a certificate, in its subject and in the name of its files.
 */

/** Returns a distinguished name (RFC 4514) with the name as its only part. */
export const subjectOf = (name: string): string => `CN=${name.trim().replace(/^#|[",+;<>\\=]/g, "\\$&")}`

/** Returns the name as a name of files, which has no separator of folders and does not begin with a dot. */
export const fileNameOf = (name: string): string => name.trim().replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^\.+/, "-")
