// The history, newest first, and the light on an item of it that something else on the page points at.

import { byId, make, replaceKeepingFocus } from "./dom.js";
import { chips } from "./tokens.js";

/**
 * An event of the history, as the API's HistoryEntry; in the page also what was added by hand.
 * @typedef {{item_id: string, title: ?string, tokens: string[], timestamp: ?number}} Entry
 */

export const titleOf = (entry) => entry.title ?? entry.item_id;

export class HistoryList {
  /** @param {function(number)} onRemove told of the place (oldest first) of an entry to remove. */
  constructor(onRemove) {
    this.onRemove = onRemove;
    this.list = byId("history-list");
    for (const type of ["pointerover", "focusin"]) document.addEventListener(type, (event) => this.#follow(event));
  }

  /** @param {Entry[]} entries oldest first. */
  show(entries) {
    const rows = entries.map((entry, place) => this.#row(entry, place));
    replaceKeepingFocus(this.list, rows.reverse());
    byId("history-facts").textContent = entries.length ? `${entries.length}, newest first` : "empty";
  }

  /** Mark the items that a chain cites. */
  markCited(ids) {
    for (const row of this.list.children) row.classList.toggle("cited", ids.includes(row.dataset.item));
  }

  /** Bring an item into view and give it the focus: what a click on a citation does. */
  visit(id) {
    const row = this.#rows(id)[0];
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  }

  #row(entry, place) {
    const title = titleOf(entry);
    const remove = make("button", { type: "button", className: "small", onclick: () => this.onRemove(place) }, "×");
    remove.ariaLabel = `Remove ${title}`;
    const name = entry.tokens.length ? chips(entry.tokens) : "not in this policy";
    const facts = make("div", { className: "row-facts" }, name);
    facts.append(" ", entry.timestamp === null ? make("em", {}, "added") : moment(entry.timestamp));
    facts.append(" ", make("span", { className: "cited-mark" }, "cited"));
    const row = make("li", { "data-item": entry.item_id, tabIndex: -1 }, make("span", { className: "title" }, title));
    row.append(remove, facts);
    return row;
  }

  /** What is pointed at, or else has the focus, lights up the item that it names by `data-cites`. */
  #follow(event) {
    const source = event.target.closest("[data-cites]") ?? document.activeElement?.closest("[data-cites]");
    for (const row of this.list.querySelectorAll(".lit")) row.classList.remove("lit");
    const rows = source ? this.#rows(source.dataset.cites) : [];
    for (const row of rows) row.classList.add("lit");
    if (rows.length) this.#reveal(rows[0]);
  }

  /** Scroll the list alone, never the page. */
  #reveal(row) {
    const above = row.offsetTop - this.list.scrollTop;
    if (above >= 0 && above + row.offsetHeight <= this.list.clientHeight) return;
    this.list.scrollTo({ top: row.offsetTop - (this.list.clientHeight - row.offsetHeight) / 2 });
  }

  #rows(id) {
    return [...this.list.children].filter((row) => row.dataset.item === id);
  }
}

/** A day; below FIRST_CLOCK of serving/contracts.py it is a position in an order, and no clock. */
function moment(timestamp) {
  if (timestamp < 100_000_000) return String(timestamp);
  const day = new Date(1000 * timestamp).toISOString().slice(0, 10);
  return make("time", { dateTime: day }, day);
}
