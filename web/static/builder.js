// The segment builder: a rule (RULES.md) as nested cards. The rule is the only state; every change goes through `act` or `typed`.
import { makeDraggable } from "./builder/drag.js";
import { makeDrawing } from "./builder/draw.js";
import { makeHistory } from "./builder/history.js";
import { makeJsonView } from "./builder/json.js";
import { closeList } from "./builder/lists.js";
import { look } from "./builder/live.js";
import { goTo, lacking, markProblems } from "./builder/marks.js";
import { choices, root, words } from "./builder/page.js";
import { drawable, finished, settled } from "./builder/tree.js";
import { watchOverlap } from "./builder/overlap.js";

const field = document.getElementById("rule");
const form = field.form;
const given = field.value;
const toolbar = { back: document.getElementById("rule-undo"), forth: document.getElementById("rule-redo"), said: document.getElementById("rule-said") };

const EMPTY = { all: [] };
let rule = settled(readable(given) ?? EMPTY);
const start = JSON.stringify(rule);
const refusal = document.getElementById("rule-refused");
const KEPT = `hearth.builder.history:${form.getAttribute("action")}`;
const history = makeHistory(start, keptSteps());
const drawing = makeDrawing({ act, typed });
const json = makeJsonView({ apply: (made) => act(() => (rule = settled(made)), { focus: null }), current: text });

function readable(source) {
  try {
    const found = JSON.parse(source);
    return drawable(found) ? found : null;
  } catch {
    return null;
  }
}

// The steps that led to what was not saved.
function keptSteps() {
  try {
    const kept = "refused" in refusal.dataset ? JSON.parse(sessionStorage.getItem(KEPT)) : null;
    sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    return null;
  }
}

function keepSteps() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(history.all()));
  } catch {
    // a browser that keeps nothing: then a refusal ends what can be undone
  }
}

// As it is kept: what nobody changed stays as it was written.
function text() {
  const now = JSON.stringify(rule);
  return now === start && readable(given) ? given : now;
}

// A change of structure: the rule changes, is drawn anew, and the focus goes on.
function act(change, { focus, open = false, said = "", undo = false } = {}) {
  closeList();
  change();
  history.note(JSON.stringify(rule));
  draw();
  tell(said, undo);
  if (focus !== null) refocus(focus, open);
  changed();
}

// A value changed where it stands.
function typed(place) {
  history.note(JSON.stringify(rule), place);
  markProblems([]);
  changed();
}

function changed() {
  field.value = text();
  json.show();
  toolbar.back.disabled = !history.canBack();
  toolbar.forth.disabled = !history.canForth();
  look(rule);
}

function draw() {
  root.replaceChildren(drawing.drawRule(rule));
  makeDraggable(root, (from, index, to, place) => {
    const [moving, landing] = [drawing.rulesOf(from), drawing.rulesOf(to)];
    if (from === to && index === place) return;
    act(() => landing.splice(place, 0, ...moving.splice(index, 1)), { focus: null, said: words.said_move });
  });
}

// To the value at a path, or the place itself; `open` opens the list of what waits for a choice.
function refocus(path, open) {
  if (!path && path !== "") return;
  const places = [...root.querySelectorAll("[data-place]")];
  const named = (...names) => places.find((one) => names.includes(one.dataset.place));
  const found = named(`${path}:v`, `${path}:0`) ?? named(path) ?? named(`${path}:pick`) ?? named(`${path}:op`) ?? named(`${path}:kind`) ?? named(":add");
  const place = found?.hidden ? found.closest(".chips").querySelector("button") : found;
  place?.focus({ preventScroll: true });
  place?.closest("[data-path]")?.scrollIntoView({ block: "nearest" });
  const waits = place?.matches("[aria-haspopup]") && open;
  if (waits) place.click();
}

function tell(said, undo) {
  const again = document.createElement("button");
  Object.assign(again, { type: "button", className: "btn btn-sm btn-ghost", textContent: words.undo });
  again.addEventListener("click", () => travel(history.back()));
  toolbar.said.replaceChildren(said, ...(undo ? [" ", again] : []));
}

function travel(step) {
  if (step === null) return;
  rule = JSON.parse(step);
  const place = document.activeElement?.dataset?.place;
  closeList();
  draw();
  if (place) root.querySelector(`[data-place="${CSS.escape(place)}"]`)?.focus({ preventScroll: true });
  tell("", false);
  changed();
}

toolbar.back.addEventListener("click", () => travel(history.back()));
toolbar.forth.addEventListener("click", () => travel(history.forth()));
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  if (event.target.closest?.("input, textarea") && !root.contains(event.target)) return;
  const key = event.key.toLowerCase();
  const back = key === "z" && !event.shiftKey;
  const forth = key === "y" || (key === "z" && event.shiftKey);
  if (!back && !forth) return;
  event.preventDefault();
  travel(back ? history.back() : history.forth());
});

// Nothing unfinished is saved, and nothing unsaved is left without a question.
const before = new FormData(form);
const isDirty = () => [...new FormData(form)].some(([name, value]) => name !== "csrf" && value !== before.get(name));
form.addEventListener("submit", (event) => {
  if (!json.settle()) {
    event.preventDefault();
    return;
  }
  const { unfinished } = finished(rule);
  if (!unfinished.length) {
    removeEventListener("beforeunload", warn);
    keepSteps();
    return;
  }
  event.preventDefault();
  markProblems(unfinished.map(lacking));
  goTo(unfinished[0]);
});
const warn = (event) => isDirty() && event.preventDefault();
addEventListener("beforeunload", warn);

draw();
json.show();
if (!readable(given)) json.refuse(given);
const refused = JSON.parse(root.dataset.problems);
look(rule, { soon: true });
if (refused.length) markProblems(refused);
toolbar.back.disabled = !history.canBack();
toolbar.forth.disabled = !history.canForth();
document.getElementById("preview").addEventListener("fine", () => text() !== given && refusal.replaceChildren());
watchOverlap(() => finished(rule).rule, choices);
