/** Whether a text is the JSON of an object that is not nested out of all measure: what writes it again goes down as deep. */
export const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value) && isWithin(levels, value)
  } catch {
    return false
  }
}

const levels = 64

const isWithin = (levels: number, value: unknown): boolean =>
  typeof value !== "object" || value === null ||
  (levels > 0 && Object.values(value).every((member) => isWithin(levels - 1, member)))
