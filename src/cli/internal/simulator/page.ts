/**
 * The page of the simulator: its HTML and its styles. It contains no data: `pageScript.ts` adds them in the browser.
 */
import { pageScript } from "./pageScript.ts"

// -----------------------------------------------------------------------------
// the form of a fault
// -----------------------------------------------------------------------------

interface Field {
  /** The name of the member that the field sets. */
  readonly name: string
  readonly label: string
  readonly type: "number" | "text" | "headers" | ReadonlyArray<string>
  readonly value?: string | undefined
  readonly required?: boolean | undefined
}

const retryAfter: Field = { name: "retryAfter", label: "Retry-After, in seconds", type: "number", value: "30" }
const format: Field = { name: "format", label: "Format of Retry-After", type: ["seconds", "date"] }
const status = (value: string): Field => ({ name: "status", label: "Status", type: "number", value })

/** The kinds of `faultInput.ts`, with the fields of each. */
const kinds: ReadonlyArray<readonly [kind: string, label: string, fields: ReadonlyArray<Field>]> = [
  ["throttled", "Throttled (429)", [retryAfter, format]],
  ["unavailable", "Unavailable (5xx)", [
    status("503"),
    { ...retryAfter, value: "" },
    format,
    { name: "body", label: "Body", type: ["json", "html"] }
  ]],
  ["delay", "Delay", [{ name: "milliseconds", label: "Milliseconds", type: "number", value: "2000", required: true }]],
  ["dropped", "Dropped connection", []],
  ["refused", "Refused (AADSTS)", [
    { name: "code", label: "AADSTS code", type: "number", value: "65001", required: true },
    { name: "error", label: "Error", type: "text", value: "invalid_grant", required: true },
    status("400"),
    { name: "text", label: "Text", type: "text" },
    { name: "suberror", label: "Suberror", type: "text" },
    { name: "claims", label: "Claims", type: "text" },
    { ...retryAfter, value: "" }
  ]],
  ["loopDetected", "Loop detected (AADSTS50196)", []],
  ["malformed", "Malformed response", [{
    name: "content",
    label: "Content",
    type: ["notJson", "noAccessToken", "cut"]
  }]],
  ["redirect", "Redirect", [
    { name: "location", label: "Location", type: "text", value: "https://elsewhere.example/", required: true },
    { name: "status", label: "Status", type: ["307", "301", "302", "303", "308"] }
  ]],
  ["echo", "Refusal that repeats the credential", []],
  ["hugeBody", "Huge body", [{ name: "bytes", label: "Bytes", type: "number", value: "2097152" }]],
  ["custom", "Response of your own", [
    { ...status("418"), required: true },
    { name: "headers", label: "Headers, one a line", type: "headers" },
    { name: "body", label: "Body", type: "text" }
  ]]
]

const option = (value: string, label = value) => `<option value="${value}">${label}</option>`

const control = (kind: string, { label, name, required, type, value = "" }: Field): string => {
  const id = `${kind}-${name}`
  const attributes = `id="${id}" data-name="${name}" data-type="${typeof type === "string" ? type : "choice"}"`
  const input = typeof type !== "string"
    ? `<select ${attributes}>${type.map((choice) => option(choice)).join("")}</select>`
    : type === "headers"
    ? `<textarea ${attributes} rows="2" placeholder="Retry-After: 5"></textarea>`
    : `<input ${attributes} type="${type}" value="${value}"${required === true ? " required" : ""}>`
  return `<p><label for="${id}">${label}</label>${input}</p>`
}

const fieldsets = kinds.map(([kind, label, fields], index) =>
  `<fieldset data-kind="${kind}"${index === 0 ? "" : " hidden disabled"}><legend>${label}</legend>${
    fields.length === 0 ? "<p>This fault has no settings.</p>" : fields.map((field) => control(kind, field)).join("")
  }</fieldset>`
).join("")

// -----------------------------------------------------------------------------
// the document
// -----------------------------------------------------------------------------

/** The columns of the requests: the member of a row, and its heading. */
const columns = [
  ["at", "Time"],
  ["endpoint", "Endpoint"],
  ["client", "Client"],
  ["tenant", "Tenant"],
  ["scope", "Scope"],
  ["credential", "Credential"],
  ["answer", "Answer"],
  ["ms", "ms"]
] as const

