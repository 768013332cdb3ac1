// The right input for each kind of value. `set(value, step)` is told every change (`step`: to be undone by itself); `place` names the input across redraws.
import { button, el, fill, icon, select, words } from "./page.js";
import { closeList, openList } from "./lists.js";
import { offersOf } from "./offers.js";

const isNumber = (field) => field.kind === "number" || field.kind === "rank";
const isTime = (field) => field.kind === "date" || field.kind === "instant";
const OFFERED = ["text", "code", "list"];
const SPELT_OUT = ["contains", "not_contains", "starts_with", "ends_with", "matches"];

// The inputs of `op value` for `field`; `takes` is the shape of the operator's value.
export function valueInputs({ field, takes, op, value, source, place, set }) {
  if (takes === "nothing") return [];
  if (takes === "truth") return [truthInput(field, value, place, set)];
  if (takes === "duration") return durationInputs(field, value, place, set);
  if (takes === "pair") return pairInputs(field, value, place, set);
  const offers = OFFERED.includes(field.kind) && !SPELT_OUT.includes(op) ? offersOf(source, field) : null;
  if (takes === "many") return chipsInput(field, offers, value, place, set);
  if (offers) return chipsInput(field, offers, value === "" ? [] : [value], place, (chosen, step) => set(chosen[0] ?? "", step), 1);
  if (field.kind === "rank") return [rankInput(field, value, place, set)];
  return [withUnit(field, singleInput(field, value, `${place}:v`, set))];
}

const readNumber = (text) => (text !== "" && String(Number(text)) === text ? Number(text) : text);

function singleInput(field, value, place, set, extra = {}) {
  const day = isTime(field) && (value === "" || /^\d{4}-\d\d-\d\d$/.test(value));
  const type = day ? "date" : isNumber(field) ? "number" : "text";
  const input = el("input", {
    class: `form-control${isNumber(field) ? " rule-number" : isTime(field) ? " rule-day" : " rule-text"}`, type, step: type === "number" ? "any" : null,
    inputmode: type === "number" ? "decimal" : null, autocomplete: "off", "data-place": place, "aria-label": field.label, value: value ?? "", ...extra,
    oninput: () => set(isNumber(field) ? readNumber(input.value) : input.value),
  });
  return input;
}

function withUnit(field, input) {
  if (!field.unit) return input;
  return el("span", { class: "rule-unit" }, input, el("span", { class: "rule-word" }, field.unit));
}

function truthInput(field, value, place, set) {
  return select([["true", words.yes], ["false", words.no]], String(value), (text) => set(text === "true"), { "aria-label": field.label, "data-place": `${place}:v` });
}

function rankInput(field, value, place, set) {
  const ranks = [1, 2, 3, 4, 5].map((one) => [String(one), one === 1 ? fill(words.rank_low, { rank: one }) : one === 5 ? fill(words.rank_high, { rank: one }) : String(one)]);
  const asked = ranks.some(([one]) => one === String(value)) ? ranks : [["", "–"], ...ranks];
  return select(asked, String(value), (text) => set(Number(text)), { "aria-label": field.label, "data-place": `${place}:v` });
}

function pairInputs(field, value, place, set) {
  const pair = [...value];
  const part = (index, label) => singleInput(field, pair[index], `${place}:${index}`, (one) => { pair[index] = one; set([...pair]); }, { "aria-label": `${field.label}: ${label}` });
  return [el("span", { class: "rule-unit" }, part(0, words.from), el("span", { class: "rule-word" }, words.and), withUnit(field, part(1, words.to)))];
}

// A duration as a number and a unit; one of several parts stays as it was written.
function durationInputs(field, value, place, set) {
  const [, date, time] = /^P(?:(-?[\d.]+[DWMY])|T(-?[\d.]+H))$/.exec(value || "") || [];
  const parts = date || time;
  if (!parts) return [singleInput({ ...field, kind: "text" }, value, `${place}:v`, set)];
  const most = () => (unit.value === "Y" ? "999" : "9999");
  const write = () => { amount.max = most(); set(amount.value === "" ? "" : `P${unit.value === "H" ? "T" : ""}${Number(amount.value)}${unit.value}`); };
  const amount = el("input", { class: "form-control rule-number rule-amount", type: "number", min: "0", inputmode: "numeric", "data-place": `${place}:v`, "aria-label": field.label, value: parts.slice(0, -1), oninput: write });
  const units = ["D", "W", "M", "Y", ...(field.kind === "instant" ? ["H"] : [])].map((one) => [one, words[one]]);
  const unit = select(units, parts.slice(-1), write, { "aria-label": words.unit, "data-place": `${place}:u` });
  amount.max = most();
  return [el("span", { class: "rule-unit" }, amount, unit)];
}

