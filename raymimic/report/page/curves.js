// All learning curves, coloured and dashed by diagnosis, with what was done to them where it was.

PANELS.curves = () => {
  const data = S.data, t = data.trials, head = data.head;
  const drawn = data.drawn.filter((trial) => S.inFilter.has(trial));
  if (!drawn.length) return empty("curves", "No trial shown has a curve in the ledger.");
  const traces = [], values = [];
  for (const kind of Object.keys(KINDS)) {
    const own = drawn.filter((trial) => (KINDS[t.kind[trial]] ? t.kind[trial] : "") === kind);
    if (!own.length) continue;
    const line = { x: [], y: [], customdata: [], text: [] };
    for (const trial of own) {
      const [epochs, cells] = data.curves[trial], text = hover(trial);
      epochs.forEach((epoch, at) => {
        line.x.push(epoch); line.y.push(cells[at]); line.customdata.push(trial); line.text.push(text);
      });
      values.push(...cells);
      line.x.push(null); line.y.push(null); line.customdata.push(null); line.text.push("");
    }
    const single = own.every((trial) => data.curves[trial][0].length < 2);
    traces.push({
      ...line, mode: single ? "markers" : "lines", name: `${KINDS[kind][0]} (${own.length})`, hoverinfo: "text",
      line: { color: colour(`k-${kind}`), dash: KINDS[kind][1], width: drawn.length > 60 ? 1 : 1.7 },
      opacity: drawn.length > 60 ? 0.65 : 0.9,
    });
  }
  const best = head.best;
  if (best !== null && data.curves[best] && S.inFilter.has(best)) {
    traces.push({
      x: data.curves[best][0], y: data.curves[best][1], mode: "lines", name: "best trial",
      customdata: data.curves[best][0].map(() => best), text: data.curves[best][0].map(() => hover(best)),
      hoverinfo: "text", line: { color: colour("ink"), width: 3 },
    });
  }
  traces.push(...markTraces(drawn));
  if (S.chosen !== null && data.curves[S.chosen]) {
    const [x, y] = data.curves[S.chosen];
    traces.push({ x, y, mode: "lines+markers", name: "chosen", hoverinfo: "skip", line: { color: colour("accent"), width: 3 }, marker: { size: 5 } });
  }
  const view = viewOf(values);
  draw("curves", traces, {
    xaxis: { title: { text: "epoch" } },
    yaxis: scoreAxis(view, esc(head.metric)),
  }, `${count(drawn.length, "learning curve")} of ${head.metric}.`);
  const having = S.shown.filter((trial) => data.curves[trial]).length;
  const notes = [drawn.length < having
    ? `${drawn.length} of ${having.toLocaleString("en")} curves are drawn: the best, those to which something was done, an even sample of the rest`
    : `${count(drawn.length, "curve")}`];
  if (view && view.beyond) notes.push("values beyond the axis are cut: double-click shows all");
  notes.push("a click on an entry of the legend hides it");
  $("curves-note").textContent = notes.join(" · ");
};

function markTraces(drawn) {
  const t = S.data.trials;
  return Object.entries(MARKS).flatMap(([kind, [name, symbol]]) => {
    const found = [];
    for (const trial of drawn) {
      for (const [what, epoch, value] of t.marks[trial]) {
        if (what === kind && value !== null) found.push([trial, epoch, value]);
      }
    }
    if (!found.length) return [];
    return [{
      x: found.map((mark) => mark[1]), y: found.map((mark) => mark[2]), mode: "markers",
      name: `${name} (${found.length})`, customdata: found.map((mark) => mark[0]),
      text: found.map((mark) => `<b>${name} at epoch ${mark[1]}</b><br>${hover(mark[0])}`), hoverinfo: "text",
      marker: { symbol, size: found.length > 80 ? 7 : 10, color: colour("card"), line: { color: colour("ink"), width: 1.6 } },
    }];
  });
}
