// The page of one task: how far it is, what failed, its pages; live.
import { announce, attempt, copy, tell } from "./app.js";
import { cost, count, duration, pages, rate } from "./format.js";
import { Grid, selectedPages } from "./grid.js";
import { ask } from "./http.js";
import { follow } from "./live.js";
import { ended, stateLabel } from "./rows.js";
import { fill, say, sayCode } from "./words.js";
import { Viewer } from "./viewer.js";

const main = document.getElementById("main");
const part = (id) => document.getElementById(id);
const id = main.dataset.task;
const url = `/v1/tasks/${id}`;
const MARKS = { ok: "o", blank: "b", failed: "f" };
const SHOWN_FAILURES = 20;
const REFRESH_MS = 1000;
const SPEED_WINDOW_MS = 20_000;

let state = main.dataset.state;
let rev = 0; // of the newest status shown
let failed = Number(part("failed").textContent.replace(/\D/g, ""));
let refreshing;
let samples = [];
const early = new Map(); // states of pages that were told before how many pages there are
const numbers = selectedPages(main.dataset.spec, main.dataset.marks.length);
const grid = new Grid(numbers, [...main.dataset.marks], Math.max(0, numbers.indexOf(Number(main.dataset.page))));
const viewer = new Viewer(id);

// ---------------------------------------------------------------- pages

function go(index) {
  if (index < 0 || index >= grid.numbers.length) return;
  grid.go(index);
  const page = grid.numbers[index];
  if (location.hash !== `#p=${page}`) history.replaceState(null, "", `${location.pathname}#p=${page}`);
  viewer.show(grid.numbers, index, grid.marks[index] !== ".");
}

function goToPage(number) {
  const index = grid.places.get(number);
  if (index !== undefined) go(index);
  else part("go-page").value = grid.numbers[grid.index];
}

const pageInAddress = () => Number(/^#p=(\d+)$/.exec(location.hash)?.[1] ?? 0);

function mark(number, letter) {
  const index = grid.places.get(number);
  if (index === undefined) early.set(number, letter);
  if (index === undefined || grid.marks[index] === letter) return;
  grid.mark(number, letter);
  viewer.forget(number);
  if (index === grid.index) viewer.show(grid.numbers, index, letter !== ".");
}

function learnPages(total) {
  if (total == null || grid.numbers.length === total) return;
  const all = selectedPages(main.dataset.spec, total);
  grid.setPages(all, all.map((number) => early.get(number) ?? "."));
  part("work").hidden = !total;
  part("waiting").hidden = true;
  if (total) go(Math.max(0, grid.places.get(pageInAddress()) ?? 0));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#work a[href], a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || link.closest(".prose") || link.id.startsWith("view-")) return;
  const page = Number(link.dataset.go ?? /[#?](?:p|page)=(\d+)$/.exec(link.getAttribute("href"))?.[1]);
  if (!page) return;
  event.preventDefault();
  goToPage(page);
  if (link.dataset.go) part("viewer").scrollIntoView({ block: "start" });
});
part("go").addEventListener("submit", (event) => {
  event.preventDefault();
  goToPage(Number(part("go-page").value));
});
window.addEventListener("hashchange", () => pageInAddress() && goToPage(pageInAddress()));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, select, textarea, summary, .menu")) return;
  const step = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  go(grid.index + step);
});

// ---------------------------------------------------------------- progress

function showProgress(progress) {
  learnPages(progress.pages_total);
  part("bar").value = progress.percent;
  part("percent").textContent = `${progress.percent} %`;
  part("pages").textContent = pages(progress);
  part("failed").textContent = count(progress.pages_failed);
  showSpeed(progress);
  const words = { state: say(`state.${state}`), percent: `${progress.percent} %` };
  announce(say("js.announce", { ...words, pages: say("js.pages", { done: progress.pages_done, total: progress.pages_total ?? "?" }) }));
}

function showSpeed({ pages_done, pages_total }) {
  const now = performance.now();
  if (samples.length && pages_done < samples.at(-1).done) samples = []; // pages are being read again
  samples.push({ now, done: pages_done });
  samples = samples.filter((each, index) => now - each.now < SPEED_WINDOW_MS || index === samples.length - 1);
  const [oldest] = samples;
  const speed = now > oldest.now ? (1000 * (pages_done - oldest.done)) / (now - oldest.now) : 0;
  part("speed").textContent = speed ? rate(speed) : "–";
  part("eta").textContent = speed && pages_total ? duration((pages_total - pages_done) / speed) : "–";
}

function showState(task) {
  state = task.state;
  const over = ended(state);
  part("state").replaceChildren(stateLabel(task));
  part("cancel").hidden = over;
  if (over) part("waiting").hidden = true;
  for (const element of document.querySelectorAll("[data-running]")) element.hidden = over;
  for (const link of document.querySelectorAll("[data-format]")) {
    link.href = `${url}/result?format=${link.dataset.format}${over ? "" : "&partial=true"}`;
  }
  part("took").parentElement.hidden = !task.finished_at || !task.started_at;
  part("took").textContent = duration((new Date(task.finished_at) - new Date(task.started_at)) / 1000);
  if (over) samples = [];
}

