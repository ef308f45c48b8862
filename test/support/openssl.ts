/** The `openssl` command: the machine's, or else Debian's, so that no test is skipped for want of it. */
import { spawnSync } from "node:child_process"

export const ensureOpenssl = (): void => {
  const isThere = () => spawnSync("openssl", ["version"]).status === 0
  if (isThere()) return
  spawnSync("sh", ["-c", "apt-get update -qq && apt-get install -y -qq openssl"])
  if (!isThere()) throw new Error("these tests run openssl, and it could be neither found nor installed")
}
