// Variants of the campaign form: added, removed, numbered; the share of the test is told.
(() => {
  const list = document.getElementById("variants");
  if (!list) return;
  const add = document.getElementById("variant-add");
  const plan = document.getElementById("variant-plan");
  const names = add.dataset.names.split(" ");
  const rows = () => [...list.querySelectorAll("[data-variant]")];

  const settle = () => {
    const all = rows();
    all.forEach((row, place) => { row.querySelector('[name="variant_preview"]').value = place; });
    plan.hidden = all.length === 0;
    plan.querySelectorAll("input, select").forEach((field) => { field.disabled = plan.hidden; });
    add.disabled = all.length >= names.length;
    list.closest("form").dispatchEvent(new Event("change"));
  };

  const append = () => {
    const used = new Set(rows().map((row) => row.querySelector('[name="variant_name"]').value));
    list.append(document.getElementById("variant-row").content.cloneNode(true));
    const fresh = rows().at(-1).querySelector('[name="variant_name"]');
    fresh.value = names.find((name) => !used.has(name)) || "";
    rows().at(-1).querySelector('[name="variant_format"]').value = list.closest("form").elements.format.value;
    return fresh;
  };

  add.addEventListener("click", () => {
    if (rows().length === 0) append();
    append().focus();
    settle();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-variant-remove]");
    if (!button) return;
    button.closest("[data-variant]").remove();
    if (rows().length === 1) rows()[0].remove();
    settle();
  });

  const share = document.getElementById("test_percent");
  share.addEventListener("input", () => { document.getElementById("test-share").value = `${share.value} %`; });
  settle();
})();
