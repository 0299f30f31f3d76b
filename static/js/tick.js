/* Polling without noise: dispatches app:fast, app:slow and app:bar on <body> while somebody is looking.
   Also: relative times, clocks, toasts, lost connections, forms that must not be sent twice. */
(() => {
  "use strict";
  const FAST = 5000, SLOW = 30000, BAR = 10000, IDLE_AFTER = 120000, IDLE = 60000, MISSES = 3, LONGEST = 15000;
  const body = document.body;
  const strings = JSON.parse(document.getElementById("app-strings")?.textContent || "{}");
  let lastActive = Date.now(), misses = 0, failedThisTick = false, nextSlow = 0, nextBar = 0, timer = 0;

  const paused = () => body.dataset.updates === "off" || document.hidden;
  const emit = (name) => body.dispatchEvent(new CustomEvent(name));
  const jitter = (ms) => ms * (0.8 + Math.random() * 0.4);

  function delay() {
    if (misses >= MISSES) return Math.min(LONGEST, FAST * 2 ** (misses - MISSES));
    return Date.now() - lastActive > IDLE_AFTER ? IDLE : FAST;
  }
  function tick() {
    failedThisTick = false;
    const now = Date.now();
    emit("app:fast");
    if (now >= nextSlow) { nextSlow = now + SLOW; emit("app:slow"); }
    if (now >= nextBar) { nextBar = now + BAR; emit("app:bar"); }
  }
  function plan() {
    clearTimeout(timer);
    if (paused()) return;
    timer = setTimeout(() => { if (!paused()) tick(); plan(); }, jitter(delay()));
  }
  function resume() {
    lastActive = Date.now();
    if (paused()) return;
    nextSlow = nextBar = 0;
    tick();
    plan();
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : resume()));
  for (const name of ["pointermove", "pointerdown", "keydown", "scroll"]) {
    document.addEventListener(name, () => {
      const wasIdle = Date.now() - lastActive > IDLE_AFTER;
      lastActive = Date.now();
      if (wasIdle) resume();
    }, { passive: true });
  }

  /* Connection */
  const offline = document.getElementById("offline");
  function setOffline(on) {
    body.classList.toggle("is-offline", on);
    if (offline) offline.hidden = !on;
    for (const button of document.querySelectorAll(".needs-connection button, button.needs-connection")) {
      if (on && !button.disabled) { button.disabled = true; button.dataset.offline = ""; }
      if (!on && "offline" in button.dataset) { button.disabled = false; delete button.dataset.offline; }
    }
  }
  function missed() {
    if (failedThisTick) return;
    failedThisTick = true;
    misses += 1;
    if (misses >= MISSES) setOffline(true);
    plan();
  }
  body.addEventListener("htmx:sendError", missed);
  body.addEventListener("htmx:timeout", missed);
  body.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status >= 500) missed();
    else if (!event.detail.xhr.getResponseHeader("HX-Trigger")) toast(strings.refused || String(status), "error");
  });
  body.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) return;
    if (misses) { misses = 0; setOffline(false); plan(); }
  });

  /* Title and icon follow the number of critical alerts */
  function headline() {
    const count = Number(document.getElementById("frame-status")?.dataset.critical || 0);
    const bare = document.title.replace(/^\(\d+!\) /, "");
    document.title = count ? `(${count}!) ${bare}` : bare;
    const icon = document.getElementById("favicon");
    const wanted = count ? icon?.dataset.alert : icon?.dataset.ok;
    if (icon && wanted && icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  }
  body.addEventListener("htmx:afterSettle", (event) => {
    headline();
    relative();
    event.target.querySelector?.("[data-focus]")?.focus();
  });

  /* Relative times and clocks */
  const units = [[86400, strings.d], [3600, strings.h], [60, strings.min], [1, strings.s]];
  function duration(total) {
    for (let i = 0; i < units.length; i += 1) {
      const [size, unit] = units[i];
      if (total < size) continue;
      const rest = i + 1 < units.length ? Math.floor((total % size) / units[i + 1][0]) : 0;
      return `${Math.floor(total / size)}\u00a0${unit}${rest ? ` ${rest}\u00a0${units[i + 1][1]}` : ""}`;
    }
    return `0\u00a0${strings.s}`;
  }
  function relative() {
    if (!strings.s) return;
    const now = Date.now();
    for (const node of document.querySelectorAll("time[data-rel]")) {
      const seconds = (now - Date.parse(node.dateTime)) / 1000;
      const future = node.dataset.rel === "until";
      if (Math.abs(seconds) >= 86400) continue;
      const amount = Math.max(0, Math.floor(future ? -seconds : seconds));
      const text = future ? (amount ? strings.in.replace("%s", duration(amount)) : strings.due) : strings.ago.replace("%s", duration(amount));
      if (node.textContent !== text) node.textContent = text;
    }
  }
  const clocks = [...document.querySelectorAll("[data-clock]")].map((node) => [node, new Intl.DateTimeFormat(document.documentElement.lang, {
    timeZone: node.dataset.clock, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" })]);
  setInterval(() => {
    if (document.hidden) return;
    relative();
    const now = new Date();
    for (const [node, format] of clocks) node.textContent = format.format(now);
  }, 1000);

  /* Toasts */
  function toast(text, level) {
    const box = document.createElement("div");
    box.className = `toast toast-${level}`;
    box.setAttribute("role", level === "error" ? "alert" : "status");
    const words = document.createElement("p");
    words.textContent = text;
    const close = document.createElement("button");
    close.className = "btn btn-small btn-plain";
    close.type = "button";
    close.textContent = strings.close || "×";
    close.addEventListener("click", () => box.remove());
    box.append(words, close);
    document.getElementById("toasts")?.append(box);
    if (level !== "error") setTimeout(() => box.remove(), 8000);
  }
  body.addEventListener("app:toast", (event) => toast(event.detail.text, event.detail.level || "info"));

  /* A form is sent once */
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      form.dataset.sent = "1";
      setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
    }
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  document.querySelectorAll("[data-nojs]").forEach((node) => { node.hidden = true; });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });
  document.querySelector("[data-focus]")?.focus();
  relative();
  plan();
})();
