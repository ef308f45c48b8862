/**
 * The reason of a failed access to a file, as a part of a sentence.
 */
import type * as PlatformError from "effect/PlatformError"

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
      return reason.description ?? reason._tag
  }
}
