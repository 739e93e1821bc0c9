// A field that finds items by their titles and adds one: a combobox with a list below it.

import { findItems } from "./api.js";
import { byId, count, make } from "./dom.js";
import { chips } from "./tokens.js";

const LIMIT = 12;
const PAUSE_MS = 120;

export class ItemSearch {
  /** @param {function(Object)} onPick told of the ItemView that was chosen. */
  constructor(onPick) {
    this.onPick = onPick;
    this.input = byId("item-query");
    this.list = byId("item-options");
    this.status = byId("item-status");
    this.items = [];
    this.active = -1;
    this.asked = new AbortController();
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.#close());
    // Before the field loses the focus, and with it the list its place.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      this.#pick([...this.list.children].indexOf(event.target.closest("[role=option]")));
    });
  }

  #typed() {
    clearTimeout(this.pause);
    this.asked.abort();
    this.items = []; // What is still listed was found by another query: Enter does not pick of it.
    this.#activate(-1);
    const query = this.input.value.trim();
    if (query) this.pause = setTimeout(() => this.#search(query), PAUSE_MS);
    else this.#close();
  }

  async #search(query) {
    this.asked = new AbortController();
    try {
      const { items } = await findItems(query, LIMIT, this.asked.signal);
      this.#open(items);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#close();
      this.status.textContent = `The search failed: ${error.message}`;
    }
  }

  #open(items) {
    this.items = items;
    this.list.replaceChildren(...items.map(option));
    const found = items.length > 0;
    this.list.hidden = !found;
    this.input.ariaExpanded = String(found);
    this.status.textContent = found ? `${count(items.length, "item")} found` : "No item has these words in its title.";
    this.status.classList.toggle("unseen", found);
    this.#activate(found ? 0 : -1);
  }

  #close() {
    this.asked.abort();
    clearTimeout(this.pause);
    this.items = [];
    this.list.hidden = true;
    this.input.ariaExpanded = "false";
    this.status.textContent = "";
    this.#activate(-1);
  }

  #key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps && this.items.length) {
      this.#activate((this.active + steps[event.key] + this.items.length) % this.items.length);
    } else if (event.key === "Enter") this.#pick(this.active);
    else if (event.key === "Escape") this.#close();
    else return;
    event.preventDefault();
  }

  #activate(place) {
    this.active = place;
    [...this.list.children].forEach((row, other) => row.setAttribute("aria-selected", String(other === place)));
    const row = this.list.children[place];
    row?.scrollIntoView({ block: "nearest" });
    if (row) this.input.setAttribute("aria-activedescendant", row.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  #pick(place) {
    const item = this.items[place];
    if (!item) return;
    this.input.value = "";
    this.#close();
    this.onPick(item);
  }
}

function option(item, place) {
  const facts = make("div", { className: "row-facts" }, chips(item.tokens), item.categories.join(", "));
  const title = make("span", { className: "title" }, item.title);
  return make("li", { role: "option", id: `item-option-${place}` }, title, facts);
}
