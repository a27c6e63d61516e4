// Numbers and times as a person reads them.

const TWO_DIGIT_CODES = /^(2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])/;

/** "34600111222" → "+34 600 111 222": the country code, then groups of three, the last of three or four. */
export function phoneNumber(text) {
  const digits = String(text ?? "").replace(/\D/g, "");
  if (!digits) return "";
  const code = /^[17]/.test(digits) ? 1 : TWO_DIGIT_CODES.test(digits) ? 2 : 3;
  let rest = digits.slice(code);
  const groups = [];
  while (rest.length > 4) {
    groups.push(rest.slice(0, 3));
    rest = rest.slice(3);
  }
  if (rest.length < 3 && groups.length) rest = groups.pop() + rest;
  if (rest.length === 5) rest = `${rest.slice(0, 3)} ${rest.slice(3)}`;
  return [`+${digits.slice(0, code)}`, ...groups, rest].filter(Boolean).join(" ");
}

/** Milliseconds → "1:05". */
export function minutes(ms) {
  const all = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
}

/** "45 s"; above a minute "59:47". */
export function countdown(ms) {
  const seconds = Math.ceil(ms / 1000);
  return seconds > 60 ? minutes(ms) : `${seconds} s`;
}

/** "30 seconds", in the reader's way. */
export const inSeconds = (ms, locale) =>
  new Intl.NumberFormat(locale, { style: "unit", unit: "second", unitDisplay: "long" }).format(Math.ceil(ms / 1000));

/** "27 July 2026 at 10:04", in the reader's way. */
export const dateTime = (iso, locale) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" }).format(new Date(iso));

/** "3 minutes ago" within a day, then the date; null under a minute. */
export function ago(iso, now, locale) {
  const seconds = Math.round((now - Date.parse(iso)) / 1000);
  if (seconds < 60) return null;
  if (seconds >= 86_400) return dateTime(iso, locale);
  const relative = new Intl.RelativeTimeFormat(locale);
  const [unit, length] = seconds < 3600 ? ["minute", 60] : ["hour", 3600];
  return relative.format(-Math.floor(seconds / length), unit);
}
