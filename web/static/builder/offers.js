// Values that the data holds for a field, most frequent first, with how often and what people call them.
import { number, root } from "./page.js";
import { fitting } from "./lists.js";

const FULL = 100; // as many as the server gives at once
const NEAREST = 3;
const kept = new Map();

const plain = (text) => String(text).normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");

// How many letters must change to make `b` of `a`.
function distance(a, b) {
  let row = [...Array(b.length + 1).keys()];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

const isNear = (wanted, text) => text.includes(wanted) || wanted.includes(text) || distance(wanted, text) <= (Math.max(wanted.length, text.length) > 4 ? 2 : 1);

async function fetched(source, field, typed) {
  const query = new URLSearchParams({ source: source ? source.name : "", field: field.name, q: typed });
  const answer = await fetch(`${root.dataset.suggest}?${query}`).catch(() => null);
  return answer?.ok ? answer.json() : [];
}

// One for each field of the customers and of each kind of record.
export function offersOf(source, field) {
  const key = `${source ? source.name : ""}:${field.name}`;
  if (!kept.has(key)) kept.set(key, makeOffers(source, field));
  return kept.get(key);
}

function makeOffers(source, field) {
  const names = new Map();
  const asked = new Map();
  function request(typed) {
    if (!asked.has(typed)) {
      asked.set(typed, fetched(source, field, typed).then((values) => {
        for (const one of values) names.set(one.value, one.name);
        return values;
      }));
    }
    return asked.get(typed);
  }
  const option = (one) => ({ value: one.value, label: one.name, more: one.value, detail: number(one.count) });
  return {
    async load(typed) {
      const common = await request("");
      const found = fitting(common.map(option), typed);
      if (!typed.trim() || common.length < FULL || found.length > 8) return found;
      const more = (await request(typed.trim())).map(option);
      return [...found, ...more.filter((one) => !found.some((other) => other.value === one.value))];
    },
    // The name of a value, once it is known: `tell` is called then.
    async name(value, tell) {
      if (!names.has(value)) await request("");
      if (!names.has(value)) await request(value);
      tell(names.get(value) ?? value);
    },
    // Null where the data holds the value or nobody can tell; else `{near, options}`: values much like it, or the commonest.
    async missing(value) {
      const common = await request("");
      const wanted = plain(value);
      const holds = (values) => values.some((one) => plain(one.value) === wanted || plain(one.name) === wanted);
      if (!common.length || holds(common)) return null;
      const like = common.length < FULL ? [] : await request(value);
      if (like.length >= FULL || holds(like)) return null;
      const near = [...like, ...common].filter((one) => [one.value, one.name].some((text) => isNear(wanted, plain(text))));
      return { near: near.length > 0, options: (near.length ? near : common).slice(0, NEAREST).map(option) };
    },
    // The value that people mean by a name they typed.
    meant(typed) {
      const wanted = typed.normalize("NFKC").toLowerCase();
      const found = [...names].find(([value, name]) => [value, name].some((one) => one.normalize("NFKC").toLowerCase() === wanted));
      return found ? found[0] : typed;
    },
  };
}
