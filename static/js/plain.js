/* The pages before login: selects that send themselves, forms sent once, a password that can be shown. */
(() => {
  "use strict";
  document.querySelectorAll("[data-nojs]").forEach((node) => { node.hidden = true; });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  for (const button of document.querySelectorAll("[data-reveal]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const input = document.getElementById(button.dataset.reveal);
      const show = input.type === "password";
      input.type = show ? "text" : "password";
      button.setAttribute("aria-pressed", String(show));
    });
  }
  const zone = document.querySelector("[data-detect-zone]");
  if (zone && zone.value === "UTC") {
    const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if ([...zone.options].some((option) => option.value === mine)) zone.value = mine;
  }
  document.querySelector("[data-focus]")?.focus();
})();
