// Calendar: the arrow keys step from entry to entry, with Shift from month to month (or week to week).
(() => {
  const steps = { ArrowLeft: "earlier", ArrowRight: "later" };
  document.addEventListener("keydown", (event) => {
    const moved = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!moved || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey && steps[event.key] && !event.target.closest("input, textarea, select")) {
      document.querySelector(`[data-step="${steps[event.key]}"]`).click();
      return;
    }
    const entry = event.target.closest(".calendar-entry");
    if (!entry || event.shiftKey) return;
    const all = [...document.querySelectorAll(".calendar-entry")].filter((one) => one.offsetParent);
    const next = all[all.indexOf(entry) + moved];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
})();
