// How many, who, and in words, while the rule is written: an estimate at once, then the exact answer, then the funnel.
// A change gives up what was asked before (the server stops counting when we hang up); answers of old are dropped.
import { ask, button, el, fill, number, percent, root, words } from "./page.js";
import { fadeFunnel, goTo, inWords, markFunnel, markProblems, markUnfinished } from "./marks.js";
import { finished } from "./tree.js";

const PAUSE = 120;
const panel = document.getElementById("preview");
const mini = document.getElementById("rule-mini");
const part = (name) => panel.querySelector(`[data-part="${name}"]`);

let waiting = null;
let running = null;
let serial = 0;
let everyone = null;

export function look(rule, { soon = false } = {}) {
  clearTimeout(waiting);
  running?.abort();
  panel.classList.add("is-asking");
  fadeFunnel();
  waiting = setTimeout(() => answer(rule), soon ? 0 : PAUSE);
}

async function answer(whole) {
  const turn = ++serial;
  running = new AbortController();
  const { signal } = running;
  const { rule, unfinished, whole: wholePath } = finished(whole);
  markUnfinished(unfinished);
  const told = async (url) => {
    const found = await ask(url, { rule }, signal);
    return found && turn === serial ? found : null;
  };

  const first = await told(root.dataset.estimate);
  if (!first) return;
  if (first.failed) return failed();
  const problems = first.problems.map((one) => ({ ...one, path: wholePath(one.path) }));
  markProblems(problems);
  tellProblems(problems, unfinished);
  part("sentence").textContent = first.sentence ?? "";
  if (problems.length) return nothing();
  panel.dispatchEvent(new CustomEvent("fine"));
  everyone = first.everyone ?? everyone;
  first.exact ? tellExact(first) : tellEstimate(first);

  const exact = await told(root.dataset.preview);
  if (!exact) return;
  if (exact.failed || exact.problems.length) return exact.failed ? failed() : tellProblems(exact.problems, unfinished);
  tellExact(exact);
  part("sample").innerHTML = exact.html;
  part("sample").hidden = false;
  panel.classList.remove("is-asking");
  panel.dataset.settled = String(turn);

  const funnel = await told(root.dataset.funnel);
  if (!funnel || funnel.failed || funnel.problems.length) return;
  everyone = funnel.everyone;
  tellExact(exact);
  markFunnel(funnel, wholePath);
  panel.dispatchEvent(new CustomEvent("counted", { detail: rule }));
}

function count(text, about) {
  part("count").textContent = text;
  part("count").classList.toggle("is-estimate", about);
  mini.textContent = text;
}

function tellEstimate(found) {
  count(`≈ ${number(found.count)}`, true);
  part("range").textContent = fill(words.between_estimating, { low: number(found.low), high: number(found.high) });
}

function tellExact(found) {
  count(number(found.count), false);
  const share = everyone ? fill(words.share_of, { share: percent(found.count / everyone), everyone: number(everyone) }) : "";
  const took = fill(words.took, { ms: number(Math.max(1, Math.round(found.took_ms))) });
  part("range").textContent = [share, took].filter(Boolean).join(" · ");
}

function nothing() {
  count("–", false);
  part("range").textContent = words.not_countable;
  part("sample").hidden = true;
  panel.classList.remove("is-asking");
}

function failed() {
  nothing();
  part("range").textContent = words.no_answer;
}

// Each problem leads to its condition; what is unfinished is left out and said so.
function tellProblems(problems, unfinished) {
  const lines = problems.map((problem) => {
    const { message, about } = inWords(problem);
    return button({ class: "problem-link", onclick: () => goTo(problem.path) }, about && el("span", { class: "problem-about" }, about), el("span", {}, message));
  });
  if (unfinished.length) lines.push(button({ class: "problem-link is-soft", onclick: () => goTo(unfinished[0]) }, fill(unfinished.length === 1 ? words.one_unfinished : words.unfinished, { count: number(unfinished.length) })));
  part("problems").replaceChildren(...lines);
}
