// What each parameter did: its importance with its doubt, and how its values fared.

const MOST_EFFECT_DOTS = 1200;

PANELS.importance = () => {
  const data = S.data, found = data.importance.slice(0, 15).reverse();
  if (!found.length) {
    $("importance-note").textContent = "";
    return empty("importance", `With fewer than ${data.head.fewest} scored trials nothing can be said of what mattered.`);
  }
  draw("importance", [{
    type: "bar", orientation: "h", x: found.map((one) => one.share), y: found.map((one) => esc(cut(one.name, 24))),
    customdata: found.map((one) => one.name), hoverinfo: "text",
    text: found.map((one) => `${(100 * one.share).toFixed(0)} % (80 %: ${(100 * one.low).toFixed(0)} to ${(100 * one.high).toFixed(0)})`),
    textposition: "none",
    error_x: {
      type: "data", symmetric: false, color: colour("ink"), thickness: 1.5, width: 5,
      array: found.map((one) => Math.max(0, one.high - one.share)), arrayminus: found.map((one) => Math.max(0, one.share - one.low)),
    },
    marker: { color: colour("s-llm"), opacity: 0.8, line: { color: colour("ink"), width: 0.6 } },
  }], {
    xaxis: { title: { text: "share in what separates the better trials" }, tickformat: ".0%", rangemode: "tozero" },
    yaxis: { automargin: true, ticks: "" }, dragmode: false,
  }, `Importances: ${found.slice().reverse().map((one) => `${one.name} ${(100 * one.share).toFixed(0)} %`).join(", ")}.`);
  $("importance").removeAllListeners("plotly_click");
  $("importance").on("plotly_click", (event) => {
    const name = event.points[0] && event.points[0].customdata;
    if (typeof name === "string") { $("effect-of").value = name; redraw(["effect"]); }
  });
  $("importance-note").textContent = "PED-ANOVA over 20 resamples of the trials; the lines span 80 % of them. A search that " +
    "tried few values of a parameter says little of it. A click shows what it did.";
};

PANELS.effect = () => {
  const data = S.data, t = data.trials, head = data.head;
  const at = data.params.findIndex((param) => param.name === $("effect-of").value);
  const param = data.params[at];
  if (!param || !param.groups.length) return empty("effect", "No scored trials yet.");
  const able = S.shown.filter((trial) => t.unit[trial] && !absent(trial, at) && t.score[trial] !== null);
  const dots = spread(able, MOST_EFFECT_DOTS, []);
  const jitter = (trial) => (param.choice ? (((trial * 7919) % 101) / 101 - 0.5) * 0.08 : 0);
  const groups = param.groups;
  const view = viewOf(dots.map((trial) => t.score[trial]).concat(groups.map((g) => g.median)));
  draw("effect", [{
    x: dots.map((trial) => t.unit[trial][at] + jitter(trial)), y: dots.map((trial) => t.score[trial]),
    customdata: dots, text: dots.map(hover), hoverinfo: "text", mode: "markers", name: "trials",
    marker: { size: dots.length > 300 ? 4 : 7, color: colour("soft"), opacity: 0.45 },
  }, {
    x: groups.map((group) => group.at), y: groups.map((group) => group.median), mode: param.choice ? "markers" : "lines+markers",
    name: "median of a group", hoverinfo: "text",
    text: groups.map((g) => `${esc(g.label)}: median ${num(g.median)} of ${count(g.count, "trial")}<br>80 %: ${num(g.low)} to ${num(g.high)}`),
    error_y: {
      type: "data", symmetric: false, color: colour("s-heuristic"), thickness: 2, width: 6,
      array: groups.map((g) => g.high - g.median), arrayminus: groups.map((g) => g.median - g.low),
    },
    line: { color: colour("s-heuristic"), width: 2 }, marker: { symbol: "square", size: 10, color: colour("s-heuristic") },
  }, ...highlight((trial) => t.unit[trial] && !absent(trial, at) && [t.unit[trial][at], t.score[trial]])], {
    xaxis: {
      title: { text: esc(param.name) }, range: [-0.06, 1.06],
      tickvals: param.ticks.map((tick) => tick[0]), ticktext: param.ticks.map((tick) => esc(cut(tick[1], 16))),
    },
    yaxis: scoreAxis(view, esc(head.metric)),
  }, `${param.name}: ${groups.map((g) => `${g.label} median ${num(g.median)}`).join(", ")}.`);
  $("effect-note").textContent = "Squares: median of all trials alike in this parameter, with an 80 % interval; dots: the trials shown.";
};

function listParameters() {
  const select = $("effect-of"), kept = select.value;
  const first = S.data.importance.map((one) => one.name);
  const names = [...first, ...S.data.params.map((param) => param.name).filter((name) => !first.includes(name))];
  fill(select, names.map((name) => h("option", { value: name }, name)));
  if (names.includes(kept)) select.value = kept;
  select.onchange = () => redraw(["effect"]);
}
