// The blocks of a page: a block in the text and its place on the image mark each other; kinds are switched; tables are copied.
import { copyRich } from "./app.js";

const part = (id) => document.getElementById(id);
// What a spreadsheet takes for a formula; a number with a sign is none. As in policy/writers/cells.py.
const FORMULA = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20].*\w/s;
const NUMBER = /^[+-]?[\d.,' \u00a0]*\d[\d.,' \u00a0]*%?$/;

export class Blocks {
  constructor() {
    this.off = new Set(); // kinds that are not shown, on every page
    const viewer = part("viewer");
    viewer.addEventListener("pointerover", (event) => this.#mark(event.target.closest("[data-block]") ?? document.activeElement.closest?.("[data-block]")));
    viewer.addEventListener("pointerleave", () => this.#mark(document.activeElement.closest?.("[data-block]")));
    viewer.addEventListener("focusin", (event) => this.#mark(event.target.closest("[data-block]")));
    viewer.addEventListener("click", (event) => this.#click(event));
    viewer.addEventListener("keydown", (event) => this.#key(event));
    viewer.addEventListener("change", (event) => event.target.closest("#kinds") && this.#switch(event.target.value, event.target.checked));
    this.#ready();
  }

  /** Show the blocks of another page; `html` comes from the service, null where it knows none. */
  show(html) {
    const made = document.createElement("template");
    made.innerHTML = html ?? '<div class="places" id="places"></div><div id="blocks"></div>';
    made.content.getElementById("blocks").hidden = part("blocks").hidden;
    for (const id of ["places", "blocks"]) part(id).replaceWith(made.content.getElementById(id));
    this.#ready();
  }

  #ready() {
    for (const kind of this.off) this.#apply(kind, false);
    for (const box of part("blocks").querySelectorAll("#kinds input")) box.checked = !this.off.has(box.value);
    this.#enter(shown()[0]);
  }

  #mark(element) {
    const id = element?.dataset.block;
    for (const each of document.querySelectorAll("[data-block].marked")) if (each.dataset.block !== id) each.classList.remove("marked");
    if (!id) return;
    for (const each of document.querySelectorAll(`[data-block="${id}"]`)) each.classList.add("marked");
    const inText = part("text").contains(element);
    reveal(part(inText ? "figure" : "text"), document.querySelector(inText ? `#places [data-block="${id}"]` : `#block-${id}`));
  }

  #click(event) {
    const place = event.target.closest("#places [data-block]");
    if (place) {
      event.preventDefault();
      this.#focus(part(`block-${place.dataset.block}`));
    }
    const button = event.target.closest("[data-copy-table]");
    if (button) copyTable(button.closest("[data-block]").querySelector("table"));
  }

  #key(event) {
    const item = event.target.closest("#block-list > li");
    if (!item || event.target !== item || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = shown();
    const at = all.indexOf(item);
    const to = { ArrowDown: all[at + 1], ArrowUp: all[at - 1], Home: all[0], End: all.at(-1) }[event.key];
    if (!to) return;
    event.preventDefault();
    this.#focus(to);
  }

  #focus(item) {
    this.#enter(item);
    item.focus({ preventScroll: true });
    reveal(part("text"), item);
  }

  /** Of all blocks, `item` is the one that the tab key leads to. */
  #enter(item) {
    for (const each of part("blocks").querySelectorAll("#block-list > li")) each.tabIndex = each === item ? 0 : -1;
  }

  #switch(kind, on) {
    if (on) this.off.delete(kind);
    else this.off.add(kind);
    this.#apply(kind, on);
    this.#enter(shown()[0]);
  }

  #apply(kind, on) {
    for (const each of document.querySelectorAll(`[data-block][data-kind="${kind}"]`)) {
      if (on) each.removeAttribute("hidden");
      else each.setAttribute("hidden", ""); // SVG knows no property for it
    }
  }
}

const shown = () => [...part("blocks").querySelectorAll("#block-list > li:not([hidden])")];

/** Scroll `pane`, and nothing else, until `element` is in it. */
function reveal(pane, element) {
  if (!element) return;
  const outer = pane.getBoundingClientRect();
  const inner = element.getBoundingClientRect();
  if (inner.top < outer.top || inner.bottom > outer.bottom) pane.scrollTop += inner.top - outer.top - outer.height / 4;
}

/** As HTML for documents, tab-separated for spreadsheets. */
function copyTable(table) {
  const copied = table.cloneNode(true);
  const rows = [...copied.rows].map(() => []);
  [...copied.rows].forEach((row, at) => {
    let column = 0;
    for (const cell of row.cells) {
      const text = cell.innerText.replace(/\s+/g, " ").trim();
      const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
      if (safe !== text) cell.textContent = safe;
      while (rows[at][column] !== undefined) column += 1;
      for (const below of rows.slice(at, at + cell.rowSpan)) below.splice(column, cell.colSpan, ...Array(cell.colSpan).fill(""));
      rows[at][column] = safe;
    }
  });
  copyRich(copied.outerHTML, rows.map((row) => row.join("\t")).join("\n"));
}
