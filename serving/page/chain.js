// The reasoning chain: plain text while it grows, then with its citations bound to the history.

import { byId, make } from "./dom.js";
import { titleOf } from "./history.js";
import { chainParts, chips, nameOf } from "./tokens.js";

const BETWEEN_STAGES = " | ";
const BETWEEN_CITATIONS = "\u2002"; // A wide space.
const LABEL = /^[\w -]{1,24}: /;

export class Chain {
  /** @param {function(string)} onVisit told of the item id of a citation that was followed. */
  constructor(onVisit) {
    this.onVisit = onVisit;
    this.text = byId("chain-text");
    this.hint = byId("chain-hint");
    this.grown = "";
  }

  begin() {
    this.grown = "";
    this.hint.textContent = "";
    this.text.ariaBusy = "true";
    this.text.classList.add("waiting");
  }

  grow(piece) {
    this.grown += piece;
    this.text.classList.remove("waiting");
    this.text.classList.add("growing");
    this.text.replaceChildren(...paragraphs([{ text: this.grown }], this.onVisit));
  }

  /**
   * @param {?{chain: string, cited: string[]}} reasoning of the answer.
   * @param {Object[]} entries the history that it may cite.
   */
  finish(reasoning, entries) {
    this.#settle();
    const items = new Map(entries.map((entry) => [nameOf(entry.tokens), entry]));
    const parts = reasoning ? chainParts(reasoning.chain, items) : [];
    this.text.replaceChildren(...paragraphs(parts, this.onVisit));
    if (!parts.length) this.text.replaceChildren(make("p", { className: "soft" }, "No chain came with this answer."));
    else if (parts.some((part) => part.item)) this.hint.textContent = "a citation lights up its item in the history";
    else this.hint.textContent = "this one cites nothing of the history";
  }

  fail() {
    this.#settle();
    this.text.replaceChildren(make("p", { className: "soft" }, "There is no chain, because the answer failed."));
  }

  #settle() {
    this.text.ariaBusy = "false";
    this.text.classList.remove("waiting", "growing");
  }
}

/** One paragraph for each stage of a chain. */
function paragraphs(parts, onVisit) {
  const found = [make("p")];
  for (const [place, part] of parts.entries()) {
    if (part.item && parts[place - 1]?.item) found.at(-1).append(BETWEEN_CITATIONS);
    if (part.item) found.at(-1).append(citation(part.item, onVisit));
    else if (part.tokens) found.at(-1).append(chips(part.tokens));
    else {
      part.text.split(BETWEEN_STAGES).forEach((text, stage) => {
        if (stage) found.push(make("p"));
        const label = found.at(-1).childNodes.length ? null : LABEL.exec(text);
        if (label) found.at(-1).append(make("b", {}, label[0]));
        found.at(-1).append(text.slice(label ? label[0].length : 0));
      });
    }
  }
  return found.filter((paragraph) => paragraph.textContent.trim());
}

function citation(entry, onVisit) {
  const follow = (event) => {
    event.preventDefault();
    onVisit(entry.item_id);
  };
  const properties = { href: "#history-list", className: "citation", "data-cites": entry.item_id, onclick: follow };
  return make("a", properties, titleOf(entry));
}
