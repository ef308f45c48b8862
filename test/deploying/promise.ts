/** A program without Effect. */
import { createClient } from "effect-entra/promise"

console.log(typeof createClient)
