// The console's own behaviour: keyboard, themes, toasts, copy buttons, confirmations by name. No framework.
(() => {
  const on = (type, selector, act) =>
    document.addEventListener(type, (event) => {
      const found = event.target instanceof Element && event.target.closest(selector);
      if (found) act(found, event);
    });

  const toasts = () => document.getElementById("toasts");

  function toast(text, kind = "success") {
    const box = document.createElement("div");
    box.className = `toast show toast-${kind}`;
    box.setAttribute("role", kind === "danger" ? "alert" : "status");
    const body = document.createElement("div");
    body.className = "toast-body";
    body.textContent = text;
    box.append(body);
    toasts().append(box);
    setTimeout(() => box.remove(), kind === "danger" ? 9000 : 5000);
  }

  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    const plain = (answer.getResponseHeader("Content-Type") || "").startsWith("text/plain");
    toast(plain && answer.responseText ? answer.responseText : toasts().dataset.failed, "danger");
  });
  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind)); // an answer's HX-Trigger
  document.addEventListener("htmx:sendError", () => toast(toasts().dataset.offline, "danger"));

  // A search keeps how the list is sorted and narrowed by now, whatever it was when the page was loaded.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.matches(".search-box")) return;
    event.detail.path = location.pathname;
    for (const [name, value] of new URLSearchParams(location.search)) {
      if (name !== "q" && name !== "cursor") event.detail.parameters[name] = value;
    }
  });

  // `/` goes to the page's own search, else to the one at the top; Escape leaves it.
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const fields = [...document.querySelectorAll("main [data-search]"), ...document.querySelectorAll("[data-search]")];
      const search = fields.find((field) => field.offsetParent !== null);
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    if (event.key === "Escape" && typing && typing.matches("[data-search]")) typing.blur();
  });

  on("click", "[data-theme]", (button) => window.hearthTheme(button.dataset.theme));
  on("change", "[data-submit-on-change]", (field) => field.form.requestSubmit());

  on("click", "[data-copy]", async (button) => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value || source.textContent.trim());
    toast(button.dataset.copied);
  });

  on("click", "[data-dialog]", (button) => document.getElementById(button.dataset.dialog).showModal());
  on("click", "[data-close]", (button) => button.closest("dialog").close());
  on("click", "dialog", (dialog, event) => event.target === dialog && dialog.close());

  // A destructive act waits until its name is typed.
  on("input", "[data-confirm-name]", (field) => {
    field.form.querySelector("[type=submit]").disabled = field.value.trim() !== field.dataset.confirmName;
  });

  // One submission a click, and a visible sign that it is under way.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.submitter?.hasAttribute("formtarget")) return; // into a frame: the page stays
    if (event.defaultPrevented || form.hasAttribute("hx-post") || form.hasAttribute("hx-get") || form.method === "dialog") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    const pressed = event.submitter?.matches("[data-default]") ? null : event.submitter;
    (pressed || form.querySelector("[type=submit].btn-primary, [type=submit]:not([data-default])"))?.classList.add("btn-loading");
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll(".btn-loading").forEach((button) => button.classList.remove("btn-loading"));
    });
  });
})();
