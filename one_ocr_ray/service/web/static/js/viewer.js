// One page of a task: its image beside its text. Pages that were seen last are kept, so that turning back is instant.
import { copy, current } from "./app.js";
import { Blocks } from "./blocks.js";
import { share } from "./format.js";
import { setFormulas } from "./formulas.js";
import { link } from "./grid.js";
import { ask } from "./http.js";
import { say, sayCode } from "./words.js";

const KEPT = 24;
const AGAIN_MS = 2000;
const HURRY_MS = 120; // pages turned faster than this are not loaded: a key held down leads past them
const LONGEST = 65536; // characters; as in service/markdown.py
const VIEWS = ["blocks", "rendered", "source"];
const part = (id) => document.getElementById(id);

export class Viewer {
  constructor(task) {
    this.images = `/v1/tasks/${task}/pages`;
    this.url = `/tasks/${task}/pages`;
    this.kept = new Map();
    this.ahead = new Image(); // the next page's, so that it is there when it is turned to
    this.turned = -Infinity;
    this.blocks = new Blocks();
    const asked = new URLSearchParams(location.search).get("view");
    this.view = VIEWS.includes(asked) ? asked : undefined; // the one that was chosen
    for (const view of VIEWS) {
      part(`view-${view}`).addEventListener("click", (event) => {
        event.preventDefault();
        this.view = view;
        this.#showView();
      });
    }
    part("copy-page").addEventListener("click", () => copy(this.#page(this.number).then((page) => page.markdown)));
    part("image")?.addEventListener("error", () => this.#imageState(false));
    part("image")?.addEventListener("load", () => this.#imageState(true));
    this.#showView();
  }

  /** What was kept of a page is no longer so. */
  forget(number) {
    this.kept.delete(number);
  }

  /** Show the page at `index` of `numbers`; `ready` says whether it has been read. */
  show(numbers, index, ready) {
    const number = numbers[index];
    const hurried = performance.now() - this.turned < HURRY_MS && !this.kept.has(number);
    this.turned = performance.now();
    this.number = number;
    clearTimeout(this.again);
    this.aborting?.abort();
    this.aborting = new AbortController();
    part("viewer-title").textContent = say("viewer.title", { n: number });
    part("go-page").value = number;
    part("total").textContent = say("viewer.of", { total: numbers.length });
    link(part("previous"), numbers[index - 1]);
    link(part("next"), numbers[index + 1]);
    for (const view of VIEWS) part(`view-${view}`).href = `#p=${number}`;
    part("text").setAttribute("aria-label", say("viewer.text", { n: number }));
    if (ready && !this.kept.has(number)) part("text").classList.add("loading");
    const load = () => {
      this.#showImage(number, numbers[index + 1]);
      if (ready) this.#loadText(number, () => this.show(numbers, index, ready));
      else this.#showText({ note: say("viewer.waiting") });
    };
    if (hurried) this.again = setTimeout(load, HURRY_MS);
    else load();
  }

  async #loadText(number, again) {
    try {
      const page = await this.#page(number, this.aborting.signal);
      if (number === this.number) this.#showText(page);
    } catch (error) {
      if (error.name === "AbortError" || number !== this.number) return;
      this.#showText({ note: error.status === 409 ? say("viewer.waiting") : say("js.load_failed") });
      if (error.status !== 404) this.again = setTimeout(again, AGAIN_MS);
    }
  }

  #showImage(number, next) {
    const image = (page) => `${this.images}/${page}/image?w=1200`;
    const element = part("image") ?? this.#newImage();
    if (element.getAttribute("src") !== image(number) || !part("image-problem").hidden) {
      part("sheet-image").hidden = false;
      part("image-problem").hidden = true;
      element.src = image(number);
      part("figure").scrollTop = 0;
    }
    element.alt = say("viewer.image", { n: number });
    part("figure").setAttribute("aria-label", element.alt);
    if (next !== undefined) this.ahead.src = image(next);
  }

  #newImage() {
    const element = new Image();
    element.id = "image";
    element.addEventListener("error", () => this.#imageState(false));
    element.addEventListener("load", () => this.#imageState(true));
    part("sheet-image").prepend(element);
    return element;
  }

  #imageState(good) {
    part("sheet-image").hidden = !good;
    part("image-problem").hidden = good;
  }

  #showText({ note = "", failure, html = "", blocks = null, markdown = "", confidence, warnings = [] }) {
    const text = part("text");
    text.classList.remove("loading");
    text.scrollTop = 0;
    set("text-note", note);
    set("confidence", confidence == null ? "" : say("viewer.confidence", { percent: share(confidence) }));
    set("page-warnings", warnings.map((code) => sayCode(code, code)).join(" "));
    part("page-failure").hidden = !failure;
    if (failure) {
      const code = document.createElement("code");
      code.textContent = failure.code;
      part("page-failure").replaceChildren(`${sayCode(failure.code, failure.message)} `, code);
    }
    part("rendered").innerHTML = html; // made safe by the service
    part("source").textContent = markdown;
    part("copy-page").disabled = !markdown;
    this.blocks.show(blocks);
    part("view-blocks").hidden = blocks === null;
    this.#showView();
    setFormulas(text);
  }

  #showView() {
    const best = part("places").firstElementChild ? "blocks" : "rendered";
    const chosen = this.view === undefined || (this.view === "blocks" && part("view-blocks").hidden) ? best : this.view;
    for (const view of VIEWS) {
      current(part(`view-${view}`), view === chosen);
      part(view).hidden = view !== chosen;
    }
    part("places").toggleAttribute("hidden", chosen !== "blocks");
  }

  async #page(number, signal) {
    const known = this.kept.get(number);
    if (known) {
      this.kept.delete(number);
      this.kept.set(number, known);
      return known;
    }
    const row = await (await ask(`${this.url}/${number}`, { signal })).json();
    const { error: failure, blocks, confidence, warnings } = row;
    const page = { note: note(row), failure, html: failure ? "" : row.html, blocks, markdown: row.markdown ?? "", confidence, warnings };
    this.kept.set(number, page);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return page;
  }
}

function note(row) {
  if (row.status === "blank") return say("viewer.blank");
  if (row.status === "ok" && !row.markdown?.trim()) return say("viewer.empty");
  if (row.markdown?.length > LONGEST) return say("viewer.too_long");
  return row.truncated ? say("viewer.truncated") : "";
}

function set(id, text) {
  part(id).textContent = text;
  part(id).hidden = !text;
}
