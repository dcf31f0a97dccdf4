// Requests to the service's own interface.

/** The service said no: `code` and `detail` of its problem; `status` 0 where it could not be reached. */
export class Refused extends Error {
  constructor(status, code, detail) {
    super(detail || code);
    Object.assign(this, { status, code, detail });
  }
}

/** The answer to a request. Throws Refused; without a session it leads to the login. */
export async function ask(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "unreachable", "");
  }
  if (answer.ok) return answer;
  throw refusal(answer.status, await answer.text());
}

/** The problem in an answer's text. */
export function refusal(status, text) {
  if (status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  try {
    const { code, detail } = JSON.parse(text);
    return new Refused(status, code, detail);
  } catch {
    return new Refused(status, "internal", "");
  }
}
