// Index tokens, `<|a_12|><|b_3|><|c_7|>`: an item's name as a path from a wide group of items to itself.

import { make } from "./dom.js";

const TOKEN = /^<\|([a-i])_(\d+)\|>$/;
const NAME = /((?:<\|[a-i]_\d+\|>)+)/;
const SINGLE = /<\|[a-i]_\d+\|>/g;

/** A name as one string, as it stands in a chain. */
export const nameOf = (tokens) => tokens.join("");

/**
 * Tokens as small chips, coloured by their widest group, paler with each level.
 * @param {string[]} tokens of the chips.
 * @param {string} widest the name's first token.
 * @param {number} level of the first chip in its name.
 * @param {number} shared levels of the name that are drawn full; the rest is drawn as an outline.
 */
export function chips(tokens, widest = tokens[0], level = 0, shared = Infinity) {
  const run = make("span", { className: "chips" });
  run.style.setProperty("--hue", hue(widest));
  tokens.forEach((token, place) => {
    const depth = level + place;
    const chip = make("span", { className: depth < shared ? "chip" : "chip apart" }, label(token));
    chip.style.setProperty("--level", Math.min(depth, 3));
    run.append(chip);
  });
  return run;
}

/**
 * The parts of a chain, in order: `{text}` between names, `{item}` where a name is an item's, `{tokens}` where not.
 * @param {string} chain
 * @param {Map<string, Object>} items by name. A run of tokens may hold several names; the shortest that is one counts,
 *   as no item's name begins with another's.
 */
export function chainParts(chain, items) {
  // Pieces at odd places are what NAME matched.
  return chain.split(NAME).flatMap((piece, place) => {
    if (place % 2) return nameParts(piece.match(SINGLE), items);
    return piece ? [{ text: piece }] : [];
  });
}

function nameParts(tokens, items) {
  const parts = [];
  let unknown = [];
  for (let start = 0; start < tokens.length; ) {
    const end = ends(tokens.length, start).find((place) => items.has(nameOf(tokens.slice(start, place))));
    if (end === undefined) {
      unknown.push(tokens[start++]);
      continue;
    }
    if (unknown.length) parts.push({ tokens: unknown });
    unknown = [];
    parts.push({ item: items.get(nameOf(tokens.slice(start, end))) });
    start = end;
  }
  return unknown.length ? [...parts, { tokens: unknown }] : parts;
}

const ends = (length, start) => Array.from({ length: length - start }, (_, step) => start + 1 + step);

/** `<|a_12|>` -> `a12`. */
function label(token) {
  const match = TOKEN.exec(token);
  return match ? match[1] + match[2] : token;
}

/** Degrees on the colour wheel; the golden angle keeps neighbouring numbers apart. */
function hue(token) {
  const match = TOKEN.exec(token);
  return match ? Math.round((Number(match[2]) * 137.508) % 360) : 0;
}
