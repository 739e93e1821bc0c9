// The API as this page uses it. Bodies are those of serving/api/models.py.

/**
 * Something that the API refused or could not do.
 * @property {string} code stable; that of the API's ErrorBody, or `unreachable`, `broken_off`, `unexpected`.
 * @property {string} requestId of the request, for the server's log; may be empty.
 */
export class Problem extends Error {
  constructor(code, message, requestId = "") {
    super(message);
    this.code = code;
    this.requestId = requestId;
  }
}

let apiKey = "";

/** Send this key from now on. It is kept nowhere but here, and gone with the page. */
export function useKey(key) {
  apiKey = key;
}

/** @returns {Promise<{policy_version: string, engine: string, dataset: string, items: number}>} */
export const readPolicy = () => getJson("policy");

/** @returns {Promise<{users: string[]}>} ids that begin with the query. */
export const findUsers = (query, limit, signal) => getJson(`users?${new URLSearchParams({ query, limit })}`, signal);

/** @returns {Promise<{user_id: string, entries: Object[]}>} oldest first. */
export const readHistory = (user, signal) => getJson(`users/${encodeURIComponent(user)}/history`, signal);

/** @returns {Promise<{items: Object[]}>} the best first. */
export const findItems = (query, limit, signal) => getJson(`items?${new URLSearchParams({ query, limit })}`, signal);

/** Answer a RecommendRequest with a RecommendResponse. */
export async function recommend(request, signal) {
  return read(await send("recommend", signal, request));
}

/** The same, and `onPiece(text)` is told of the chain while it grows. */
export async function recommendAloud(request, onPiece, signal) {
  const response = await send("recommend?stream=true", signal, request);
  for await (const [name, data] of events(response)) {
    if (name === "chain") onPiece(data.text);
    else if (name === "result") return data;
    else if (name === "error") throw new Problem(data.code, data.message, data.request_id);
  }
  throw new Problem("broken_off", "the answer broke off before its end.");
}

async function getJson(path, signal) {
  return read(await send(path, signal));
}

async function send(path, signal, body) {
  const headers = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const response = await reached(fetch(path, options));
  if (response.ok) return response;
  const error = await read(response);
  throw new Problem(error.code, error.message, error.request_id);
}

async function read(response) {
  try {
    return await reached(response.json());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Problem("unexpected", `the server answered ${response.status}, and not in JSON.`);
  }
}

/** What `fetch` throws where there is no connection is a TypeError that says little. */
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Problem("unreachable", "the server does not answer.");
  }
}

/** (name, data) of each server-sent event of a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      yield [fields.event, JSON.parse(fields.data)];
    }
  }
}
