// The page: a model, the actions that change it, and the answers of the signed-in person's client.
//
// The way of a QR: poller.js asks for the status. client.js takes the QR's text from the status and fetches the picture.
// picture.js checks that the picture loads. accept() and picture() below put both into the model. drawQr() in view.js
// shows them.
import { Refused, SecondFactorRequired, TokenRefused } from "./api.js";
import { openAuth } from "./auth.js";
import { createClient } from "./client.js";
import { SignedOut, Unreachable, serverNow } from "./net.js";
import { createPoller } from "./poller.js";
import { pickLanguage, translator } from "./strings.js";
import { SignInRefused } from "./supabase.js";
import { createView } from "./view.js";

// This file is <root>/home/settings/whatsapp/app.js, whatever the root is.
const root = new URL("../../../", import.meta.url);

const TICK_MS = 500;
const DOUBT_MS = 3_000; // long enough for the text to be read
// Errors that the API states in English only.
const OWN_WORDS = new Map([["too_soon", "tooSoon"], ["at_capacity", "full"], ["unavailable", "busy"]]);

const languages = pickLanguage(navigator.languages?.length ? navigator.languages : [navigator.language]);
const t = translator(languages.language);

const NOBODY = {
  status: null, // the session, as the client has told it last
  image: null, // { url, text } of the QR on show
  busy: null, // the action under way: connect, disconnect, scan, signIn
  confirming: false,
  retryAt: 0,
  result: null, // of the last action, in words
  trouble: null, // why polling fails, in words
  refused: false, // true: the API refuses the person's tokens
  doubt: null, // { cause, text, until, settled }: an action whose end is unknown
  pictureTrouble: null, // why the QR does not load, in words
  pictureFailures: 0, // in a row
  failed: false, // true: this script itself has failed
};

const model = {
  phase: "loading", // loading → unconfigured | signIn ⇄ ready | secondFactor
  auth: null, // how people sign in here
  signIn: null, // the person who is signed in
  ...NOBODY,
};

let client = null; // of model.signIn
let watching = null; // by the client
let opening = null; // the poller that finds out how people sign in here
let signingIn = null; // aborts the sign-in under way
let turn = 0; // counts actions and sign-outs; a result is shown only if its turn is still the present one
let complaint = ""; // the last error in the console

const view = createView(t, languages, { connect, disconnect, sandboxScan, signIn, editSignIn, signOut, confirm });

function draw() {
  const { doubt } = model;
  if (doubt?.settled && performance.now() > doubt.until) model.doubt = null;
  for (const error of view.render(model, serverNow())) complain(error);
}

function update(changes) {
  Object.assign(model, changes);
  draw();
}

/** Show that the page itself has failed, and log the error once. */
function failed(error) {
  complain(error);
  update({ failed: true });
}

function complain(error) {
  if (String(error) !== complaint) console.error(error);
  complaint = String(error);
}

// --- the sign-in: find out how people sign in here, then enter and leave

function start() {
  update({ phase: "loading", auth: null });
  opening = createPoller(open, (error) => {
    troubled(error);
    return 1000 * (error.retryAfter ?? 0);
  });
  opening.now();
}

async function open() {
  const auth = await openAuth(root);
  opening.stop();
  update({ auth, trouble: null, phase: auth ? "signIn" : "unconfigured" });
  const restored = auth?.restore();
  if (restored) enter(restored);
}

function enter(signIn) {
  client = createClient(signIn, root);
  signIn.signal.addEventListener("abort", () => leave(signIn));
  update({ ...NOBODY, signIn, phase: "ready" });
  watching = client.watch({ status: accept, picture, failed: troubled, pictureFailed });
}

/** Go back to the sign-in form, and remove everything about the person from the page. */
function leave({ ended }) {
  turn += 1;
  client = null;
  view.forget();
  const result = ended === "refused" || ended === "elsewhere" ? t("signInEnded") : null;
  update({ ...NOBODY, signIn: null, phase: "signIn", result });
}

/** The API demands a second factor, and this page cannot ask for one. The next sign-in or a reload tries again. */
function needSecondFactor() {
  turn += 1;
  watching.stop();
  view.forget();
  update({ ...NOBODY, phase: "secondFactor" });
}

// --- answers of the client

function accept(status) {
  const confirming = model.confirming && status.status === "connected";
  // The words of a result are shown only while the session's status stays the same.
  const result = status.status === model.status?.status ? model.result : null;
  const doubt = model.doubt && { ...model.doubt, settled: true };
  update({ status, confirming, result, doubt, trouble: null, refused: false, failed: false });
}

