/** A plot's data as SVG, drawn by echarts. */
import { init } from "echarts/dist/echarts.esm.min.mjs"
import type { Plot } from "./result.ts"

export const svgOf = ({ kind, series, title, x, y }: Plot): string => {
  const found = [...new Set(series.flatMap(({ points }) => points.map(([at]) => String(at))))]
  const numberOf = (category: string) => Number(category.replaceAll(",", ""))
  const categories = found.some((category) => Number.isNaN(numberOf(category)))
    ? found
    : found.toSorted((one, other) => numberOf(one) - numberOf(other))
  const scale = scaleOf(y.label)
  const scaled = (value: number | undefined) => value === undefined ? null : value * scale.factor
  // One line of the legend for each series, because the width of a text is not known here.
  const top = 45 + (series.length > 1 ? 22 * series.length : 0)
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 860, height: top + 370 })
  const nameOf = (label: string) => ({
    name: label,
    nameLocation: "middle",
    nameTextStyle: text,
    axisLine: { lineStyle: { color: light.lines } }
  })
  try {
    chart.setOption({
      animation: false,
      backgroundColor: light.paper,
      title: { text: title, left: "center", textStyle: text },
      legend: {
        show: series.length > 1,
        top: 40,
        left: 90,
        orient: "vertical",
        itemGap: 8,
        textStyle: text,
        itemStyle: { opacity: 1 }
      },
      grid: { top: top + 10, left: 90, right: 40, bottom: 60 },
      xAxis: kind === "bar"
        ? {
          ...nameOf(x.label),
          nameGap: 35,
          type: "category",
          data: categories,
          axisLabel: { ...text, interval: 0, width: 740 / categories.length - 8, overflow: "break" }
        }
        : {
          ...nameOf(x.label),
          nameGap: 30,
          type: x.logarithmic === true ? "log" : "value",
          axisLabel: text,
          splitLine
        },
      yAxis: {
        ...nameOf(scale.label),
        nameGap: 65,
        type: y.logarithmic === true ? "log" : "value",
        splitLine,
        axisLabel: { ...text, formatter: scale.format }
      },
      series: series.map(({ name, points }) => {
        const style = styleOf(name, series)
        return kind === "bar"
          ? {
            name,
            type: "bar",
            color: style.color,
            data: categories.map((category) => ({
              value: scaled(points.find(([at]) => String(at) === category)?.[1]),
              // With one series the bars are the libraries.
              itemStyle: { color: series.length > 1 || isOurs(category) ? style.color : others[0] }
            }))
          }
          : {
            name,
            type: "line",
            data: points.map(([at, value]) => [at, scaled(value)]),
            // Many points are a line.
            showSymbol: points.length <= 50,
            symbol: "circle",
            symbolSize: 7,
            itemStyle: { color: style.color },
            lineStyle: { color: style.color, width: style.width, type: style.dash }
          }
      })
    })
    return withDarkColors(chart.renderToSVGString())
  } finally {
    // Until then its clock ticks, and the process does not end.
    chart.dispose()
  }
}

// -----------------------------------------------------------------------------
// units
// -----------------------------------------------------------------------------

const nanoseconds: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, milliseconds: 1e6 }

interface Scale {
  readonly label: string
  readonly factor: number
  readonly format: (value: number) => string
}

/** An axis of times has its units at its ticks, and nanoseconds as its values. */
const scaleOf = (label: string): Scale => {
  const [unit = "", ...words] = label.split(" ")
  const factor = nanoseconds[unit]
  if (factor === undefined) return { label, factor: 1, format: rounded }
  const rest = words.join(" ")
  return { label: rest.startsWith("of ") ? rest.slice(3) : `time ${rest}`.trim(), factor, format: timeOf }
}

const timeOf = (value: number): string => {
  const [name, size] = value >= 1e9 ? ["s", 1e9] : value >= 1e6 ? ["ms", 1e6] : value >= 1e3 ? ["µs", 1e3] : ["ns", 1]
  return value === 0 ? "0" : `${rounded(value / Number(size))} ${name}`
}

const rounded = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 })

// -----------------------------------------------------------------------------
// colors
// -----------------------------------------------------------------------------

const light = { paper: "#ffffff", ink: "#1f2328", lines: "#d1d9e0" }
const dark = { paper: "#0d1117", ink: "#e6edf3", lines: "#3d444d" }

/** Colors that differ from each other on a light and on a dark background. */
const own = ["#1f6feb", "#2aa1b3", "#7c5cff"]
const others = ["#d9730d", "#b83280", "#3f9142", "#9a7b0a", "#7d8590", "#c0392b"]
const floorColor = "#7d8590"

const text = { color: light.ink, fontFamily: "sans-serif" }
const splitLine = { show: true, lineStyle: { color: light.lines } }

const isOurs = (name: string): boolean => /^(?:effect-entra|ours|S3-FIFO)/.test(name)
const isFloor = (name: string): boolean => /^floor|generator alone/.test(name)

/**
 * Ours are blue, with a wide line; a floor is gray and dashed. Of the others an earlier one has the wider line, so that it
 * is seen under a later one with the same figures.
 */
const styleOf = (name: string, series: Plot["series"]) => {
  if (isFloor(name)) return { color: floorColor, width: 2, dash: "dashed" }
  const isAlike = series.some((one) => isOurs(one.name))
    ? (other: string) => isOurs(other) === isOurs(name)
    : () => true
  const alike = series.filter((one) => !isFloor(one.name) && isAlike(one.name)).map((one) => one.name)
  const place = alike.indexOf(name)
  return isOurs(name) || alike.length === series.length
    ? { color: own[place % own.length], width: 3, dash: "solid" }
    : { color: others[place % others.length], width: 2 * (alike.length - place), dash: "solid" }
}

/** A style sheet overrides the attributes of an element, so the picture follows the reader's background. */
const withDarkColors = (svg: string): string => {
  const rules = (["paper", "ink", "lines"] as const).flatMap((part) =>
    ["fill", "stroke"].map((attribute) => `[${attribute}="${light[part]}"]{${attribute}:${dark[part]}}`)
  )
  return svg.replace(/>/, `><style>@media (prefers-color-scheme:dark){${rules.join("")}}</style>`)
}
