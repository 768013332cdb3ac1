// What the server said about parts of the rule, shown at the very part: problems, what is unfinished, the funnel.
import { el, fill, number, percent, root, words } from "./page.js";

// The drawn part that a path of the rule lies in.
function partAt(path) {
  const parts = [...root.querySelectorAll("[data-path]")].filter(({ dataset }) => dataset.path === "" || path === dataset.path || path.startsWith(`${dataset.path}.`) || path.startsWith(`${dataset.path}[`));
  return parts.sort((a, b) => b.dataset.path.length - a.dataset.path.length)[0];
}

const slotOf = (part) => [...part.querySelectorAll("[data-problem]")].find((slot) => slot.dataset.problem === part.dataset.path);
const ownInputs = (part) => [...part.querySelectorAll("input, select, .rule-pick")].filter((input) => input.closest("[data-path]") === part);

// The inputs that a problem is about: those of its own path, else all of its part.
function culprits(part, path) {
  const own = ownInputs(part);
  const rest = path.slice(part.dataset.path.length).replace(/^\./, "");
  const last = { op: /:op$/, field: /:(pick|field)$/, value: /:(v|u|\d+|from|to)$/ }[rest.split(/[.[]/).find((step) => ["op", "field", "value"].includes(step))];
  const named = last ? own.filter((input) => last.test(input.dataset.place || "")) : [];
  return named.length ? named : own.slice(-1);
}

// What is wrong with a number that stands in an input; null when only the server knows.
function wrongNumber(input) {
  if (input.type !== "number") return null;
  const given = Number(input.value);
  const isBad = input.validity.badInput || input.value === "";
  if (!input.min) return isBad ? words.wants_number : null;
  const isWhole = Number.isInteger(given) && given >= Number(input.min) && given <= Number(input.max);
  return isBad || !isWhole ? fill(words.wants_whole, { low: number(Number(input.min)), high: number(Number(input.max)) }) : null;
}

// A problem in people's words, and the name of the condition that has it.
export function inWords({ path, message }) {
  const part = partAt(path);
  return { message: culprits(part, path).map(wrongNumber).find(Boolean) ?? message, about: part.getAttribute("aria-label") };
}

export function markProblems(problems) {
  root.querySelectorAll(".is-wrong").forEach((one) => one.classList.remove("is-wrong"));
  root.querySelectorAll("[aria-invalid]").forEach((one) => { one.removeAttribute("aria-invalid"); one.removeAttribute("aria-describedby"); one.classList.remove("is-invalid"); });
  root.querySelectorAll("[data-problem]").forEach((slot) => { slot.hidden = true; slot.replaceChildren(); });
  problems.forEach(({ path, message }, index) => {
    const part = partAt(path);
    const said = inWords({ path, message }).message;
    const slot = slotOf(part);
    if (!slot) return;
    part.classList.add("is-wrong");
    slot.id = `problem-${index}`;
    slot.hidden = false;
    slot.append(el("span", { class: "rule-problem-text" }, said));
    for (const input of culprits(part, path)) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", slot.id);
      if (!input.closest(".chips")) input.classList.add("is-invalid");
    }
  });
}

export function goTo(path) {
  const part = partAt(path);
  part.scrollIntoView({ block: "center", behavior: "smooth" });
  const [input] = part.querySelectorAll("[aria-invalid]");
  (input || ownInputs(part)[0] || part.querySelector("button, select"))?.focus({ preventScroll: true });
}

// Why something unfinished is not saved.
export const lacking = (path) => ({ path, message: partAt(path).matches(".rule-group") ? words.wants_condition : words.wants_value });

export function markUnfinished(paths) {
  root.querySelectorAll(".is-unfinished").forEach((one) => one.classList.remove("is-unfinished"));
  for (const path of paths) root.querySelector(`[data-path="${CSS.escape(path)}"]`)?.classList.add("is-unfinished");
}

const slots = () => [...root.querySelectorAll("[data-funnel]")];

export const fadeFunnel = () => slots().forEach((slot) => slot.classList.add("is-old"));

// Bars beside the conditions at the top: how many are left after each.
export function markFunnel(found, whole) {
  const steps = new Map(found.steps.map((step) => [whole(step.path), step]));
  const kind = root.querySelector(".rule-top").classList.contains("rule-any") ? "any" : "all";
  let before = kind === "any" ? 0 : found.everyone;
  for (const slot of slots()) {
    const step = steps.get(slot.dataset.funnel);
    slot.classList.remove("is-old");
    if (!step) { slot.replaceChildren(); slot.removeAttribute("title"); continue; }
    const share = found.everyone ? step.kept / found.everyone : 0;
    const change = step.kept - before;
    const said = fill(kind === "any" ? words.funnel_in : words.funnel_left, { count: number(step.kept) });
    slot.replaceChildren(
      el("span", { class: "funnel-track" }, el("span", { class: "funnel-bar", style: `width:${Math.max(share * 100, step.kept ? 0.5 : 0)}%` })),
      el("span", { class: "funnel-said figure" }, said, " ", el("span", { class: "funnel-change" }, change === 0 ? "±0" : `${change > 0 ? "+" : "−"}${number(Math.abs(change))}`)),
    );
    slot.title = fill(words.funnel_hint, { share: percent(share), alone: number(step.alone), without: number(step.without) });
    before = step.kept;
  }
}
