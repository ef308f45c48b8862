/**
 * Returns the reason why a package cannot be loaded: the first line of the error, without the paths of this machine.
 */
export const loadFailure = (cause: unknown): string => {
  const [line = ""] = (cause instanceof Error ? cause.message : "").split("\n")
  return line.replace(/ (?:imported )?from .*/, "") || "its modules do not load"
}
