// Decisions, batch by batch: what the advisor saw, what it said, what it expected, what came.

const CARDS_AT_ONCE = 8;
const BATCHES_IN_VIEW = 60;
const MOST_IN_TIME = 1500;
let cards = CARDS_AT_ONCE;
let viewEnd = null;  // number of the last batch in view; null: the newest

PANELS.timeline = () => {
  const data = S.data, t = data.trials, head = data.head;
  if (!data.batches.length) { fill($("batches")); return empty("timeline", "Nothing was proposed yet."); }
  const total = data.batches.length, end = viewEnd === null ? total : Math.min(viewEnd, total);
  const start = Math.max(0, end - BATCHES_IN_VIEW);
  const able = S.shown.filter((trial) => t.batch[trial] >= start && t.batch[trial] < end && t.score[trial] !== null);
  const dots = spread(able, MOST_IN_TIME, []);
  const spot = (trial) => {
    const mates = data.batches[t.batch[trial]].trials;
    return t.batch[trial] + 1 + (mates.length > 1 ? (mates.indexOf(trial) / (mates.length - 1) - 0.5) * 0.6 : 0);
  };
  const promised = dots.filter((trial) => t.expected[trial] !== null);
  const gaps = { x: [], y: [] };
  for (const trial of promised) { gaps.x.push(spot(trial), spot(trial), null); gaps.y.push(t.expected[trial], t.score[trial], null); }
  const traces = [{
    x: data.batches.map((_, at) => at + 1), y: data.batches.map((batch) => batch.best), mode: "lines", name: "best known when asked",
    line: { color: colour("soft"), width: 1.5, dash: "dash", shape: "hv" }, hoverinfo: "skip",
  }];
  if (promised.length) {
    traces.push({ ...gaps, mode: "lines", line: { color: colour("soft"), width: 1 }, hoverinfo: "skip", showlegend: false });
    traces.push({
      x: promised.map(spot), y: promised.map((trial) => t.expected[trial]), customdata: promised, mode: "markers", name: "expected",
      text: promised.map(hover), hoverinfo: "text", marker: { symbol: "line-ew-open", size: 11, line: { width: 2.5 }, color: colour("ink") },
    });
  }
  for (const source of [...new Set(dots.map((trial) => t.source[trial]))]) {
    const own = dots.filter((trial) => t.source[trial] === source);
    traces.push({
      x: own.map(spot), y: own.map((trial) => t.score[trial]), customdata: own, text: own.map(hover), hoverinfo: "text",
      mode: "markers", name: `came: ${esc(source)}`, marker: { symbol: SYMBOLS[source] || "hexagon", size: dots.length > 300 ? 5 : 8, color: sourceColour(source) },
    });
  }
  traces.push(...highlight((trial) => (t.batch[trial] >= 0 ? [spot(trial), t.score[trial]] : null)));
  const view = viewOf(dots.map((trial) => t.score[trial]).concat(promised.map((trial) => t.expected[trial])));
  draw("timeline", traces, {
    xaxis: { title: { text: "batch" }, range: [start + 0.3, end + 0.7] }, uirevision: end,
    yaxis: scoreAxis(view, esc(head.metric)),
  }, `${count(data.batches.length, "batch")}.`.replace("batchs", "batches"));
  const move = (to, name, able_to) => h("button", {
    type: "button", disabled: able_to ? null : "", click: () => { viewEnd = to >= total ? null : to; redraw(["timeline"]); },
  }, name);
  const notes = dots.length < able.length ? `${dots.length.toLocaleString("en")} of ${able.length.toLocaleString("en")} trials are drawn` : "";
  fill($("timeline-note"), total <= BATCHES_IN_VIEW ? notes : h("span", { class: "pages" },
    move(Math.max(BATCHES_IN_VIEW, end - BATCHES_IN_VIEW), "← earlier batches", start > 0), `batches ${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${total.toLocaleString("en")}`,
    move(end + BATCHES_IN_VIEW, "later batches →", end < total), notes));
  listBatches(start, end);
};

