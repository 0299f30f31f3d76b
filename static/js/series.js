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
    const hour = new Intl.DateTimeFormat(language, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const day = new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "short" });
    const label = (ts) => (data.ts[data.ts.length - 1] - data.ts[0] < 172800 ? hour : day).format(ts * 1000);
    const when = new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

    function options() {
      const money = new Intl.NumberFormat(language, { maximumFractionDigits: 2, minimumFractionDigits: 2 });
      const short = new Intl.NumberFormat(language, { maximumFractionDigits: 1, notation: "compact" });
      return {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        plugins: { legend: { display: false }, tooltip: { callbacks: { title: (items) => when.format(data.ts[items[0].dataIndex] * 1000), label: (item) => `${money.format(item.parsed.y)} ${data.currency}` } } },
        scales: {
          x: { grid: { display: false }, ticks: { color: colour("--muted"), maxTicksLimit: 7, maxRotation: 0, callback: (value) => label(data.ts[value]) } },
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
      chart = new window.Chart(canvas, {
        type: "line",
        data: { labels: data.ts.map(String), datasets: [{ data: data.equity.map(Number), borderColor: accent, backgroundColor: accent + "1f", fill: "start", borderWidth: 1.75, pointRadius: 0, pointHitRadius: 12, tension: 0 }] },
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
