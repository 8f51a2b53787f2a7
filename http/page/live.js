// live.js: asks for the account and the maps once a second and draws them.
"use strict";
(() => {
  const SECONDS = 300; // of history
  const MAPS_SHOWN = 40;
  const PARTS = [
    ["live", "#2f6f4f", "live"],
    ["tombstone", "#a04010", "tombstone"],
    ["empty", "#d09a40", "empty"],
    ["free_held", "#7a86c8", "free, held"],
    ["other", "#9a9a94", "other"],
  ];
  const byId = (id) => document.getElementById(id);
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1) + " MB";
  // Beside the chart's foot: what happened since the look before. Of both the program counts since its start.
  const EVENTS = [
    ["collections", "#b03060"],
    ["given_back", "#2050a0"],
  ];
  const times = [];
  const happened = EVENTS.map(() => []); // how much of it before each look
  let counted = null; // the counters at the last look
  const history = PARTS.map(() => []);
  const sparks = new Map(); // map's address -> its totals
  let chart = null;

  // Columns of the chart: each part on top of those after it.
  function stacked() {
    const columns = [times.slice()];
    let below = times.map(() => 0);
    for (let i = PARTS.length - 1; i >= 0; i--) {
      below = history[i].map((bytes, at) => bytes / 1e6 + below[at]);
      columns.splice(1, 0, below);
    }
    return columns;
  }

  // A stroke for each look before which something of the kind happened; both kinds side by side at the foot.
  function drawEvents(plot) {
    const foot = plot.bbox.top + plot.bbox.height;
    const tall = 10 * devicePixelRatio;
    let strokes = 0;
    EVENTS.forEach(([, colour], kind) => {
      plot.ctx.fillStyle = colour;
      happened[kind].forEach((amount, at) => {
        if (amount <= 0)
          return;
        const x = Math.round(plot.valToPos(times[at], "x", true)) + (2 * kind - 2) * devicePixelRatio;
        plot.ctx.fillRect(x, foot - tall, 2 * devicePixelRatio, tall);
        strokes++;
      });
    });
    document.body.dataset.strokes = String(strokes);
  }

  function noteEvents(account) {
    EVENTS.forEach(([name], kind) => happened[kind].push(counted ? account[name] - counted[name] : 0));
    counted = account;
    const [collections, bytes] = happened.map((column) => column.reduce((sum, amount) => sum + amount, 0));
    byId("collections").textContent = collections.toLocaleString("en");
    byId("given-back").textContent = megabytes(bytes);
  }

  function draw() {
    const data = stacked();
    if (chart) {
      chart.setData(data);
      return;
    }
    const options = {
      width: byId("chart").clientWidth,
      height: 280,
      cursor: { show: false },
      hooks: { draw: [drawEvents] },
      legend: { show: false },
      axes: [{ stroke: "#888" }, { stroke: "#888", label: "MB", values: (_, ticks) => ticks.map((tick) => tick + "") }],
      scales: { y: { range: (_, low, high) => [0, high * 1.05] } },
      series: [{}].concat(PARTS.map(([, colour, label]) => ({ label, stroke: colour, fill: colour, width: 1,
        points: { show: false } }))),
    };
    chart = new uPlot(options, data, byId("chart"));
    addEventListener("resize", () => chart.setSize({ width: byId("chart").clientWidth, height: 280 }));
  }

  function cell(row, text) {
    const made = row.insertCell();
    made.textContent = text;
    return made;
  }

  function showParts(account) {
    const body = byId("parts").tBodies[0];
    body.replaceChildren();
    for (const [name, colour, label] of PARTS.concat([["unexplained", "transparent", "unexplained"]])) {
      const row = body.insertRow();
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = colour;
      cell(row, label).prepend(swatch);
      cell(row, megabytes(account[name]));
    }
  }

  function spark(totals) {
    const most = Math.max(...totals, 1);
    const points = totals.map((bytes, i) =>
      `${(i * 120) / Math.max(totals.length - 1, 1)},${19 - (18 * bytes) / most}`);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 120 20");
    line.setAttribute("points", points.join(" "));
    svg.append(line);
    return svg;
  }

  function showMaps(maps) {
    const body = byId("maps").tBodies[0];
    body.replaceChildren();
    const shown = Math.min(MAPS_SHOWN, maps.shown.length);
    byId("count").textContent = `${maps.maps} map${maps.maps === 1 ? "" : "s"}` +
      (shown < maps.maps ? `; the ${shown} largest` : "");
    const seen = new Set();
    for (const map of maps.shown.slice(0, MAPS_SHOWN)) {
      const totals = sparks.get(map.address) || [];
      totals.push(map.total);
      sparks.set(map.address, totals.slice(-SECONDS));
      seen.add(map.address);
      const row = body.insertRow();
      cell(row, map.name);
      cell(row, map.kind);
      cell(row, map.len.toLocaleString("en"));
      cell(row, map.slots.toLocaleString("en"));
      for (const part of ["live", "tombstone", "empty", "free_held", "total"])
        cell(row, megabytes(map[part]));
      row.insertCell().append(spark(totals));
    }
    for (const address of sparks.keys())
      if (!seen.has(address))
        sparks.delete(address);
  }

  async function json(path) {
    const answer = await fetch(path);
    if (!answer.ok)
      throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  async function step() {
    try {
      const [account, maps] = await Promise.all([json("/debug/account"), json("/debug/maps")]);
      times.push((performance.timeOrigin + performance.now()) / 1000); // goes forward when the clock is set back
      noteEvents(account);
      PARTS.forEach(([name], i) => history[i].push(account[name]));
      if (times.length > SECONDS) {
        times.shift();
        history.concat(happened).forEach((column) => column.shift());
      }
      byId("rss").textContent = megabytes(account.rss);
      byId("state").textContent = "";
      showParts(account);
      showMaps(maps);
      draw();
      document.body.dataset.steps = String(times.length);
    } catch (error) {
      byId("state").textContent = `No answer from the program (${error.message}). Trying again.`;
    }
    setTimeout(step, 1000);
  }

  byId("compact").addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("/debug/compact", {
      method: "POST",
      headers: { Authorization: "Bearer " + byId("token").value },
    });
    const text = await answer.text();
    byId("answer").textContent = answer.ok ? megabytes(JSON.parse(text).returned) + " given back" : text.trim();
  });
  step();
})();
