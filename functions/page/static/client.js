// The client of one signed-in person: connect, disconnect, watch. It does not touch the page. When the sign-in ends, the
// requests are aborted and no more callbacks are made.
import { createApi } from "./api.js";
import { SignedOut, Unreachable } from "./net.js";
import { loadSvg } from "./picture.js";
import { createPoller } from "./poller.js";

const PACE_MS = { usual: 2_000, shortest: 100, longest: 60_000 };

/** @param root  the address under which the API's paths are */
export function createClient(signIn, root) {
  const api = createApi(signIn, root);
  const watches = new Set();
  let epoch = 0; // counts starts and ends of actions; an answer of an older epoch is dropped
  let last = null; // the session
  let doubted = false; // whether the last click has failed, but may have stored an attempt and not started its workflow

  /** Run an action. Its result goes to every watch at once, and every watch asks for the session again. */
  async function act(work) {
    epoch += 1;
    try {
      accept(await work());
    } finally {
      epoch += 1;
      if (!signIn.signal.aborted) for (const watch of watches) watch.now();
    }
  }

  function accept(status) {
    last = status;
    for (const watch of watches) watch.accept(status);
  }

  async function click() {
    doubted = false;
    try {
      return await api.connect();
    } catch (error) {
      doubted = error instanceof Unreachable || error.code === "unavailable";
      throw error;
    }
  }

  /** If a click failed but may have stored an attempt, click once more. Only a click starts a workflow that is missing. */
  async function clickAgain(status) {
    if (!doubted) return status;
    doubted = false;
    return status.status === "connecting" ? api.connect().catch(() => status) : status;
  }

  return {
    /** Start to link WhatsApp. */
    connect: () => act(click),

    /** End a pairing or a session. When the API answers, it has ended. */
    disconnect: () => act(async () => {
      await api.disconnect();
      return { ...last, status: "disconnected", error: null };
    }),

    /**
     * Follow the session until `stop` is called or the sign-in ends.
     *
     * @param told  `status(session)`: the session; also once more when an action has changed it
     *              `picture({ url, text })`: the QR `text` as an object URL, good until the next call; null: there is none
     *              `failed(error)`, `pictureFailed(error)`: each failure to get the session or the picture
     */
    watch(told) {
      const pictures = createPictures(api, told);

      async function ask() {
        const asked = epoch;
        try {
          const status = await clickAgain(await api.status());
          if (asked === epoch) accept(status);
          return pace(status.pollAfterMs);
        } catch (error) {
          if (asked === epoch) throw error;
          return 0;
        }
      }

      function failed(error) {
        if (!(error instanceof SignedOut)) told.failed(error);
        return 1000 * (error.retryAfter ?? 0);
      }

      const poller = createPoller(ask, failed);
      const watch = {
        now: poller.now,
        accept(status) {
          told.status(status);
          pictures.show(status.status === "waiting_qr" && typeof status.qr === "string" ? status.qr : null);
        },
      };
      const stop = () => {
        watches.delete(watch);
        poller.stop();
        pictures.stop();
      };
      watches.add(watch);
      signIn.signal.addEventListener("abort", stop);
      poller.now();
      return { stop };
    },
  };
}

/** Loads the picture of the present QR. After a failure, the next call of show() tries again. */
function createPictures(api, told) {
  let wanted = null;
  let url = null;
  let stopped = false;

  async function load(text) {
    wanted = text;
    try {
      const next = await loadSvg(await api.qr());
      if (stopped || wanted !== text) { URL.revokeObjectURL(next); return; }
      told.picture({ url: next, text });
      if (url) URL.revokeObjectURL(url);
      url = next;
    } catch (error) {
      if (stopped || wanted !== text || error instanceof SignedOut) return;
      wanted = null; // the next status asks again
      told.pictureFailed(error);
    }
  }

  function drop() {
    wanted = null;
    if (url) URL.revokeObjectURL(url);
    url = null;
  }

  return {
    show(text) {
      if (text && text !== wanted) load(text);
      else if (!text && !stopped) { drop(); told.picture(null); }
    },
    stop() { stopped = true; drop(); },
  };
}

function pace(wish) {
  const ms = typeof wish === "number" && wish >= 0 ? wish : PACE_MS.usual;
  return Math.min(PACE_MS.longest, Math.max(PACE_MS.shortest, ms));
}
