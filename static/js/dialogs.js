/* Native dialogs: confirmations, and dialogs that arrive as fragments. Esc closes, focus returns to the opener. */
(() => {
  "use strict";
  const box = document.getElementById("confirm");
  let pending = null, opener = null;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    pending = form;
    opener = document.activeElement;
    document.getElementById("confirm-title").textContent = form.dataset.confirmTitle;
    document.getElementById("confirm-text").textContent = form.dataset.confirm;
    document.getElementById("confirm-yes").textContent = form.dataset.confirmVerb;
    box.showModal();
  }, true);
  document.getElementById("confirm-yes")?.addEventListener("click", () => {
    const form = pending;
    pending = null;
    box.close();
    form.dataset.confirmed = "1";
    form.requestSubmit();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement) event.target.close();
  });
  document.addEventListener("close", () => { opener?.isConnected && opener.focus(); opener = null; }, true);

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.matches("[data-switch]")) opener = event.detail.elt;
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "dialogs") return;
    const dialog = event.detail.target.querySelector("dialog");
    if (!dialog) return;
    dialog.showModal();
    (dialog.querySelector("[data-first]") || dialog).focus();
  });
  /* No answer: the page behind the link says the same and works without script. */
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.body.addEventListener(name, (event) => {
      if (event.detail.elt.matches("[data-switch]")) location.href = event.detail.elt.href;
    });
  }
})();