export const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated Entra ID</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/_simulator/page.css">
<script type="module" src="/_simulator/page.js"></script>
</head>
<body>
<header>
<h1>Simulated Entra ID</h1>
<p id="connection">Connecting …</p>
<p class="row">
<label for="shell">Environment for</label>
<select id="shell">${option("posix", "sh, bash, zsh")}${option("powershell", "PowerShell")}</select>
<button type="button" id="copy">Copy the environment</button>
</p>
<p role="status" id="announcement" class="spoken"></p>
<p id="notice"></p>
<noscript><p>This page needs JavaScript.</p></noscript>
</header>
<main>
<section aria-labelledby="requests-heading" class="wide">
<div class="row">
<h2 id="requests-heading">Requests</h2>
<p><span id="count">0</span> in all, the newest first</p>
<button type="button" id="pause" aria-pressed="false">Pause</button>
<button type="button" id="clear">Clear</button>
</div>
<div class="scroll" role="region" aria-label="List of requests" tabindex="0">
<table role="table" aria-labelledby="requests-heading" id="requests">
<thead role="rowgroup"><tr role="row">${
  columns.map(([name, heading]) => `<th role="columnheader" scope="col" data-column="${name}">${heading}</th>`).join("")
}</tr></thead>
<tbody role="rowgroup"></tbody>
</table>
</div>
<p id="no-requests">No request yet. Run a program with the environment of this page.</p>
</section>
<section aria-labelledby="faults-heading">
<h2 id="faults-heading">Faults</h2>
<form id="fault">
<p><label for="kind">Fault</label><select id="kind">${
  kinds.map(([kind, label]) => option(kind, label)).join("")
}</select></p>
${fieldsets}
<fieldset><legend>Where, and how often</legend>
<p><label for="endpoint">Endpoint</label><select id="endpoint" data-name="endpoint" data-type="choice">${
  ["token", "discovery", "graph", "consent"].map((name) => option(name)).join("")
}</select></p>
<p><label for="tenant">Only for tenant</label><input id="tenant" data-name="tenant" data-type="text" type="text"></p>
<p><label for="host">Only on host</label><input id="host" data-name="host" data-type="text" type="text"></p>
<p><label for="times">Times (empty: until switched off)</label><input id="times" data-name="times" data-type="number" type="number" min="1"></p>
</fieldset>
<p><button type="submit">Switch on</button></p>
</form>
<h3 id="active-heading">Switched on</h3>
<p id="no-faults">No fault. The simulator answers as the service does.</p>
<ol id="faults" aria-labelledby="active-heading"></ol>
<p><button type="button" id="clear-faults" hidden>Switch all off</button></p>
<p class="note">If several faults apply to a request, the first is used.</p>
</section>
<section aria-labelledby="tokens-heading">
<h2 id="tokens-heading">Tokens by tenant</h2>
<p id="no-tokens">No token yet.</p>
<ul id="tokens" aria-labelledby="tokens-heading"></ul>
<h2 id="throttled-heading">Throttled keys</h2>
<p id="no-throttled">No client was told to wait.</p>
<ul id="throttled" aria-labelledby="throttled-heading"></ul>
</section>
</main>
</body>
</html>
`

/** The source of a module that runs the function in the browser. */
export const script = `(${pageScript.toString()})()\n`

export const styles = `:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --accent: #0550ae; --on-accent: #ffffff; --good: #116329; --bad: #a40e26; --odd: #7d4e00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0d1117; --ink: #e6edf3; --faint: #9aa4af; --line: #3d444d; --panel: #161b22;
    --accent: #79c0ff; --on-accent: #0d1117; --good: #56d364; --bad: #ff938a; --odd: #e3b341;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 96rem; background: var(--paper); color: var(--ink); font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .25rem 0; }
header { display: grid; gap: .25rem; margin-bottom: 1rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.row h2 { margin: 0; }
.row p { color: var(--faint); margin-right: auto; }
main { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1rem; align-items: start; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; background: var(--panel); min-width: 0; }
section.wide { grid-column: 1 / -1; }
.scroll { max-height: 60vh; overflow: auto; margin-top: .5rem; }
#throttled-heading { margin-top: 1rem; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; margin: 0; }
.note, #connection, #no-requests, #no-faults, #no-tokens, #no-throttled { color: var(--faint); }
#notice:empty { display: none; }
#notice { color: var(--bad); white-space: pre-line; }
button, select, input, textarea { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--faint); border-radius: .35rem; padding: .3rem .6rem; min-height: 2rem; max-width: 100%; }
button { cursor: pointer; }
#copy, form button { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
button[aria-pressed="true"] { outline: 2px solid var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; padding: .3rem .5rem; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; unicode-bidi: isolate; }
th { color: var(--faint); font-weight: 600; border-top: 0; overflow-wrap: normal; position: sticky; top: 0; background: var(--panel); }
th[data-column="client"], th[data-column="tenant"], th[data-column="scope"], th[data-column="answer"] { width: 18%; }
th:last-child, td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
select, input { height: 2.25rem; }
td[data-column="ms"] { white-space: nowrap; }
td[data-column="at"] { white-space: nowrap; font-variant-numeric: tabular-nums; }
tr[data-outcome="ok"] td[data-column="answer"] { color: var(--good); }
tr[data-outcome="refused"] td[data-column="answer"] { color: var(--bad); }
tr[data-outcome="failed"] td[data-column="answer"] { color: var(--odd); }
.badge { display: inline-block; margin-left: .4rem; padding: 0 .4rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .75rem; }
ul, ol { margin: 0; padding-left: 1.25rem; }
li { margin: .25rem 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
#faults li button { margin-left: .5rem; }
form fieldset { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12rem), 1fr)); gap: 0 .75rem; align-items: end; border: 1px solid var(--line); border-radius: .35rem; margin: .5rem 0; padding: .25rem .75rem .5rem; min-width: 0; }
form fieldset[hidden] { display: none; }
form p { display: grid; grid-template-columns: minmax(0, 1fr); gap: .15rem; margin: .4rem 0; }
form button { justify-self: start; }
form legend, form label { color: var(--faint); font-size: .875rem; }
@media (max-width: 48rem) {
  main { grid-template-columns: minmax(0, 1fr); }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; }
  tr { border-top: 1px solid var(--line); padding: .4rem 0; }
  td, td:last-child { border: 0; padding: .1rem 0; text-align: left; display: grid; grid-template-columns: 6rem 1fr; gap: .5rem; }
  td::before { content: attr(data-label); color: var(--faint); }
  td:empty { display: none; }
  td[data-column="at"] { white-space: normal; }
}
@media (forced-colors: active) { #copy, form button { border: 2px solid ButtonText; } }
`
