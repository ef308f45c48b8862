/** Text of callers and of services, as our messages show it, and the patterns that several modules look for. */

/**
 * Returns `value` as a message shows it: quoted, cut at 100 characters and before the content of a key, with control
 * characters and invisible or direction-changing characters escaped.
 */
export const quote = (value: string): string =>
  JSON.stringify((value.length > 100 ? `${value.slice(0, 100)}...` : value).replace(/-----[^]*/, "-----..."))
    .replace(
      /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
    )

/** Returns `text` with a full stop at its end, unless it ends a sentence already. */
export const sentence = (text: string): string => /[.!?]["')]?$/.test(text) ? text : `${text}.`

/** Returns a remedy that begins with the special remedy, if there is one. */
export const withRemedy = (special: string | undefined, general: string): string =>
  special === undefined || special === "" ? general : `${special} ${general}`

/** Returns whether `text` is a GUID (RFC 9562 section 4), in either case. */
export const isGuid = (text: string): boolean => text.length === 36 && guidIn(text) === text

/** Returns the first GUID in `text`. */
export const guidIn = (text: string): string | undefined => guidPattern.exec(text)?.[0]

export const guidPattern = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i

/** Returns whether `host`, as a URL has it, never leaves this machine (RFC 6761 section 6.3, RFC 1122, RFC 4291). */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host)
