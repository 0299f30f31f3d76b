/* Line charts with Chart.js: the equity curve. The page shows the same figures without it. */
(() => {
  "use strict";
  if (!window.Chart) return;
  const language = document.documentElement.lang;
  const colour = (name) => window.appTheme.colour(name);

  function start(root) {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    const note = root.querySelector(".chart-note");
    let chart = null, etag = "", data = null;
    const zone = root.dataset.zone;
    const clock = { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const hour = new Intl.DateTimeFormat(language, clock);
    const day = new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "short" });
    const when = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", ...clock });
    const parts = new Intl.DateTimeFormat("en", { timeZone: zone, year: "numeric", month: "numeric", day: "numeric", second: "numeric", hour: "numeric", minute: "numeric", hourCycle: "h23" });
    const STEPS = [60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000];

    /* Seconds the reader's clock is ahead of UTC at `ts`. */
    function ahead(ts) {
      const p = Object.fromEntries(parts.formatToParts(ts * 1000).map((part) => [part.type, Number(part.value)]));
      return Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) / 1000 - Math.floor(ts);
    }
    /* Round times of the reader's clock, at most seven. */
    function ticks(low, high) {
      const step = STEPS.find((size) => (high - low) / size <= 6) || STEPS[STEPS.length - 1];
      const shift = ahead(low);
      const found = [];
      for (let at = Math.ceil((low + shift) / step) * step - shift; at <= high; at += step) found.push({ value: at + shift - ahead(at) });
      return { step, found };
    }
    /* What is longer than four usual steps was not measured: drawn to scale, but dashed. */
    function usual(ts) {
      const steps = ts.slice(1).map((at, index) => at - ts[index]).sort((a, b) => a - b);
      return steps.length ? steps[Math.floor(steps.length / 2)] : 0;
    }

    function options() {
      const money = new Intl.NumberFormat(language, { maximumFractionDigits: 2, minimumFractionDigits: 2 });
      const short = new Intl.NumberFormat(language, { maximumFractionDigits: 1, notation: "compact" });
      return {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "nearest", axis: "x", intersect: false },
        plugins: { legend: { display: false }, tooltip: { callbacks: { title: (items) => when.format(items[0].parsed.x * 1000), label: (item) => `${money.format(item.parsed.y)} ${data.currency}` } } },
        scales: {
          x: {
            type: "linear", min: data.ts[0], max: data.ts[data.ts.length - 1], grid: { display: false },
            afterBuildTicks: (axis) => { const made = ticks(axis.min, axis.max); axis.step = made.step; axis.ticks = made.found; },
            ticks: { color: colour("--muted"), maxRotation: 0, autoSkip: true, callback(value) { return (this.step < 86400 ? hour : day).format(value * 1000); } },
          },
          y: { position: "right", grid: { color: colour("--line") }, border: { display: false }, ticks: { color: colour("--muted"), maxTicksLimit: 5, callback: (value, index, all) => (all.length > 1 && Math.abs(all[1].value - all[0].value) < 100 ? money.format(value).replace(/[.,]00$/, "") : short.format(value)) } },
        },
      };
    }
    function draw() {
      chart?.destroy();
      chart = null;
      if (!data || data.ts.length < 2) { if (note) note.hidden = false; return; }
      if (note) note.hidden = true;
      if (!canvas.isConnected) root.append(canvas);
      const accent = colour("--series-1");
      const gap = 4 * usual(data.ts);
      chart = new window.Chart(canvas, {
        type: "line",
        data: { datasets: [{ data: data.ts.map((at, index) => ({ x: at, y: Number(data.equity[index]) })), segment: { borderDash: (part) => (part.p1.parsed.x - part.p0.parsed.x > gap ? [4, 4] : undefined) }, borderColor: accent, backgroundColor: accent + "1f", fill: "start", borderWidth: 1.75, pointRadius: 0, pointHitRadius: 12, tension: 0 }] },
        options: options(),
      });
      root.dataset.ready = String(data.ts.length);
    }
    async function refresh() {
      try {
        const response = await fetch(root.dataset.series, { headers: etag ? { "If-None-Match": etag } : {}, redirect: "manual" });
        if (!response.ok) return;
        etag = response.headers.get("ETag") || "";
        data = await response.json();
        draw();
      } catch { /* the next tick tries again; the connection banner is tick.js's business */ }
    }
    document.addEventListener("app:theme", draw);
    document.body.addEventListener("app:slow", refresh);
    refresh();
  }
  document.querySelectorAll("[data-series]").forEach(start);
})();
