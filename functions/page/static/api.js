// The four calls of the API, with the bearer token; and the sandbox phone of the local runner.
import { SignedOut, Unreachable, json, observeClock, post, retryAfter, send } from "./net.js";

// This file is <root>/home/settings/whatsapp/api.js, whatever the root is.
export const root = new URL("../../../", import.meta.url);

/** The API understood and refused: `code` for us, `message` for the person. */
export class Refused extends Error {
  constructor(code, message, wait) {
    super(message);
    this.code = code;
    this.retryAfter = wait;
  }
}

export function createApi(session) {
  let seen = { etag: null, body: null };

  async function call(method, path, headers = {}) {
    const attempt = async (token) => {
      const sentAt = performance.now();
      const all = { ...headers, Authorization: `Bearer ${token}` };
      const response = await send(new URL(path, root), { method, headers: all });
      observeClock(response, sentAt);
      return response;
    };
    let response = await attempt(await session.token());
    if (response.status === 401) response = await attempt(await session.token({ renew: true }));
    if (response.status === 401) throw new SignedOut("401");
    return response;
  }

  /** The body of a 2xx; else the API's own refusal, or Unreachable when the answer is not the API's. */
  async function result(response) {
    if (response.ok) return json(response);
    const { error, message } = await json(response);
    const wait = retryAfter(response, response.status === 429 ? 5 : 0);
    if (error && error !== "internal") throw new Refused(error, message ?? "", wait);
    throw new Unreachable(String(response.status), { answered: true, retryAfter: wait });
  }

  return {
    connect: async () => result(await call("POST", "api/whatsapp/connect")),
    disconnect: async () => result(await call("POST", "api/whatsapp/disconnect")),

    /** The present state; an unchanged one costs a 304. */
    async status() {
      const response = await call("GET", "api/whatsapp/status", seen.etag ? { "If-None-Match": seen.etag } : {});
      if (response.status === 304 && seen.body) return seen.body;
      const body = await result(response);
      seen = { etag: response.headers.get("ETag"), body };
      return body;
    },

    /** The QR on show as an SVG blob, or null when there is none any more. */
    async qr() {
      const response = await call("GET", "api/whatsapp/qr", { Accept: "image/svg+xml" });
      return response.ok ? response.blob() : null;
    },

    /** Local runner only: let the sandbox's phone scan a QR. */
    async sandboxScan(qr, number) {
      return result(await post(new URL("dev/phone/scan", root), { qr, number }));
    },
  };
}
