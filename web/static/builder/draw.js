// A rule as nested cards. Every change of structure goes through `act` and redraws; typing changes the rule in place.
import { button, el, icon, select, vocabulary, words } from "./page.js";
import { openPicker } from "./lists.js";
import { valueInputs } from "./inputs.js";
import { memberships, nameOf, newConditions, otherFields, otherSources, sourceOf } from "./fields.js";
import { GROUPS, MEASURES, childrenOf, copy, fieldNamed, freshField, freshValue, groupKey, join, operatorNamed, operatorsOf, withOperator } from "./tree.js";

// `act(change, {focus})` changes the rule and redraws; `typed(place)` tells that a value changed in place (null: as a step of its own).
export function makeDrawing({ act, typed }) {
  const lists = new WeakMap(); // the element of a list → its rules, for dragging

  const drawRule = (rule) => drawGroup(rule, "", null, null);

  function drawGroup(node, path, source, home) {
    const key = groupKey(node);
    const list = el("div", { class: "rule-list", "data-scope": source ? `where:${source.name}` : "people" });
    lists.set(list, node[key]);
    node[key].forEach((child, index) => list.append(drawNode(child, { list: node[key], index, path: join(path, `${key}[${index}]`), source, joint: key, top: path === "" })));
    const kinds = GROUPS.map((name) => [name, words[(source ? "where_" : "") + name]]);
    const kind = select(kinds, key, (name) => act(() => rename(node, key, name), { focus: `${path}:kind` }), { class: "form-select rule-kind", "aria-label": words.group_kind, "data-place": `${path}:kind` });
    const head = el("div", { class: "rule-head" }, home && home.grip, kind, home && tools(node, home));
    const none = node[key].length || source ? null : el("p", { class: "rule-empty" }, path ? words.empty_group : words.empty_rule);
    const part = { class: `rule-group rule-${key}${path ? "" : " rule-top"}`, "data-path": path };
    return el("div", part, head, none, list, addRow(node, path, source), problemSlot(path));
  }

  const rename = (node, key, name) => {
    const rules = node[key];
    delete node[key];
    node[name] = rules;
  };

  function drawNode(node, at) {
    const grip = el("span", { class: "rule-grip", title: words.drag, "aria-hidden": "true" }, icon("grip-vertical"));
    const home = { ...at, grip };
    const joint = at.index ? words[`joint_${at.joint}`] : at.joint === "none" ? words.joint_none_first : "";
    const body = groupKey(node) ? drawGroup(node, at.path, at.source, home) : drawCondition(node, home);
    const funnel = at.top ? el("div", { class: "rule-funnel", "data-funnel": at.path }) : null;
    return el("div", { class: "rule-node" }, el("div", { class: "rule-joint" }, joint), body, funnel);
  }

  function drawCondition(node, home) {
    const body = node.has ? drawRelated(node, home) : node.field ? drawField(node, home) : drawOther(node, home);
    const label = node.field ? fieldNamed(home.source, node.field).label : words.condition;
    return el("div", { class: `rule-condition${node.has ? " has-records" : ""}`, "data-path": home.path, role: "group", "aria-label": label }, home.grip, body, tools(node, home), problemSlot(home.path));
  }

  const problemSlot = (path) => el("p", { class: "rule-problem", "data-problem": path, hidden: true });

  // --- moving, copying, wrapping, removing, for those who do not drag ---

  function tools(node, { list, index, path, source }) {
    const item = (name, sign, change, disabled = false, focus = path) => button({ class: "dropdown-item", disabled, onclick: () => act(change, { focus, said: words[`said_${name}`] }) }, icon(sign), words[name]);
    const swap = (step) => () => list.splice(index + step, 0, ...list.splice(index, 1));
    const beside = (step) => path.replace(/\[\d+\]$/, `[${index + step}]`);
    const isGroup = Boolean(groupKey(node));
    const menu = el("div", { class: "dropdown-menu dropdown-menu-end" },
      item("move_up", "arrow-up", swap(-1), index === 0, beside(-1)),
      item("move_down", "arrow-down", swap(1), index === list.length - 1, beside(1)),
      item("duplicate", "copy", () => list.splice(index + 1, 0, copy(node)), false, beside(1)),
      item("wrap", "brackets", () => (list[index] = { any: [node] }), false, `${path}.any[0]`),
      isGroup && item("unwrap", "brackets-off", () => list.splice(index, 1, ...childrenOf(node)), !childrenOf(node).length),
    );
    const label = isGroup ? words.group : node.field ? fieldNamed(source, node.field).label : words.condition;
    const more = button({ class: "btn btn-icon btn-ghost", "data-bs-toggle": "dropdown", "aria-expanded": "false", "aria-label": `${words.more}: ${label}`, title: words.more }, icon("dots"));
    const drop = button({ class: "btn btn-icon btn-ghost rule-remove", "aria-label": `${words.remove}: ${label}`, title: words.remove, onclick: () => act(() => list.splice(index, 1), { focus: path, said: words.said_remove, undo: true }) }, icon("trash"));
    return el("div", { class: "rule-tools" }, el("div", { class: "dropdown" }, more, menu), drop);
  }

  function addRow(node, path, source) {
    const list = childrenOf(node);
    const next = join(path, `${groupKey(node)}[${list.length}]`);
    const pick = (option) => {
      const made = option.make();
      const waiting = made.has && !made.where.all.length;
      act(() => list.push(made), { focus: waiting ? `${next}.where:add` : made.has ? `${next}.where.all[0]` : next, open: true });
    };
    const label = source ? words.add_condition : words.add_field;
    const add = button({ class: "btn btn-sm rule-plus", "data-place": `${path}:add`, "aria-haspopup": "listbox", onclick: () => openPicker(add, { options: () => newConditions(source), pick, label: words.search_fields }) }, icon("plus"), label);
    const group = button({ class: "btn btn-sm btn-ghost", onclick: () => act(() => list.push({ [groupKey(node) === "any" ? "all" : "any"]: [] }), { focus: `${next}:add` }) }, icon("brackets"), words.add_group);
    return el("div", { class: "rule-add" }, add, group);
  }

  // --- one condition ---

  // The focus goes to the value where one is wanted, else to the comparison.
  function drawField(node, { list, index, path, source }) {
    const field = fieldNamed(source, node.field);
    const operators = operatorsOf(field.kind);
    const operator = operatorNamed(operators, node.op);
    const chosen = (option) => act(() => (list[index] = freshField(fieldNamed(source, option.value))), { focus: path, open: true });
    const name = pickButton(field.label, path, () => otherFields(source), chosen, words.search_fields);
    const listed = operator.unknown ? [operator, ...operators] : operators;
    const compare = select(listed.map((one) => [one.name, one.label]), operator.name, (op) =>
      act(() => (list[index] = withOperator(node, field.kind, operatorNamed(operators, op))), { focus: path }), { class: "form-select rule-operator", "aria-label": words.operator, "data-place": `${path}:op` });
    const set = (value, step) => { node.value = value; typed(step ? null : path); };
    return el("div", { class: "rule-row" }, name, compare, ...valueInputs({ field, takes: operator.takes, op: node.op, value: node.value, source, place: path, set }));
  }

  function pickButton(label, path, options, pick, searching) {
    const made = button({ class: "btn rule-pick", "data-place": `${path}:pick`, "aria-haspopup": "listbox", onclick: () => openPicker(made, { options, pick, label: searching }) }, el("span", {}, label), icon("selector"));
    return made;
  }

  function drawRelated(node, { list, index, path }) {
    const source = sourceOf(node);
    const measure = MEASURES.find((name) => name in node);
    const told = !measure ? "exists" : measure === "count" && node.count.op === "eq" && Number(node.count.value) === 0 ? "no_such" : measure;
    const chosen = (option) => act(() => (list[index] = { has: option.value, where: { all: [] } }), { focus: `${path}.where:add`, open: true });
    const kind = pickButton(source.verb, path, otherSources, chosen, words.search_records);
    const possible = ["exists", "no_such", "count", ...["sum", "avg", "min", "max"].filter((name) => measurable(source, name).length)];
    const how = select(possible.map((name) => [name, words[name]]), told, (name) => act(() => (list[index] = measured(node, source, name)), { focus: path }), { class: "form-select rule-operator", "aria-label": words.measure, "data-place": `${path}:how` });
    const row = el("div", { class: "rule-row" }, kind, how, ...measureInputs(node, source, told, path));
    return el("div", { class: "rule-related" }, row, drawGroup(node.where, join(path, "where"), source, null));
  }

  const measurable = (source, name) => source.fields.filter((one) => vocabulary.aggregates[name].includes(one.kind));

  function measured(node, source, name) {
    const made = { has: node.has, where: node.where };
    if (name === "no_such") made.count = { op: "eq", value: 0 };
    if (name === "count") made.count = { op: "gte", value: 2 };
    const [first] = vocabulary.aggregates[name] ? measurable(source, name) : [];
    if (first) made[name] = { field: first.name, op: vocabulary.measures[first.kind][0].name === "eq" ? "gt" : vocabulary.measures[first.kind][0].name, value: "" };
    return made;
  }

  function measureInputs(node, source, told, path) {
    if (told === "exists" || told === "no_such") return [];
    const part = node[told];
    const here = `${path}.${told}`;
    const field = told === "count" ? { label: words.count, kind: "number", name: "count" } : fieldNamed(source, part.field);
    const operators = vocabulary.measures[field.kind] || vocabulary.measures.number;
    const operator = operatorNamed(operators, part.op);
    const pick = told === "count" ? null : select(measurable(source, told).map((one) => [one.name, one.label]), part.field, (name) =>
      act(() => Object.assign(part, { field: name, op: operatorsOf(fieldNamed(source, name).kind) === operatorsOf(field.kind) ? part.op : vocabulary.measures[fieldNamed(source, name).kind][0].name, value: "" }), { focus: here }), { class: "form-select rule-operator", "aria-label": words.field, "data-place": `${here}:field` });
    const compare = select(operators.map((one) => [one.name, one.label]), operator.name, (op) =>
      act(() => { part.op = op; part.value = freshValue(field.kind, operatorNamed(operators, op).takes, part.value); }, { focus: here }), { class: "form-select rule-operator", "aria-label": words.operator, "data-place": `${here}:op` });
    const set = (value, step) => { part.value = value; typed(step ? null : here); };
    return [pick, compare, ...valueInputs({ field, takes: operator.takes, op: part.op, value: part.value, source, place: here, set })];
  }

  function drawOther(node, { list, index, path }) {
    if ("bucket" in node) return drawBucket(node, path);
    const key = "in_segment" in node ? "in_segment" : "in_audience";
    const chosen = (option) => act(() => (list[index] = { [key]: Number(option.value) }), { focus: path });
    const name = node[key] === null ? words.choose : nameOf(key, node[key]);
    const pick = pickButton(name, path, () => memberships(key), chosen, words.search);
    return el("div", { class: "rule-row" }, el("span", { class: "rule-word" }, words[key]), pick);
  }

  function drawBucket(node, path) {
    const part = (name) => {
      const input = el("input", { class: "form-control rule-number", type: "number", min: "0", max: "9999", "data-place": `${path}:${name}`, "aria-label": words[name], value: node.bucket[name] ?? "", oninput: () => { node.bucket[name] = input.value === "" ? "" : Number(input.value); typed(path); } });
      return input;
    };
    return el("div", { class: "rule-row" }, el("span", { class: "rule-word" }, words.bucket), part("from"), el("span", { class: "rule-word" }, words.to), part("to"));
  }

  return { drawRule, rulesOf: (list) => lists.get(list) };
}
