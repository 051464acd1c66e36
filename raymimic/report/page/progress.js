// Best so far: a line for all, one for each source, and every trial as a dot.

const MOST_DOTS = 2000;

PANELS.progress = () => {
  const t = S.data.trials, head = S.data.head;
  const better = (a, b) => (head.mode === "min" ? a < b : a > b);
  const order = S.data.order.filter((trial) => S.inFilter.has(trial));
  const scored = order.filter((trial) => t.score[trial] !== null);
  if (!scored.length) return empty("progress", `No trial shown has ended with a finite ${head.metric}.`);
  const place = new Map(S.data.order.map((trial, at) => [trial, at + 1]));
  const total = S.data.order.length;

  const counts = scored.filter((trial) => !t.broken[trial]);
  const lead = steps(counts, place, total, better);
  const dots = spread(scored, MOST_DOTS, lead.trials);
  const traces = [];
  for (const source of [...new Set(scored.map((trial) => t.source[trial]))]) {
    const own = scored.filter((trial) => t.source[trial] === source);
    const line = steps(own.filter((trial) => !t.broken[trial]), place, total, better);
    const style = { color: sourceColour(source) };
    traces.push({
      x: line.x, y: line.y, mode: "lines", line: { ...style, width: 1.3, dash: "dot", shape: "hv" },
      hoverinfo: "skip", legendgroup: source, showlegend: false,
    });
    const points = dots.filter((trial) => t.source[trial] === source);
    traces.push({
      x: points.map((trial) => place.get(trial)), y: points.map((trial) => t.score[trial]),
      mode: "markers", name: esc(source), legendgroup: source, customdata: points,
      text: points.map(hover), hoverinfo: "text",
      marker: {
        ...style, symbol: SYMBOLS[source] || "hexagon", size: dots.length > 400 ? 5 : 9,
        opacity: dots.length > 400 ? 0.6 : 0.9, line: { width: 0.5, color: colour("card") },
      },
    });
  }
  traces.push({
    x: lead.x, y: lead.y, mode: "lines", name: "best so far", hoverinfo: "skip",
    line: { color: colour("ink"), width: 2.5, shape: "hv" },
  });
  traces.push(...highlight((trial) => (place.has(trial) ? [place.get(trial), t.score[trial]] : null)));
  const view = viewOf(scored.map((trial) => t.score[trial]));
  draw("progress", traces, {
    xaxis: { title: { text: "trials in the order in which they ended" }, rangemode: "tozero" },
    yaxis: scoreAxis(view, `${esc(head.metric)} (${head.mode === "min" ? "lower" : "higher"} is better)`),
  }, `${count(scored.length, "trial")} by score; ${counts.length ? `the best is ${num(t.score[lead.trials.at(-1)])}` : "none within the limits"}.`);
  const notes = [];
  if (dots.length < scored.length) notes.push(`${count(dots.length, "dot")} stand for ${scored.length.toLocaleString("en")} trials (each new best is among them)`);
  if (view.beyond) notes.push(`${count(view.beyond, "trial")} beyond the axis: double-click shows all`);
  const lost = order.length - scored.length;
  const beyond = scored.length - counts.length;
  if (beyond) notes.push(`${count(beyond, "trial")} beyond a limit: no best`);
  if (lost) notes.push(`${count(lost, "trial")} without a finite score`);
  notes.push("dotted: the best so far of each source by itself; a click on a dot tells its story");
  $("progress-note").textContent = notes.join(" · ");
};

// The corners of a best-so-far line, and the trials that set them.
function steps(trials, place, end, better) {
  const x = [], y = [], found = [];
  for (const trial of trials) {
    const score = S.data.trials.score[trial];
    if (y.length && !better(score, y[y.length - 1])) continue;
    x.push(place.get(trial)); y.push(score); found.push(trial);
  }
  if (x.length) { x.push(end); y.push(y[y.length - 1]); }
  return { x, y, trials: found };
}

// A ring around the chosen trial, where it has a place in the figure.
function highlight(placeOf) {
  const at = S.chosen === null ? null : placeOf(S.chosen);
  if (!at || at.includes(null) || at.includes(undefined)) return [];
  return [{
    x: [at[0]], y: [at[1]], mode: "markers", hoverinfo: "skip", showlegend: false,
    marker: { symbol: "circle-open", size: 18, line: { width: 3 }, color: colour("ink") },
  }];
}
