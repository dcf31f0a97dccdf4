// What every page does: theme, local times, messages, copying, and asking before something is deleted.
import { age, moment } from "./format.js";
import { Refused, ask } from "./http.js";
import { fill, say, sayCode } from "./words.js";

document.documentElement.classList.add("scripted");

for (const link of document.querySelectorAll("[data-set-theme]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.documentElement.dataset.theme = link.dataset.setTheme;
    document.cookie = `one_ocr_theme=${link.dataset.setTheme}; path=/; max-age=31536000; samesite=lax`;
    for (const each of document.querySelectorAll("[data-set-theme]")) current(each, each === link);
  });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href*="lang="]');
  if (link?.closest(".preferences")) link.hash = location.hash; // the same page of a document, in the other language
});

export function localTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-time]")) time.textContent = moment(time.dateTime);
  for (const time of root.querySelectorAll("time[data-age]")) {
    time.textContent = age(time.dateTime);
    time.title = moment(time.dateTime);
  }
}
localTimes();

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/** Mark `element` as the one of its group that is chosen. */
export function current(element, chosen) {
  if (chosen) element.setAttribute("aria-current", "true");
  else element.removeAttribute("aria-current");
}

const notice = document.getElementById("notice");
let noticeEnds;

/** Say something for a moment, or until `unnotice` where `lasting`. */
export function tell(text, { lasting = false } = {}) {
  clearTimeout(noticeEnds);
  notice.textContent = text;
  notice.hidden = false;
  if (!lasting) noticeEnds = setTimeout(() => (notice.hidden = true), 4000);
}

/** Do `work`; where the service refuses, say why. Gives whether it was done. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.status ? say("js.failed", { detail: sayCode(error.code, error.detail) }) : say("js.upload.failed"));
    return false;
  }
}

const ANNOUNCE_MS = 5000;
let announced = 0;
let pending;

/** Tell people who do not see the page, at most every five seconds. */
export function announce(text) {
  clearTimeout(pending);
  const wait = Math.max(0, announced + ANNOUNCE_MS - Date.now());
  pending = setTimeout(() => {
    announced = Date.now();
    document.getElementById("announce").textContent = text;
  }, wait);
}

/** Put `text`, or what it promises, on the clipboard. */
export async function copy(text) {
  try {
    await write(await text);
    tell(say("js.copied"));
  } catch {
    tell(say("js.copy_failed"));
  }
}

/** Put a part of the page on the clipboard: as HTML, and as text for those who take no HTML. */
export function copyRich(html, text) {
  tell(say(copyByEvent({ "text/html": html, "text/plain": text }) ? "js.copied" : "js.copy_failed"));
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  if (!copyByEvent({ "text/plain": text })) throw new Error("copy");
}

/** Works also on a page that came without TLS, which has no `navigator.clipboard`. */
function copyByEvent(contents) {
  const give = (event) => {
    event.preventDefault();
    for (const [kind, data] of Object.entries(contents)) event.clipboardData.setData(kind, data);
  };
  document.addEventListener("copy", give);
  const done = document.execCommand("copy");
  document.removeEventListener("copy", give);
  return done;
}

const dialog = document.getElementById("confirm-delete");

function confirmDelete(name) {
  const sentence = dialog.querySelector("[data-text]");
  sentence.textContent = fill(sentence.dataset.text, { name });
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-delete]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (!(await confirmDelete(link.dataset.name))) return;
  const done = await attempt(() => ask(`/v1/tasks/${link.dataset.delete}`, { method: "DELETE" }));
  if (!done) return;
  const row = link.closest("tr, li");
  if (!row) return location.assign("/history");
  row.remove();
  if (location.pathname === "/history" && !document.querySelector("[data-task]")) location.reload();
});
