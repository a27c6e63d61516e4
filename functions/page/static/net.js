// Sends every request of the page, tells failures apart, and keeps the server's clock.

/**
 * The server did not answer, or the answer is not its own: a gateway's 5xx or 429, a proxy's page, our API's `internal`.
 * The caller may try again, but cannot know what the request has changed. A refusal of our API is a Refused instead.
 */
export class Unreachable extends Error {
  constructor(reason, { answered = false, retryAfter = 0 } = {}) {
    super(reason);
    this.answered = answered;
    this.retryAfter = retryAfter;
  }
}

/** The sign-in that sent the request is over, so the answer is dropped. */
export class SignedOut extends Error {}

const TIMEOUT_MS = 20_000;
const LONGEST_RETRY_S = { ours: 3600, strange: 30 }; // an answer that is not ours must not stop the page for long

/**
 * Fetch a whole answer: `{ status, ok, headers, text }`. It neither uses nor fills the browser's cache. It follows no
 * redirect, because our servers never redirect these requests; only a login page in between does.
 *
 * Throws SignedOut once `signal` is aborted, and Unreachable when no whole answer comes in time.
 */
export async function send(url, { signal, ...options } = {}) {
  // AbortSignal.timeout and AbortSignal.any would be shorter, but Safari 15, Chrome 102 and Firefox 110 lack one or both.
  const limit = new AbortController();
  const stop = () => limit.abort();
  const timer = setTimeout(stop, TIMEOUT_MS);
  signal?.addEventListener("abort", stop);
  let answered = false;
  try {
    if (signal?.aborted) throw new SignedOut();
    const ways = { cache: "no-store", credentials: "omit", redirect: "manual", signal: limit.signal };
    const response = await fetch(url, { ...ways, ...options });
    answered = true;
    const text = await response.text();
    if (signal?.aborted) throw new SignedOut();
    return { status: response.status, ok: response.ok, headers: response.headers, text };
  } catch (error) {
    if (signal?.aborted) throw new SignedOut();
    throw new Unreachable(error.name, { answered });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/** POST a JSON body; otherwise as `send`. */
export const post = (url, body, { headers = {}, ...options } = {}) =>
  send(url, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });

/** The JSON object of an answer. Anything else counts as {}: a proxy's page, a cut text, null, a list. */
export function json({ text }) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

/** The error for an answer that is not the server's own. */
export const strange = (response) =>
  new Unreachable(String(response.status), { answered: true, retryAfter: retryAfter(response, "strange") });

/** The seconds of Retry-After, up to a limit. An answer without this header: 5 after a 429, otherwise 0. */
export function retryAfter(response, whose) {
  const value = Number(response.headers.get("Retry-After") ?? NaN);
  if (Number.isFinite(value) && value >= 0) return Math.min(value, LONGEST_RETRY_S[whose]);
  return response.status === 429 ? 5 : 0;
}

// The server's clock minus performance.now(). The person's own clock may be wrong, or may be set while the page waits.
let offset = Date.now() - performance.now();
let measured = false;

/** Learn the server's time from Server-Time. Ignore differences up to a second, because the network causes them. */
export function observeClock(response, sentAt) {
  const time = Date.parse(response.headers.get("Server-Time") ?? "");
  if (Number.isNaN(time)) return;
  const seen = time - (sentAt + performance.now()) / 2;
  if (!measured || Math.abs(seen - offset) > 1000) offset = seen;
  measured = true;
}

/** The server's time now, in milliseconds since 1970. */
export const serverNow = () => performance.now() + offset;
