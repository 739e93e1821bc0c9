// Where history and recommendations stand in the index: their names as a tree, from wide groups to single items.

import { byId, count, make } from "./dom.js";
import { chips } from "./tokens.js";

/** Branches that only the history has are folded beyond so many, the most recent first. */
const NEAREST = 3;

/**
 * An item of the tree.
 * @typedef {Object} Leaf
 * @property {string} title
 * @property {string[]} tokens
 * @property {number} recency place in the history, the newest is 1; Infinity where it is not in the history.
 * @property {Object<string, number>} ranks by mode, 1 is the best; empty where it is not recommended.
 */

/**
 * Draw the tree.
 * @param {Object[]} history entries, oldest first.
 * @param {Object<string, Object[]>} rankings recommended items by mode, best first.
 */
export function showTree(history, rankings) {
  const leaves = leavesOf(history, rankings);
  const roots = grow(leaves, 0);
  const recommended = leaves.filter(isRecommended);
  const shared = roots.filter((root) => root.seen && root.recommended);
  const near = shared.reduce((sum, root) => sum + root.recommended, 0);
  const told = `${near} of ${count(recommended.length, "recommended item")} share a group with the history`;
  byId("tree-summary").textContent = history.length && recommended.length ? told : "";
  const rows = roots.filter((root) => root.recommended).map((root) => branch(root, root.leaves[0].tokens[0]));
  const list = make("ul", { className: "branches" }, ...rows);
  byId("tree-branches").replaceChildren(list, ...folded(roots.filter((root) => !root.recommended)));
}

/** @returns {Leaf[]} each item once. */
function leavesOf(history, rankings) {
  const leaves = new Map();
  const leaf = (item) => {
    if (!leaves.has(item.item_id)) {
      leaves.set(item.item_id, { title: item.title, tokens: item.tokens, recency: Infinity, ranks: {} });
    }
    return leaves.get(item.item_id);
  };
  history.forEach((entry, place) => {
    if (entry.tokens.length) leaf(entry).recency = history.length - place;
  });
  for (const [mode, items] of Object.entries(rankings)) {
    items.forEach((item, place) => {
      leaf(item).ranks[mode] = place + 1;
    });
  }
  return [...leaves.values()];
}

const isRecommended = (leaf) => Object.keys(leaf.ranks).length > 0;

/** The branches that leaves which agree in their first `level` tokens part into, in the order of interest. */
function grow(leaves, level) {
  const groups = new Map();
  for (const leaf of leaves) {
    const token = leaf.tokens[level];
    groups.set(token, [...(groups.get(token) ?? []), leaf]);
  }
  const nodes = [...groups.values()].map((members) => node(members, level));
  return nodes.sort((one, other) => one.rank - other.rank || one.recency - other.recency);
}

/**
 * A branch; levels at which it does not part are drawn as one. Items whose names are the same to the end stay together:
 * names of two policies meet here when another one is served while the page is open.
 */
function node(leaves, level) {
  const depth = Math.max(...leaves.map((leaf) => leaf.tokens.length));
  const parts = (place) => leaves.some((leaf) => leaf.tokens[place] !== leaves[0].tokens[place]);
  let end = level + 1;
  while (end < depth && !parts(end)) end += 1;
  return {
    leaves,
    level,
    tokens: leaves[0].tokens.slice(level, end),
    children: end < depth ? grow(leaves, end) : [],
    seen: leaves.filter((leaf) => leaf.recency < Infinity).length,
    recommended: leaves.filter(isRecommended).length,
    rank: Math.min(...leaves.flatMap((leaf) => Object.values(leaf.ranks))),
    recency: Math.min(...leaves.map((leaf) => leaf.recency)),
  };
}

function branch(node, widest) {
  const name = chips(node.tokens, widest, node.level);
  if (!node.children.length) return make("li", { className: "leaf" }, name, ...node.leaves.map(label));
  const numbers = { recommended: node.recommended, "of the history": node.seen };
  const told = Object.entries(numbers).filter(([, number]) => number).map(([what, number]) => `${number} ${what}`);
  const head = make("div", { className: "branch-head" }, name, make("small", {}, told.join(" · ")));
  const own = node.children.filter((child) => !child.recommended);
  const shown = node.children.filter((child) => child.recommended || own.indexOf(child) < NEAREST);
  const rows = shown.map((child) => branch(child, widest));
  const shared = told.length === 2 ? "shared" : "";
  return make("li", { className: shared }, head, make("ul", {}, ...rows), ...folded(own.slice(NEAREST), widest));
}

/** Branches that only the history has, one click away. */
function folded(nodes, widest) {
  if (!nodes.length) return [];
  const rows = nodes.map((node) => branch(node, widest ?? node.leaves[0].tokens[0]));
  const list = make("ul", { className: widest ? "" : "branches" }, ...rows);
  const items = nodes.reduce((sum, node) => sum + node.seen, 0);
  const where = count(nodes.length, widest ? "subgroup" : "group");
  return [make("details", {}, make("summary", {}, `${count(items, "item")} of the history in ${where} more`), list)];
}

function label(leaf) {
  const marks = leaf.recency < Infinity ? [make("span", { className: "seen" }, "history")] : [];
  for (const [mode, rank] of Object.entries(leaf.ranks)) {
    marks.push(make("span", { className: `rank ${mode}` }, `${mode} ${rank}`));
  }
  return make("span", {}, make("span", { className: "title" }, leaf.title), ...marks.flatMap((mark) => [" ", mark]));
}
