/**
 * Types of the used part of echarts. Its own types fail under `exactOptionalPropertyTypes`, so its untyped bundle is
 * imported.
 */
declare module "echarts/dist/echarts.esm.min.mjs" {
  export const init: (
    dom: null,
    theme: null,
    options: { readonly renderer: "svg"; readonly ssr: true; readonly width: number; readonly height: number }
  ) => {
    readonly setOption: (option: object) => void
    readonly renderToSVGString: () => string
    readonly dispose: () => void
  }
}
