// In which way answers are less than what was asked for.

import { byId, make } from "./dom.js";

const WORDS = { features_unavailable: "The feature store does not answer, so the user’s history did not count." };

/**
 * @param {Object[]} answers RecommendResponses.
 * @param {function()} retry asks for them again.
 */
export function showLimits(answers, retry) {
  const reasons = new Set(answers.filter((answer) => answer.degraded).map((answer) => answer.degraded_reason));
  const ignored = new Set(answers.flatMap((answer) => answer.ignored_items));
  const notices = [...reasons].map((reason) => degraded(reason, retry));
  if (ignored.size) {
    const text = `Left out, because the policy does not know them: ${[...ignored].join(", ")}.`;
    notices.push(make("p", { className: "soft" }, text));
  }
  byId("limits").replaceChildren(...notices);
}

function degraded(reason, retry) {
  const words = WORDS[reason] ?? "The answer is less than what was asked for.";
  const text = make("p", {}, make("b", {}, "Degraded. "), words, " ", make("small", {}, reason));
  return make("div", { className: "notice" }, text, make("button", { type: "button", onclick: retry }, "Try again"));
}