function picture(image) {
  if (image || model.image || model.pictureFailures) update({ image, pictureTrouble: null, pictureFailures: 0 });
}

/** Show a failure only from the second one in a row. The first may come from a QR that has just changed. */
function pictureFailed(error) {
  const pictureFailures = model.pictureFailures + 1;
  if (!(error instanceof Unreachable)) failed(error);
  else if (pictureFailures > 1) update({ pictureTrouble: t(error.answered ? "qrTroubled" : "qrBlocked") });
  model.pictureFailures = pictureFailures;
}

function troubled(error) {
  if (error instanceof SecondFactorRequired) return needSecondFactor();
  model.refused = error instanceof TokenRefused;
  if (model.refused) update({ trouble: t(wordsFor(error)) });
  else if (error instanceof Unreachable) update({ trouble: t(error.answered ? "troubled" : "offline") });
  else if (error instanceof Refused) update({ trouble: t("troubled") });
  else failed(error);
}

const wordsFor = ({ code }) => (code === "anonymous_not_allowed" ? "anonymousRefused" : "tokenRefused");

// --- actions

/**
 * Run one action at a time. `work` resolves to a function that shows the result. If the person has signed out, that
 * function is not called.
 */
async function act(name, work) {
  if (model.busy) return;
  const own = ++turn;
  update({ busy: name, result: null, doubt: null });
  let done;
  try {
    done = await work();
  } catch (error) {
    done = () => actionFailed(name, error);
  }
  if (turn !== own) return;
  done?.();
  update({ busy: null });
}

function actionFailed(name, error) {
  if (error instanceof SignedOut) return;
  if (error instanceof SecondFactorRequired) return needSecondFactor();
  if (error instanceof TokenRefused) model.trouble = t(wordsFor(error));
  else if (error instanceof Unreachable) model.doubt = doubtAfter(error);
  else if (error instanceof Refused) {
    model.result = OWN_WORDS.has(error.code) ? t(OWN_WORDS.get(error.code)) : error.message || t("errorUnknown");
  } else failed(error);
  if (name === "connect" && error.retryAfter) model.retryAt = serverNow() + 1000 * error.retryAfter;
}

/** Nobody knows whether the server has done the action. The next answer of the status shows it. */
function doubtAfter({ answered }) {
  const cause = t(answered ? "noSense" : "noAnswer");
  return { cause, text: t("checking"), until: performance.now() + DOUBT_MS, settled: false };
}

function connect() {
  return act("connect", async () => {
    await client.connect();
    return () => { model.retryAt = 0; };
  });
}

function disconnect() {
  return act("disconnect", async () => void await client.disconnect());
}

function sandboxScan(number) {
  return act("scan", async () => {
    try {
      await model.auth.sandboxPhone.scan(model.status.qr, number);
    } catch (error) {
      const result = error.message && error instanceof Refused ? error.message : t("sandboxFailed");
      return () => { model.result = result; };
    }
  });
}

function signIn(email, password) {
  return act("signIn", async () => {
    signingIn = new AbortController();
    try {
      const person = await model.auth.signIn(email, password, signingIn.signal);
      return () => {
        view.forget();
        enter(person);
      };
    } catch (error) {
      if (error instanceof SignInRefused) return () => { model.result = t(error.reason, error.values); };
      if (!(error instanceof Unreachable)) throw error;
      return () => { model.result = t(error.answered ? "signInFailed" : "signInOffline"); };
    }
  });
}

/** The form changes while a sign-in is under way. End that sign-in, because the form may now be another person's. */
function editSignIn() {
  if (model.busy !== "signIn") return;
  signingIn.abort();
  turn += 1;
  update({ busy: null });
}

function signOut() {
  model.signIn.signOut();
}

function confirm(confirming) {
  update({ confirming });
}

// --- the back/forward cache: when the browser puts the page away, the page forgets the person; it starts again later

window.addEventListener("pagehide", ({ persisted }) => {
  if (!persisted) return;
  opening?.stop();
  signingIn?.abort();
  turn += 1;
  model.signIn?.suspend();
  view.forget();
  update({ ...NOBODY, signIn: null, phase: "loading" });
});
window.addEventListener("pageshow", ({ persisted }) => persisted && start());

setInterval(() => document.visibilityState === "visible" && draw(), TICK_MS);
start();
