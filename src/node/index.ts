export * as NodeClientCredential from "./NodeClientCredential.ts"
export { layerConfig } from "./NodeConfidentialClient.ts"
export * as NodeConfidentialClient from "./NodeConfidentialClient.ts"
export * as SimulatorServer from "./SimulatorServer.ts"
