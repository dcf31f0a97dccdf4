// Numbers, times and sizes for people, as the page's language writes them.
import { say } from "./words.js";

const LANGUAGE = document.documentElement.lang;
const COUNT = new Intl.NumberFormat(LANGUAGE);
const RATE = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 2 });
const PERCENT = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0 });
const MOMENT = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const AGE = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto", style: "short" });
const AGES_S = [["day", 86400], ["hour", 3600], ["minute", 60]];

export const count = (number) => (number == null ? "–" : COUNT.format(number));
export const rate = (number) => RATE.format(number);
export const share = (ratio) => PERCENT.format(ratio);
export const moment = (iso) => MOMENT.format(new Date(iso));

export function cost(usd) {
  if (usd == null) return "–";
  return usd === 0 || usd >= 1 ? `$${usd.toFixed(2)}` : `$${usd.toFixed(4)}`;
}

export function size(bytes) {
  if (bytes < 1 << 10) return `${bytes} B`;
  return bytes < 1 << 20 ? `${(bytes / (1 << 10)).toFixed(0)} KB` : `${(bytes / (1 << 20)).toPrecision(3)} MB`;
}

export function duration(seconds) {
  if (seconds < 90) return say("js.seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return say("js.minutes", { n: Math.round(seconds / 60) });
  return say("js.hours", { n: rate(seconds / 3600) });
}

export function age(iso) {
  const past = (Date.now() - new Date(iso)) / 1000;
  if (past > 7 * 86400) return moment(iso);
  const [unit, seconds] = AGES_S.find(([, each]) => past >= each) ?? ["minute", 60];
  return AGE.format(-Math.floor(past / seconds), unit);
}

/** "3 / 12", or "3" while the number of pages is not known. */
export function pages(progress) {
  const done = count(progress.pages_done);
  return progress.pages_total == null ? done : `${done} / ${count(progress.pages_total)}`;
}
