/** What is used of echarts: its own types do not hold under `exactOptionalPropertyTypes`, so its bundle is imported, which has none. */
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
