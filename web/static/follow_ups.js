// Follow-ups come by themselves: the part of the page with data-news="address of its events" is asked for again when the server says
// that it is another, and now and then all the same (its hx-trigger), where events do not get through.

(function () {
  let source = null;

  function open() {
    const part = document.querySelector("[data-news]");
    if (!part || source || document.hidden) return;
    source = new EventSource(part.dataset.news);
    source.addEventListener("news", () => htmx.trigger(document.querySelector("[data-news]"), "news"));
    source.addEventListener("gone", () => { close(); location.reload(); });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("DOMContentLoaded", open);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return close();
    const part = document.querySelector("[data-news]");
    if (part) htmx.trigger(part, "news");
    open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
})();
