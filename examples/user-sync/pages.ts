/** The pages: HTML without scripts. Each page is a plain function of its data. */
import type { ConfidentialClient } from "effect-entra"
import { type Html, html, type Value } from "./html.ts"
import type { Account, Session } from "./sessions.ts"
import { type Found, pagesOf, type Tenant } from "./store.ts"

/** A message after a form: the address of the page has its name. */
export const notices = {
  connected: "Your organization is connected. Its users are being read.",
  disconnected: "Your organization is disconnected. Its users and tokens are deleted here.",
  wanted: "The users are being read again."
} as const
export type Notice = keyof typeof notices

/** The results of a search. */
export interface Search extends Found {
  readonly text: string
}

export const signIn = (session: Session, accounts: ReadonlyArray<Account>): Html =>
  layout(
    { title: "Demo sign-in", session },
    html`
    <p class="note">This is not a real sign-in: anyone can choose any account. Replace it by your own sign-in.</p>
    <form method="post" action="/sign-in">
      ${hidden(session)}
      <fieldset>
        <legend>Who are you?</legend>
        ${
      accounts.map((account, index) =>
        html`<label><input type="radio" name="account" value="${index}" required> ${account.name}${
          account.kind === "operator" ? " (sees all tenants)" : ""
        }</label>`
      )
    }
      </fieldset>
      <button>Sign in</button>
    </form>`
  )

/** Returns the page of a customer whose tenant is not connected. */
export const connect = (session: Session, customer: string, notice: Notice | undefined): Html =>
  layout(
    { title: `Connect ${customer}`, session, notice },
    html`
    <p>This app lists the users of your organization. It reads them from Microsoft Graph.</p>
    <p>An administrator of your organization has to agree. The button leads to the page of Microsoft where they do.</p>
    ${button(session, "/connect", `Connect ${customer}`)}`
  )

/** Returns the page of a customer whose tenant is connected. */
export const tenant = (
  session: Session,
  tenant: Tenant,
  search: Search,
  options: { readonly notice: Notice | undefined; readonly isFollowed: boolean }
): Html =>
  layout(
    { title: `Users of ${tenant.customer}`, session, notice: options.notice },
    html`
    <section aria-labelledby="sync"><h2 id="sync">Sync</h2>
      ${progress(tenant)}
      ${following(options.isFollowed)}
      <div class="actions">
        ${button(session, "/sync", "Sync now")}
        ${tenant.state.phase === "failed" ? button(session, "/connect", `Connect ${tenant.customer} again`) : undefined}
        <a class="button quiet" href="/disconnect">Disconnect …</a>
      </div>
    </section>
    <section aria-labelledby="users"><h2 id="users">Users</h2>
      <form method="get" action="/" role="search">
        <label for="q">Search by name or sign-in name</label>
        <div class="actions"><input id="q" name="q" type="search" value="${search.text}" maxlength="200"><button>Search</button></div>
      </form>
      ${results(search)}
    </section>`
  )

export const disconnect = (session: Session, { customer, users }: Tenant): Html =>
  layout(
    { title: `Disconnect ${customer}?`, session },
    html`
    <p>${
      plural(users, "user")
    } and the tokens of ${customer} are deleted here. Nothing changes in ${customer} itself. To
      take the permission back, an administrator deletes this app under Enterprise applications.</p>
    <div class="actions">
      ${button(session, "/disconnect", `Disconnect ${customer}`)}
      <a class="button quiet" href="/">Keep it connected</a>
    </div>`
  )

/** Returns the page of the operator. It has no names of users: they belong to the customers. */
export const overview = (
  session: Session,
  tenants: ReadonlyArray<Tenant>,
  stats: ConfidentialClient.ClientStats,
  isFollowed: boolean
): Html =>
  layout(
    { title: "Connected tenants", session },
    html`
    ${following(isFollowed)}
    ${
      tenants.length === 0
        ? html`<p>No tenant is connected. Sign in as a customer to connect one.</p>`
        : tenants.map((tenant) => {
          const id = `tenant-${tenant.tenantId}`
          return html`<article aria-labelledby="${id}"><h2 id="${id}">${tenant.customer}</h2>
          <p class="id">${tenant.tenantId}</p>${progress(tenant)}</article>`
        })
    }
    <section aria-labelledby="cache"><h2 id="cache">Token cache</h2>
      ${
      facts([
        ["Tokens", stats.entries],
        ["Size", `${(stats.bytes / 1024).toFixed(1)} KiB`],
        ["Hit rate", `${(stats.hitRate * 100).toFixed(1)} % (${stats.hits} of ${stats.hits + stats.misses})`],
        ["Refreshes", stats.refreshes],
        ["Evictions", stats.evictions],
        ["Throttled now", stats.throttled],
        ["Refused now", stats.refused]
      ])
    }
    </section>`
  )

