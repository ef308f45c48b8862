/** A redis-server for a benchmark, which ends with it. Debian's is installed where there is none. */
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "redis"

const isInstalled = (): boolean => {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })

export const startRedis = async (): Promise<{ readonly url: string; readonly stop: () => void }> => {
  if (!isInstalled()) {
    execFileSync("apt-get", ["update"], { stdio: "ignore" })
    execFileSync("apt-get", ["install", "-y", "redis-server"], { stdio: "ignore" })
  }
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), "entra-bench-redis-"))
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
  const server = spawn("redis-server", options, { stdio: "ignore" })
  const url = `redis://127.0.0.1:${port}`
  const client = createClient({ url, socket: { reconnectStrategy: 20 } }).on("error", () => {})
  await client.connect()
  client.destroy()
  return {
    url,
    stop: () => {
      server.kill("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
