// Runs before the page is painted: the theme of the system, unless the person chose one.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = localStorage.getItem("hearth-theme");
    const theme = chosen || (system.matches ? "dark" : "light");
    document.documentElement.setAttribute("data-bs-theme", theme);
    document.documentElement.setAttribute("data-theme-choice", chosen || "auto");
    document.dispatchEvent(new CustomEvent("hearth:theme", { detail: theme }));
  };
  window.hearthTheme = (choice) => {
    if (choice === "auto") localStorage.removeItem("hearth-theme");
    else localStorage.setItem("hearth-theme", choice);
    apply();
  };
  system.addEventListener("change", apply);
  apply();
})();
