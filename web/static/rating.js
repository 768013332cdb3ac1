// One tap in a message is an answer once somebody is there: a touch, a key, scrolling, or three seconds before their
// eyes. Programs that only fetch the page, or say that they drive the browser, answer nothing; the button stays.
(() => {
  const form = document.querySelector("form[data-answer]");
  if (!form || navigator.webdriver) return;
  const SETTLE = 500; // milliseconds, so that nothing moves away under a finger
  const EYES = 3000;
  const STEP = 250;
  const opened = performance.now();
  let sent = false;
  const send = (how) => {
    if (sent || document.visibilityState !== "visible") return;
    sent = true;
    form.elements.how.value = how;
    form.requestSubmit();
  };
  const onward = (target) => target instanceof Element && target.closest("a, button, summary, details, textarea");
  const touched = (event) => {
    if (!event.isTrusted || performance.now() - opened < SETTLE) return;
    if (!onward(event.target)) send("touched");
  };
  for (const sign of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove", "scroll"]) {
    window.addEventListener(sign, touched, { passive: true });
  }
  form.addEventListener("submit", () => { sent = true; });
  document.querySelectorAll("details").forEach((more) => more.addEventListener("toggle", () => { sent = true; }));
  let seen = 0;
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") seen += STEP;
    if (seen >= EYES) {
      clearInterval(timer);
      send("seen");
    }
  }, STEP);
})();
