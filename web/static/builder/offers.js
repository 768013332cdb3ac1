// Values that the data holds for a field, most frequent first, with how often and what people call them.
import { number, root } from "./page.js";
import { fitting } from "./lists.js";

const FULL = 100; // as many as the server gives at once
const kept = new Map();

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
    // The value that people mean by a name they typed.
    meant(typed) {
      const wanted = typed.normalize("NFKC").toLowerCase();
      const found = [...names].find(([value, name]) => [value, name].some((one) => one.normalize("NFKC").toLowerCase() === wanted));
      return found ? found[0] : typed;
    },
  };
}
