export * as EntraSimulator from "./EntraSimulator.ts"
export * as TestCertificate from "./TestCertificate.ts"
