export * from "./ClientOptions.ts"
export * from "./PromiseClient.ts"
export * from "./PromiseError.ts"
