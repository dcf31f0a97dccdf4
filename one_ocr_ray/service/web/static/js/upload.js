// The upload page: chosen files are looked at here, sent in one request with progress for each, and their ids shown.
import { announce } from "./app.js";
import { share, size } from "./format.js";
import { Refused, refusal } from "./http.js";
import "./history.js";
import { say, sayCode } from "./words.js";

const part = (id) => document.getElementById(id);
const form = part("upload");
const input = part("files");
const LIMITS = {
  files: Number(form.dataset.maxFiles),
  fileBytes: Number(form.dataset.maxFileBytes),
  requestBytes: Number(form.dataset.maxRequestBytes),
};
const HEAD_BYTES = 1024; // in which a PDF says that it is one
/** How images and archives begin, as `pdf/kinds.py` has them; the service looks closer. */
const OTHER = /^(?:\x89PNG|\xff\xd8\xff|II[*+]\0|MM\0[*+]|RIFF[^]{4}WEBP|GIF8|\0\0\0\x0cjP|\xff\x4f\xff\x51|[^]{4}ftyp|BM|PK)/;

/** `{file, problem, line}` of each chosen file; one with a problem is not sent. */
let chosen = [];
let request;

// ---------------------------------------------------------------- choosing

async function problemOf(file) {
  if (file.size === 0) return say("js.upload.empty");
  if (file.size > LIMITS.fileBytes) return say("js.upload.too_large", { size: size(LIMITS.fileBytes) });
  const bytes = await file.slice(0, HEAD_BYTES).arrayBuffer().catch(() => new ArrayBuffer(0));
  const head = String.fromCharCode(...new Uint8Array(bytes));
  if (OTHER.test(head) || head.includes("%PDF-")) return "";
  return say(file.name.toLowerCase().endsWith(".pdf") ? "js.upload.not_pdf" : "js.upload.unsupported_file");
}

async function add(files) {
  hideProblem();
  for (const file of files) {
    const same = chosen.some((each) => each.file.name === file.name && each.file.size === file.size && each.file.lastModified === file.lastModified);
    if (!same) chosen.push({ file, problem: await problemOf(file) });
  }
  draw();
  const refusals = chosen.filter((each) => each.problem).map((each) => `${each.file.name}: ${refusalOf(each.problem)}`);
  announce([part("submit").textContent, ...refusals].join("; "));
}

const refusalOf = (reason) => say("js.upload.refused", { reason });

function good() {
  return chosen.filter((each) => !each.problem);
}

function draw() {
  part("chosen-files").replaceChildren(...chosen.map(line));
  part("chosen").hidden = !chosen.length;
  const files = good();
  part("submit").textContent = files.length ? say("js.upload.submit", { count: files.length }) : say("js.upload.submit.none");
  part("submit").disabled = !files.length;
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  if (files.length > LIMITS.files) showProblem(say("js.upload.too_many", { files: LIMITS.files }));
  else if (bytes > LIMITS.requestBytes) showProblem(say("js.upload.too_much", { size: size(LIMITS.requestBytes) }));
  else hideProblem();
}

function line(each) {
  const { file, problem } = each;
  const item = element("li");
  const remove = element("button", "×", "icon");
  remove.type = "button";
  remove.setAttribute("aria-label", say("js.upload.remove", { name: file.name }));
  remove.addEventListener("click", () => {
    chosen = chosen.filter((other) => other !== each);
    draw();
    input.focus();
  });
  each.said = element("span", problem ? refusalOf(problem) : size(file.size), "soft said");
  each.bar = element("progress");
  Object.assign(each.bar, { max: 1, value: 0, hidden: true });
  each.bar.setAttribute("aria-label", file.name);
  item.classList.toggle("refused", Boolean(problem));
  item.append(element("span", file.name, "name"), each.said, remove, each.bar);
  each.item = item;
  return item;
}

input.required = false; // files that were dropped are not in it
input.addEventListener("change", async () => {
  const files = [...input.files];
  input.value = "";
  await add(files);
});
const drop = part("drop");
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  add([...event.dataTransfer.files]);
});
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault()); // a miss

