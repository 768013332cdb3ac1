// What can be asked, as one searchable list: fields by subject, records, what stands in records, segments, lists; the last used first.
import { choices, fill, vocabulary, words } from "./page.js";
import { fieldsOf, freshField, sourceNamed } from "./tree.js";

const STORE = "hearth.builder.recent";
const MOST = 4;

function recentKeys() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE) || "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

function remember(key) {
  try {
    localStorage.setItem(STORE, JSON.stringify([key, ...recentKeys().filter((one) => one !== key)].slice(0, 12)));
  } catch {
    // a browser that keeps nothing: then nothing is recent
  }
}

const within = (source, condition) => ({ has: source.name, where: { all: condition ? [condition] : [] } });

// Options of what a new condition can be about; `make()` gives the condition.
function everything(source) {
  const own = fieldsOf(source).map((field) => ({ value: `${source ? source.name : ""}.${field.name}`, label: field.label, more: field.name, group: field.group, make: () => freshField(field) }));
  if (source) return own;
  const records = vocabulary.sources.map((one) => ({ value: `has.${one.name}`, label: one.verb, more: `${one.label} ${one.name}`, group: words.has_group, make: () => within(one) }));
  const inside = vocabulary.sources.flatMap((one) => one.fields.map((field) => ({ value: `has.${one.name}.${field.name}`, label: `${one.label}: ${field.label}`, more: field.name, group: words.has_group, hidden: true, make: () => within(one, freshField(field)) })));
  const others = [{ value: "in_segment", label: words.in_segment, group: words.more_group, make: () => ({ in_segment: null }) }];
  if (offered("in_audience").length) others.push({ value: "in_audience", label: words.in_audience, group: words.more_group, make: () => ({ in_audience: null }) });
  others.push({ value: "bucket", label: words.bucket, group: words.more_group, make: () => ({ bucket: { from: 0, to: 999 } }) });
  return [...own.filter((one) => choices.segments.length || one.value !== "in_segment"), ...records, ...inside, ...others.filter((one) => choices.segments.length || one.value !== "in_segment")];
}

export function newConditions(source) {
  const all = everything(source);
  const recent = recentKeys().map((key) => all.find((one) => one.value === key)).filter(Boolean).slice(0, MOST);
  const again = recent.map((one) => ({ ...one, group: words.recent_group, recent: true, hidden: false }));
  return [...again, ...all].map((one) => ({ ...one, make: () => { remember(one.value); return one.make(); } }));
}

// Fields of the same rows, for a condition that stands already.
export const otherFields = (source) => fieldsOf(source).map((field) => ({ value: field.name, label: field.label, more: field.name, group: field.group }));

export const otherSources = () => vocabulary.sources.map((one) => ({ value: one.name, label: one.verb, more: `${one.label} ${one.name}` }));

// Lists that are still being matched, or failed, have a name but are not offered.
const offered = (key) => (key === "in_segment" ? choices.segments : choices.audiences.filter(([, , , done]) => done));

export const memberships = (key) => offered(key).map(([id, name, count]) => ({ value: String(id), label: name, detail: count === null || count === undefined ? null : fill("%(count)s", { count }) }));

export const nameOf = (key, id) => ((key === "in_segment" ? choices.segments : choices.audiences).find((one) => one[0] === id) || [id, `${id}`])[1];

export const sourceOf = (node) => sourceNamed(node.has);
