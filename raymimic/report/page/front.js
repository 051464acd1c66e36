// Several objectives: every trial by two of them, the front, and how the volume grew.

PANELS.front = () => {
  const found = S.data.front, t = S.data.trials;
  if (!found) return;
  const whole = S.shown.filter((trial) => found.values[trial].every((value) => value !== null));
  if (!whole.length) return empty("front", "No trial shown has a value of each objective.");
  const on = new Set(found.trials), at = (trial, objective) => found.values[trial][objective];
  const dots = spread(whole, MOST_DOTS, found.trials), traces = [];
  for (const source of [...new Set(dots.map((trial) => t.source[trial]))]) {
    const own = dots.filter((trial) => t.source[trial] === source);
    traces.push({
      x: own.map((trial) => at(trial, 1)), y: own.map((trial) => at(trial, 0)), customdata: own,
      text: own.map((trial) => `${told(trial)}<br>${hover(trial)}`), hoverinfo: "text",
      mode: "markers", name: esc(source),
      marker: {
        color: sourceColour(source), symbol: SYMBOLS[source] || "hexagon",
        size: own.map((trial) => (on.has(trial) ? 11 : 6)), opacity: own.map((trial) => (on.has(trial) ? 1 : 0.5)),
      },
    });
  }
  const line = found.trials.filter((trial) => S.inFilter.has(trial));
  if (found.names.length === 2) {
    traces.push({
      x: line.map((trial) => at(trial, 1)), y: line.map((trial) => at(trial, 0)), mode: "lines", name: "front",
      hoverinfo: "skip", line: { color: colour("ink"), width: 2, shape: "vh" },
    });
  }
  traces.push(...highlight((trial) => (whole.includes(trial) ? [at(trial, 1), at(trial, 0)] : null)));
  const view = [0, 1].map((objective) => viewOf(whole.map((trial) => at(trial, objective)), found.modes[objective]));
  const axis = (objective) => scoreAxis(view[objective], direction(objective));
  draw("front", traces, { xaxis: axis(1), yaxis: axis(0) },
    `${count(found.trials.length, "trial")} on the front of ${found.names.join(", ")}: ${line.slice(0, 8).map(told).join("; ")}.`);
  const notes = [`${count(found.trials.length, "trial")} that no other beats in one objective without losing in another, drawn large`];
  if (found.names.length > 2) notes.push(`by the first two of ${found.names.length} objectives`);
  const beyond = view[0].beyond + view[1].beyond;
  if (beyond) notes.push(`${count(beyond, "trial")} beyond the axes: double-click shows all`);
  $("front-note").textContent = notes.join(" · ");
};

PANELS.volume = () => {
  const found = S.data.front;
  if (!found) return;
  if (!found.volumes.length) return empty("volume", "No trial has ended.");
  draw("volume", [{
    x: found.volumes.map((_, place) => place + 1), y: found.volumes, customdata: S.data.order, mode: "lines",
    line: { color: colour("ink"), width: 2.5, shape: "hv" }, hovertemplate: "%{y:.1%} after %{x} trials<extra></extra>",
  }], {
    xaxis: { title: { text: "trials in the order in which they ended" }, rangemode: "tozero" },
    yaxis: { title: { text: "share of the box around the front" }, range: [0, 1], tickformat: ".0%" },
  }, `${(100 * found.volumes.at(-1)).toFixed(0)} % of the box around the front is dominated at last.`);
  $("volume-note").textContent = "The box reaches a tenth beyond the front's worst ends; all trials count, whatever the filters.";
};

const told = (trial) => S.data.front.names.map((name, objective) => `${esc(name)} ${num(S.data.front.values[trial][objective])}`).join(", ");

function direction(objective) {
  const { names, modes } = S.data.front;
  return `${esc(names[objective])} (${modes[objective] === "min" ? "lower" : "higher"} is better)`;
}
