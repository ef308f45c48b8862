/**
 * The reason of a failed access to a file, as a part of a sentence.
 */
import type * as PlatformError from "effect/PlatformError"
import * as Predicate from "effect/Predicate"

export const directoryReason = "it is a directory"

/** Returns the reason of an error. */
export const reasonOf = ({ reason }: PlatformError.PlatformError): string => {
  switch (reason._tag) {
    case "NotFound":
      return "the file or its folder does not exist"
    case "PermissionDenied":
      return "you do not have the permission"
    case "AlreadyExists":
      return "it exists"
    default:
      return systemReason(reason.cause) ?? reason.description ?? reason._tag
  }
}

/** Returns the reason of an error of the system, for which `PlatformError` has a common tag or none. */
const systemReason = (cause: unknown): string | undefined => {
  switch (Predicate.hasProperty(cause, "code") ? cause.code : undefined) {
    case "EISDIR":
      return directoryReason
    case "ENOTDIR":
      return "a part of its path is not a directory"
    case "ELOOP":
      return "its symbolic links form a circle"
    case "ENAMETOOLONG":
      return "its path is too long"
    case "ENOSPC":
      return "there is no space left"
    case "EROFS":
      return "its file system is read-only"
    default:
      return undefined
  }
}
