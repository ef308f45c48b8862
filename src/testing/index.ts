export * as EntraSimulator from "./EntraSimulator.ts"
export * as MetadataService from "./MetadataService.ts"
export * as TestCertificate from "./TestCertificate.ts"
export * as TestIssuer from "./TestIssuer.ts"
