// What was expected against what came, and the strip that says who did what.

PANELS.expected = () => {
  const t = S.data.trials, head = S.data.head, honest = S.data.honesty;
  const judged = S.shown.filter((trial) => t.kept[trial] !== null), pairs = spread(judged, MOST_IN_TIME, []);
  const effects = S.data.effects.filter((effect) => S.inFilter.has(effect.trial));
  const told = Object.entries(honest.effects).map(([name, n]) => `${name} ${n}`).join(", ");
  const notes = told ? [`Redirects and clones, against forecast and pace: ${told}`] : [];
  if (!pairs.length && !effects.length) {
    $("expected-note").textContent = notes.join("");
    return empty("expected", "No trial shown had an expectation stated: the keyless advisor, the statistical and the random one state none.");
  }
  const traces = promises(pairs);
  if (effects.length) {
    traces.push({
      x: effects.map((effect) => effect.expected), y: effects.map((effect) => effect.after), customdata: effects.map((effect) => effect.trial),
      text: effects.map((effect) => `<b>redirected or cloned: ${esc(effect.verdict)}</b><br>${hover(effect.trial)}`), hoverinfo: "text", mode: "markers",
      name: "after a redirect or clone", marker: { symbol: "triangle-up-open", size: 9, color: colour("ink"), line: { width: 1.5 } },
      error_x: { type: "data", array: effects.map((effect) => effect.margin), color: colour("soft"), thickness: 1, width: 3 },
    });
  }
  const expected = [...pairs.map((trial) => t.expected[trial]), ...effects.map((effect) => effect.expected)];
  const came = [...pairs.map((trial) => t.score[trial]), ...effects.map((effect) => effect.after)];
  const a = viewOf(expected), b = viewOf(came), both = [...expected, ...came];
  const low = Math.min(...both), high = Math.max(...both);
  traces.push({ x: [low, high], y: [low, high], mode: "lines", name: "as expected", hoverinfo: "skip", line: { color: colour("soft"), dash: "dash", width: 1.5 } });
  traces.push(...highlight((trial) => [t.expected[trial], t.score[trial]]));
  draw("expected", traces, {
    xaxis: scoreAxis(a, `${esc(head.metric)} expected`), yaxis: scoreAxis(b, `${esc(head.metric)} that came`),
  }, `${count(pairs.length, "expectation")} against what came.`);
  if (pairs.length) {
    const kept = judged.filter((trial) => t.kept[trial]).length;
    const misses = judged.map((trial) => Math.abs(t.score[trial] - t.expected[trial])).sort((x, y) => x - y);
    notes.unshift(`${kept} of ${count(judged.length, "expectation")} kept (better, or worse within the noise of the trial's own curve; ` +
      `trials stopped early are not counted), median distance ${num(misses[Math.floor(misses.length / 2)])}`);
  }
  if (pairs.length < judged.length) notes.push(`${pairs.length.toLocaleString("en")} of them are drawn`);
  $("expected-note").textContent = notes.join(" · ");
};

// What the proposers had expected: filled where it was kept, open where it was missed.
function promises(pairs) {
  const t = S.data.trials, traces = [];
  for (const source of [...new Set(pairs.map((trial) => t.source[trial]))]) {
    for (const kept of [true, false]) {
      const own = pairs.filter((trial) => t.source[trial] === source && t.kept[trial] === kept);
      if (!own.length) continue;
      const symbol = SYMBOLS[source] || "hexagon";
      traces.push({
        x: own.map((trial) => t.expected[trial]), y: own.map((trial) => t.score[trial]), customdata: own, text: own.map(hover),
        hoverinfo: "text", mode: "markers", name: `${esc(source)}: ${kept ? "kept" : "missed"}`,
        marker: { symbol: kept ? symbol : `${symbol}-open`, size: pairs.length > 300 ? 5 : 9, color: sourceColour(source), line: { width: 1.5 } },
      });
    }
  }
  return traces;
}

function honestyStrip() {
  const found = S.data.honesty, sources = Object.entries(found.sources).sort((a, b) => b[1] - a[1]);
  const total = sources.reduce((sum, [, n]) => sum + n, 0);
  const names = { llm: "language model", heuristic: "rules", statistical: "statistics", random: "random", user: "user" };
  const bar = h("div", { class: "share", role: "img", "aria-label": sources.map(([name, n]) => `${name} ${n}`).join(", ") },
    sources.map(([name, n]) => {
      const share = (100 * n) / total;
      const part = h("span", { title: `${name}: ${n}` }, share > 9 ? `${names[name] || name} ${share.toFixed(0)} %` : "");
      part.style.width = `${share}%`;
      part.style.background = sourceColour(name);
      return part;
    }));
  const say = (counts) => Object.entries(counts).map(([name, n]) => `${name} ×${n.toLocaleString("en")}`).join(", ");
  const facts = sources.map(([name, n]) => [names[name] || name, n]);
  facts.push(["repaired", found.repaired]);
  if (found.kept + found.missed) facts.push(["expectations kept", `${found.kept} of ${found.kept + found.missed}`]);
  if (found.given) facts.push(["given from elsewhere", found.given]);
  for (const [name, counts] of [["slots the advisor left empty", found.fallbacks], ["refused proposals", found.drops], ["failed calls", found.failed_calls],
    ["left to the rules by the judge", found.unjudged], ["stopped early", found.stops], ["faults inside raymimic", found.faults]]) {
    facts.push([name, Object.keys(counts).length ? say(counts) : 0]);
  }
  fill($("honesty-body"), total ? bar : h("p", { class: "note" }, "No trial has begun."),
    h("ul", { class: "facts" }, facts.map(([name, value]) => h("li", {}, `${name} `, h("b", {}, typeof value === "number" ? value.toLocaleString("en") : value)))));
}
