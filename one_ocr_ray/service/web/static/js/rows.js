// Rows of tasks in a table, brought up to date.
import { cost, count, pages } from "./format.js";
import { say } from "./words.js";

const ENDED = ["SUCCESS", "FAILURE", "REVOKED"];

export const ended = (state) => ENDED.includes(state);

/** The label of a task's state. */
export function stateLabel({ state, outcome }) {
  const name = state === "SUCCESS" && outcome === "partial" ? "partial" : state;
  const label = document.createElement("span");
  label.className = "state";
  label.dataset.state = name;
  label.textContent = say(`state.${name}`);
  return label;
}

/** Show `task`, a status, in the row that the page has for it. */
export function showRow(task) {
  const row = document.querySelector(`tr[data-task="${CSS.escape(task.task_id)}"]`);
  if (!row) return;
  const cell = (name) => row.querySelector(`[data-cell="${name}"]`);
  cell("state").replaceChildren(stateLabel(task));
  cell("pages").textContent = pages(task.progress);
  cell("failed").textContent = task.progress.pages_failed ? count(task.progress.pages_failed) : "";
  cell("cost").textContent = cost(task.usage.cost_usd);
  const bar = row.querySelector("progress");
  bar.value = task.progress.percent;
  bar.hidden = ended(task.state);
  row.dataset.ended = ended(task.state) ? "yes" : "no";
}
