// Parallel coordinates: a line a trial, darker and thicker the better; dragging over an axis filters.

const MOST_LINES = 300;
const MOST_AXES = 14;
const ABSENT = -0.12;  // where a line passes an axis whose parameter does not exist in its trial

PANELS.parallel = () => {
  const t = S.data.trials, head = S.data.head;
  const axes = axesOf();
  const able = S.shown.filter((trial) => t.unit[trial] && t.score[trial] !== null)
    .sort((a, b) => t.rank[b] - t.rank[a]);  // the best last: they are drawn on top
  if (!able.length || axes.length < 2) return empty("parallel", "No trial shown has a score and a configuration within the space.");
  const lines = spread(able, MOST_LINES, able.slice(-Math.floor(MOST_LINES / 3)));
  const many = lines.length > 120;
  const shades = many ? [0.3, 0.35, 0.4, 0.5] : [0.35, 0.5, 0.7, 1];
  const widths = many ? [0.6, 0.6, 0.8, 1] : [0.8, 1, 1.3, 2.2];
  const names = ["worst quarter", "third quarter", "second quarter", "best quarter"];
  const tones = document.documentElement.dataset.theme === "dark"
    ? ["#5c6773", "#7f7fb8", "#e0a458", "#ffe08a"] : ["#b9c0c7", "#8aa0b8", "#2f7fb5", "#0b2a5b"];
  const ranked = t.rank.filter((rank) => rank).length;
  const quarter = (trial) => 3 - Math.min(3, Math.floor((4 * (t.rank[trial] - 1)) / ranked));
  const traces = [0, 1, 2, 3].flatMap((level) => {
    const own = lines.filter((trial) => quarter(trial) === level);
    return own.length ? [{ ...path(own, axes), name: names[level], opacity: shades[level], line: { color: tones[level], width: widths[level] } }] : [];
  });
  for (const [trial, name, tone] of [[head.best, "best trial", "ink"], [S.chosen, "chosen", "accent"]]) {
    if (trial !== null && t.unit[trial] && t.score[trial] !== null && S.inFilter.has(trial)) {
      traces.push({ ...path([trial], axes), name, line: { color: colour(tone), width: 3.5 } });
    }
  }
  const shapes = axes.map((_, at) => ({ type: "line", x0: at, x1: at, y0: 0, y1: 1, line: { color: colour("soft"), width: 1 } }));
  const annotations = [];
  axes.forEach((axis, at) => {
    annotations.push({ x: at, y: 1.06, text: `<b>${esc(cut(axis.name, 18))}</b>`, showarrow: false });
    for (const [place, label] of axis.ticks) {
      annotations.push({ x: at, y: place, text: esc(cut(label, 14)), showarrow: false, xanchor: "left", xshift: 4, font: { size: 10 }, bgcolor: colour("card"), opacity: 0.85, borderpad: 0 });
    }
    if (axis.conditional) annotations.push({ x: at, y: ABSENT, text: "absent", showarrow: false, xanchor: "left", xshift: 4, font: { size: 10 } });
    const brush = S.filters.brushes[axis.key];
    if (brush) shapes.push({ type: "rect", x0: at - 0.06, x1: at + 0.06, y0: brush[0], y1: brush[1], fillcolor: colour("accent"), opacity: 0.35, line: { width: 1, color: colour("accent") } });
  });
  draw("parallel", traces, {
    xaxis: { range: [-0.15, axes.length - 1 + 0.5], visible: false, fixedrange: true },
    yaxis: { range: [axes.some((axis) => axis.conditional) ? ABSENT - 0.06 : -0.06, 1.12], visible: false, fixedrange: true },
    shapes, annotations, dragmode: "select", selectdirection: "any", selections: [],
    margin: { l: 12, r: 12, t: 8, b: 8 }, legend: { orientation: "h", y: -0.02, yanchor: "top", x: 0 },
  }, `${count(lines.length, "configuration")} over ${axes.length} axes.`);
  brushable(axes);
  const notes = ["drag over an axis to keep the trials that pass there"];
  if (lines.length < able.length) notes.unshift(`${lines.length} of ${able.length.toLocaleString("en")} trials are drawn: the best and an even sample`);
  if (S.data.params.length > MOST_AXES) notes.push(`the ${MOST_AXES} parameters that mattered most of ${S.data.params.length}`);
  $("parallel-note").textContent = notes.join(" · ");
};

// The parameters, those that mattered most first, and the score as the last axis.
function axesOf() {
  const order = new Map(S.data.importance.map((one, at) => [one.name, at]));
  const params = S.data.params.map((param, at) => ({ ...param, key: String(at) }))
    .sort((a, b) => (order.get(a.name) ?? 999) - (order.get(b.name) ?? 999)).slice(0, MOST_AXES);
  if (S.scoreView) {
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => [at, num(Number(scoreAt(at).toPrecision(3)))]);
    params.push({ name: S.data.head.metric, key: "score", ticks });
  }
  return params;
}

function path(trials, axes) {
  const t = S.data.trials, line = { x: [], y: [], customdata: [], text: [] };
  for (const trial of trials) {
    const text = hover(trial), shift = (((trial * 7919) % 101) / 101 - 0.5) * 0.03;  // categories: side by side
    axes.forEach((axis, at) => {
      const unit = axis.key === "score" ? scorePlace(t.score[trial]) : t.unit[trial][axis.key];
      const place = unit === null ? ABSENT : unit + (axis.choice ? shift : 0);
      line.x.push(at); line.y.push(place); line.customdata.push(trial); line.text.push(text);
    });
    line.x.push(null); line.y.push(null); line.customdata.push(null); line.text.push("");
  }
  return { ...line, mode: "lines", hoverinfo: "text" };
}

let brushing = null;
function brushable(axes) {
  const element = $("parallel");
  if (brushing) element.removeAllListeners("plotly_selected");
  brushing = axes;
  element.on("plotly_selected", (event) => {
    if (!event || !event.range) return;
    const [x0, x1] = event.range.x, [y0, y1] = event.range.y;
    const low = Math.min(y0, y1), high = Math.max(y0, y1);
    const at = Math.round((x0 + x1) / 2);
    const axis = axes[Math.min(axes.length - 1, Math.max(0, at))];
    if (high - low < 0.005) delete S.filters.brushes[axis.key];
    else S.filters.brushes[axis.key] = [low - (axis.choice ? 0.02 : 0), high + (axis.choice ? 0.02 : 0)];
    filtersChanged();
  });
}