// The cards of the batches in view, newest first; of all trials, or with one that is shown.
function listBatches(start, end) {
  const all = S.data.batches.map((_, at) => at).slice(start, end).reverse()
    .filter((at) => S.shown.length === S.data.trials.id.length || S.data.batches[at].trials.some((trial) => S.inFilter.has(trial)));
  const opened = new Set([...document.querySelectorAll("details.batch[open]")].map((one) => one.dataset.batch));
  const some = all.slice(0, cards).map((at, place) => batchCard(at, opened.size ? opened.has(String(at)) : place === 0));
  const more = all.length - some.length;
  fill($("batches"), some, more > 0 ? h("div", { class: "pages" }, h("button", {
    type: "button", click: () => { cards += CARDS_AT_ONCE; listBatches(start, end); },
  }, `Show ${Math.min(more, CARDS_AT_ONCE)} earlier`), `${more.toLocaleString("en")} more`) : null);
}

function batchCard(at, open) {
  const batch = S.data.batches[at], t = S.data.trials, head = S.data.head;
  const who = {};
  for (const trial of batch.trials) who[t.source[trial]] = (who[t.source[trial]] || 0) + 1;
  const came = batch.trials.map((trial) => t.score[trial]).filter((score) => score !== null);
  const best = came.length ? (head.mode === "min" ? Math.min(...came) : Math.max(...came)) : null;
  const names = Object.entries(who).map(([name, n]) => `${name} ${n}`).join(", ") || "none began";
  const title = `Batch ${at + 1} · after ${clock(batch.when)} · saw ${count(batch.known, "ended trial")}` +
    (batch.best === null ? "" : `, best ${num(batch.best)}`) + ` · proposed by ${names}` + (best === null ? "" : ` · best that came ${num(best)}`);
  const rows = batch.trials.map((trial) => h("tr", {},
    h("td", {}, trialButton(trial)), h("td", {}, t.source[trial]),
    h("td", { class: "reason" }, reasonOf(trial).replace(/^by [^:]*: /, "")),
    h("td", { class: "number" }, num(t.expected[trial])),
    h("td", { class: "number" }, num(t.score[trial]), keptMark(trial)), h("td", {}, t.status[trial])));
  const heads = ["trial", "by", "why", "expected", `${head.metric} that came`, "ended"];
  const said = batch.calls.map((call) => callText(S.data.calls[call]));
  const extra = [...batch.wishes.map((text) => `you wished ${text}`), ...batch.dropped.map((text) => `refused: ${text}`), ...Object.entries(batch.fallbacks).map(([text, n]) => `left empty ${n}×: ${text}`)];
  return h("details", { class: "batch", open: open ? "" : null, "data-batch": at }, h("summary", {}, title), said,
    rows.length ? h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))) : null,
    batch.waiting > 0 ? h("p", { class: "note" }, `${count(batch.waiting, "proposal")} of it began no trial`) : null,
    extra.length ? h("ul", { class: "note" }, extra.map((text) => h("li", {}, text))) : null);
}

function callText(call) {
  const cost = call.cost === null ? "price unknown" : money(Number(call.cost));
  const text = `${call.model}: ${call.status}, ${call.tokens[0].toLocaleString("en")} tokens in, ${call.tokens[1].toLocaleString("en")} out, ${cost}, ${num(call.seconds)} s${call.error ? `: ${call.error}` : ""}`;
  const parts = [["what it was shown", call.user], ["what it answered", call.reply]].filter(([, body]) => body);
  return h("div", {}, h("p", { class: "note" }, text), parts.map(([name, body]) => h("details", {}, h("summary", {}, name), h("pre", { tabindex: "0" }, body))));
}

function keptMark(trial) {
  const kept = S.data.trials.kept[trial];
  if (kept === null) return null;
  return h("span", { class: kept ? "good" : "bad" }, kept ? " ✓ kept" : " ✗ missed");
}

function clock(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
