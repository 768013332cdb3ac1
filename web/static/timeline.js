// j and k (or the arrows, once in it) go through the entries of a timeline; at its end, j goes on to the older ones.
(() => {
  const entries = () => [...document.querySelectorAll("#entries .timeline-list > li")];

  function step(by) {
    const all = entries();
    const next = all.indexOf(document.activeElement) + by;
    if (next >= all.length) document.querySelector("#entries [data-older]")?.click();
    else all[Math.max(next, 0)]?.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) return;
    const inside = entries().includes(document.activeElement);
    const by = event.key === "j" || (inside && event.key === "ArrowDown") ? 1 : event.key === "k" || (inside && event.key === "ArrowUp") ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    step(by);
  });
})();
