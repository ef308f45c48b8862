/** Writes REPORT.md and the plots anew from `results/`, without measuring anything. */
import { writeReport } from "./support/report.ts"

await writeReport()
