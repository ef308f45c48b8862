/** Text of callers and of services, as our messages show it. */

/**
 * Returns `value` as a message shows it: quoted, cut at 100 characters, with control characters and invisible or
 * direction-changing characters escaped.
 */
export const quote = (value: string): string =>
  JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}...` : value)
    .replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) =>
      `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
