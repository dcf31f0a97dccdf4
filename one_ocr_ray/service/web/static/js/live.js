// Follows what happens on the service: by its event stream, by asking again and again where that does not work.

const POLL_MS = 2000;
const POLLS_BEFORE_STREAM = 15;
const ERRORS_BEFORE_POLLING = 2; // a stream ends itself from time to time: one error is ordinary

/**
 * `on.progress`, `on.page` and `on.end` are given the data of the stream's events. `on.poll` asks for everything at once
 * and gives whether there is more to come; it throws when the service cannot be reached. `on.lost` and `on.back` tell
 * when that begins and ends, `on.gone` that there is nothing to follow any more. Gives a function that stops it all.
 */
export function follow(url, on) {
  let source;
  let timer;
  let stopped = false;
  let lost = false;
  let errors = 0;

  function stop() {
    stopped = true;
    source?.close();
    clearTimeout(timer);
  }

  function heard() {
    errors = 0;
    if (lost) on.back();
    lost = false;
  }

  function stream() {
    errors = 0;
    source = new EventSource(url);
    source.onopen = heard;
    for (const name of ["progress", "page", "end"]) {
      source.addEventListener(name, (event) => {
        heard();
        if (name === "end") stop();
        on[name](JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      errors += 1;
      if (source.readyState === EventSource.CLOSED || errors >= ERRORS_BEFORE_POLLING) {
        source.close();
        poll(POLLS_BEFORE_STREAM);
      }
    };
  }

  async function poll(times) {
    let left = times - 1;
    try {
      const more = await on.poll();
      if (stopped) return;
      heard();
      if (!more) return stop();
    } catch (error) {
      if (stopped) return;
      if (error.status === 404 || error.status === 410) {
        stop();
        return on.gone();
      }
      if (!lost) on.lost();
      lost = true;
      left = 1; // once it answers again, so does the stream
    }
    timer = setTimeout(() => (left > 0 ? poll(left) : stream()), POLL_MS);
  }

  stream();
  return stop;
}
