/**
 * The script of the page. It runs in the browser, as the text of this function: it uses no other value of this module
 * and no import. Every text of a request is inserted as text, and not as HTML.
 */
import type { Message } from "./monitor.ts"

export const pageScript = (): void => {
  const rowLimit = 200
  const announceEvery = 10_000

  const find = <E extends Element>(selector: string, type: new() => E): E => {
    const found = document.querySelector(selector)
    if (!(found instanceof type)) throw new Error(`The page has no ${selector}.`)
    return found
  }
  const element = (id: string) => find(`#${id}`, HTMLElement)
  const create = (name: string, text = "") => {
    const made = document.createElement(name)
    made.textContent = text
    return made
  }

  const announce = (text: string) => {
    element("announcement").textContent = text
  }
  const complain = (text: string) => {
    element("notice").textContent = text.trim()
    announce(text)
  }

  // ---------------------------------------------------------------------------
  // requests
  // ---------------------------------------------------------------------------

  const body = find("#requests tbody", HTMLElement)
  const columns = [...document.querySelectorAll("#requests th")].map((heading) => ({
    name: heading.getAttribute("data-column") ?? "",
    label: heading.textContent ?? ""
  }))
  const time = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" })
  /** Rows that arrived while the table is paused. */
  let waiting: Array<Message["rows"][number]> = []
  let isPaused = false
  const news = { requests: 0, failures: 0, at: 0 }

  const rowOf = (row: Message["rows"][number]) => {
    const texts: Readonly<Record<string, string>> = {
      ...row,
      at: time.format(row.at),
      answer: `${{ ok: "✓", refused: "✗", failed: "!" }[row.outcome]} ${row.answer}`,
      ms: String(row.ms),
      fault: ""
    }
    const made = create("tr")
    made.setAttribute("role", "row")
    made.setAttribute("data-outcome", row.outcome)
    for (const { label, name } of columns) {
      const cell = create("td")
      cell.setAttribute("role", "cell")
      cell.setAttribute("data-column", name)
      cell.setAttribute("data-label", label)
      const text = texts[name] ?? ""
      if (text !== "") {
        const content = create("span", text)
        if (name === "answer" && row.fault) {
          const badge = create("span", "fault")
          badge.className = "badge"
          content.append(badge)
        }
        cell.append(content)
      }
      made.append(cell)
    }
    return made
  }

  const showRows = () => {
    const made = waiting.splice(0).slice(-rowLimit).toReversed().map(rowOf)
    body.prepend(...made)
    while (body.childElementCount > rowLimit) body.lastElementChild?.remove()
    element("no-requests").hidden = body.childElementCount > 0
  }

  // ---------------------------------------------------------------------------
  // lists
  // ---------------------------------------------------------------------------

  const fill = (id: string, items: ReadonlyArray<HTMLElement>) => {
    element(id).replaceChildren(...items)
    element(`no-${id}`).hidden = items.length > 0
  }
  /** Fills a list, unless it has not changed: screen readers and selections keep their place. */
  const fillTexts = (id: string, texts: ReadonlyArray<string>) => {
    const shown = [...element(id).children].map(({ textContent }) => textContent)
    if (shown.length !== texts.length || texts.some((text, index) => text !== shown[index])) {
      fill(id, texts.map((text) => create("li", text)))
    }
  }

  let throttled: Message["throttled"] = []
  const showThrottled = () => {
    throttled = throttled.filter(({ until }) => until > Date.now())
    fillTexts("throttled", throttled.map(({ key, until }) => `${key}, until ${time.format(until)}`))
  }

  let listedFaults = ""
  /** Fills the list of faults, unless it has not changed, so that a button keeps the focus. */
  const showFaults = (faults: Message["faults"]) => {
    const next = JSON.stringify(faults)
    if (next === listedFaults) return
    listedFaults = next
    const hadFocus = element("faults").contains(document.activeElement) ||
      document.activeElement === element("clear-faults")
    fill(
      "faults",
      faults.map(({ id, text }) => {
        const item = create("li", text)
        item.id = `fault-${id}`
        const button = create("button", "Switch off")
        button.setAttribute("type", "button")
        button.setAttribute("aria-describedby", item.id)
        button.addEventListener("click", () => void change("DELETE", `/${id}`, "The fault is switched off."))
        item.append(" ", button)
        return item
      })
    )
    element("clear-faults").hidden = faults.length === 0
    if (hadFocus) (document.querySelector<HTMLElement>("#faults button") ?? element("kind")).focus()
  }

  // ---------------------------------------------------------------------------
  // messages
  // ---------------------------------------------------------------------------

  const receive = (message: Message) => {
    waiting.push(...message.rows)
    waiting = waiting.slice(-rowLimit)
    if (!isPaused) showRows()
    element("count").textContent = String(message.requests)
    throttled = message.throttled
    showThrottled()
    fillTexts("tokens", message.tokens.map(({ count, tenant }) => `${tenant}: ${count}`))
    showFaults(message.faults)
    news.requests += message.rows.length
    news.failures += message.rows.filter(({ outcome }) => outcome !== "ok").length
  }

  const announceNews = () => {
    if (news.requests === 0 || Date.now() - news.at < announceEvery) return
    announce(`New requests: ${news.requests}. Without success: ${news.failures}.`)
    Object.assign(news, { requests: 0, failures: 0, at: Date.now() })
  }

  const connect = () => {
    const events = new EventSource("/_simulator/events")
    let isFirst = true
    events.addEventListener("open", () => {
      isFirst = true
      element("connection").textContent = `Connected to ${location.origin}`
    })
    events.addEventListener("message", ({ data }) => {
      // The first message of a connection repeats rows that the page may already have.
      if (isFirst) {
        body.replaceChildren()
        waiting = []
      }
      const message: Message = JSON.parse(String(data))
      receive(message)
      if (isFirst) Object.assign(news, { requests: 0, failures: 0 })
      isFirst = false
    })
    events.addEventListener("error", () => {
      element("connection").textContent = "Not connected. The simulator has stopped or is starting."
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2000)
    })
  }

  // ---------------------------------------------------------------------------
  // controls
  // ---------------------------------------------------------------------------

  // oxlint-disable-next-line no-restricted-globals -- the fetch of the browser
  const send = (path: string, init: RequestInit = {}) => fetch(`/_simulator/${path}`, init)

  const change = async (method: string, path: string, done: string, fault?: unknown): Promise<void> => {
    element("notice").textContent = ""
    try {
      const response = await send(`faults${path}`, {
        method,
        ...(fault === undefined
          ? {}
          : { headers: { "content-type": "application/json" }, body: JSON.stringify(fault) })
      })
      const text = await response.text()
      if (!response.ok) return complain(text)
      const faults: Message["faults"] = JSON.parse(text)
      showFaults(faults)
      announce(done)
    } catch {
      complain("The simulator does not answer.")
    }
  }

  const kind = find("#kind", HTMLSelectElement)
  const showKind = () => {
    for (const fieldset of document.querySelectorAll<HTMLFieldSetElement>("fieldset[data-kind]")) {
      const isOther = fieldset.getAttribute("data-kind") !== kind.value
      fieldset.hidden = isOther
      fieldset.disabled = isOther
    }
  }

  /** Returns the value of a field as JSON has it; undefined if the field is empty. */
  const valueOf = (field: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement) => {
    const { value } = field
    const type = field.getAttribute("data-type")
    if (value.trim() === "") return undefined
    if (type === "number" || (type === "choice" && /^\d+$/.test(value))) return Number(value)
    if (type !== "headers") return value
    return Object.fromEntries(
      value.split("\n").filter((line) => line.trim() !== "").map((line) => {
        const [name = "", ...rest] = line.split(":")
        return [name.trim(), rest.join(":").trim()]
      })
    )
  }

  find("#fault", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault()
    const fields = [
      ...document.querySelectorAll<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>(
        "#fault fieldset:not([disabled]) [data-name]"
      )
    ]
    const fault = Object.fromEntries(
      fields.map((field) => [field.getAttribute("data-name") ?? "", valueOf(field)] as const)
    )
    void change("POST", "", "The fault is switched on.", { kind: kind.value, ...fault })
  })
  kind.addEventListener("change", showKind)
  element("clear-faults").addEventListener("click", () => void change("DELETE", "", "All faults are switched off."))

  element("pause").addEventListener("click", () => {
    isPaused = !isPaused
    element("pause").setAttribute("aria-pressed", String(isPaused))
    if (!isPaused) showRows()
  })
  element("clear").addEventListener("click", () => {
    body.replaceChildren()
    waiting = []
    showRows()
  })

  const copy = async (): Promise<void> => {
    element("notice").textContent = ""
    try {
      const shell = find("#shell", HTMLSelectElement).value
      const response = await send(`environment?shell=${shell}`)
      if (!response.ok) return complain(await response.text())
      await navigator.clipboard.writeText(await response.text())
      announce("The environment is copied.")
      element("copy").textContent = "Copied"
      setTimeout(() => {
        element("copy").textContent = "Copy the environment"
      }, 2000)
    } catch {
      complain("The browser does not let the page copy. Copy the environment from the terminal.")
    }
  }
  element("copy").addEventListener("click", () => void copy())

  showKind()
  connect()
  setInterval(() => {
    showThrottled()
    announceNews()
  }, 1000)
}
