/** `NodeTransport` with a private certificate authority, and a proxy whose password is in a variable of its own. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Config, Effect, FileSystem, Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { NodeTransport } from "effect-entra/node"

const Transport = Layer.unwrap(Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  return NodeTransport.layerWith({
    proxy: {
      url: yield* Config.String("COMPANY_PROXY"),
      username: yield* Config.String("COMPANY_PROXY_USER"),
      password: yield* Config.Redacted("COMPANY_PROXY_PASSWORD")
    },
    noProxy: ["intranet.example"],
    certificateAuthorities: yield* files.readFileString(yield* Config.String("COMPANY_CA_FILE"))
  })
})).pipe(Layer.provide(NodeFileSystem.layer))

export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(Transport))
