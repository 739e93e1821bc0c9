// The page: whose history, what it holds, and what the policy makes of it in both modes.
// A history that is changed here stays here; the feature store is not told.

import { Problem, readHistory, readPolicy, recommend, recommendAloud, useKey } from "./api.js";
import { Chain } from "./chain.js";
import { byId, count, make, problemNotice } from "./dom.js";
import { HistoryList, titleOf } from "./history.js";
import { ItemSearch } from "./item-search.js";
import { showLimits } from "./limits.js";
import { Ranking } from "./ranking.js";
import { showTree } from "./tree.js";
import { UserField } from "./users.js";

const K = 10;
const MODES = ["direct", "reasoning"];

let user = null; // Whose history is shown, null for nobody's.
let stored = []; // Entries as the feature store has them, oldest first.
let entries = []; // Entries as they are shown; `stored` itself where nothing was changed.
let reasoned = null; // The answer in reasoning mode, once it is there for these entries.
let asked = new AbortController(); // For the answers that are under way about these entries.
let reading = new AbortController(); // For the history that is on its way, which changes of it do not stop.

const users = new UserField(pickUser);
const historyList = new HistoryList(removeEntry);
const chain = new Chain((id) => historyList.visit(id));
const rankings = Object.fromEntries(MODES.map((mode) => [mode, new Ranking(mode, addRecommended, () => ask(mode))]));
new ItemSearch(addItem);

byId("history-reset").addEventListener("click", () => change(stored, "the changes were undone"));
byId("history-clear").addEventListener("click", () => change([], "the history was cleared"));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  byId("key-form").hidden = true;
  start();
});

/** Begin with somebody, so that there is something to see: with a sample user, or with nobody's empty history. */
async function start() {
  tellPolicy();
  const [first] = await users.offer();
  if (first === undefined) pickNobody();
  else pickUser(first);
}

async function tellPolicy() {
  try {
    const { dataset, items, engine, policy_version } = await readPolicy();
    const facts = [dataset, count(items, "item"), `${engine} engine`, `policy ${policy_version}`];
    byId("policy").replaceChildren(...facts.map((fact) => make("span", {}, fact)));
  } catch (error) {
    byId("policy").textContent = expected(error).message;
  }
}

function pickNobody() {
  begin(null);
  askBoth();
}

/** Show a user. The recommendations do not wait for the history: the API reads it by itself. */
async function pickUser(id) {
  begin(id);
  const { signal } = reading;
  byId("history-facts").textContent = "reading…";
  askBoth();
  try {
    const found = await readHistory(id, signal);
    const added = entries === stored ? null : entries; // Meanwhile; may be none again, and was asked about.
    stored = entries = found.entries;
    if (added) change([...stored, ...added], "the history was read");
    else tellHistory();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (entries === stored) byId("history-facts").textContent = "";
    byId("history-notice").replaceChildren(problemNotice(expected(error), () => pickUser(id)));
  }
}

function begin(id) {
  reading.abort();
  reading = new AbortController();
  user = id;
  stored = [];
  users.show(id);
  for (const mode of MODES) rankings[mode].forget();
  show(stored);
}

function addItem(item) {
  const { item_id, title, tokens } = item;
  change([...entries, { item_id, title, tokens, timestamp: null }], `${title} was added`);
}

/** A ranking still shows an item that was added until the next answer is there; a second click means nothing more. */
function addRecommended(item) {
  if (!entries.some((entry) => entry.item_id === item.item_id)) addItem(item);
}

function removeEntry(place) {
  change(entries.filter((_, other) => other !== place), `${titleOf(entries[place])} was removed`);
}

/** Show another history of the same person, and what it changes. */
function change(changed, what) {
  for (const mode of MODES) rankings[mode].note(what);
  show(changed);
  askBoth();
}

/** Show a history; whatever is under way about another one no longer matters. */
function show(changed) {
  asked.abort();
  asked = new AbortController();
  reasoned = null;
  entries = changed;
  tellHistory();
}

function tellHistory() {
  historyList.show(entries);
  byId("history-notice").replaceChildren();
  byId("history-reset").hidden = entries === stored;
  byId("history-clear").hidden = !entries.length;
  settle();
}

function askBoth() {
  for (const mode of MODES) ask(mode);
}

async function ask(mode) {
  const { signal } = asked;
  const ranking = rankings[mode];
  const history = entries.map((entry) => entry.item_id);
  const request = { ...(user !== null && entries === stored ? { user_id: user } : { history }), k: K, mode };
  const begun = performance.now();
  ranking.wait();
  try {
    const answer = await (mode === "direct" ? recommend(request, signal) : reasonAloud(request, signal));
    signal.throwIfAborted();
    ranking.show(answer, performance.now() - begun, history);
    if (mode === "reasoning") reasoned = answer;
  } catch (error) {
    if (error.name === "AbortError") return;
    ranking.fail(expected(error));
    if (mode === "reasoning") chain.fail();
  }
  settle();
}

function reasonAloud(request, signal) {
  chain.begin();
  return recommendAloud(request, (piece) => chain.grow(piece), signal);
}

/** Bring what depends on the history and on answers together up to date; they come in any order. */
function settle() {
  const answers = MODES.map((mode) => rankings[mode].answer).filter(Boolean);
  const shares = answers.flatMap((answer) => answer.items.map((item) => Math.exp(item.score)));
  byId("rankings").style.setProperty("--most", Math.max(...shares, Number.MIN_VALUE));
  if (reasoned) chain.finish(reasoned.reasoning, entries);
  historyList.markCited(reasoned?.reasoning?.cited ?? []);
  showLimits(answers, askBoth);
  showTree(entries, Object.fromEntries(MODES.map((mode) => [mode, rankings[mode].answer?.items ?? []])));
}

/** A problem that can be told to the reader; anything else is a mistake in this page. */
function expected(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.code === "unauthorized") byId("key-form").hidden = false;
  return error;
}

start();
