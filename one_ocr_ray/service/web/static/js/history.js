// The list of tasks: those that are running are asked after.
import { localTimes } from "./app.js";
import { ask } from "./http.js";
import { ended, showRow } from "./rows.js";

const POLL_MS = 3000;
const running = () => [...document.querySelectorAll('tr[data-ended="no"]')];

async function refresh() {
  for (const row of running()) {
    try {
      const task = await (await ask(`/task_status/${row.dataset.task}`)).json();
      showRow(task);
      if (ended(task.state)) localTimes(row);
    } catch (error) {
      if (error.status === 404 || error.status === 410) row.remove();
    }
  }
  if (running().length) setTimeout(refresh, POLL_MS);
}

if (running().length) setTimeout(refresh, POLL_MS / 3);
