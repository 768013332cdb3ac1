// The rule as text: always the whole, editable, applied when it is JSON of the right shape; errors at their place.
import { ask, fill, root, words } from "./page.js";
import { drawable } from "./tree.js";

const box = document.getElementById("rule-json");
const said = document.getElementById("rule-json-said");
const button = document.getElementById("rule-json-apply");

// `apply(rule)` takes an edited rule, `current()` is the rule's text now.
export function makeJsonView({ apply, current }) {
  let shown = "";
  const isEdited = () => box.value !== shown;
  const pretty = (text) => JSON.stringify(JSON.parse(text), null, 2);

  function tell(text, wrong) {
    said.textContent = text;
    box.classList.toggle("is-invalid", wrong);
    if (wrong) box.setAttribute("aria-invalid", "true");
    else box.removeAttribute("aria-invalid");
  }
  function show() {
    shown = pretty(current());
    box.value = shown;
    button.disabled = true;
    tell("", false);
  }
  function read() {
    try {
      return JSON.parse(box.value);
    } catch (error) {
      tell(fill(words.not_json, { reason: error.message }), true);
      return null;
    }
  }
  // Whether it could be applied; else it says why not.
  function take() {
    const made = read();
    if (made === null) return false;
    if (drawable(made)) {
      apply(made);
      return true;
    }
    explain(made);
    return false;
  }
  async function explain(made) {
    const found = await ask(root.dataset.estimate, { rule: made });
    const culprits = (found?.problems ?? []).map(({ path, message }) => (path ? `${path}: ${message}` : message));
    tell([words.not_a_rule, ...culprits].join("\n"), true);
  }

  box.addEventListener("input", () => {
    button.disabled = !isEdited();
    tell("", false);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      take();
    }
  });
  button.addEventListener("click", take);
  // A text that cannot be drawn is shown as it is.
  const refuse = (text) => {
    box.value = text;
    box.closest("details").open = true;
    button.disabled = false;
    shown = box.value;
    take();
  };
  // Before the form is sent: what was typed here is part of it. Whether it can go.
  function settle() {
    if (!isEdited() || take()) return true;
    box.closest("details").open = true;
    box.focus();
    return false;
  }
  return { show, refuse, settle };
}
