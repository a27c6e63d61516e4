// Asks the server again and again: at the server's pace, slower in a hidden tab, and slower after each failure.

const HIDDEN_MS = 15_000;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 30_000;

/**
 * @param ask     async; resolves to the milliseconds until the next question
 * @param failed  gets the error of each failure; returns how many milliseconds to wait at least
 */
export function createPoller(ask, failed) {
  let timer;
  let active = true;
  let asking = false;
  let again = false;
  let failures = 0;

  async function tick() {
    clearTimeout(timer);
    if (!active) return;
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    let wait;
    try {
      wait = await ask();
      failures = 0;
    } catch (error) {
      const least = active ? failed(error) : 0;
      const backoff = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures++);
      wait = Math.max(least, backoff * (0.75 + Math.random() / 2)); // random, so that not all tabs ask at once
    }
    asking = false;
    if (document.visibilityState === "hidden") wait = Math.max(wait, HIDDEN_MS);
    clearTimeout(timer);
    if (active) timer = setTimeout(tick, again ? 0 : wait);
  }

  const seen = () => document.visibilityState === "visible" && tick();
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", tick);

  return {
    /** Ask now, whatever was planned. */
    now: () => void tick(),

    /** Never ask again. */
    stop() {
      active = false;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("online", tick);
    },
  };
}
