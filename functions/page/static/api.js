// The four calls of the API, made for one sign-in.
import { Unreachable, json, observeClock, retryAfter, send, strange } from "./net.js";

/** The API understood the request and refused it: `code` is for this script, `message` for the person. */
export class Refused extends Error {
  constructor(code, message, wait) {
    super(message);
    this.code = code;
    this.retryAfter = wait;
  }
}

/** The API refuses tokens that were just made, so signing in again does not help. `code` is the API's. */
export class TokenRefused extends Unreachable {
  constructor(code) {
    super("401", { answered: true });
    this.code = code;
  }
}

/** The API demands a second factor. A new token or another try does not help. */
export class SecondFactorRequired extends Refused {}

/** Whether an answer is a refusal of our API, and not a proxy's. */
export function isRefusal(response) {
  const { success, error } = json(response);
  return !response.ok && success === false && typeof error === "string";
}

/** Whether an answer is API Gateway's own error, which has these words and nothing else. */
export function isGateway(response, words) {
  const body = json(response);
  return body.message === words && Object.keys(body).length === 1;
}

/** The body of a 2xx of our API. Throws Refused for a refusal of our API, and Unreachable for any other answer. */
export function ours(response, fits = () => true) {
  const body = json(response);
  if (response.ok && body.success === true && fits(body)) return body;
  if (!isRefusal(response) || body.error === "internal") throw strange(response);
  const message = typeof body.message === "string" ? body.message : "";
  if (response.status === 403 && body.error === "second_factor_required") throw new SecondFactorRequired(body.error, message, 0);
  const mayAskToWait = response.status === 429 || response.status === 503;
  throw new Refused(body.error, message, retryAfter(response, mayAskToWait ? "ours" : "strange"));
}

/** Whether our API refuses the token. A proxy may answer 401 too, which says nothing about the token. */
const isTokenRefused = (response) =>
  response.status === 401 && (isRefusal(response) || isGateway(response, "Unauthorized"));

const isSession = (body) => typeof body.status === "string";

/** @param root  the address under which the API's paths are */
export function createApi(signIn, root) {
  let seen = { etag: null, body: null };

  async function call(method, path, headers = {}) {
    const attempt = async (token) => {
      const sentAt = performance.now();
      const all = { ...headers, Authorization: `Bearer ${token}` };
      const response = await send(new URL(path, root), { method, headers: all, signal: signIn.signal });
      observeClock(response, sentAt);
      return response;
    };
    let token = await signIn.token();
    let response = await attempt(token);
    if (isTokenRefused(response)) {
      // A call with the answer 401 has changed nothing, so it may be made again.
      const next = await signIn.token({ refused: token });
      if (next !== token) response = await attempt(token = next);
      if (isTokenRefused(response)) {
        signIn.judged(token, false);
        throw new TokenRefused(json(response).error);
      }
    }
    if (response.status === 401) throw strange(response);
    signIn.judged(token, true);
    return response;
  }

  return {
    connect: async () => ours(await call("POST", "api/whatsapp/connect"), isSession),
    disconnect: async () => ours(await call("POST", "api/whatsapp/disconnect")),

    /** The present session. An unchanged session costs a 304 only. */
    async status() {
      const response = await call("GET", "api/whatsapp/status", seen.etag ? { "If-None-Match": seen.etag } : {});
      if (response.status === 304 && seen.body) return seen.body;
      const body = ours(response, isSession);
      seen = { etag: response.headers.get("ETag"), body };
      return body;
    },

    /** The SVG text of the present QR. */
    async qr() {
      const response = await call("GET", "api/whatsapp/qr", { Accept: "image/svg+xml" });
      if (!response.ok) throw strange(response);
      return response.text;
    },
  };
}
