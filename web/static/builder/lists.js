// Lists to choose from: under an input while typing, or behind a button with a search of its own. Arrow keys, Enter, Escape.
import { el, words } from "./page.js";

let serial = 0;
let open = null;

export const closeList = () => open?.close();

const plain = (text) => text.normalize("NFKC").toLowerCase();

// Options (`{value, label, detail, group, more, hidden}`) that fit what was typed, those that begin with it first. `hidden` ones only show when searched.
export function fitting(options, typed) {
  const wanted = plain(typed.trim());
  if (!wanted) return options.filter((one) => !one.hidden);
  const rank = (one) => {
    const label = plain(one.label);
    if (label.startsWith(wanted)) return 0;
    if (label.includes(wanted)) return 1;
    return plain(`${one.more || ""} ${one.group || ""}`).includes(wanted) ? 2 : 3;
  };
  const ranked = options.filter((one) => !one.recent).map((one) => [rank(one), one]).filter(([place]) => place < 3);
  return ranked.sort((a, b) => a[0] - b[0]).map(([, one]) => one);
}

// A list below `anchor`, steered from `input`. `load(typed)` gives options, now or later; `pick(option)` is told the choice.
export function openList(anchor, input, { load, pick, label, frame, onclose, eager = true }) {
  open?.close();
  const id = `list-${++serial}`;
  const list = el("div", { class: "pick-list", id, role: "listbox", "aria-label": label });
  const box = el("div", { class: "pick", ...(frame ? {} : { "data-bare": true }) }, frame, list);
  let options = [];
  let active = -1;
  let asked = 0;

  function activate(index) {
    active = index;
    list.querySelectorAll("[role=option]").forEach((one, at) => one.setAttribute("aria-selected", String(at === index)));
    const chosen = list.querySelectorAll("[role=option]")[index];
    if (chosen) input.setAttribute("aria-activedescendant", chosen.id);
    else input.removeAttribute("aria-activedescendant");
    chosen?.scrollIntoView({ block: "nearest" });
  }

  function show(found) {
    options = found;
    let group = null;
    list.replaceChildren(...found.flatMap((one, index) => {
      const head = one.group && one.group !== group ? el("div", { class: "pick-group", role: "presentation" }, one.group) : null;
      group = one.group;
      const made = el("div", { class: "pick-option", role: "option", id: `${id}-${index}`, "aria-selected": "false", "data-value": one.value }, el("span", { class: "pick-label" }, one.label), one.detail ? el("span", { class: "pick-detail figure" }, one.detail) : null);
      made.addEventListener("pointermove", () => active !== index && activate(index));
      made.addEventListener("click", () => take(index));
      return head ? [head, made] : [made];
    }));
    if (!found.length) list.append(el("div", { class: "pick-none" }, words.nothing_found));
    activate(eager && found.length && input.value.trim() ? 0 : -1);
    box.hidden = !frame && !found.length;
    place(anchor, box);
  }

  async function refresh() {
    const number = ++asked;
    const found = load(input.value);
    if (Array.isArray(found)) return show(found);
    const later = await found;
    if (number === asked && open === self) show(later);
  }

  function take(index) {
    const chosen = options[index];
    if (!chosen) return false;
    if (frame) self.close();
    pick(chosen);
    return true;
  }

  function onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      event.preventDefault();
      activate((active + step + options.length) % options.length);
    } else if (event.key === "Enter" && !event.isComposing && active >= 0) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(active);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      self.close();
      if (frame) anchor.focus();
    } else if (event.key === "Tab" && frame) {
      self.close();
      anchor.focus();
    }
  }

  const outside = (event) => !box.contains(event.target) && !anchor.contains(event.target) && self.close();
  const follow = () => place(anchor, box);
  const self = {
    box,
    refresh,
    close() {
      if (open !== self) return;
      open = null;
      box.remove();
      input.removeEventListener("keydown", onKey, true);
      input.removeEventListener("input", refresh);
      input.removeAttribute("aria-activedescendant");
      input.setAttribute("aria-expanded", "false");
      document.removeEventListener("pointerdown", outside, true);
      removeEventListener("resize", follow);
      removeEventListener("scroll", follow, true);
      onclose?.();
    },
  };

  open = self;
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the input keeps the focus
  input.addEventListener("keydown", onKey, true);
  input.addEventListener("input", refresh);
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", id);
  input.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", outside, true);
  addEventListener("resize", follow);
  addEventListener("scroll", follow, true);
  document.body.append(box);
  refresh();
  return self;
}

// A button's list with a search field on top.
export function openPicker(anchor, { options, pick, label }) {
  const input = el("input", { class: "form-control", type: "text", autocomplete: "off", spellcheck: "false", placeholder: label, "aria-label": label });
  const load = (typed) => fitting(options(), typed);
  anchor.setAttribute("aria-expanded", "true");
  const opened = openList(anchor, input, { load, pick, label, frame: el("div", { class: "pick-search" }, input), onclose: () => anchor.setAttribute("aria-expanded", "false") });
  input.focus({ preventScroll: true });
  return opened;
}

// Below the anchor, or above where there is more room; never beyond the window.
function place(anchor, box) {
  const at = anchor.getBoundingClientRect();
  const width = Math.min(Math.max(at.width, box.dataset.bare === undefined ? 320 : 220), innerWidth - 16);
  const below = innerHeight - at.bottom - 12;
  const above = at.top - 12;
  const up = below < 220 && above > below;
  box.style.width = `${width}px`;
  box.style.maxHeight = `${Math.max(140, Math.min(380, up ? above : below))}px`;
  box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  box.style.top = up ? "auto" : `${at.bottom + 4}px`;
  box.style.bottom = up ? `${innerHeight - at.top + 4}px` : "auto";
}
