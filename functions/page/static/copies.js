// Copies of a tab. A tab that the browser duplicates has the same sign-in as the first tab. Signing out in one tab ends
// the sign-in in all copies. A message reaches the copies that run. A mark in the profile reaches the copies that sleep,
// that are loading or that are closed.
import { profile } from "./storage.js";

const ENDED = "whatsapp-pairing.ended."; // before the random id of the sign-in; the value is the time
const MARK_MS = 30 * 86_400_000;
const MOST_MARKS = 50;

/** Whether somebody has signed out of this sign-in, in this tab or in a copy. */
export const hasEnded = (id) => profile.get(ENDED + id) !== null;

/** Mark a sign-in as ended for all copies. Old marks are removed, so that the profile does not fill up. */
export function markEnded(id) {
  const now = Date.now();
  const marks = profile.keys().filter((key) => key.startsWith(ENDED)).map((key) => ({ key, at: Number(profile.get(key)) }));
  const fresh = marks.filter(({ at }) => Math.abs(now - at) < MARK_MS).sort((one, other) => other.at - one.at);
  const kept = new Set(fresh.slice(0, MOST_MARKS - 1).map(({ key }) => key));
  for (const { key } of marks) if (!kept.has(key)) profile.remove(key);
  profile.set(ENDED + id, String(now));
}

/** Tell the running copies when the person signs out here, and end this sign-in when a copy tells us. */
export function endWithCopies(signIn, id) {
  let copies;
  try {
    copies = new BroadcastChannel(ENDED + id);
  } catch {
    return; // Safari before 15.4, or a frame that may not: the copy ends at its next request
  }
  copies.onmessage = () => signIn.endElsewhere();
  signIn.signal.addEventListener("abort", () => {
    try {
      if (signIn.ended === "signOut") copies.postMessage("");
      copies.close();
    } catch {
      // the copies end at their next request
    }
  });
}
