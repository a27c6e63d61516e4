// Sign-in by Supabase Auth, with e-mail and password. The tokens are in memory and, for a reload, in this tab's
// sessionStorage. The page never puts them into localStorage or into an address.
import { endWithCopies, hasEnded, markEnded } from "./copies.js";
import { createSignIn } from "./signin.js";
import { json, post, strange } from "./net.js";
import { tab } from "./storage.js";

const TOKENS = "whatsapp-pairing.tokens";

// These errors of Supabase end a session. Any other error may come from a proxy, or may pass soon.
const SESSION_OVER = new Set([
  "bad_jwt", "invalid_credentials", "invalid_grant", "refresh_token_already_used", "refresh_token_not_found",
  "session_expired", "session_not_found", "user_banned", "user_not_found",
]);

// Supabase's error for a sign-in → the key of our sentence. `invalid_grant` is the old name of a wrong password.
const REFUSALS = new Map([
  ["invalid_credentials", "signInWrong"],
  ["invalid_grant", "signInWrong"],
  ["captcha_failed", "signInCaptcha"],
  ["user_banned", "signInBanned"],
  ["email_not_confirmed", "signInUnconfirmed"],
  ["validation_failed", "signInInvalid"],
  ["email_address_invalid", "signInInvalid"],
  ["over_request_rate_limit", "signInTooMany"],
  ["email_provider_disabled", "signInDisabled"],
  ["provider_disabled", "signInDisabled"],
  ["user_sso_managed", "signInDisabled"],
]);

// Older versions of Supabase say these errors in words only, without a code or with `invalid_grant`.
const OLD_WORDS = [
  [/captcha/i, "signInCaptcha"],
  [/email not confirmed/i, "signInUnconfirmed"],
  [/invalid login credentials/i, "signInWrong"],
  [/user is banned/i, "signInBanned"],
  [/email logins are disabled/i, "signInDisabled"],
];

/** A sign-in that was refused. `reason` is the key of a sentence, and `values` fill it. */
export class SignInRefused extends Error {
  constructor(reason, values = {}) {
    super(reason);
    this.reason = reason;
    this.values = values;
  }
}

export function supabaseAuth({ supabaseUrl, supabaseAnonKey }) {
  const address = (path) => new URL(`auth/v1/${path}`, supabaseUrl.replace(/\/*$/, "/"));
  const apikey = { apikey: supabaseAnonKey };

  /** Ask for tokens: `{ tokens }`, or `{ code, response }` of a refusal. */
  async function grant(type, body, id, signal) {
    const response = await post(address(`token?grant_type=${type}`), body, { headers: apikey, signal });
    const answer = json(response);
    if (response.ok) {
      const { access_token: access, refresh_token: refresh } = answer;
      if (!isToken(access) || !isToken(refresh)) throw strange(response);
      const seconds = answer.expires_in > 0 ? Number(answer.expires_in) : 3600;
      const lifetime = 1000 * seconds;
      return { tokens: { id, access, refresh, lifetime, expiresAt: Date.now() + lifetime } }; // by this browser's clock, by which it is also compared later
    }
    if (response.status >= 500) throw strange(response);
    return { code: codeOf(answer), response };
  }

  function begin(tokens) {
    const { id } = tokens;
    const signIn = createSignIn({
      canSignOut: true,
      async renew(old, signal) {
        const { tokens: next, code, response } = await grant("refresh_token", { refresh_token: old.refresh }, id, signal);
        if (next) return next;
        if (SESSION_OVER.has(code)) return null;
        throw strange(response);
      },
      keep,
      isOver: () => hasEnded(id),
      forget() { if (restored()?.id === id) tab.remove(TOKENS); },
      /** This tab has forgotten the tokens already. If the call fails, the tokens expire by themselves. */
      leave({ access }) {
        markEnded(id);
        const headers = { ...apikey, Authorization: `Bearer ${access}` };
        post(address("logout?scope=local"), {}, { headers }).catch(() => {});
      },
    }, tokens);
    endWithCopies(signIn, id);
    return signIn;
  }

  return {
    sandboxPhone: null,

    /** The sign-in that this tab keeps, or null. */
    restore() {
      const tokens = restored();
      if (!tokens) return null;
      if (hasEnded(tokens.id)) {
        tab.remove(TOKENS);
        return null;
      }
      if (!tokens.id) keep(Object.assign(tokens, { id: newId() }));
      return begin(tokens);
    },

    /** Sign a person in. Throws SignInRefused, or Unreachable when Supabase does not answer properly. */
    async signIn(email, password, signal) {
      const { tokens, code, response } = await grant("password", { email, password }, newId(), signal);
      if (!tokens) throw refusal(code, response);
      keep(tokens);
      return begin(tokens);
    },
  };
}

const keep = (tokens) => tab.set(TOKENS, JSON.stringify(tokens));

function restored() {
  try {
    const tokens = JSON.parse(tab.get(TOKENS));
    return tokens && isToken(tokens.access) && isToken(tokens.refresh) ? tokens : null;
  } catch {
    return null;
  }
}

const newId = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("");

/** Whether a value is visible ASCII. A header can carry nothing else. */
const isToken = (value) => typeof value === "string" && /^[\x21-\x7e]+$/.test(value);

/** Supabase's name for an error. The field depends on Supabase's version, and `code` may also be the HTTP status. */
function codeOf({ error_code: first, code: second, error: third }) {
  const named = [first, second, third].find((value) => typeof value === "string" && /^[a-z][a-z0-9_]{0,60}$/.test(value));
  return named ?? null;
}

function refusal(code, response) {
  if (!code || code === "invalid_grant") {
    const { msg, message, error_description: description } = json(response);
    const words = [msg, message, description].find((value) => typeof value === "string") ?? "";
    const [, reason] = OLD_WORDS.find(([form]) => form.test(words)) ?? [];
    if (reason) return new SignInRefused(reason);
  }
  if (REFUSALS.has(code)) return new SignInRefused(REFUSALS.get(code));
  if (response.status === 429) return new SignInRefused("signInTooMany");
  if (code) return new SignInRefused("signInRefused", { code });
  return strange(response); // a proxy's, or a gateway's
}
