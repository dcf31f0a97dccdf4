// Formulas: their text is set by KaTeX, which is loaded when the first one is seen.

const FOLDER = new URL("../vendor/katex/", import.meta.url);
const OPTIONS = { trust: false, throwOnError: true, strict: "ignore", maxExpand: 100, maxSize: 20 };
let loading;

/** Whether KaTeX is there. Where it did not come through, the next page with formulas asks for it again. */
function load() {
  loading ??= new Promise((resolve) => {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("katex.min.css", FOLDER);
    const script = document.createElement("script");
    script.src = new URL("katex.min.js", FOLDER);
    script.onload = () => resolve(true);
    script.onerror = () => {
      loading = undefined;
      style.remove();
      script.remove();
      resolve(false);
    };
    document.head.append(style, script);
  });
  return loading;
}

/** Set the formulas in `root`. Those that cannot be set stay as they are written. */
export async function setFormulas(root) {
  const formulas = root.querySelectorAll(".math");
  if (!formulas.length) return;
  if (!(await load())) return;
  for (const formula of formulas) {
    const text = formula.textContent;
    try {
      window.katex.render(text, formula, { ...OPTIONS, displayMode: formula.classList.contains("block") });
    } catch {
      formula.textContent = text;
    }
  }
}
