// The field for a user's id. It takes any text; where the server lists users, it completes ids, and some are offered.

import { Problem, findUsers } from "./api.js";
import { byId, make } from "./dom.js";

const OFFERED = 6;
const COMPLETIONS = 20;

export class UserField {
  /** @param {function(string)} onPick told of the user that was chosen. */
  constructor(onPick) {
    this.onPick = onPick;
    this.input = byId("user");
    this.samples = byId("samples");
    this.asked = new AbortController();
    byId("user-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.onPick(this.input.value);
    });
  }

  /**
   * Offer some users.
   * @returns {Promise<string[]>} them; nobody where the server lists none.
   */
  async offer() {
    const users = await listed("", OFFERED);
    const button = (user) => make("button", { type: "button", onclick: () => this.onPick(user) }, user);
    this.samples.replaceChildren(...users.map(button));
    this.samples.hidden = !users.length;
    if (users.length) this.input.oninput = () => this.#complete();
    return users;
  }

  /** @param {?string} user whose history is shown; null for nobody's. */
  show(user) {
    this.input.value = user ?? "";
    for (const button of this.samples.children) button.ariaPressed = String(button.textContent === user);
  }

  async #complete() {
    this.asked.abort();
    this.asked = new AbortController();
    const { signal } = this.asked;
    const users = await listed(this.input.value, COMPLETIONS, signal);
    if (signal.aborted) return;
    byId("user-ids").replaceChildren(...users.map((user) => make("option", { value: user })));
  }
}

/** Without a list the page can do all it has to, so it does not matter why the server gives none. */
async function listed(query, limit, signal) {
  try {
    return (await findUsers(query, limit, signal)).users;
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") return [];
    throw error;
  }
}
