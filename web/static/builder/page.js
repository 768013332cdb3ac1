// What the page gives the builder: vocabulary, words, addresses, icons, the language's numbers.
export const root = document.getElementById("builder");
export const vocabulary = JSON.parse(root.dataset.vocabulary);
export const words = vocabulary.words;
export const choices = JSON.parse(root.dataset.choices);

const language = document.documentElement.lang;
const whole = new Intl.NumberFormat(language);
const shares = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
export const number = (value) => whole.format(value);
export const percent = (share) => shares.format(share);

// "%(name)s" in a translated text.
export const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value") made.value = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const icons = document.getElementById("builder-icons").content;
export const icon = (name) => icons.querySelector(`[data-icon="${name}"]`).firstElementChild.cloneNode(true);

export const button = (attributes, ...children) => el("button", { type: "button", class: "btn", ...attributes }, ...children);

export function select(options, value, change, attributes = {}) {
  const made = el("select", { class: "form-select", ...attributes, onchange: () => change(made.value) });
  for (const [key, text] of options) made.append(el("option", { value: key }, text));
  made.value = value;
  return made;
}

// POST JSON to one of our own addresses; null when it was given up or nobody answered.
export async function ask(url, body, signal) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": root.dataset.csrf };
  try {
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
    return answer.ok ? await answer.json() : { failed: answer.status };
  } catch (error) {
    return signal?.aborted ? null : { failed: String(error) };
  }
}
