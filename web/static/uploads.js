// Uploads: drop a file or choose one, see how far it is, read what was wrong with it. Without this the form works as it is.
(() => {
  const form = document.querySelector("form[data-upload]");
  if (!form) return;
  form.closest(".card").classList.add("has-script");
  const zone = form.querySelector("[data-dropzone]");
  const field = form.elements.file;
  const state = form.querySelector(".upload-state");
  const bar = state.querySelector(".progress");
  const failure = form.querySelector("[data-upload-error]");
  let depth = 0;
  let sending = null;

  const size = (bytes) => (bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`);

  function show(done, total) {
    const share = total ? Math.round((100 * done) / total) : 0;
    bar.setAttribute("aria-valuenow", share);
    bar.firstElementChild.style.width = `${share}%`;
    state.querySelector("[data-upload-share]").textContent = `${share} %`;
    const note = state.querySelector("[data-upload-note]");
    note.textContent = share === 100 ? note.dataset.storing : "";
  }

  function fail(text) {
    sending = null;
    state.hidden = true;
    failure.hidden = false;
    failure.querySelector("div").textContent = text;
    field.value = "";
  }

  function send() {
    const file = field.files[0];
    if (!file || sending) return;
    failure.hidden = true;
    state.hidden = false;
    state.querySelector("[data-upload-name]").textContent = `${file.name} · ${size(file.size)}`;
    show(0, 1);
    sending = new XMLHttpRequest();
    sending.open("POST", form.action);
    sending.setRequestHeader("HX-Request", "true");
    sending.setRequestHeader("X-CSRF-Token", form.elements.csrf_token.value);
    sending.upload.addEventListener("progress", (event) => event.lengthComputable && show(event.loaded, event.total));
    sending.addEventListener("load", () => {
      const next = sending.getResponseHeader("HX-Redirect");
      if (next) location.assign(next);
      else fail(sending.responseText || form.dataset.offline);
    });
    sending.addEventListener("error", () => fail(form.dataset.offline));
    sending.send(new FormData(form));
  }

  field.addEventListener("change", send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });

  // Anywhere on the page: nobody aims well with a file in hand.
  const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    zone.classList.add("is-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!carriesFile(event)) return;
    depth = Math.max(0, depth - 1);
    if (!depth) zone.classList.remove("is-over");
  });
  document.addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    depth = 0;
    zone.classList.remove("is-over");
    if (!event.dataTransfer.files.length || sending) return;
    field.files = event.dataTransfer.files;
    send();
  });
  window.addEventListener("pageshow", () => {
    sending = null;
    state.hidden = true;
    field.value = "";
  });
})();
