// Campaign form: what belongs together is shown together, the preview follows the typing.
(() => {
  const form = document.getElementById("campaign-form");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-width]");
    if (!button) return;
    const card = button.closest(".card");
    card.querySelector("iframe").style.width = button.dataset.width;
    card.querySelectorAll("[data-width]").forEach((one) => one.classList.toggle("active", one === button));
  });
  // Who launches sees once more what a launch would do.
  document.addEventListener("htmx:afterSwap", (event) => {
    const seen = event.target.querySelector("#foresight");
    const copy = document.querySelector('[data-copy-of="foresight"]');
    if (seen && copy) copy.innerHTML = seen.innerHTML;
  });
  if (!form) return;

  const show = () => {
    const own = form.querySelector("[data-own-content]");
    if (own) {
      own.hidden = Boolean(form.elements.template_id.value);
      form.elements.subject.required = !own.hidden;
    }
    form.querySelectorAll("[data-follow]").forEach((link) => {
      const id = form.elements[link.dataset.follow].value;
      link.hidden = !id;
      link.href = link.dataset.pattern.replace(/0$/, id);
    });
  };

  const button = document.getElementById("preview-button");
  let waiting = null;
  const refresh = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => form.requestSubmit(button), 600);
  };

  // What is wrong in a folded part is opened: a browser does not send the form, and could not say why.
  const unfold = (field) => {
    for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  };
  form.addEventListener("invalid", (event) => unfold(event.target), true);
  const wrong = form.querySelector('[aria-invalid="true"], .invalid-feedback');
  if (wrong) {
    unfold(wrong);
    wrong.scrollIntoView({ block: "center" });
    wrong.focus({ preventScroll: true });
  }

  form.addEventListener("change", () => { show(); });
  form.addEventListener("input", (event) => {
    if (["subject", "source", "text", "format", "template_id"].includes(event.target.name)) refresh();
  });
  form.querySelectorAll("[data-insert]").forEach((menu) => menu.addEventListener("change", () => {
    const target = document.getElementById(menu.dataset.insert);
    target.setRangeText(menu.value, target.selectionStart, target.selectionEnd, "end");
    menu.value = "";
    target.focus();
    refresh();
  }));
  show();
  form.requestSubmit(button);
})();
