// A form of class "shows": what has data-show="name:a b" is there while the field `name` is a or b; what is not there is neither
// checked nor sent.
(() => {
  const settle = (form) => {
    const parts = [...form.querySelectorAll("[data-show]")];
    parts.forEach((part) => {
      const [name, values] = part.dataset.show.split(":");
      part.hidden = !values.split(" ").includes(form.elements[name].value);
    });
    parts.forEach((part) => part.querySelectorAll("input, select, textarea").forEach((field) => {
      field.disabled = Boolean(field.closest("[data-show][hidden]"));
    }));
  };
  const forms = document.querySelectorAll("form.shows");
  forms.forEach((form) => {
    form.addEventListener("change", () => settle(form), true);
    settle(form);
  });
})();