function isNews(task) {
  if (task.rev < rev) return false; // it was asked for before the stream told of a newer one
  rev = task.rev;
  return true;
}

function showStatus(task) {
  if (!isNews(task)) return !ended(state);
  showState(task);
  failed = task.failures.length;
  showProgress(task.progress);
  const { input_tokens, output_tokens, cost_usd } = task.usage;
  part("tokens").textContent = input_tokens == null ? "–" : `${count(input_tokens)} / ${count(output_tokens)}`;
  part("cost").textContent = cost(cost_usd);
  part("error").hidden = !task.error;
  if (task.error) part("error-text").replaceChildren(`${sayCode(task.error.code, task.error.message)} `, element("code", task.error.code));
  showFailures(task.failures, ended(task.state));
  return !ended(task.state);
}

// ---------------------------------------------------------------- failures

function showFailures(failures, retryable) {
  const failing = new Set(failures.map((failure) => failure.page_number));
  grid.numbers.forEach((number, index) => {
    if (failing.has(number)) mark(number, "f");
    else if (grid.marks[index] === "f") mark(number, ".");
  });
  part("failures").hidden = !failures.length;
  part("retry").hidden = !retryable || !failures.length;
  part("failure-list").replaceChildren(...failures.slice(0, SHOWN_FAILURES).map((failure) => failureLine(failure, retryable)));
  const more = part("failures-more");
  more.hidden = failures.length <= SHOWN_FAILURES;
  more.textContent = fill(more.dataset.text, { count: failures.length - SHOWN_FAILURES });
}

function failureLine(failure, retryable) {
  const line = element("li");
  const link = element("a", say("js.failure.page", { n: failure.page_number }));
  link.href = `#p=${failure.page_number}`;
  link.dataset.go = failure.page_number;
  const attempts = element("span", failure.attempts > 1 ? say("js.failure.attempts", { n: failure.attempts }) : "");
  attempts.className = "soft";
  const reason = element("span");
  reason.append(`${sayCode(failure.code, failure.message)} `, element("code", failure.code), " ", attempts);
  line.append(link, reason);
  if (retryable) {
    const form = element("form");
    form.dataset.retry = failure.page_number;
    const button = element("button", say("js.failure.retry"));
    button.setAttribute("aria-label", say("js.failure.retry_page", { n: failure.page_number }));
    form.append(button);
    line.append(form);
  }
  return line;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

// ---------------------------------------------------------------- live

async function refresh() {
  const task = await (await ask(`/task_status/${id}`)).json();
  const { text } = await (await ask(`/tasks/${id}/readers`)).json();
  part("readers").textContent = text;
  part("readers").hidden = !text;
  return showStatus(task);
}

async function refreshPages() {
  const { items } = await (await ask(`${url}/pages`)).json();
  for (const page of items) if (page.status !== "failed") mark(page.page_number, MARKS[page.status]);
}

function refreshSoon() {
  refreshing ??= setTimeout(async () => {
    refreshing = undefined;
    await refresh().catch(refreshSoon);
  }, REFRESH_MS);
}

function watch() {
  follow(`/task_status/${id}/events`, {
    progress(task) {
      if (!isNews(task)) return;
      const changed = task.state !== state || task.progress.pages_failed !== failed;
      state = task.state;
      showProgress(task.progress);
      if (changed) refreshSoon();
    },
    page: ({ page_number, status }) => mark(page_number, MARKS[status]),
    end: () => refresh().catch(refreshSoon),
    async poll() {
      const more = await refresh();
      await refreshPages();
      return more;
    },
    lost: () => tell(say("js.lost"), { lasting: true }),
    back() {
      tell(say("js.back"));
      if (grid.numbers.length) go(grid.index); // its text or image may not have come through
    },
    gone: () => tell(say("js.gone"), { lasting: true }),
  });
}

// ---------------------------------------------------------------- actions

async function order(path, body) {
  await attempt(async () => {
    const task = await (await ask(`${url}/${path}`, { method: "POST", body })).json();
    if (showStatus(task) && path === "retry") watch();
  });
}

document.addEventListener("submit", (event) => {
  const page = event.target.dataset.retry;
  if (page || event.target.id === "retry") {
    event.preventDefault();
    order("retry", { pages: page ? [Number(page)] : "failed" });
  } else if (event.target.id === "cancel") {
    event.preventDefault();
    order("cancel");
  }
});
part("copy-id").addEventListener("click", () => copy(id));
part("copy-all").addEventListener("click", () => copy(ask(`${url}/result?format=md&partial=true`, { accept: "text/markdown" }).then((answer) => answer.text())));

if (grid.numbers.length) go(grid.places.get(pageInAddress()) ?? grid.index);
if (!ended(state)) watch();
