// What changes while somebody looks: a part of the page with data-live="address of its events" is brought up to date in place, and
// while it moves the parts with data-fresh="address of its HTML" are, now and then.
(() => {
  const HIDDEN_FOR = 30_000; // ms after which a page that nobody sees lets its connection go
  const AGAIN = 5_000; // ms until a refused connection is tried again
  const FRESH = 5_000; // ms between two looks at what takes counting
  const SHARE = 40; // and so many times as long as the last look took

  // Makes `from` like `to`, keeping every element that stays: focus, scrolling and opened details are not lost.
  function morph(from, to) {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) return from.replaceWith(to);
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return undefined;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) return undefined;
    if (from.matches("[data-still]")) return undefined;
    if (from.matches("[data-chart]")) { // what is inside is drawn
      from.dataset.chart = to.dataset.chart;
      return undefined;
    }
    attributes(from, to);
    return from.matches("[data-fresh]") ? undefined : children(from, to); // that is brought up to date by itself
  }

  function attributes(from, to) {
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !(name === "open" && ["DETAILS", "DIALOG"].includes(from.nodeName))) from.removeAttribute(name);
    }
    for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }

  function children(from, to) {
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const known = wanted.id && [...from.children].find((child) => child.id === wanted.id);
      if (known && known !== at) from.insertBefore(known, at);
      if (known) at = known;
      if (!at) {
        from.append(wanted);
      } else if (!known && (wanted.id || at.id)) {
        from.insertBefore(wanted, at); // a row that is new, or a row here that belongs further down
      } else {
        const next = at.nextSibling;
        morph(at, wanted);
        at = next;
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function follow(part) {
    const id = part.id;
    let source = null;
    let hiding = null;
    const here = () => document.getElementById(id);

    function show(html) {
      const box = document.createElement("template");
      box.innerHTML = html;
      const wanted = box.content.firstElementChild;
      morph(here(), wanted);
      told(true);
      if (here().hasAttribute("data-over")) location.reload(); // the whole report, charts and all
      document.dispatchEvent(new CustomEvent("hearth:live", { detail: here() }));
    }

    function told(connected) {
      here().querySelectorAll("[data-live-dot]").forEach((dot) => {
        dot.classList.toggle("on", connected);
        dot.textContent = connected ? dot.dataset.on : dot.dataset.off;
      });
    }

    function open() {
      if (source) return;
      source = new EventSource(part.dataset.live);
      source.addEventListener("picture", (event) => show(event.data));
      source.addEventListener("gone", () => { close(); location.reload(); });
      source.addEventListener("open", () => told(true));
      source.addEventListener("error", () => {
        told(false);
        if (source && source.readyState === EventSource.CLOSED) { // refused: the browser does not come back by itself
          close();
          setTimeout(() => { if (!document.hidden) open(); }, AGAIN);
        }
      });
    }

    function close() {
      if (source) source.close();
      source = null;
    }

    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(close, HIDDEN_FOR);
      else open();
    });
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
    open();
  }

  let looking = null;
  let next = Date.now() + FRESH;

  function freshen() {
    if (looking || !document.querySelector("[data-fresh]")) return;
    looking = setTimeout(async () => {
      const began = Date.now();
      if (!document.hidden) await look().catch(() => {}); // the stream tells of a lost connection
      next = Date.now() + Math.max(FRESH, SHARE * (Date.now() - began));
      looking = null;
    }, Math.max(0, next - Date.now()));
  }

  async function look() {
    for (const part of document.querySelectorAll("[data-fresh]")) {
      const answer = await fetch(part.dataset.fresh, { headers: { "HX-Request": "true" } });
      if (!answer.ok || answer.redirected || !part.isConnected) continue;
      const box = document.createElement("template");
      box.innerHTML = await answer.text();
      children(part, box.content);
      window.htmx.process(part);
      part.dispatchEvent(new CustomEvent("hearth:fresh", { bubbles: true }));
    }
  }

  // Buttons of the page are there while what they do may be asked: data-may="pause" and the like.
  function offer(live) {
    const may = (live.dataset.may || "").split(" ");
    document.querySelectorAll("[data-verb]").forEach((one) => { one.hidden = !may.includes(one.dataset.verb); });
  }

  // Rows of the list follow the strip above it; one that is no longer sent is asked for again.
  function rows(strip) {
    const going = new Set();
    strip.querySelectorAll("[data-campaign]").forEach((one) => {
      const id = one.dataset.campaign;
      going.add(id);
      copy(one.querySelector(".live-bar"), document.querySelector(`[data-progress-of="${id}"]`));
      copy(one.querySelector(".strip-state > *"), document.querySelector(`[data-state-of="${id}"]`));
    });
    const ended = [...document.querySelectorAll("[data-state-of][data-moving]")].some((one) => !going.has(one.dataset.stateOf));
    if (ended) window.htmx.ajax("GET", location.pathname + location.search, { target: "#results", swap: "outerHTML" });
  }

  function copy(from, to) {
    if (from && to && to.innerHTML !== from.outerHTML) to.replaceChildren(from.cloneNode(true));
  }

  document.addEventListener("hearth:live", (event) => { if (event.detail.id === "sending-now") rows(event.detail); });
  document.addEventListener("hearth:live", (event) => { if (event.detail.id === "live") offer(event.detail); });
  document.addEventListener("hearth:live", (event) => { if (event.detail.id === "live") freshen(); });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-live]").forEach(follow));
})();
