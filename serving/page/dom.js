// Elements, made without a line of HTML: whatever comes from the API becomes text.

/**
 * Make an element.
 * @param {string} tag
 * @param {Object<string, *>} properties `data-...`, `aria-...` and `role` are attributes, all others properties.
 * @param {...(Node|string)} children strings become text nodes.
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(data-|aria-|role$)/.test(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Replace an element's children. Where one of its buttons had the focus, the one in its place gets it. */
export function replaceKeepingFocus(parent, children) {
  const place = [...parent.querySelectorAll("button")].indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (place < 0) return;
  const buttons = parent.querySelectorAll("button");
  buttons[Math.min(place, buttons.length - 1)]?.focus({ preventScroll: true });
}

/** What went wrong, and a button to try again. */
export function problemNotice(problem, retry) {
  const details = [problem.code, problem.requestId && `request ${problem.requestId}`].filter(Boolean).join(" · ");
  const message = make("p", { role: "alert" }, sentence(problem.message), " ", make("small", {}, details));
  const again = make("button", { type: "button", onclick: retry }, "Try again");
  return make("div", { className: "notice problem" }, message, again);
}

/** The API's messages begin with a small letter, because they follow a code. */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `1 item`, `2 items`. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
