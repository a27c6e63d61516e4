// The page: a model, the actions that change it, and a poller that keeps it true.
import { Refused, createApi, root } from "./api.js";
import { SignedOut, Unreachable, json, send, serverNow } from "./net.js";
import { createPoller } from "./poller.js";
import { SignInRefused, openSession } from "./session.js";
import { pickLanguage, translator } from "./strings.js";
import { createView } from "./view.js";

const TICK_MS = 500;
const OWN_WORDS = { too_soon: "tooSoon", at_capacity: "full", unavailable: "busy" }; // errors that the API states in English only

const languages = pickLanguage(navigator.languages ?? [navigator.language]);
const t = translator(languages.language);

const model = {
  phase: "loading", // loading → unconfigured | signIn ⇄ ready
  session: null,
  status: null, // the last answer of GET /status
  image: null, // { url, text } of the QR on show
  busy: null, // the action under way: connect, disconnect, scan, signIn
  confirming: false,
  retryAt: 0,
  notice: null, // what an action ended with
  trouble: null, // what polling suffers from
};

let api;
let turn = 0; // counts actions: an answer asked for before one is older than it
let drawnQr = null;

const view = createView(t, languages, { connect, disconnect, sandboxScan, signIn, signOut, confirm });
const poller = createPoller(refresh, pollFailed);
const draw = () => view.render(model, serverNow());
const update = (changes) => { Object.assign(model, changes); draw(); };

// --- polling

async function refresh() {
  if (model.phase === "loading") await open();
  if (model.phase !== "ready") { poller.stop(); return 0; }
  const asked = turn;
  try {
    const status = await api.status();
    if (asked === turn) accept(status);
    return status.pollAfterMs ?? 2000;
  } catch (error) {
    if (asked === turn) throw error;
    return 0; // whoever asked has left or acted since
  }
}

/** Find out how people sign in here, once. */
async function open() {
  const response = await send(new URL("home/settings/whatsapp/config.json", root));
  if (!response.ok) throw new Unreachable(String(response.status), { answered: true });
  const session = await openSession(await json(response), root);
  if (session) api = createApi(session);
  update({ session, phase: !session ? "unconfigured" : session.signedIn() ? "ready" : "signIn", trouble: null });
}

function accept(status) {
  const confirming = model.confirming && status.status === "connected";
  const notice = status.status === model.status?.status ? model.notice : null; // it was about the old state
  update({ status, confirming, notice, trouble: null });
  if (status.status !== "waiting_qr" || !status.qr) dropQr();
  else if (status.qr !== drawnQr) loadQr(status.qr);
}

function pollFailed(error) {
  if (error instanceof SignedOut && model.session?.canSignOut) {
    ended();
    return null;
  }
  const expected = [Unreachable, Refused, SignedOut].some((kind) => error instanceof kind);
  if (!expected) console.error(error);
  update({ trouble: t(error instanceof Unreachable && !error.answered ? "offline" : "troubled") });
  return 1000 * (error.retryAfter ?? 0);
}

// --- the QR

async function loadQr(text) {
  drawnQr = text;
  try {
    const blob = await api.qr();
    if (drawnQr !== text) return; // a newer one is on its way
    if (!blob) { drawnQr = null; return; } // gone already; the next poll knows more
    const old = model.image;
    update({ image: { url: URL.createObjectURL(blob), text } });
    if (old) URL.revokeObjectURL(old.url);
  } catch {
    if (drawnQr === text) drawnQr = null; // the next poll tries again
  }
}

function dropQr() {
  drawnQr = null;
  if (!model.image) return;
  URL.revokeObjectURL(model.image.url);
  update({ image: null });
}

// --- actions

/**
 * Run one action at a time; whatever it ends with, the state is asked for at once. `work` answers what to do with its
 * result, which is nobody's when the person has signed out meanwhile.
 */
async function act(name, work) {
  if (model.busy) return;
  const own = ++turn;
  update({ busy: name, notice: null });
  let done;
  try {
    done = await work();
  } catch (error) {
    done = () => actionFailed(error);
  }
  if (turn !== own) return;
  done?.();
  turn += 1;
  update({ busy: null });
  if (model.phase === "ready") poller.now();
}

function actionFailed(error) {
  if (error instanceof SignedOut && model.session?.canSignOut) ended();
  else if (error instanceof SignInRefused) model.notice = t(error.reason);
  else if (error.code in OWN_WORDS) model.notice = t(OWN_WORDS[error.code]);
  else if (error instanceof Refused) model.notice = error.message || t("errorUnknown");
  else if (error instanceof Unreachable) model.notice = t(error.answered ? "errorUnknown" : "actionOffline");
  else {
    console.error(error);
    model.notice = t("errorUnknown");
  }
  if (error.retryAfter) model.retryAt = serverNow() + 1000 * error.retryAfter;
}

function connect() {
  return act("connect", async () => {
    const status = await api.connect();
    return () => update({ status, retryAt: 0 });
  });
}

/** Ends a pairing just as it ends a session: when the API answers, it is over. */
function disconnect() {
  return act("disconnect", async () => {
    await api.disconnect();
    return () => accept({ ...model.status, status: "disconnected", error: null });
  });
}

function sandboxScan(number) {
  return act("scan", async () => {
    try {
      await api.sandboxScan(model.status.qr, number);
    } catch (error) {
      model.notice = error.message && error instanceof Refused ? error.message : t("sandboxFailed");
    }
  });
}

function signIn(email, password) {
  return act("signIn", async () => {
    await model.session.signIn(email, password);
    return () => {
      view.clearPassword();
      api = createApi(model.session);
      update({ phase: "ready" });
    };
  });
}

function signOut() {
  model.session.signOut();
  leave(null);
}

function ended() {
  model.session.forget();
  leave(t("signInEnded"));
}

/** Back to the sign-in form, with nothing of the person left on the page. */
function leave(notice) {
  turn += 1;
  poller.stop();
  dropQr();
  update({ phase: "signIn", status: null, busy: null, confirming: false, retryAt: 0, trouble: null, notice });
}

function confirm(confirming) {
  update({ confirming });
}

setInterval(() => document.visibilityState === "visible" && draw(), TICK_MS);
draw();
poller.now();
