/** A program that loads optional packages when it uses them. */
import { layerFromEnv } from "effect-entra/node"

console.log(typeof layerFromEnv())
