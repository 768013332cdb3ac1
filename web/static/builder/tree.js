// A rule (RULES.md) as a tree of plain objects: what stands where, what is unfinished, how parts move.
import { vocabulary } from "./page.js";

export const GROUPS = ["all", "any", "none"];
export const MEASURES = ["count", "sum", "avg", "min", "max"];
export const groupKey = (node) => GROUPS.find((key) => key in node);
export const childrenOf = (node) => node[groupKey(node)];
export const join = (path, step) => (path ? `${path}.${step}` : step);
export const copy = (node) => JSON.parse(JSON.stringify(node));

export const sourceNamed = (name) => vocabulary.sources.find((source) => source.name === name);
export const fieldsOf = (source) => (source ? source.fields : vocabulary.fields);
export const fieldNamed = (source, name) =>
  fieldsOf(source).find((one) => one.name === name) || { name, label: name, kind: "text", unknown: true };
export const operatorsOf = (kind) => vocabulary.operators[kind];
export const operatorNamed = (operators, name) => operators.find((one) => one.name === name) || { name, label: name, takes: "one", unknown: true };

// As it is drawn: the outermost rule and every `where` are groups, so that something can be added.
export function settled(rule) {
  const root = groupKey(rule) ? copy(rule) : { all: [copy(rule)] };
  const settle = (node) => {
    if (groupKey(node)) childrenOf(node).forEach(settle);
    if (!node.has) return;
    const where = node.where ?? { all: [] };
    node.where = groupKey(where) ? where : { all: [where] };
  };
  settle(root);
  return root;
}

// Whether it can be drawn: RULES.md's shapes, whatever the names and values.
export function drawable(node, inside = false) {
  if (typeof node !== "object" || node === null || Array.isArray(node)) return false;
  const key = groupKey(node);
  if (key) return Array.isArray(node[key]) && node[key].every((child) => drawable(child, inside));
  if (typeof node.field === "string") return typeof node.op === "string";
  if (inside) return false;
  if (typeof node.has === "string") return Boolean(sourceNamed(node.has)) && (!("where" in node) || drawable(node.where, true)) && MEASURES.every((name) => !(name in node) || typeof node[name] === "object");
  if ("bucket" in node) return typeof node.bucket === "object" && node.bucket !== null;
  return "in_segment" in node || "in_audience" in node;
}

export function freshField(field) {
  const kind = field.kind;
  const wanted = field.default || { op: operatorsOf(kind)[0].name };
  const operator = operatorNamed(operatorsOf(kind), wanted.op);
  return withOperator({ field: field.name, value: wanted.value }, kind, operator);
}

export function withOperator(node, kind, operator) {
  const made = { field: node.field, op: operator.name };
  const value = freshValue(kind, operator.takes, node.value);
  if (value !== undefined) made.value = value;
  return made;
}

const isDuration = (value) => typeof value === "string" && /^P(\d|T\d)/.test(value);

// A value of the shape that an operator takes, with as much of the one before as fits.
export function freshValue(kind, takes, before) {
  if (takes === "nothing") return undefined;
  if (takes === "truth") return typeof before === "boolean" ? before : true;
  if (takes === "duration") return isDuration(before) ? before : "P90D";
  const kept = isDuration(before) ? undefined : before;
  const first = Array.isArray(kept) ? kept[0] : kept;
  const single = first === undefined || first === null || typeof first === "object" ? "" : first;
  if (takes === "many") return Array.isArray(kept) ? kept : single === "" ? [] : [single];
  if (takes === "pair") return Array.isArray(kept) && kept.length === 2 ? kept : [single, ""];
  return typeof single === "boolean" ? "" : single;
}

const isBlank = (value) => value === "" || value === null || (Array.isArray(value) && (!value.length || value.includes("")));
const measureOf = (node) => MEASURES.find((name) => name in node);

// Whether a condition still waits for a value.
export function isUnfinished(node) {
  if (node.field) return "value" in node && isBlank(node.value);
  if (node.has) return measureOf(node) !== undefined && isBlank(node[measureOf(node)].value);
  if (node.bucket) return isBlank(node.bucket.from) || isBlank(node.bucket.to);
  return node.in_segment === null || node.in_audience === null;
}

// The rule without what is unfinished, where each of its parts stands in the whole, and what was left out.
export function finished(rule) {
  const paths = new Map();
  const unfinished = [];
  function reduce(node, from, to) {
    paths.set(to, from);
    const key = groupKey(node);
    if (!key) {
      if (isUnfinished(node)) return void unfinished.push(from);
      if (!node.where) return copy(node);
      return { ...copy(node), where: reduce(node.where, join(from, "where"), join(to, "where")) ?? { all: [] } };
    }
    if (!node[key].length && /\]$/.test(from)) return void unfinished.push(from); // a group that waits for its first condition
    const kept = [];
    node[key].forEach((child, index) => {
      const made = reduce(child, join(from, `${key}[${index}]`), join(to, `${key}[${kept.length}]`));
      if (made !== undefined) kept.push(made);
    });
    return kept.length || !node[key].length ? { [key]: kept } : undefined;
  }
  const reduced = reduce(rule, "", "") ?? { all: [] };
  return { rule: reduced, unfinished, whole: (path) => wholePath(paths, path) };
}

// The path in the whole rule of a path in the reduced one.
function wholePath(paths, path) {
  const stands = [...paths.keys()].filter((one) => one === "" || path === one || path.startsWith(`${one}.`)).sort((a, b) => b.length - a.length)[0];
  const rest = path.slice(stands.length).replace(/^\./, "");
  return rest ? join(paths.get(stands), rest) : paths.get(stands);
}

export const isEmptyRule = (rule) => GROUPS.some((key) => key in rule) && childrenOf(rule).length === 0;
