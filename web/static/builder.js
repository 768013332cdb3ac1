// The segment builder: a rule (RULES.md) as nested cards. The rule is the only state; every change redraws and asks for a preview.
(() => {
  const root = document.getElementById("builder");
  if (!root) return;
  const vocabulary = JSON.parse(root.dataset.vocabulary);
  const words = vocabulary.words;
  const choices = JSON.parse(root.dataset.choices);
  const field = document.getElementById("rule");
  let rule = normal(JSON.parse(field.value || '{"all": []}'));
  let problems = [];

  const GROUPS = ["all", "any", "none"];
  const AGGREGATES = ["sum", "avg", "min", "max"];

  // --- the rule as a tree ---

  function normal(node) {
    const keys = Object.keys(node);
    return keys.length === 1 && ["all", "any", "none"].includes(keys[0]) ? node : { all: [node] };
  }
  const groupKey = (node) => GROUPS.find((key) => key in node);
  const fieldsOf = (source) => (source ? source.fields : vocabulary.fields);
  const sourceNamed = (name) => vocabulary.sources.find((source) => source.name === name);
  const fieldNamed = (source, name) => fieldsOf(source).find((one) => one.name === name);
  const operatorsOf = (kind) => vocabulary.operators[kind];

  function freshField(source) {
    const first = fieldsOf(source).find((one) => ["city", "category", "status", "channel", "kind"].includes(one.name)) || fieldsOf(source)[0];
    return withOperator({ field: first.name }, first.kind, operatorsOf(first.kind)[0]);
  }

  function withOperator(node, kind, operator) {
    const made = { field: node.field, op: operator.name };
    const value = freshValue(kind, operator.takes, node.value);
    if (value !== undefined) made.value = value;
    return made;
  }

  function freshValue(kind, takes, before) {
    const number = kind === "number" || kind === "rank";
    const single = (one) => (one === undefined || one === null || typeof one === "object" ? "" : one);
    if (takes === "nothing") return undefined;
    if (takes === "truth") return typeof before === "boolean" ? before : true;
    if (takes === "duration") return /^P/.test(before || "") ? before : "P90D";
    if (takes === "many") return Array.isArray(before) ? before : before === undefined || before === "" ? [] : [before];
    if (takes === "pair") return Array.isArray(before) && before.length === 2 ? before : [single(before), ""];
    const kept = Array.isArray(before) ? before[0] : /^P\d/.test(before || "") ? "" : before;
    return single(kept) === "" && number ? "" : single(kept);
  }

  // --- drawing ---

  const el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  function select(options, value, change, label) {
    const made = el("select", { class: "form-select", "aria-label": label, onchange: () => change(made.value) });
    for (const [key, text] of options) made.append(el("option", { value: key, selected: key === value }, text));
    return made;
  }

  function draw() {
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.place : null;
    root.replaceChildren(drawGroup(rule, "", null, null));
    if (focused) root.querySelector(`[data-place="${CSS.escape(focused)}"]`)?.focus();
  }

  function drawGroup(node, path, source, drop) {
    const key = groupKey(node);
    const prefix = source ? "where_" : "";
    const head = el(
      "div",
      { class: "rule-head" },
      select(GROUPS.map((name) => [name, words[prefix + name]]), key, (name) => {
        const list = node[key];
        delete node[key];
        node[name] = list;
        changed();
      }, words[prefix + key]),
      drop && removeButton(drop),
    );
    const list = el("div", { class: "rule-list" });
    node[key].forEach((child, index) => list.append(drawNode(child, node[key], index, join(path, `${key}[${index}]`), source)));
    if (!node[key].length) list.append(el("p", { class: "text-secondary rule-none" }, words.empty_group));
    return el("div", { class: `rule-group rule-${key}`, "data-path": path }, head, list, addRow(node[key], source), problemText(path));
  }

  const join = (path, step) => (path ? `${path}.${step}` : step);

  function drawNode(node, list, index, path, source) {
    const drop = () => { list.splice(index, 1); changed(); };
    const replace = (made) => { list[index] = made; changed(); };
    if (groupKey(node)) return drawGroup(node, path, source, drop);
    const body = node.has ? drawRelated(node, replace, path) : node.field ? drawField(node, replace, path, source) : drawOther(node, replace, path);
    return el("div", { class: `rule-condition${marked(path) ? " is-wrong" : ""}`, "data-path": path, draggable: "true", ...dragging(list, index) }, body, removeButton(drop), problemText(path, true));
  }

  function removeButton(drop) {
    const made = el("button", { type: "button", class: "btn btn-icon btn-ghost rule-remove", title: words.remove, "aria-label": words.remove, onclick: drop });
    made.textContent = "×";
    return made;
  }

  // A condition moves within or between groups by dragging.
  let dragged = null;
  function dragging(list, index) {
    return {
      ondragstart: (event) => { dragged = { list, index }; event.stopPropagation(); },
      ondragover: (event) => { if (dragged) event.preventDefault(); },
      ondrop: (event) => {
        event.preventDefault();
        event.stopPropagation();
        if (!dragged || (dragged.list === list && dragged.index === index)) return;
        const [moved] = dragged.list.splice(dragged.index, 1);
        list.splice(index, 0, moved);
        dragged = null;
        changed();
      },
    };
  }

  function addRow(list, source) {
    const add = (label, made) => el("button", { type: "button", class: "btn btn-sm", onclick: () => { list.push(made()); changed(); } }, `+ ${label}`);
    const row = el("div", { class: "rule-add" }, add(source ? words.add_condition : words.add_field, () => freshField(source)));
    if (!source) {
      row.append(add(words.add_related, () => ({ has: "appliances", where: { all: [freshField(sourceNamed("appliances"))] } })));
      if (choices.segments.length) row.append(add(words.add_segment, () => ({ in_segment: choices.segments[0][0] })));
      if (choices.audiences.length) row.append(add(words.in_audience, () => ({ in_audience: choices.audiences[0][0] })));
    }
    row.append(add(words.add_group, () => ({ any: [] })));
    return row;
  }

  function drawField(node, replace, path, source) {
    const found = fieldNamed(source, node.field) || { name: node.field, label: node.field, kind: "text" };
    const operators = operatorsOf(found.kind);
    const operator = operators.find((one) => one.name === node.op) || operators[0];
    const pickField = select(options(fieldsOf(source), found), node.field, (name) => {
      const chosen = fieldNamed(source, name);
      const kept = operatorsOf(chosen.kind).find((one) => one.name === node.op) || operatorsOf(chosen.kind)[0];
      replace(withOperator({ field: name, value: chosen.kind === found.kind ? node.value : undefined }, chosen.kind, kept));
    }, words.field);
    const pickOperator = select(operators.map((one) => [one.name, one.label]), operator.name, (name) =>
      replace(withOperator(node, found.kind, operators.find((one) => one.name === name))), words.operator);
    return el("div", { class: "rule-row" }, pickField, pickOperator, ...valueInputs(found, operator.takes, node.value, path, (value) => {
      node.value = value;
      preview();
    }, source));
  }

  const options = (all, found) => {
    const listed = all.map((one) => [one.name, one.label]);
    return all.some((one) => one.name === found.name) ? listed : [[found.name, found.label], ...listed];
  };

  function valueInputs(found, takes, value, path, set, source) {
    const number = found.kind === "number" || found.kind === "rank";
    const type = found.kind === "date" || found.kind === "instant" ? "date" : number ? "number" : "text";
    const read = (text) => (number && text !== "" && String(Number(text)) === text ? Number(text) : text);
    const input = (shown, change, place, extra = {}) => {
      const made = el("input", { class: "form-control", type, step: number ? "any" : null, "data-place": `${path}:${place}`, "aria-label": found.label, oninput: () => change(made.value), ...extra });
      made.value = shown ?? "";
      return made;
    };
    if (takes === "nothing") return [];
    if (takes === "truth") return [select([["true", words.yes], ["false", words.no]], String(value), (text) => set(text === "true"), found.label)];
    if (takes === "duration") return durationInputs(value, found, path, set);
    if (takes === "pair") {
      const pair = [...value];
      const part = (index) => input(pair[index], (text) => { pair[index] = read(text); set([...pair]); }, index);
      return [part(0), el("span", { class: "rule-word" }, words.and), part(1)];
    }
    const offer = number || type === "date" ? null : suggestions(found, source);
    const said = offer ? meaning(offer, value) : null;
    const change = (made) => { set(made); said?.tell(made); };
    if (takes === "many") {
      const shown = (value || []).join(", ");
      return [input(shown, (text) => change(text.split(/[,，、]/).map((one) => one.trim()).filter(Boolean).map(read)), "v", { type: "text", placeholder: words.values, list: offer?.id }), said?.box].filter(Boolean);
    }
    return [input(value, (text) => change(read(text)), "v", { list: offer?.id }), said?.box].filter(Boolean);
  }

  function durationInputs(value, found, path, set) {
    const [, amount, unit] = /^P(?:T)?(\d+)([DWMYH])$/.exec(value || "") || [null, null, null];
    if (amount === null) {
      const free = el("input", { class: "form-control", "data-place": `${path}:v`, "aria-label": found.label, oninput: () => set(free.value) });
      free.value = value || "";
      return [free];
    }
    const number = el("input", { class: "form-control rule-amount", type: "number", min: "0", "data-place": `${path}:v`, "aria-label": found.label, oninput: () => write() });
    number.value = amount;
    const units = ["D", "W", "M", "Y", ...(found.kind === "instant" ? ["H"] : [])];
    const pick = select(units.map((one) => [one, words[one]]), unit, () => write(), found.label);
    const write = () => set(`P${pick.value === "H" ? "T" : ""}${Number(number.value || 0)}${pick.value}`);
    return [number, pick];
  }

  // Values that the data holds, most frequent first, offered while typing: each field is asked for once.
  const offered = new Map();
  function suggestions(found, source) {
    const query = new URLSearchParams({ source: source ? source.name : "", field: found.name });
    const key = query.toString();
    if (!offered.has(key)) {
      const list = document.body.appendChild(el("datalist", { id: `offer-${offered.size}` }));
      const loaded = fetch(`${root.dataset.suggest}?${query}`).then((answer) => (answer.ok ? answer.json() : []), () => []).then((values) => {
        list.replaceChildren(...values.map((one) => el("option", { value: one.value, label: one.label })));
        return new Map(values.filter((one) => one.name !== one.value).map((one) => [one.value, one.name]));
      });
      offered.set(key, { id: list.id, loaded });
    }
    return offered.get(key);
  }

  // What a code that was typed means to people, beside it.
  function meaning(offer, value) {
    const box = el("span", { class: "rule-word" });
    const tell = (made) => offer.loaded.then((names) => { box.textContent = [made].flat().map((one) => names.get(one)).filter(Boolean).join(", "); });
    tell(value);
    return { box, tell };
  }

  function drawRelated(node, replace, path) {
    const source = sourceNamed(node.has);
    const measure = AGGREGATES.find((name) => name in node) || (!node.count ? "exists" : node.count.op === "eq" && Number(node.count.value) === 0 ? "no_such" : "count");
    const pickSource = select(vocabulary.sources.map((one) => [one.name, one.label]), node.has, (name) =>
      replace({ has: name, where: { all: [freshField(sourceNamed(name))] } }), words.has);
    const pickMeasure = select(["exists", "no_such", "count", ...AGGREGATES].map((name) => [name, words[name]]), measure, (name) => replace(measured(node, source, name)), words.measure);
    const row = el("div", { class: "rule-row" }, el("span", { class: "rule-word" }, words.has), pickSource, pickMeasure, ...measureInputs(node, source, measure, path));
    node.where = node.where ? normal(node.where) : { all: [] };
    return el("div", { class: "rule-related" }, row, drawGroup(node.where, join(path, "where"), source, null));
  }

  function measured(node, source, name) {
    const made = { has: node.has, where: node.where };
    if (name === "no_such") made.count = { op: "eq", value: 0 };
    if (name === "count") made.count = { op: "gte", value: 2 };
    if (AGGREGATES.includes(name)) {
      const field = source.fields.find((one) => vocabulary.aggregates[name].includes(one.kind));
      if (field) made[name] = { field: field.name, op: "gt", value: "" };
    }
    return made;
  }

  function measureInputs(node, source, measure, path) {
    if (measure === "exists" || measure === "no_such") return [];
    const part = measure === "count" ? node.count : node[measure];
    const found = measure === "count" ? { label: words.count, kind: "number", name: "count" } : fieldNamed(source, part.field);
    const pickField = measure === "count" ? null : select(
      source.fields.filter((one) => vocabulary.aggregates[measure].includes(one.kind)).map((one) => [one.name, one.label]), part.field,
      (name) => { part.field = name; part.op = vocabulary.measures[fieldNamed(source, name).kind][0].name; part.value = ""; changed(); }, words.field);
    const operators = vocabulary.measures[found.kind];
    const operator = operators.find((one) => one.name === part.op) || operators[0];
    const pickOperator = select(operators.map((one) => [one.name, one.label]), operator.name, (name) => {
      part.op = name;
      part.value = freshValue(found.kind, operators.find((one) => one.name === name).takes, part.value);
      changed();
    }, words.operator);
    return [pickField, pickOperator, ...valueInputs(found, operator.takes, part.value, `${path}.${measure}`, (value) => { part.value = value; preview(); }, source)].filter(Boolean);
  }

  function drawOther(node, replace, path) {
    if ("bucket" in node) {
      const part = (name) => {
        const made = el("input", { class: "form-control rule-amount", type: "number", min: "0", max: "9999", "data-place": `${path}:${name}`, "aria-label": words[name], oninput: () => { node.bucket[name] = Number(made.value); preview(); } });
        made.value = node.bucket[name];
        return made;
      };
      return el("div", { class: "rule-row" }, el("span", { class: "rule-word" }, words.bucket), part("from"), el("span", { class: "rule-word" }, words.to), part("to"));
    }
    const key = "in_segment" in node ? "in_segment" : "in_audience";
    const listed = key === "in_segment" ? choices.segments : choices.audiences;
    const pick = select(listed.map(([id, name]) => [String(id), name]), String(node[key]), (id) => replace({ [key]: Number(id) }), words[key]);
    return el("div", { class: "rule-row" }, el("span", { class: "rule-word" }, words[key]), pick);
  }

  // --- problems, marked at the very condition ---

  const marked = (path) => problems.some((one) => one.path === path || one.path.startsWith(`${path}.`));
  function problemText(path, condition = false) {
    const own = problems.filter((one) => (condition ? one.path === path || (one.path.startsWith(`${path}.`) && !one.path.startsWith(`${path}.where`)) : one.path === path));
    return own.length ? el("p", { class: "rule-problem", role: "alert" }, own.map((one) => one.message).join("; ")) : null;
  }

  // --- what it comes to ---

  let waiting = null;
  let asked = 0;
  function preview() {
    field.value = JSON.stringify(rule);
    const text = document.getElementById("rule-json");
    if (text && document.activeElement !== text) text.value = JSON.stringify(rule, null, 2);
    clearTimeout(waiting);
    waiting = setTimeout(ask, 250);
  }

  async function ask() {
    const number = ++asked;
    const panel = document.getElementById("preview");
    panel.classList.add("is-asking");
    const answer = await fetch(root.dataset.preview, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": root.dataset.csrf },
      body: JSON.stringify({ rule }),
    }).catch(() => null);
    if (number !== asked) return;
    panel.classList.remove("is-asking");
    if (!answer || !answer.ok) {
      panel.querySelector("[data-count]").textContent = "–";
      return;
    }
    const found = await answer.json();
    const before = JSON.stringify(problems);
    problems = found.problems;
    panel.innerHTML = found.html;
    if (JSON.stringify(problems) !== before) draw();
  }

  function changed() {
    problems = [];
    draw();
    preview();
  }

  const text = document.getElementById("rule-json");
  text?.addEventListener("input", () => {
    try {
      rule = normal(JSON.parse(text.value));
      text.classList.remove("is-invalid");
      changed();
    } catch {
      text.classList.add("is-invalid");
    }
  });

  draw();
  preview();
})();
