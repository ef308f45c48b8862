/** The part of miniflare that the tests use. Its own declarations need packages that it does not install. */
export class Miniflare {
  constructor(options: {
    readonly modules: ReadonlyArray<{ readonly type: "ESModule"; readonly path: string; readonly contents: string }>
    readonly compatibilityDate: string
    readonly bindings?: Readonly<Record<string, string>>
    readonly compatibilityFlags?: ReadonlyArray<string>
    readonly outboundService?: (
      request: { readonly url: string; readonly text: () => Promise<string> }
    ) => Promise<globalThis.Response>
    readonly handleRuntimeStdio?: (stdout: NodeJS.ReadableStream, stderr: NodeJS.ReadableStream) => void
  })
  readonly dispatchFetch: (url: string) => Promise<globalThis.Response>
  readonly dispose: () => Promise<void>
}
export const Response: typeof globalThis.Response
