// What is shown: the run's data, the filters, the chosen trial. Everything foreign goes into the
// page as text nodes (`h`) or escaped (`esc`), never as HTML.

const S = {
  data: null,
  shown: [],          // indices of trials that pass the filters, in the order they began
  chosen: null,       // index of the trial whose story is open
  filters: { text: "", source: "", status: "", kind: "", best: "", brushes: {} },
};

const KINDS = {
  improving: ["still improving", "solid"], plateau: ["plateau", "dot"],
  overfitting: ["overfitting", "dash"], underfitting: ["underfitting", "longdash"],
  ceiling: ["capacity ceiling", "dashdot"], slow_start: ["slow start", "longdashdot"],
  oscillating: ["oscillating", "4px 2px 1px 2px"], diverged: ["diverged", "2px 2px"],
  stuck: ["stuck", "9px 3px"], "": ["no clear signal", "solid"],
};
const SYMBOLS = {
  llm: "circle", heuristic: "square", statistical: "diamond", random: "x", user: "star",
};
const MARKS = {
  stop: ["stopped", "x"], redirect: ["redirected", "triangle-up"], clone: ["cloned", "diamond"],
  adjustment: ["weights or knobs adjusted", "circle"], rollback: ["rolled back", "triangle-left"],
};

const $ = (id) => document.getElementById(id);

// An element with attributes; functions become listeners, everything else in `children` is text.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
}

// Writes into `element` anew; who stood on a button in it stands on the same one afterwards.
function keepingFocus(element, write) {
  const held = element.contains(document.activeElement) ? document.activeElement : null;
  write();
  if (!held || held.isConnected) return;
  const same = [...element.querySelectorAll("button")].find((one) => one.textContent === held.textContent);
  if (same) same.focus({ preventScroll: true });
}

// Plotly reads a little HTML in its texts: foreign ones are shown as they are.
const esc = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const sourceColour = (source) => colour(SYMBOLS[source] ? `s-${source}` : "s-random");

function num(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  return String(Number(value.toPrecision(4)));
}
const money = (usd) => `$${usd.toFixed(usd < 1 ? 4 : 2)}`;
const unpriced = (n) => (n ? `, and ${count(n, "call")} of unknown price` : "");
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const cut = (text, limit) => (text.length <= limit ? text : text.slice(0, limit - 1) + "…");

// At most `most` of the items, evenly, always with those of `keep`.
function spread(items, most, keep = []) {
  if (items.length <= most) return items;
  const kept = new Set(keep);
  for (let at = 0; at < most; at++) kept.add(items[Math.floor((at * items.length) / most)]);
  return items.filter((item) => kept.has(item));
}

function reasonOf(trial) {
  const story = S.data.trials.story[trial];
  const first = story.find(([head]) => head === "Proposed");
  return first ? first[1] : "";
}

function settingsOf(trial) {
  const config = S.data.trials.config[trial];
  return S.data.params.flatMap((param, at) => absent(trial, at) ? [] : [`${param.name}=${num(config[at])}`]).join(", ");
}

// Whether a parameter does not exist beside the trial's other values.
function absent(trial, at) {
  const unit = S.data.trials.unit[trial];
  return Boolean(unit) && unit[at] === null;
}

function hover(trial) {
  const t = S.data.trials;
  const lines = [
    `<b>trial ${esc(t.id[trial])}</b> · ${esc(t.source[trial])} · ${esc(t.status[trial])}`,
    `${esc(S.data.head.metric)} ${num(t.score[trial])}` +
      (t.rank[trial] ? `, place ${t.rank[trial]}` : ""),
  ];
  for (let text = cut(reasonOf(trial), 210); text; ) {
    const line = cut80(text);
    lines.push(esc(line));
    text = text.slice(line.length);
  }
  return lines.join("<br>");
}

function cut80(text) {
  if (text.length <= 80) return text;
  const space = text.lastIndexOf(" ", 80);
  return text.slice(0, space > 40 ? space + 1 : 80);
}

// -- filters --------------------------------------------------------------------------------------

function passes(trial, best) {
  const t = S.data.trials, f = S.filters;
  if (f.source && t.source[trial] !== f.source) return false;
  if (f.status && t.status[trial] !== f.status) return false;
  if (f.kind && (t.kind[trial] || "none") !== f.kind) return false;
  if (best && !(t.rank[trial] && t.rank[trial] <= best)) return false;
  for (const [at, [low, high]] of Object.entries(f.brushes)) {
    const place = at === "score" ? scorePlace(t.score[trial]) : t.unit[trial] && t.unit[trial][at];
    if (place === null || place === undefined || place < low || place > high) return false;
  }
  if (f.text) {
    const words = `${t.id[trial]} ${settingsOf(trial)} ${t.story[trial].map((l) => l[1]).join(" ")}`;
    if (!words.toLowerCase().includes(f.text.toLowerCase())) return false;
  }
  return true;
}

function applyFilters() {
  const total = S.data.trials.id.length;
  const ranked = S.data.trials.rank.filter((rank) => rank).length;
  const f = S.filters.best;
  const best = !f ? 0 : f.endsWith("%") ? Math.max(1, Math.ceil((ranked * parseInt(f)) / 100)) : Number(f);
  S.shown = [];
  for (let trial = 0; trial < total; trial++) if (passes(trial, best)) S.shown.push(trial);
  S.inFilter = new Set(S.shown);
  $("f-count").textContent =
    S.shown.length === total ? count(total, "trial") : `${S.shown.length.toLocaleString("en")} of ${count(total, "trial")}`;
}

// -- the scale of the score -----------------------------------------------------------------------

// The part of an axis worth looking at: wild values would press all others into one line. Scores
// that span more than a decade are shown in the logarithm.
function viewOf(values, mode = S.data.head.mode) {
  const sorted = values.filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const log = sorted[0] > 0 && sorted[Math.floor(0.9 * (sorted.length - 1))] > 20 * sorted[0];
  const scale = log ? Math.log10 : (v) => v;
  const at = (q) => scale(sorted[Math.floor(q * (sorted.length - 1))]);
  let low = at(0), high = at(1);
  if (mode === "min") high = Math.min(high, at(0.9) + 0.6 * (at(0.9) - low));
  else low = Math.max(low, at(0.1) - 0.6 * (high - at(0.1)));
  if (high <= low) { low = at(0); high = at(1); }
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  const view = { log, range: [low - pad, high + pad], scale };
  view.beyond = sorted.filter((v) => scale(v) < view.range[0] || scale(v) > view.range[1]).length;
  return view;
}

const scoreAxis = (view, title) => ({
  title: { text: title }, ...(view ? { type: view.log ? "log" : "linear", range: view.range } : {}),
});

// From 0 to 1 on the score's axis of the parallel coordinates.
function scorePlace(score) {
  if (score === null) return null;
  if (!S.scoreView) return 0.5;
  const [low, high] = S.scoreView.range;
  return Math.min(1, Math.max(0, (S.scoreView.scale(score) - low) / (high - low)));
}

function scoreAt(place) {
  const [low, high] = S.scoreView.range, value = low + place * (high - low);
  return S.scoreView.log ? 10 ** value : value;
}
