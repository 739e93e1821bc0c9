// One mode's recommendations: each with its share, its name, why it is here, and how it moved.

import { compare, glide, markOf, sentenceOf } from "./changes.js";
import { byId, count, make, problemNotice, replaceKeepingFocus } from "./dom.js";
import { chips } from "./tokens.js";

export class Ranking {
  /**
   * @param {string} mode `direct` or `reasoning`; also the section's id.
   * @param {function(Object)} onAdd told of a recommended item that goes into the history.
   * @param {function()} onRetry
   */
  constructor(mode, onAdd, onRetry) {
    this.mode = mode;
    this.section = byId(mode);
    this.list = this.#part("ol");
    this.onAdd = onAdd;
    this.onRetry = onRetry;
    this.forget();
  }

  /** Compare the next answer with nothing: it is about somebody else. */
  forget() {
    this.answer = null;
    this.changes = [];
  }

  /** Compare the next answer with the one that is shown, and say that this is what changed. */
  note(change) {
    this.changes.push(change);
  }

  wait() {
    this.section.ariaBusy = "true";
    this.#part(".notices").replaceChildren();
  }

  /**
   * @param {Object} answer a RecommendResponse.
   * @param {number} milliseconds that it took, as seen from here.
   * @param {string[]} history item ids; the answer holds none of them.
   */
  show(answer, milliseconds, history) {
    const changes = this.answer && this.changes.length ? compare(this.answer.items, answer.items, history) : null;
    const rows = answer.items.map((item, place) => this.#row(item, place, changes?.steps.get(item.item_id)));
    glide(this.list, () => replaceKeepingFocus(this.list, rows));
    const told = changes ? sentenceOf(this.changes, changes) : "";
    const dropped = changes?.dropped.map((item) => item.title) ?? [];
    this.#tell(".facts", `${Math.round(milliseconds).toLocaleString("en")} ms · policy ${answer.policy_version}`);
    this.#tell(".since", rows.length ? told : "Nothing is left to recommend.");
    this.#tell(".dropped", dropped.length ? `No longer among them: ${dropped.join(", ")}` : "");
    this.#tell(".told", `${this.mode}: ${count(rows.length, "item")}. ${told}`);
    this.section.classList.remove("stale");
    this.section.ariaBusy = "false";
    this.answer = answer;
    this.changes = [];
  }

  /** What stands here answered another question; it stays, dimmed, only to be compared with. */
  fail(problem) {
    this.section.ariaBusy = "false";
    this.section.classList.add("stale");
    this.#part(".notices").replaceChildren(problemNotice(problem, this.onRetry));
    if (this.answer) return;
    this.list.replaceChildren();
    for (const selector of [".facts", ".since", ".dropped"]) this.#tell(selector, "");
  }

  #row(item, place, steps) {
    const share = Math.exp(item.score);
    const add = make("button", { type: "button", className: "small", onclick: () => this.onAdd(item) }, "+");
    add.ariaLabel = `Add ${item.title} to the history`;
    const row = make(
      "li",
      { "data-item": item.item_id, title: `score ${item.score.toFixed(3)}` },
      make("span", { className: "place" }, String(place + 1)),
      make("span", { className: "title" }, item.title, ...markOf(steps)),
      make("span", { className: "share" }, percent(share)),
      add,
      make("span", { className: "bar", "aria-hidden": "true" }),
      make("div", { className: "why" }, chips(item.tokens, item.tokens[0], 0, item.why.shared_levels), item.why.text),
    );
    if (item.why.because !== null) row.dataset.cites = item.why.because;
    row.style.setProperty("--share", share);
    return row;
  }

  #part(selector) {
    return this.section.querySelector(selector);
  }

  #tell(selector, text) {
    this.#part(selector).textContent = text;
  }
}

const percent = (share) => (share < 0.00005 ? "<0.01%" : `${(100 * share).toFixed(share < 0.01 ? 2 : 1)}%`);
