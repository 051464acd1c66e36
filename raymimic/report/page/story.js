// The story of one trial, beside the panels.

let cameFrom = null;

// `tell` opens the story; without it the trial is only ringed in every figure.
function choose(trial, tell) {
  S.chosen = trial;
  if (tell) { openStory(trial); }
  else if (!$("story").hidden) writeStory(trial);
  redraw(["progress", "curves", "parallel", "timeline", "effect", "expected"]);
  markRow();
}

function openStory(trial) {
  const box = $("story"), inside = document.activeElement && box.contains(document.activeElement);
  if (!inside) cameFrom = document.activeElement;
  box.hidden = false;
  writeStory(trial);
  history.replaceState(null, "", `#trial=${encodeURIComponent(S.data.trials.id[trial])}`);
  $("story-close").focus({ preventScroll: true });
}

function closeStory() {
  $("story").hidden = true;
  S.chosen = null;
  history.replaceState(null, "", location.pathname + location.search);
  if (cameFrom && cameFrom.isConnected) cameFrom.focus({ preventScroll: true });
  redraw();
  markRow();
}

function writeStory(trial) {
  const t = S.data.trials, head = S.data.head, at = S.shown.indexOf(trial);
  const go = (step) => h("button", {
    type: "button", disabled: S.shown[at + step] === undefined ? "" : null, click: () => choose(S.shown[at + step], true),
  }, step < 0 ? "← earlier" : "later →");
  const best = head.best, differs = best === null || best === trial ? [] : t.config[best];
  const rows = S.data.params.flatMap((param, place) => {
    if (absent(trial, place)) return [];
    const mine = t.config[trial][place], other = differs[place];
    const same = other === undefined || absent(best, place) || JSON.stringify(mine) === JSON.stringify(other);
    return [h("tr", {}, h("td", {}, param.name), h("td", { class: "number" }, num(mine)), h("td", { class: "number" }, same ? "" : `best: ${num(other)}`))];
  });
  const title = t.rank[trial] === 1 ? " ★ best" : t.rank[trial] ? ` place ${t.rank[trial]}` : "";
  fill($("story"),
    h("h2", {}, "Trial ", h("code", {}, t.id[trial]), title),
    h("div", {}, [t.source[trial], t.status[trial], (KINDS[t.kind[trial]] || KINDS[""])[0]].map((text) => h("span", { class: "tag" }, text))),
    h("div", { class: "buttons" }, go(-1), go(1), h("button", { type: "button", id: "story-close", click: closeStory }, "Close (Esc)")),
    h("div", { id: "story-plot", class: "plot" }),
    h("dl", { id: "story-lines" }, t.story[trial].map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    h("table", {}, h("tbody", {}, rows)));
  storyPlot(trial);
}

function storyPlot(trial) {
  const curve = S.data.curves[trial], t = S.data.trials, head = S.data.head;
  if (!curve || curve[0].length === 0) return empty("story-plot", "Its curve is not in the ledger (yet).");
  const traces = [{ x: curve[0], y: curve[1], mode: "lines+markers", name: esc(cut(head.metric, 24)), line: { color: colour("ink"), width: 2.5 }, marker: { size: 4 } }];
  if (curve.length > 2) traces.push({ x: curve[3], y: curve[4], mode: "lines", name: esc(cut(curve[2], 24)), line: { color: colour("soft"), dash: "dash", width: 1.5 } });
  if (t.expected[trial] !== null) traces.push({ x: [curve[0][0], curve[0].at(-1)], y: [t.expected[trial], t.expected[trial]], mode: "lines", name: "expected", line: { color: colour("accent"), dash: "dot" } });
  traces.push(...markTraces([trial]));
  draw("story-plot", traces, { xaxis: { title: { text: "epoch" } }, margin: { l: 45, r: 8, t: 6, b: 36 }, dragmode: false, legend: { orientation: "h", y: 1.02, yanchor: "bottom", font: { size: 10 } } }, "Its curve.");
}
