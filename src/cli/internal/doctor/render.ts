/** Writes findings as text for a terminal. */
import type { Style } from "../style.ts"
import type { Finding, Report } from "./finding.ts"

const labels = { ok: "ok  ", warn: "warn", fail: "FAIL", skipped: "skip" } as const

const stepWidth = 14

/** Returns the lines of a finding: its detail, the remedy, and the identifiers for a search or for support. */
export const textOf = (finding: Finding, { bold, dim, green, red, yellow }: Style): string => {
  const colors = { ok: green, warn: yellow, fail: red, skipped: dim } as const
  const color = colors[finding.status]
  const first = `${color(labels[finding.status])}  ${bold(finding.step.padEnd(stepWidth))}${finding.detail}`
  if (finding.status === "ok" || finding.status === "skipped") return first
  const indent = " ".repeat(labels.ok.length + 2 + stepWidth)
  const reference = [
    finding.code,
    ...(finding.aadsts ?? []).map((code) => `AADSTS${code}`),
    ...(finding.correlationId === undefined ? [] : [`correlation id ${finding.correlationId}`])
  ].filter((part) => part !== undefined)
  return [
    first,
    `${indent}${bold("Fix:")} ${finding.remedy}`,
    ...(reference.length === 0 ? [] : [`${indent}${dim(reference.join(", "))}`])
  ].join("\n")
}

/** Returns a line that sums up a report. */
export const summaryOf = ({ findings }: Report): string => {
  const stepsWith = (
    status: Finding["status"]
  ) => [...new Set(findings.filter((finding) => finding.status === status).map(({ step }) => step))]
  const [failed, warned] = [stepsWith("fail"), stepsWith("warn")]
  return [
    failed.length === 0 ? "No check failed" : `Failed: ${failed.join(", ")}`,
    ...(warned.length === 0 ? [] : [`warnings: ${warned.join(", ")}`])
  ].join("; ") + "."
}
