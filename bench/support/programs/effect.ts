/** `effect` and the transport, as our users import them, and nothing done with them. */
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"

if ([Effect, Layer, Redacted, FetchHttpClient].some((module) => module === undefined)) throw new Error("not loaded")
