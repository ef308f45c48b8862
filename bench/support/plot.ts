/** A plot's data as SVG, drawn by echarts. */
import { init } from "echarts/dist/echarts.esm.min.mjs"
import type { Plot } from "./result.ts"

const size = { width: 860, height: 460 }

export const svgOf = ({ kind, series, title, x, y }: Plot): string => {
  const categories = [...new Set(series.flatMap(({ points }) => points.map(([at]) => String(at))))]
  const nameOf = (label: string) => ({ name: label, nameLocation: "middle" as const })
  const chart = init(null, null, { renderer: "svg", ssr: true, ...size })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      title: { text: title, left: "center" },
      legend: { top: 34, type: "plain" },
      grid: { top: 100, left: 90, right: 30, bottom: 60 },
      xAxis: kind === "bar"
        ? { ...nameOf(x.label), nameGap: 35, type: "category", data: categories, axisLabel: { interval: 0 } }
        : { ...nameOf(x.label), nameGap: 30, type: x.logarithmic === true ? "log" : "value" },
      yAxis: {
        ...nameOf(y.label),
        nameGap: 65,
        type: y.logarithmic === true ? "log" : "value",
        axisLabel: { formatter: (value: number) => value.toLocaleString("en", { maximumSignificantDigits: 3 }) }
      },
      series: series.map(({ name, points }) =>
        kind === "bar"
          ? {
            name,
            type: "bar",
            data: categories.map((category) => points.find(([at]) => String(at) === category)?.[1] ?? null)
          }
          : { name, type: "line", data: points.map((point) => [...point]), symbolSize: 6 }
      )
    })
    return chart.renderToSVGString()
  } finally {
    // Until then its clock ticks, and the process does not end.
    chart.dispose()
  }
}