// Values as chips, chosen from the data or typed; `most` 1: one value.
function chipsInput(field, offers, values, place, set, most = Infinity) {
  const numbers = isNumber(field);
  let chosen = [...values];
  const input = el("input", { class: "chips-input", type: isTime(field) ? "date" : "text", inputmode: numbers ? "decimal" : null, autocomplete: "off", spellcheck: "false", "data-place": `${place}:v`, "aria-label": field.label });
  const box = el("div", { class: "form-control chips", onclick: (event) => event.target === box && input.focus() }, input);

  const hints = el("div", { class: "rule-hints", role: "status" });

  // Softly: a value that the data does not hold, and which it holds instead.
  async function hint(value, made) {
    const missing = await offers.missing(value);
    if (!missing || !made.isConnected) return;
    made.classList.add("is-unknown");
    const choose = (option) => button({ class: "btn btn-sm", onclick: () => { change([...new Set(chosen.map((one) => (one === value ? option.value : one)))]); input.focus(); } }, option.label);
    hints.append(el("p", { class: "rule-hint" }, fill(words.unknown_value, { value }), " ", missing.near ? words.did_you_mean : words.there_is, missing.options.map(choose)));
  }
  function draw() {
    hints.replaceChildren();
    const held = document.activeElement === input;
    box.querySelectorAll(".chip").forEach((one) => one.remove());
    input.before(...chosen.map(chip)); // the input stays where it is: what is taken out loses the focus
    input.placeholder = chosen.length ? (most > 1 ? words.another : "") : offers ? words.choose_or_type : words.type_value;
    input.hidden = chosen.length >= most;
    if (held && input.hidden) { closeList(); box.querySelector(".chip-remove").focus(); }
  }
  function chip(value) {
    const label = el("span", {}, String(value));
    const drop = button({ class: "chip-remove", "aria-label": fill(words.remove_value, { value }), onclick: () => { change(chosen.filter((one) => one !== value)); input.focus(); } }, icon("x"));
    offers?.name(value, (name) => {
      label.textContent = name;
      drop.setAttribute("aria-label", fill(words.remove_value, { value: name }));
    });
    const made = el("span", { class: "chip", "data-value": value }, label, drop);
    if (offers) hint(value, made);
    return made;
  }
  function change(made) {
    chosen = made;
    set([...chosen], true);
    draw();
  }
  function add(texts) {
    const read = texts.map((one) => one.trim()).filter(Boolean).map((one) => (numbers ? readNumber(one) : offers ? offers.meant(one) : one));
    input.value = "";
    const fresh = read.filter((one, at) => !chosen.includes(one) && read.indexOf(one) === at);
    if (fresh.length) change([...chosen, ...fresh].slice(0, most));
  }
  const commit = () => add(input.value.split(/[,，、;；\n\t]/));

  function offer() {
    if (!offers || input.hidden) return;
    const load = async (typed) => (await offers.load(typed)).filter((one) => !chosen.includes(one.value));
    openList(box, input, { load, label: field.label, pick: (option) => { add([option.value]); closeList(); } });
  }
  input.addEventListener("focus", offer);
  const isOpen = () => input.getAttribute("aria-expanded") === "true";
  input.addEventListener("click", () => isOpen() || offer());
  input.addEventListener("blur", () => { commit(); closeList(); });
  input.addEventListener("input", (event) => {
    if (/[,，、;；]/.test(input.value) && !event.isComposing) commit();
    else if (input.value && !isOpen()) offer();
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text");
    if (!/[\n\t,，、;；]/.test(text)) return;
    event.preventDefault();
    add(text.split(/[,，、;；\n\t]/));
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") { event.preventDefault(); commit(); closeList(); }
    if (event.key === "ArrowDown" && !isOpen()) { event.preventDefault(); offer(); }
    if (event.key === "Backspace" && !input.value && chosen.length) change(chosen.slice(0, -1));
  });
  draw();
  return [box, hints];
}
