/* The price chart: candles, volume, averages, bands, RSI, marks of trades and decisions. One component everywhere. */
(() => {
  "use strict";
  // How many decimals a tick has, written "0.00000001" or "1E-8"; eight when it says nothing.
  function decimalsOf(tick) {
    const [digits, exponent] = String(tick).toLowerCase().split("e");
    if (!(Number(tick) > 0)) return 8;
    const own = (digits.split(".")[1] || "").replace(/0+$/, "").length;
    return Math.min(12, Math.max(0, own - Number(exponent || 0)));
  }
  window.chartDecimals = decimalsOf;
  const root = document.querySelector("[data-candles]");
  if (!root || !window.LightweightCharts) return;
  const L = window.LightweightCharts;
  const strings = JSON.parse(document.getElementById("chart-strings").textContent);
  const legend = document.getElementById("chart-legend");
  const note = document.getElementById("chart-note");
  const zone = root.dataset.zone, language = document.documentElement.lang;
  const colour = (name) => window.appTheme.colour(name);
  let data = null, etag = "", busy = false, follow = true;

  const format = (options) => new Intl.DateTimeFormat(language, { timeZone: zone, hourCycle: "h23", ...options });
  const full = format({ day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  const day = format({ day: "numeric", month: "short" }), hour = format({ hour: "2-digit", minute: "2-digit" });
  const month = format({ month: "short", year: "2-digit" }), year = format({ year: "numeric" });
  const ticks = [year, month, day, hour, hour];
  const daily = () => data && data.seconds >= 86400;
  const decimals = decimalsOf(root.dataset.tick);
  const number = new Intl.NumberFormat(language, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 2, notation: "compact" });

  const chart = L.createChart(root, {
    autoSize: true,
    layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, panes: { enableResize: false } },
    localization: { locale: language, timeFormatter: (ts) => (daily() ? format({ day: "2-digit", month: "short", year: "numeric" }) : full).format(ts * 1000) },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, tickMarkFormatter: (ts, kind) => ticks[Math.min(kind, 4)].format(ts * 1000) },
    rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.24 } },
    crosshair: { mode: L.CrosshairMode.Normal },
  });
  const priceFormat = { type: "custom", minMove: Number(root.dataset.tick) || 1e-8, formatter: (value) => number.format(value) };
  const candles = chart.addSeries(L.CandlestickSeries, { priceFormat });
  const volume = chart.addSeries(L.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  const quiet = { lineWidth: 1, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false, priceFormat };
  const lines = {
    ema20: chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 2 }),
    ema50: chart.addSeries(L.LineSeries, quiet),
    bb_upper: chart.addSeries(L.LineSeries, { ...quiet, lineStyle: L.LineStyle.Dashed }),
    bb_lower: chart.addSeries(L.LineSeries, { ...quiet, lineStyle: L.LineStyle.Dashed }),
    rsi14: chart.addSeries(L.LineSeries, { lineWidth: 1, lastValueVisible: true, priceLineVisible: false, priceFormat: { type: "price", precision: 0, minMove: 1 } }, 1),
  };
  const levels = [];
  for (const price of [30, 70]) levels.push(lines.rsi14.createPriceLine({ price, color: colour("--control"), lineWidth: 1, lineStyle: L.LineStyle.Dotted, axisLabelVisible: false, title: "" }));
  const marks = L.createSeriesMarkers(candles, []);
  const held = [];  // lines of the position: entry and stop

  function paint() {
    const text = colour("--muted"), line = colour("--line"), up = colour("--candle-up"), down = colour("--candle-down");
    chart.applyOptions({
      layout: { background: { color: colour("--surface") }, textColor: text, panes: { separatorColor: line } },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line }, timeScale: { borderColor: line },
    });
    candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
    lines.ema20.applyOptions({ color: colour("--series-1") });
    lines.ema50.applyOptions({ color: colour("--series-2") });
    lines.bb_upper.applyOptions({ color: colour("--control") });
    lines.bb_lower.applyOptions({ color: colour("--control") });
    lines.rsi14.applyOptions({ color: colour("--series-3") });
    for (const level of levels) level.applyOptions({ color: colour("--control") });
    draw();
  }
  function draw() {
    if (!data) return;
    const up = colour("--candle-up"), down = colour("--candle-down");
    candles.setData(data.ts.map((time, i) => ({ time, open: data.open[i], high: data.high[i], low: data.low[i], close: data.close[i] })));
    volume.setData(data.ts.map((time, i) => ({ time, value: data.volume[i], color: (data.close[i] >= data.open[i] ? up : down) + "66" })));
    for (const [name, series] of Object.entries(lines)) {
      const values = data.indicators[name];
      series.setData(data.ts.map((time, i) => (values[i] === null ? { time } : { time, value: values[i] })));
    }
    marks.setMarkers(markers());
    positionLines();
  }
  function barOf(ts) {
    let low = 0, high = data.ts.length - 1, found = -1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (data.ts[middle] <= ts) { found = middle; low = middle + 1; } else high = middle - 1;
    }
    return found;
  }
  function positionLines() {
    while (held.length) candles.removePriceLine(held.pop());
    const position = data.position;
    if (!position) return;
    const line = (price, title, tone) => held.push(candles.createPriceLine({ price: Number(price), title, color: colour(tone), lineWidth: 1, lineStyle: L.LineStyle.Dashed, axisLabelVisible: true }));
    line(position.entry, strings.entry, "--muted");
    if (position.stop !== null) line(position.stop, position.acts ? strings.stop : strings.warning, "--warn");
  }
  function markers() {
    const found = [];
    for (const fill of data.fills) {
      const at = barOf(fill.ts);
      if (at < 0) continue;
      const buy = fill.side === "buy";
      found.push({ time: data.ts[at], position: buy ? "belowBar" : "aboveBar", shape: buy ? "arrowUp" : "arrowDown", color: colour(buy ? "--accent" : "--warn"), text: buy ? strings.buy : strings.sell, id: `o${fill.order}` });
    }
    if (root.dataset.decisions !== "off") {
      const seen = new Set();
      for (const decision of data.decisions) {
        const at = barOf(decision.ts);
        if (at < 0 || seen.has(at)) continue;
        seen.add(at);
        found.push({ time: data.ts[at], position: "aboveBar", shape: "circle", size: 0.4, color: colour("--muted"), id: `d${decision.pk}` });
      }
    }
    return found.sort((a, b) => a.time - b.time);
  }

  /* Legend: always the newest bar, or the one under the crosshair */
  function read(index) {
    if (!data || !data.ts.length) return;
    const i = index < 0 ? data.ts.length - 1 : index;
    const cells = [[strings.open, data.open[i]], [strings.high, data.high[i]], [strings.low, data.low[i]], [strings.close, data.close[i]]];
    legend.replaceChildren();
    const add = (label, text, key) => {
      const span = document.createElement("span");
      if (key) span.className = key;
      const bold = document.createElement("b");
      bold.textContent = text;
      span.append(`${label} `, bold);
      legend.append(span);
    };
    const when = document.createElement("span");
    when.textContent = (daily() ? format({ day: "2-digit", month: "short", year: "numeric" }) : full).format(data.ts[i] * 1000);
    legend.append(when);
    for (const [label, value] of cells) add(label, number.format(value));
    add(strings.volume, whole.format(data.volume[i]));
    for (const [name, label, key] of [["ema20", "EMA 20", "key-1"], ["ema50", "EMA 50", "key-2"], ["rsi14", "RSI 14", "key-3"]]) {
      const value = data.indicators[name][i];
      if (value !== null) add(label, name === "rsi14" ? value.toFixed(0) : number.format(value), key);
    }
    legend.dataset.ts = data.ts[i];
    legend.dataset.ohlc = JSON.stringify([data.open[i], data.high[i], data.low[i], data.close[i], data.volume[i]]);
  }
  let cursor = -1;
  chart.subscribeCrosshairMove((event) => { cursor = event.time === undefined ? -1 : barOf(event.time); read(cursor); });
  chart.subscribeClick((event) => {
    const id = event.hoveredObjectId;
    if (typeof id !== "string") return;
    location.href = id[0] === "o" ? root.dataset.orderUrl.replace("0", id.slice(1)) : root.dataset.decisionUrl.replace("0", id.slice(1));
  });
  root.addEventListener("keydown", (event) => {
    if (!data) return;
    const last = data.ts.length - 1, at = cursor < 0 ? last : cursor;
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    if (event.key in moves) {
      event.preventDefault();
      cursor = Math.min(last, Math.max(0, moves[event.key]));
      chart.setCrosshairPosition(data.close[cursor], data.ts[cursor], candles);
      read(cursor);
    } else if (event.key === "+" || event.key === "-") {
      const range = chart.timeScale().getVisibleLogicalRange();
      const shift = (range.to - range.from) * (event.key === "+" ? 0.15 : -0.15);
      chart.timeScale().setVisibleLogicalRange({ from: range.from + shift, to: range.to - shift });
    }
  });
  root.addEventListener("blur", () => { cursor = -1; chart.clearCrosshairPosition(); read(-1); });

  async function load(query) {
    const headers = query || !etag ? {} : { "If-None-Match": etag };
    const response = await fetch(root.dataset.url + (query || ""), { headers, redirect: "manual" });
    if (response.status === 304) return null;
    if (response.type === "opaqueredirect") { location.reload(); return null; }
    if (!response.ok) throw new Error(String(response.status));
    if (!query) etag = response.headers.get("ETag") || "";
    return response.json();
  }
  async function refresh(first) {
    if (busy) return;
    busy = true;
    try {
      const fresh = await load("");
      if (fresh) {
        const older = data && fresh.ts.length ? barCount(fresh.ts[0]) : 0;
        data = older ? joined(data, fresh, older) : fresh;
        draw();
        read(cursor);
        note.hidden = data.ts.length > 0;
        if (!data.ts.length) note.textContent = strings.empty;
        if (first) chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, data.ts.length - 140), to: data.ts.length + 4 });
        root.dataset.ready = String(data.ts.length);
      }
    } catch {
      if (!data) { note.hidden = false; note.textContent = strings.failed; }
    } finally { busy = false; }
  }
  const barCount = (ts) => data.ts.findIndex((value) => value >= ts);
  function joined(old, fresh, count) {
    const cut = (name) => old[name].slice(0, count).concat(fresh[name]);
    const indicators = {};
    for (const name of Object.keys(fresh.indicators)) indicators[name] = old.indicators[name].slice(0, count).concat(fresh.indicators[name]);
    return { ...fresh, ts: cut("ts"), open: cut("open"), high: cut("high"), low: cut("low"), close: cut("close"), volume: cut("volume"), indicators, fills: merged(old.fills, fresh.fills, "order"), decisions: merged(old.decisions, fresh.decisions, "pk") };
  }
  function merged(a, b, key) {
    const all = new Map([...a, ...b].map((item) => [`${item[key]}/${item.ts}`, item]));
    return [...all.values()].sort((x, y) => x.ts - y.ts);
  }
  async function older() {
    if (busy || !data || !data.more || !data.ts.length) return;
    busy = true;
    try {
      const more = await load(`${root.dataset.url.includes("?") ? "&" : "?"}before=${data.ts[0]}&limit=500`);
      if (more && more.ts.length) {
        const range = chart.timeScale().getVisibleLogicalRange(), added = more.ts.length, keep = data;
        data = joined(more, keep, added);
        data.more = more.more;
        draw();
        chart.timeScale().setVisibleLogicalRange({ from: range.from + added, to: range.to + added });
      } else if (more) data.more = false;
    } catch { /* the next scroll tries again */ } finally { busy = false; }
  }
  chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
    if (!range || !data) return;
    follow = range.to >= data.ts.length - 1;
    if (range.from < 10 && follow === false) older();
  });
  document.addEventListener("app:theme", paint);
  document.body.addEventListener("app:bar", () => refresh(false));
  document.getElementById("toggle-decisions")?.addEventListener("change", (event) => {
    root.dataset.decisions = event.target.checked ? "on" : "off";
    if (data) marks.setMarkers(markers());
  });
  paint();
  refresh(true).then(() => { const panes = chart.panes(); if (panes[1]) panes[1].setStretchFactor(0.25); });
})();
