// A sign-in: the object of one person from signing in until signing out. It has its own tokens, their renewal, and its
// own end. So a request of one sign-in never uses or changes another sign-in.
import { SignedOut } from "./net.js";

const LONGEST_MARGIN_MS = 60_000;
const MARGIN_SHARE = 0.25; // of the lifetime, so that tokens of a minute or less are not renewed at every request

/** How long before its end a token is renewed. A tab may still hold tokens that an older version of this page stored without a lifetime. */
const margin = ({ lifetime = Infinity }) => Math.min(LONGEST_MARGIN_MS, MARGIN_SHARE * lifetime);

/**
 * @param provider  where the tokens come from and are kept:
 *   `renew(tokens, signal)` resolves to new tokens, or to null when the provider says that there will be no more;
 *   `isOver()` tells whether the person has signed out in a copy of this tab;
 *   `keep(tokens)` stores them for a reload, and `forget()` removes them;
 *   `leave(tokens)` tells the provider that the person signs out
 * @param tokens    `{ access, expiresAt, lifetime }`, with times in milliseconds; the provider may add fields. null: ask
 *   `renew` for the first tokens
 */
export function createSignIn(provider, tokens) {
  const ending = new AbortController();
  const { signal } = ending;
  let renewing = null;
  // The token that the API refused directly after its renewal. It is not renewed again.
  let refusedWhenNew = null;
  let ended = null;

  async function renew() {
    const next = await provider.renew(tokens, signal);
    stillOn();
    if (!next) {
      end("refused");
      throw new SignedOut();
    }
    tokens = next;
    provider.keep(next);
  }

  /** Throws SignedOut if the sign-in is over, here or in a copy of this tab. */
  function stillOn() {
    if (!signal.aborted && provider.isOver()) end("elsewhere");
    if (signal.aborted) throw new SignedOut();
  }

  function end(reason) {
    if (signal.aborted) return;
    ended = reason;
    const last = tokens;
    tokens = null;
    if (reason !== "suspended") provider.forget();
    if (reason === "signOut") provider.leave(last);
    ending.abort();
  }

  return {
    /** Aborted when the sign-in is over. Every request of the person carries it. */
    signal,
    canSignOut: provider.canSignOut,

    /** Why the sign-in is over: signOut, elsewhere (in a copy of this tab), refused, suspended; null: it is not over. */
    get ended() { return ended; },

    /** An access token, renewed when it is about to expire or when the API has just refused it. */
    async token({ refused = null } = {}) {
      stillOn();
      const wasRefused = tokens && tokens.access === refused && refused !== refusedWhenNew;
      if (!tokens || wasRefused || tokens.expiresAt - Date.now() < margin(tokens)) {
        renewing ??= renew().finally(() => { renewing = null; }); // all requests that wait share one renewal
        await renewing;
        stillOn();
      }
      return tokens.access;
    },

    /** Note whether the API accepted a token. After a refusal that is noted here, `token` does not renew that token. */
    judged(access, accepted) {
      if (!accepted) refusedWhenNew = access;
      else if (refusedWhenNew === access) refusedWhenNew = null;
    },

    signOut: () => end("signOut"),
    endElsewhere: () => end("elsewhere"),

    /** The browser puts the page away (back/forward cache). The tab keeps the tokens for the return. */
    suspend: () => end("suspended"),
  };
}
