// For the local system only. It gives a token without a sign-in, and it has the sandbox's phone.
import { createSignIn } from "./signin.js";
import { json, post, strange } from "./net.js";
import { Refused } from "./api.js";
import { profile } from "./storage.js";

// A local system that other machines reach asks for a password. With credentials, the browser asks the person for it.
export const DEVELOPMENT = { credentials: "same-origin" };

const USER = "whatsapp-pairing.user"; // an id, no secret

export function developmentAuth(root, { sandboxPhone }) {
  let userId = profile.get(USER) ?? undefined;

  const provider = {
    canSignOut: false,
    async renew(_, signal) {
      const response = await post(new URL("dev/token", root), { userId }, { ...DEVELOPMENT, signal });
      const answer = json(response);
      if (!response.ok || typeof answer.accessToken !== "string") {
        if (response.status === 400) { userId = undefined; profile.remove(USER); } // the local system does not know this id, so ask for a new one
        throw strange(response);
      }
      if (typeof answer.userId === "string") {
        userId = answer.userId;
        profile.set(USER, userId);
      }
      return { access: answer.accessToken, expiresAt: Infinity, lifetime: Infinity };
    },
    isOver: () => false,
    keep() {},
    forget() {},
    leave() {},
  };

  /** Let the sandbox's phone scan a QR. The sandbox answers, not our API: there is no `success`. */
  async function scan(qr, number) {
    const response = await post(new URL("dev/phone/scan", root), { qr, number }, DEVELOPMENT);
    if (response.ok) return;
    const { error, message } = json(response);
    throw typeof message === "string" ? new Refused(error, message, 0) : strange(response);
  }

  return {
    sandboxPhone: sandboxPhone === true ? { scan } : null,
    restore: () => createSignIn(provider, null),
  };
}
