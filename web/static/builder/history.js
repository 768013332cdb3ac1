// The rule as it was, step by step; typing in one place is one step.
const MOST = 200;
const PAUSE = 1200;

// `kept`: what `all()` gave of it before; it goes on when it ends with `now`.
export function makeHistory(now, kept = null) {
  const goesOn = kept?.steps?.[kept.at] === now;
  let steps = goesOn ? kept.steps : [now];
  let at = goesOn ? kept.at : 0;
  let place = null;
  let when = 0;
  return {
    // `where`: the input that changed; null for a change of structure.
    note(text, where = null) {
      if (text === steps[at]) return;
      const now = Date.now();
      const isSame = where !== null && where === place && now - when < PAUSE && at === steps.length - 1 && at > 0;
      if (isSame) steps[at] = text;
      else steps = [...steps.slice(Math.max(0, at + 2 - MOST), at + 1), text];
      at = steps.length - 1;
      place = where;
      when = now;
    },
    back: () => (at > 0 ? ((place = null), steps[--at]) : null),
    forth: () => (at < steps.length - 1 ? ((place = null), steps[++at]) : null),
    canBack: () => at > 0,
    canForth: () => at < steps.length - 1,
    all: () => ({ steps, at }),
  };
}
