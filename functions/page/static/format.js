// Numbers and times as a person reads them.

const TWO_DIGIT_CODES = /^(2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])/;

// Argentina's area codes of three digits; 11 has two, all others have four.
const ARGENTINA_3 = "2(?:2[013]|3[067]|49|6[01346]|80|9[14789])|3(?:36|4[1-358]|5[138]|6[24]|7[069]|8[013578])";

// Countries whose numbers phones do not show in groups of three: digits → groups.
const PLANS = [
  [/^55(\d\d)(\d{4,5})(\d{4})$/, "55 $1 $2-$3"], // Brazil, with and without the ninth digit
  [/^549(11)(\d{4})(\d{4})$/, "54 9 $1 $2-$3"], // Argentina
  [new RegExp(`^549(${ARGENTINA_3})(\\d{3})(\\d{4})$`), "54 9 $1 $2-$3"],
  [/^549(\d{4})(\d\d)(\d{4})$/, "54 9 $1 $2-$3"],
  [/^54(11)(\d{4})(\d{4})$/, "54 $1 $2-$3"], // Argentina, without the 9 of mobile numbers
  [new RegExp(`^54(${ARGENTINA_3})(\\d{3})(\\d{4})$`), "54 $1 $2-$3"],
  [/^54(\d{4})(\d\d)(\d{4})$/, "54 $1 $2-$3"],
  [/^521(33|5[56]|81)(\d{4})(\d{4})$/, "52 1 $1 $2 $3"], // Mexico, with the 1 of mobile numbers
  [/^521(\d{3})(\d{3})(\d{4})$/, "52 1 $1 $2 $3"],
  [/^52(33|5[56]|81)(\d{4})(\d{4})$/, "52 $1 $2 $3"], // and without it
  [/^52(\d{3})(\d{3})(\d{4})$/, "52 $1 $2 $3"],
  [/^49(15\d\d)(\d{7})$/, "49 $1 $2"], // Germany
  [/^49(1[67]\d)(\d{8})$/, "49 $1 $2"],
  [/^43(6\d\d)(\d{8})$/, "43 $1 $2"], // Austria
  [/^62(8\d\d)(\d{4})(\d{4})$/, "62 $1-$2-$3"], // Indonesia
  [/^225(\d\d)(\d\d)(\d\d)(\d{4})$/, "225 $1 $2 $3 $4"], // Côte d'Ivoire
  [/^229(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, "229 $1 $2 $3 $4 $5"], // Benin
  [/^856(20)(\d\d)(\d{3})(\d{3})$/, "856 $1 $2 $3 $4"], // Laos
  [/^880(1\d{3})(\d{6})$/, "880 $1-$2"], // Bangladesh
  [/^977(9\d\d)(\d{7})$/, "977 $1-$2"], // Nepal
  [/^(\d\d)(\d{3})(\d{4})(\d{4})$/, "$1 $2 $3 $4", TWO_DIGIT_CODES], // China and all other countries with two-digit codes
];

/** "34600111222" → "+34 600 111 222": the country code, then groups of three, the last of three or four. */
export function phoneNumber(text) {
  const digits = String(text ?? "").replace(/\D/g, "");
  if (!digits) return "";
  const plan = PLANS.find(([form, , codes]) => form.test(digits) && (!codes || codes.test(digits)));
  if (plan) return `+${digits.replace(plan[0], plan[1])}`;
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

/** "1,284", in the reader's language; "—" for anything but a number. */
export const wholeNumber = (value, locale) =>
  Number.isFinite(value) ? new Intl.NumberFormat(locale).format(value) : "—";

/** "30 seconds", in the reader's language. */
export const inSeconds = (ms, locale) =>
  new Intl.NumberFormat(locale, { style: "unit", unit: "second", unitDisplay: "long" }).format(Math.ceil(ms / 1000));

/** "27 July 2026 at 10:04", in the reader's language. */
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
