/* Tells charts when the theme changes; the theme itself is rendered by the server, so nothing flashes. */
(() => {
  "use strict";
  const announce = () => document.dispatchEvent(new CustomEvent("app:theme"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announce);
  window.appTheme = {
    colour: (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(),
    toggle() {
      const root = document.documentElement;
      const dark = root.dataset.theme === "dark" || (root.dataset.theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
      root.dataset.theme = dark ? "light" : "dark";
      const select = document.getElementById("menu-theme");
      if (select) select.value = root.dataset.theme;
      announce();
      const form = select?.form;
      if (!form) return;
      const data = new FormData();
      data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
      data.set("theme", root.dataset.theme);
      fetch(form.action, { method: "POST", body: data, headers: { "HX-Request": "true" }, redirect: "manual" }).catch(() => {});
    },
  };
})();
