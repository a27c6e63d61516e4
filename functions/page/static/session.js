// Who is asking. Supabase Auth with e-mail and password; on the local runner a development token instead.
// Tokens live in memory and, for a reload, in this tab's sessionStorage: never in localStorage or an address.
import { SignedOut, Unreachable, json, post, send } from "./net.js";

const TOKENS = "whatsapp-pairing.tokens";
const DEVELOPMENT_USER = "whatsapp-pairing.user"; // an id, no secret
const RENEW_BEFORE_MS = 60_000;

/** A sign-in that was refused; `reason` is the key of a string. */
export class SignInRefused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** The session that fits this installation, or null when there is no way to sign in. */
export async function openSession(config, root) {
  if (config.supabaseAnonKey) return supabaseSession(config);
  const response = await send(new URL("dev/config", root));
  if (response.status === 404) return null;
  if (!response.ok) throw new Unreachable(String(response.status), { answered: true });
  return developmentSession(root, await json(response));
}

function supabaseSession({ supabaseUrl, supabaseAnonKey }) {
  const address = (path) => new URL(`auth/v1/${path}`, supabaseUrl.replace(/\/*$/, "/"));
  let tokens = restore();
  let renewing = null;

  function keep(next) {
    tokens = next;
    if (next) sessionStorage.setItem(TOKENS, JSON.stringify(next));
    else sessionStorage.removeItem(TOKENS);
  }

  /** Ask for tokens. Answers what Supabase said when it refuses, throws Unreachable when it cannot decide. */
  async function grant(type, body) {
    const response = await post(address(`token?grant_type=${type}`), body, { apikey: supabaseAnonKey });
    const answer = await json(response);
    if (response.ok && answer.access_token) {
      const expiresAt = Date.now() + 1000 * answer.expires_in; // by this clock at both ends
      keep({ access: answer.access_token, refresh: answer.refresh_token, expiresAt });
      return null;
    }
    if (response.ok || response.status >= 500) throw new Unreachable(String(response.status), { answered: true });
    return { status: response.status, code: answer.error_code ?? answer.error };
  }

  async function renew() {
    const refused = await grant("refresh_token", { refresh_token: tokens.refresh });
    if (refused?.status === 429) throw new Unreachable("429", { answered: true });
    if (refused) keep(null);
  }

  return {
    canSignOut: true,
    sandboxPhone: false,
    signedIn: () => tokens !== null,

    async token({ renew: force = false } = {}) {
      if (tokens && (force || tokens.expiresAt - Date.now() < RENEW_BEFORE_MS)) {
        renewing ??= renew().finally(() => { renewing = null; }); // one refresh for all who ask at once
        await renewing;
      }
      if (!tokens) throw new SignedOut("no session");
      return tokens.access;
    },

    async signIn(email, password) {
      const refused = await grant("password", { email, password });
      if (!refused) return;
      if (refused.status === 429) throw new SignInRefused("signInTooMany");
      if (refused.code === "email_not_confirmed") throw new SignInRefused("signInUnconfirmed");
      throw new SignInRefused(refused.status === 400 ? "signInWrong" : "signInFailed");
    },

    /** Forget the tokens here at once, then tell Supabase; that call may fail, the tokens expire anyway. */
    signOut() {
      if (!tokens) return;
      const headers = { apikey: supabaseAnonKey, Authorization: `Bearer ${tokens.access}` };
      keep(null);
      post(address("logout?scope=local"), {}, headers).catch(() => {});
    },

    forget: () => keep(null),
  };
}

function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(TOKENS));
    return kept?.access && kept?.refresh ? kept : null;
  } catch {
    return null;
  }
}

function developmentSession(root, { sandboxPhone }) {
  let token = null;
  return {
    canSignOut: false,
    sandboxPhone: Boolean(sandboxPhone),
    signedIn: () => true,

    async token({ renew = false } = {}) {
      if (token && !renew) return token;
      const userId = localStorage.getItem(DEVELOPMENT_USER) ?? undefined;
      const response = await post(new URL("dev/token", root), { userId });
      const answer = await json(response);
      if (!answer.accessToken) {
        if (response.status === 400) localStorage.removeItem(DEVELOPMENT_USER); // not its id: take a new one
        throw new Unreachable(String(response.status), { answered: true });
      }
      localStorage.setItem(DEVELOPMENT_USER, answer.userId);
      token = answer.accessToken;
      return token;
    },

    forget() { token = null; },
  };
}