/** Returns a page with the reason why a request failed, and with the remedy. */
export const message = (
  session: Session | undefined,
  options: {
    readonly title: string
    readonly text: string
    readonly remedy: string
    readonly code?: string | undefined
  }
): Html =>
  layout(
    { title: options.title, session },
    html`
    <div class="problem">
      <p>${options.text}</p>
      <p><strong>What to do:</strong> ${options.remedy}</p>
      ${options.code === undefined ? undefined : html`<p class="id">${options.code}</p>`}
    </div>
    <p><a href="/">Go to the start page</a></p>`
  )

/** Returns a button that sends a form. */
export const button = (session: Session, action: string, text: string, fields: Html = html``): Html =>
  html`<form method="post" action="${action}">${hidden(session)}${fields}<button>${text}</button></form>`

/** Returns a whole page around its content. */
export const layout = (
  { notice, session, title }: {
    readonly title: string
    readonly session: Session | undefined
    readonly notice?: Notice | undefined
  },
  content: Html
): Html =>
  html`<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} – User sync</title>
  <link rel="icon" href="/icon.svg">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <a class="skip" href="#main">Skip to the content</a>
  <header>
    <a class="brand" href="/">User sync</a>
    ${
    session?.account === undefined
      ? undefined
      : html`<div class="account"><span>${session.account.name}</span>${button(session, "/sign-out", "Sign out")}</div>`
  }
  </header>
  <main id="main" tabindex="-1">
    <h1>${title}</h1>
    ${notice === undefined ? undefined : html`<p class="notice" role="status">${notices[notice]}</p>`}
    ${content}
  </main>
</body>
</html>
`

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const hidden = ({ csrf }: Session): Html => html`<input type="hidden" name="csrf" value="${csrf}">`

const plural = (count: number, noun: string): string => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`

const phases: Readonly<Record<Tenant["state"]["phase"], string>> = {
  queued: "Waiting for its turn",
  syncing: "Reading users",
  upToDate: "Up to date",
  waiting: "Waiting, as the service asked",
  failed: "Stopped by an error"
}

const progress = ({ state, users }: Tenant): Html => {
  const { problem } = state
  return html`${
    facts([
      ["State", html`<span class="phase ${state.phase}">${phases[state.phase]}</span>`],
      ["Users", users.toLocaleString("en")],
      [
        state.cursor.at === "changes" && state.phase !== "syncing" ? "Last round" : "This round",
        `${state.kind === "full" ? "all users" : "changes"}, ${plural(state.pages, "page")}, ${
          plural(state.changed, state.kind === "full" ? "user" : "change")
        }`
      ],
      ["Last complete", state.syncedAt === null ? "never" : time(state.syncedAt)],
      ["Next round", state.phase === "syncing" ? "now" : time(state.dueAt)]
    ])
  }
  ${
    problem === null ? undefined : html`<div class="problem">
      <p><strong>Last error:</strong> ${problem.message}</p>
      <p><strong>What to do:</strong> ${problem.remedy}</p>
      <p class="id">${problem.code}, ${time(problem.at)}</p></div>`
  }`
}

const following = (isFollowed: boolean): Html =>
  isFollowed
    ? html`<p>This page updates itself every 2 seconds. <a href="/">Stop</a></p>`
    : html`<p><a href="/?follow=1">Follow the progress</a> (the page then updates itself)</p>`

const facts = (rows: ReadonlyArray<readonly [name: string, value: Value]>): Html =>
  html`<dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`

const time = (millis: number): Html => {
  const iso = new Date(millis).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")} UTC</time>`
}

const results = ({ page, text, total, users }: Search): Html => {
  const pages = pagesOf(total)
  const link = (to: number, label: string) => {
    const query = new URLSearchParams({ ...(text === "" ? {} : { q: text }), page: String(to) })
    return html`<a href="/?${query.toString()}">${label}</a>`
  }
  const found = text === "" ? plural(total, "user") : `${plural(total, "user")} for “${text}”`
  return html`<p>${found}${pages === 1 ? "" : `, page ${page} of ${pages}`}</p>
    ${
    users.length === 0 ? undefined : html`<table>
      <caption>Users, by name</caption>
      <thead><tr><th scope="col">Name</th><th scope="col">Sign-in name</th></tr></thead>
      <tbody>${
      users.map(({ name, principalName }) =>
        html`<tr><th scope="row">${name === "" ? "(no name)" : name}</th><td>${principalName}</td></tr>`
      )
    }</tbody>
    </table>`
  }
    ${
    pages === 1 ? undefined : html`<nav aria-label="Pages of users" class="actions">
      ${page > 1 ? link(page - 1, "Previous page") : undefined}
      ${page < pages ? link(page + 1, "Next page") : undefined}
    </nav>`
  }`
}
