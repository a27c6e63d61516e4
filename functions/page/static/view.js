// Draws the model. render() may run at any time and often, because it changes only the elements that differ.
import { ago, countdown, dateTime, inSeconds, minutes, phoneNumber, wholeNumber } from "./format.js";

const LAST_CALL_MS = 30_000;

const byId = (id) => document.getElementById(id);
const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const setHidden = (element, hidden) => { if (element.hidden !== hidden) element.hidden = hidden; };

/** Which panel a model asks for. */
function panelOf({ phase, status }) {
  if (phase !== "ready") return phase; // loading, unconfigured, signIn, secondFactor
  if (!status) return "loading";
  if (status.status === "waiting_qr") return status.qr ? "qr" : "finishing";
  return ["disconnected", "connecting", "connected"].includes(status.status) ? status.status : "error";
}

export function createView(t, { language, locale }, actions) {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const panels = new Map(all("[data-panel]").map((panel) => [panel.dataset.panel, panel]));
  let shown = "loading";
  const told = { reason: "", deadline: null }; // the announcer says each of these once
  let qrStarted = { text: null, at: 0 };
  let problems = []; // errors of the last drawing

  document.documentElement.lang = language;
  for (const list of all(".steps")) list.append(byId("steps").content.cloneNode(true));
  for (const element of all("[data-text]")) setText(element, t(element.dataset.text));
  for (const image of all("[data-alt]")) image.alt = t(image.dataset.alt);
  setText(byId("failed"), t("pageFailed")); // before this, the text says that the script has not started
  byId("failed").classList.remove("late");
  listen();

  function listen() {
    // Ignore the second click of a double click (detail 2), because a new button may be under the pointer by then.
    const press = (element, act) => element.addEventListener("click", ({ detail }) => {
      if (detail < 2 && element.getAttribute("aria-disabled") !== "true") act();
    });
    const submit = (form, act) => form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.querySelector("button").getAttribute("aria-disabled") !== "true") act();
    });
    press(byId("connect"), actions.connect);
    press(byId("retry"), actions.connect);
    press(byId("sign-out"), () => { actions.signOut(); byId("email").focus(); });
    press(byId("confirm-yes"), actions.disconnect);
    press(byId("disconnect"), () => { actions.confirm(true); byId("confirm-no").focus(); });
    press(byId("confirm-no"), keepConnected);
    byId("confirm").addEventListener("keydown", (event) => { if (event.key === "Escape") keepConnected(); });
    for (const button of all("[data-cancel]")) press(button, actions.disconnect);
    submit(byId("sign-in"), () => actions.signIn(byId("email").value, byId("password").value));
    byId("sign-in").addEventListener("input", actions.editSignIn);
    submit(byId("sandbox"), () => actions.sandboxScan(byId("sandbox-number").value));
  }

  function keepConnected() {
    actions.confirm(false);
    byId("disconnect").focus();
  }

  /** A button that cannot be pressed is only marked. If it were disabled, it would lose the focus. */
  function button(element, text, disabled) {
    setText(element, text);
    element.setAttribute("aria-disabled", String(disabled));
  }

  /** Change the panel. The focus moves to the new panel only if the old one had it. Returns the words to announce. */
  function show(panel) {
    if (panel === shown) return null;
    const old = panels.get(shown);
    const next = panels.get(panel);
    const focused = document.activeElement;
    const follow = old.contains(focused);
    setHidden(next, false);
    setHidden(old, true);
    shown = panel;
    byId("card").dataset.state = panel;
    const heading = next.querySelector("[tabindex='-1']");
    if (follow) heading.focus();
    return follow ? "" : heading.textContent; // a focused heading is read out anyway
  }

  /** The panel's reason if it is new, otherwise null. The reason may come later than the panel. */
  function newReason(panel) {
    const reason = panels.get(panel).querySelector("[data-reason]")?.textContent ?? "";
    if (reason === told.reason) return null;
    told.reason = reason;
    return reason;
  }

  /** The words for a screen reader when little time is left, once in each window. It does not read the countdown. */
  function lastCall(panel, deadline, now) {
    const left = Date.parse(deadline ?? "") - now;
    if (panel !== "qr" || deadline === told.deadline || !(left > 0 && left <= LAST_CALL_MS)) return null;
    told.deadline = deadline;
    return t("lastCall", { time: inSeconds(left, locale) });
  }

  /** Let a screen reader say the news. null is no news. "" clears the text, so that the same words can be said again. */
  function announce(news) {
    const said = news.filter((text) => text !== null);
    if (said.length) setText(byId("announcer"), said.join(" ").trim());
  }

  /** Draw one part. If this fails, note the error and go on, so that the other parts are drawn. */
  function part(draw) {
    try {
      draw();
    } catch (error) {
      problems.push(error);
    }
  }

  /** Draw all parts. Returns the errors of the parts that failed. */
  function render(model, now) {
    problems = [];
    part(() => drawAll(model, now));
    setHidden(byId("failed"), !(problems.length || model.failed));
    return problems;
  }

  function drawAll(model, now) {
    const panel = panelOf(model);
    const status = model.status ?? {};
    part(() => drawFrame(model, panel));
    part(() => drawStart(byId("connect"), "connect", model, now));
    part(() => drawStart(byId("retry"), "retry", model, now));
    button(byId("sign-in-button"), t(model.busy === "signIn" ? "signingIn" : "signIn"), model.busy === "signIn");
    const cancel = t(model.busy === "disconnect" ? "cancelling" : "cancel");
    for (const element of all("[data-cancel]")) button(element, cancel, Boolean(model.busy));
    const deadline = status.attempt?.deadline;
    const end = Date.parse(deadline ?? "") - now;
    const left = Number.isNaN(end) ? "" : t("timeLeft", { time: minutes(end) });
    for (const line of all("[data-time-left]")) setText(line, left);
    if (panel === "qr") part(() => drawQr(model, now));
    if (panel === "connected") drawConnected(model, now);
    if (panel === "error") drawError(status.error);
    setHidden(byId("reason"), !status.error?.message);
    setText(byId("reason"), status.error?.message ?? "");
    const news = [show(panel), newReason(panel)];
    part(() => news.push(lastCall(panel, deadline, now)));
    announce(news);
  }

  function drawStart(element, idle, { busy, retryAt }, now) {
    const wait = retryAt - now;
    const early = wait > 0;
    const text = busy === "connect" ? t("starting") : early ? t(`${idle}Wait`, { time: countdown(wait) }) : t(idle);
    button(element, text, Boolean(busy || early));
  }

  function drawFrame({ phase, status, trouble, refused, doubt, pictureTrouble, result, signIn }, panel) {
    const badge = byId("badge");
    setHidden(badge, phase !== "ready" || panel === "loading");
    if (!badge.hidden) setText(badge, t(`badge.${panel}`));
    setHidden(byId("card"), panel === "loading" && refused); // there is nothing to wait for
    setHidden(byId("sign-out"), !signIn?.canSignOut);
    const network = [trouble ?? doubt?.cause ?? pictureTrouble, doubt?.text].filter(Boolean).join(" ");
    const asked = phase === "ready" ? status?.notice?.message : null;
    for (const [element, text] of [[byId("network"), network], [byId("result"), result], [byId("asked"), asked]]) {
      setHidden(element, !text);
      setText(element, text ?? "");
    }
  }

  function drawQr({ status, image, auth, busy }, now) {
    const expiry = Date.parse(status.qrExpiresAt ?? "");
    if (qrStarted.text !== status.qr) qrStarted = { text: status.qr, at: now };
    const left = expiry - now;
    const fresh = !(left <= 0);
    const ready = image?.text === status.qr && fresh;
    const picture = byId("qr");
    if (image && picture.src !== image.url) picture.src = image.url;
    setHidden(picture, !image);
    byId("qr-frame").classList.toggle("stale", !ready);
    setHidden(byId("qr-wait"), ready);
    const seconds = Math.ceil(left / 1000);
    setText(byId("qr-expiry"), Number.isNaN(left) ? "" : t(fresh ? "qrExpiry" : "qrRefreshing", { seconds }));
    const share = left / Math.max(1, expiry - qrStarted.at);
    byId("qr-bar").style.transform = `scaleX(${share > 0 ? Math.min(1, share) : 0})`;
    setHidden(byId("sandbox"), !auth.sandboxPhone);
    button(byId("sandbox-scan"), t(busy === "scan" ? "sandboxScanning" : "sandboxScan"), Boolean(busy));
  }

  function drawConnected({ status, confirming, busy }, now) {
    const time = (element, iso, text) => {
      setText(element, !iso ? t("never") : Number.isNaN(Date.parse(iso)) ? "—" : text(iso));
      element.dateTime = iso ?? "";
    };
    setText(byId("number"), phoneNumber(status.phoneNumber) || t("numberUnknown"));
    setHidden(byId("disconnect"), confirming);
    setHidden(byId("confirm"), !confirming);
    button(byId("confirm-yes"), t(busy === "disconnect" ? "disconnecting" : "confirmYes"), Boolean(busy));
    part(() => time(byId("connected-at"), status.connectedAt, (iso) => dateTime(iso, locale)));
    part(() => time(byId("last-seen"), status.lastSeen, (iso) => ago(iso, now, locale) ?? t("justNow")));
    part(() => setText(byId("sent"), wholeNumber(status.messagesSent ?? 0, locale)));
    part(() => setText(byId("received"), wholeNumber(status.messagesReceived ?? 0, locale)));
  }

  function drawError(error) {
    setText(byId("error-message"), error?.message || t("errorUnknown"));
    setText(byId("error-code"), error?.code ? t("errorCode", { code: error.code }) : "");
  }

  /** Empty every element that tells something about a person, also the hidden ones. */
  function forget() {
    for (const form of all("form")) form.reset();
    for (const element of all("[data-personal]")) setText(element, "");
    for (const time of all("time")) time.removeAttribute("datetime");
    byId("qr").removeAttribute("src");
    setHidden(byId("qr"), true);
    Object.assign(told, { reason: "", deadline: null });
    qrStarted = { text: null, at: 0 };
  }

  return { render, forget };
}
