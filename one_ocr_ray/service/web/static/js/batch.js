// The page of one upload: its files and their sums, live.
import { announce, attempt, tell } from "./app.js";
import { cost, count, pages } from "./format.js";
import { ask } from "./http.js";
import { follow } from "./live.js";
import { ended, showRow, stateLabel } from "./rows.js";
import { say } from "./words.js";

const main = document.getElementById("main");
const url = `/v1/batches/${main.dataset.batch}`;
const REFRESH_MS = 1000;
let timer;

async function refresh() {
  const batch = await (await ask(url)).json();
  const part = (id) => document.getElementById(id);
  part("bar").value = batch.progress.percent;
  part("percent").textContent = `${batch.progress.percent} %`;
  part("pages").textContent = pages(batch.progress);
  part("failed").textContent = count(batch.progress.pages_failed);
  const { input_tokens, output_tokens, cost_usd } = batch.usage;
  part("tokens").textContent = input_tokens == null ? "–" : `${count(input_tokens)} / ${count(output_tokens)}`;
  part("cost").textContent = cost(cost_usd);
  batch.tasks.forEach(showRow);
  const over = ended(batch.state);
  part("cancel").hidden = over;
  for (const link of document.querySelectorAll("[data-format]")) {
    link.href = `${url}/result?format=${link.dataset.format}${over ? "" : "&partial=true"}`;
  }
  announce(`${stateLabel(batch).textContent}, ${batch.progress.percent} %`);
  return !over;
}

function soon() {
  timer ??= setTimeout(async () => {
    timer = undefined;
    await refresh().catch(() => soon());
  }, REFRESH_MS);
}

if (main.dataset.ended === "no") {
  follow(`${url}/events`, {
    progress: soon,
    page: soon,
    end: soon,
    poll: refresh,
    lost: () => tell(say("js.lost"), { lasting: true }),
    back: () => tell(say("js.back")),
    gone: () => tell(say("js.gone"), { lasting: true }),
  });
}

document.getElementById("cancel").addEventListener("submit", async (event) => {
  event.preventDefault();
  await attempt(async () => {
    await ask(`${url}/cancel`, { method: "POST" });
    await refresh();
  });
});
