// How the rule being written overlaps a kept segment.
import { ask, root } from "./page.js";

const chosen = document.getElementById("overlap-with");
const picture = document.getElementById("overlap-picture");

// `rule()` is the rule as it is now; asked anew whenever it was counted.
export function watchOverlap(rule) {
  if (!chosen) return;
  let running = null;
  async function compare() {
    running?.abort();
    if (!chosen.value) return picture.replaceChildren();
    running = new AbortController();
    picture.classList.add("is-asking");
    const found = await ask(root.dataset.overlap, { rule: rule(), other: Number(chosen.value) }, running.signal);
    if (!found) return;
    picture.classList.remove("is-asking");
    if (found.html !== undefined) picture.innerHTML = found.html;
  }
  chosen.addEventListener("change", compare);
  document.getElementById("preview").addEventListener("counted", compare);
}
