/* Single-key shortcuts: off while typing, off when the preference says so, listed under "?". */
(() => {
  "use strict";
  if (document.body.dataset.keys === "off") return;
  const places = JSON.parse(document.getElementById("app-strings")?.textContent || "{}").places || {};
  let waiting = 0;

  function rows(step) {
    const links = [...document.querySelectorAll("[data-rows] [data-row]")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, at + step))].focus();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable], dialog")) return;
    const key = event.key;
    if (Date.now() - waiting < 1500 && places[key]) { waiting = 0; location.href = places[key]; return; }
    if (key === "g") { waiting = Date.now(); return; }
    if (key === "?") { document.getElementById("keys")?.showModal(); return; }
    if (key === "t") { window.appTheme?.toggle(); return; }
    if (key === "K" && event.shiftKey) { document.querySelector("[data-switch]")?.click(); return; }
    if (key === "j") rows(1);
    if (key === "k") rows(-1);
    if (/^[1-7]$/.test(key)) document.querySelectorAll("[data-timeframes] a")[Number(key) - 1]?.click();
  });
})();
