// The words of the page's language.
const WORDS = JSON.parse(document.getElementById("words").dataset.words);

/** The sentence of `key` with `values` in it. */
export function say(key, values = {}) {
  return fill(WORDS[key] ?? key, values);
}

/** What an error code means, in words; `otherwise` where there are none. */
export function sayCode(code, otherwise) {
  return WORDS[`code.${code}`] ?? otherwise;
}

/** `text` with `values` in its braces. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
