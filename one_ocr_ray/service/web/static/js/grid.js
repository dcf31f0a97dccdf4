// The pages of a task as a grid of small links, a sheet of them at a time.
import { current } from "./app.js";
import { say } from "./words.js";

const SHEET = 120;
const part = (id) => document.getElementById(id);

/** The first `total` pages of a selection such as `1-3,8,10-`; of all where it is empty. */
export function selectedPages(spec, total) {
  const ranges = (spec && spec !== "all" ? spec : "1-").split(",").map((range) => {
    const [first, last = first] = range.trim().split("-");
    return [Number(first), last === "" ? Infinity : Number(last)];
  });
  ranges.sort((one, other) => one[0] - other[0]);
  const pages = [];
  for (const [first, last] of ranges) {
    for (let page = Math.max(first, (pages.at(-1) ?? 0) + 1); page <= last && pages.length < total; page += 1) pages.push(page);
  }
  return pages;
}

/** `numbers` are the pages, `marks` a letter for the state of each. */
export class Grid {
  constructor(numbers, marks, index) {
    this.cells = part("cells");
    this.first = Number(this.cells.querySelector("a")?.dataset.index ?? -1);
    this.index = index;
    this.setPages(numbers, marks);
  }

  setPages(numbers, marks) {
    this.numbers = numbers;
    this.marks = marks;
    this.places = new Map(numbers.map((number, index) => [number, index]));
    if (numbers.length && this.first < 0) this.#draw(0);
  }

  /** Point at the page at `index`, and show its sheet. */
  go(index) {
    this.index = index;
    const first = index - (index % SHEET);
    if (first !== this.first) this.#draw(first);
    for (const link of this.cells.querySelectorAll("[aria-current]")) current(link, false);
    const link = this.#link(index);
    current(link, true);
    scrollWithin(this.cells, link);
  }

  /** Show the state of a page. */
  mark(number, letter) {
    const index = this.places.get(number);
    if (index === undefined || this.marks[index] === letter) return;
    this.marks[index] = letter;
    const link = this.#link(index);
    if (!link) return;
    link.dataset.mark = letter;
    link.setAttribute("aria-label", this.#label(index));
  }

  #link(index) {
    return this.cells.children[index - this.first]?.firstElementChild;
  }

  #label(index) {
    return say("js.cell", { n: this.numbers[index], state: say(`page.${this.marks[index]}`) });
  }

  #draw(first) {
    this.first = first;
    const last = Math.min(first + SHEET, this.numbers.length);
    const cells = [];
    for (let index = first; index < last; index += 1) {
      const link = document.createElement("a");
      link.href = `#p=${this.numbers[index]}`;
      link.dataset.index = index;
      link.dataset.mark = this.marks[index];
      link.textContent = this.numbers[index];
      link.setAttribute("aria-label", this.#label(index));
      current(link, index === this.index);
      const cell = document.createElement("li");
      cell.append(link);
      cells.push(cell);
    }
    this.cells.replaceChildren(...cells);
    part("sheets").hidden = this.numbers.length <= SHEET;
    part("sheet").textContent = say("js.sheet", { first: this.numbers[first], last: this.numbers[last - 1], total: this.numbers.length });
    link(part("sheet-previous"), this.numbers[first - SHEET]);
    link(part("sheet-next"), this.numbers[last]);
  }
}

/** Show `link` in its `box`. Not by scrollIntoView, which moves the window too, and in Chromium 150 where the next Tab begins. */
function scrollWithin(box, link) {
  const frame = box.getBoundingClientRect();
  const { top, bottom } = link.getBoundingClientRect();
  if (top < frame.top) box.scrollTop -= frame.top - top;
  else if (bottom > frame.bottom) box.scrollTop += bottom - frame.bottom;
}

/** Lead `anchor` to `page`, or nowhere. */
export function link(anchor, page) {
  if (page === undefined) anchor.removeAttribute("href");
  else anchor.href = `#p=${page}`;
}
