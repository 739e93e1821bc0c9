// What a change of the history did to a ranking, and how that is shown.

import { make } from "./dom.js";

/**
 * Compare two rankings. Items that went into the history are taken out of the older one first: that they make room
 * is no change of the others.
 * @param {Object[]} before recommended items, best first.
 * @param {Object[]} after
 * @param {string[]} history ids of items that can no longer be recommended.
 * @returns {{steps: Map<string, ?number>, dropped: Object[]}} for each item of `after`, by its id, by how many places
 *   it moved up (negative: down), null where it is new; and the items that are in the ranking no longer.
 */
export function compare(before, after, history) {
  const possible = before.filter((item) => !history.includes(item.item_id));
  const places = new Map(possible.map((item, place) => [item.item_id, place]));
  const steps = new Map();
  after.forEach(({ item_id }, place) => steps.set(item_id, places.has(item_id) ? places.get(item_id) - place : null));
  return { steps, dropped: possible.filter((item) => !steps.has(item.item_id)) };
}

/** How an item moved, as a small mark; none where it did not, or where nothing was compared. */
export function markOf(steps) {
  if (steps === undefined || steps === 0) return [];
  if (steps === null) return [" ", make("span", { className: "mark new" }, "new")];
  const [direction, arrow] = steps > 0 ? ["up", "▲"] : ["down", "▼"];
  const places = Math.abs(steps);
  const properties = { className: `mark ${direction}`, role: "img", "aria-label": `${direction} ${places}` };
  return [" ", make("span", properties, `${arrow} ${places}`)];
}

/** `Since Alien (1979) was added: 1 new, 2 moved up.` */
export function sentenceOf(changes, { steps }) {
  const moves = [...steps.values()];
  const numbers = {
    new: moves.filter((step) => step === null).length,
    "moved up": moves.filter((step) => step > 0).length,
    "moved down": moves.filter((step) => step < 0).length,
  };
  const told = Object.entries(numbers).filter(([, number]) => number).map(([what, number]) => `${number} ${what}`);
  const what = changes.length === 1 ? changes[0] : `${changes.length} changes of the history`;
  return `Since ${what}: ${told.join(", ") || "nothing moved"}.`;
}

/** Let rows that moved glide from where they were, unless the reader wants no motion. */
export function glide(list, render) {
  const top = (row) => row.getBoundingClientRect().top - list.getBoundingClientRect().top;
  const before = new Map([...list.children].map((row) => [row.dataset.item, top(row)]));
  render();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of list.children) {
    const distance = before.get(row.dataset.item) - top(row); // NaN for a row that was not there.
    const path = [{ transform: `translateY(${distance}px)` }, { transform: "none" }];
    if (distance) row.animate(path, { duration: 350, easing: "ease-out" });
  }
}