// ---------------------------------------------------------------- sending

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const files = good();
  if (!files.length || files.length > LIMITS.files) return;
  hideProblem();
  busy(true);
  try {
    done(await send(files));
  } catch (error) {
    refused(error);
  } finally {
    busy(false);
  }
});

function send(files) {
  const body = new FormData();
  body.append("options", JSON.stringify(options()));
  for (const { file } of files) body.append("files", file, file.name);
  request = new XMLHttpRequest();
  request.open("POST", "/upload");
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Idempotency-Key", `page-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`);
  request.upload.addEventListener("progress", (event) => showSent(files, event.loaded, event.total));
  return new Promise((resolve, reject) => {
    request.addEventListener("load", () => {
      if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(refusal(request.status, request.responseText));
    });
    for (const name of ["error", "timeout"]) request.addEventListener(name, () => reject(new Refused(0, "unreachable", "")));
    request.addEventListener("abort", () => reject(new Refused(0, "stopped", "")));
    request.send(body);
  });
}

/** The files go one after the other in one body, so what has been sent of it tells how far each one is. */
function showSent(files, loaded, total) {
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  let left = loaded - (total - bytes) / 2;
  for (const { file, bar, said } of files) {
    const ratio = Math.min(1, Math.max(0, left / file.size));
    left -= file.size;
    bar.value = ratio;
    said.textContent = ratio < 1 ? say("js.upload.sending", { percent: share(ratio) }) : say("js.upload.checking");
  }
}

function options() {
  const names = ["engine", "model", "pages", "route", "escalate"].filter((name) => form.elements[name]);
  const entries = names.map((name) => [name, form.elements[name].value.trim()]);
  return Object.fromEntries(entries.filter(([, value]) => value));
}

function busy(yes) {
  part("submit").disabled = yes || !good().length;
  part("stop").hidden = !yes;
  for (const { bar, item, said, file, problem } of chosen) {
    bar.hidden = !yes || Boolean(problem);
    item.querySelector("button").disabled = yes;
    if (!yes && !problem) said.textContent = size(file.size);
  }
}

part("stop").addEventListener("click", () => request.abort());

function refused(error) {
  if (!(error instanceof Refused)) throw error;
  if (error.code === "stopped") return;
  if (error.status === 0) showProblem(say("js.upload.failed"));
  else showProblem([sayCode(error.code, ""), error.detail].filter(Boolean).join(" "));
}

// ---------------------------------------------------------------- after

function done({ batch_id, tasks, rejected }) {
  const lines = tasks.map((task) => {
    const name = element("span", "", "name");
    const link = element("a", task.filename);
    link.href = `/tasks/${task.task_id}`;
    name.append(link, element("code", task.task_id));
    const item = element("li");
    item.append(name, element("span", size(task.size_bytes), "soft"));
    return item;
  });
  const unsent = chosen.filter((each) => each.problem).map((each) => [each.file.name, each.problem]);
  for (const [name, reason] of [...rejected.map((file) => [file.filename, sayCode(file.code, file.detail)]), ...unsent]) {
    const item = element("li", "", "refused");
    item.append(element("span", name, "name"), element("span", refusalOf(reason), "said"));
    lines.push(item);
  }
  part("uploaded-files").replaceChildren(...lines);
  part("uploaded-title").textContent = say("js.upload.done", { count: tasks.length });
  part("results").href = tasks.length === 1 && !rejected.length ? `/tasks/${tasks[0].task_id}` : `/batches/${batch_id}`;
  chosen = [];
  draw();
  form.hidden = true;
  part("uploaded").hidden = false;
  part("uploaded-title").focus();
}

part("more").addEventListener("click", () => {
  form.hidden = false;
  part("uploaded").hidden = true;
  input.focus();
});

function showProblem(text) {
  part("problem").textContent = text;
  part("problem").hidden = false;
}

function hideProblem() {
  part("problem").hidden = true;
}

function element(name, text = "", classes = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = classes;
  return made;
}

draw();
