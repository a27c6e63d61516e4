// One way out to the network: with a time limit, failures told apart, and the server's clock kept.

/**
 * No answer, or one that says nothing about the request: a gateway's own 5xx or 429, our API's `internal`. Worth another
 * try; nothing is known to have changed. A refusal with a code of our API (503 unavailable, 429 too_soon) is a Refused.
 */
export class Unreachable extends Error {
  constructor(reason, { answered = false, retryAfter = 0 } = {}) {
    super(reason);
    this.answered = answered;
    this.retryAfter = retryAfter;
  }
}

/** The session is over and cannot be renewed: the person has to sign in. */
export class SignedOut extends Error {}

const TIMEOUT_MS = 20_000;

/** fetch that throws Unreachable when no answer comes. Never uses or fills the browser's cache. */
export async function send(url, options = {}) {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return await fetch(url, { cache: "no-store", credentials: "omit", signal, ...options });
  } catch (error) {
    throw new Unreachable(error.name);
  }
}

/** send a JSON body. */
export const post = (url, body, headers = {}) =>
  send(url, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** A JSON object, or {} where the answer is none (a proxy's error page, a cut connection). */
export async function json(response) {
  try {
    return Object(await response.json());
  } catch {
    return {};
  }
}

/** Seconds of a Retry-After header. */
export function retryAfter(response, fallback) {
  const value = Number(response.headers.get("Retry-After") ?? NaN);
  return Number.isFinite(value) && value >= 0 ? value : fallback;
}

// The server's clock minus performance.now(): the person's own clock may be wrong, or be set while we wait.
let offset = Date.now() - performance.now();
let measured = false;

/** Learn the server's time from an answer that tells it. Small differences are only the way's. */
export function observeClock(response, sentAt) {
  const time = Date.parse(response.headers.get("Server-Time") ?? "");
  if (Number.isNaN(time)) return;
  const seen = time - (sentAt + performance.now()) / 2;
  if (!measured || Math.abs(seen - offset) > 1000) offset = seen;
  measured = true;
}

/** The server's time now, in milliseconds since 1970. */
export const serverNow = () => performance.now() + offset;
