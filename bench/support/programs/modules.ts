/** `effect` and the transport, module by module: what a program loads that avoids the barrels. */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

if ([Effect, Layer, Redacted, FetchHttpClient].some((module) => module === undefined)) throw new Error("not loaded")
