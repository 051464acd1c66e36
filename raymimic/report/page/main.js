// Beginning, filters, light and dark, and new data while the run goes on.

const POLL_MS = 2000;

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function take(data) {
  const chosen = S.chosen === null ? null : S.data.trials.id[S.chosen];
  S.data = data;
  S.data.trials.id ||= [];
  for (const id of ["front", "volume"]) $(`${id}-panel`).hidden = !data.front;
  for (const name of ["source", "status", "kind", "score", "rank", "expected", "kept", "broken", "batch", "began", "epochs", "unit", "config", "story", "marks"]) S.data.trials[name] ||= [];
  S.scoreView = viewOf(S.data.trials.score);
  S.chosen = chosen === null ? null : S.data.trials.id.indexOf(chosen);
  listFilters();
  listParameters();
  applyFilters();
  writeHead();
  honestyStrip();
  redraw();
}

function writeHead() {
  const { head, trials, order } = S.data, best = head.best, live = document.body.dataset.live, several = S.data.front;
  const ended = order.length, all = trials.id.length;
  $("headline").textContent = best === null ? (trials.broken.some(Boolean) ? "no trial has kept to the limits yet" : `no trial has ended with a finite ${head.metric} yet`)
    : `${several ? `${count(several.trials.length, "trial")} on the front, ` : ""}best ${head.metric} ${num(trials.score[best])} after ${count(ended, "trial")}`;
  document.title = `${$("headline").textContent} · raymimic`;
  $("state").textContent = head.ended ? "ended" : live ? "live" : `no summary: running or killed, last event after ${head.took}`;
  $("state").classList.toggle("live", Boolean(live) && !head.ended);
  const goals = several ? several.names.map((name, at) => [name, several.modes[at]]) : [[head.metric, head.mode]];
  $("sub").textContent = `${goals.map(([name, mode]) => `${name}, ${mode === "min" ? "lower" : "higher"} is better`).join("; ")} · advisor ${head.advisor} · began ` +
    `${new Date(head.began * 1000).toLocaleString()}${head.instruction ? ` · the user said: “${head.instruction}”` : ""}`;
  const tile = (name, value, ...small) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, small)));
  const honest = S.data.honesty, said = honest.kept + honest.missed;
  const of = head.total ? `ended of ${head.total.toLocaleString("en")}` : "ended";
  const states = Object.entries(trials.status.reduce((sum, name) => ({ ...sum, [name]: (sum[name] || 0) + 1 }), {})).map(([name, n]) => `${name} ${n}`).join(", ");
  const top = S.data.importance[0];
  fill($("tiles"), [
    tile(`Best ${head.metric}`, best === null ? "–" : num(trials.score[best]), best === null ? "" : ["trial ", trialButton(best), ` by ${trials.source[best]}`]),
    tile("Trials", ended.toLocaleString("en"), [of, states || `${all} begun`].filter(Boolean).join(" · ")),
    tile("Time", head.took, head.ended ? "from the first event to the last" : "so far"),
    tile("Language model", head.asked ? money(head.cost) : "none asked", head.asked
      ? `${count(head.asked, "call")}, ${head.tokens[0].toLocaleString("en")} tokens in, ${head.tokens[1].toLocaleString("en")} out${unpriced(head.unpriced)}` : "no key, no cost"),
    tile("Expectations kept", said ? `${honest.kept} of ${said}` : "none stated", said ? "of the trials that ran to their end" : ""),
    tile("Mattered most", top ? top.name : "–", top ? `${(100 * top.share).toFixed(0)} % (80 %: ${(100 * top.low).toFixed(0)} to ${(100 * top.high).toFixed(0)})` : `needs ${head.fewest} scored trials`),
  ]);
  fill($("foot"), h("p", {}, head.notes.join(" ")), h("p", {}, `Made ${new Date(head.made * 1000).toLocaleString()} from ${head.ledger}`));
}

// -- filters --------------------------------------------------------------------------------------

function listFilters() {
  const t = S.data.trials;
  const some = (values) => [...new Set(values)].sort();
  options("f-source", "all", some(t.source).map((name) => [name, name]));
  options("f-status", "all", some(t.status).map((name) => [name, name]));
  options("f-kind", "all", some(t.kind).map((kind) => [kind || "none", (KINDS[kind] || [kind])[0]]));
  options("f-best", "all trials", [["10", "best 10"], ["10%", "best 10 %"], ["25%", "best quarter"], ["50%", "better half"]]);
}

function options(id, all, pairs) {
  const select = $(id), kept = select.value;
  fill(select, [["", all], ...pairs].map(([value, name]) => h("option", { value }, name)));
  select.value = pairs.some(([value]) => value === kept) ? kept : "";
}

function filtersChanged() {
  const f = S.filters;
  f.text = $("f-text").value;
  for (const name of ["source", "status", "kind", "best"]) f[name] = $(`f-${name}`).value;
  const chips = Object.keys(f.brushes).map((key) => {
    const name = key === "score" ? S.data.head.metric : S.data.params[key].name;
    return h("button", { type: "button", class: "chip", "aria-label": `drop the range of ${name}`, click: () => { delete f.brushes[key]; filtersChanged(); } }, `${name} in range ✕`);
  });
  fill($("chips"), chips);
  applyFilters();
  order.page = 0;
  redraw();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  if (!S.data) return;
  honestyStrip();
  redraw();
  if (!$("story").hidden && S.chosen !== null) writeStory(S.chosen);
}

// -- while the run goes on ------------------------------------------------------------------------

async function follow(address) {
  let version = "";
  for (;;) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    try {
      const answer = await fetch(`${address}&have=${encodeURIComponent(version)}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      if (answer.status === 204) continue;
      version = answer.headers.get("X-Version") || "";
      take(await unpacked(await answer.text()));
      if (!$("story").hidden && S.chosen !== null) keepingFocus($("story"), () => writeStory(S.chosen));
    } catch {
      $("state").textContent = "raymimic watch has ended: this is what it showed last";
      $("state").classList.remove("live");
    }
  }
}

async function begin() {
  const wanted = new URLSearchParams(location.search).get("theme");
  const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  let typing = 0;
  $("filters").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filtersChanged, 150); });
  $("filters").addEventListener("reset", () => { S.filters.brushes = {}; setTimeout(filtersChanged, 0); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("story").hidden) closeStory(); });
  const data = await unpacked($("data").textContent);
  $("data").remove();
  take(data);
  sizes.observe($("main"));
  for (const id of Object.keys(PANELS)) watcher.observe($(id));
  const trial = decodeURIComponent((location.hash.match(/^#trial=(.+)$/) || [])[1] || "");
  const at = S.data.trials.id.indexOf(trial);
  if (at >= 0) choose(at, true);
  requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.ready = Math.round(performance.now()); }, 0));
  if (document.body.dataset.live) follow(document.body.dataset.live);
}

begin().catch((error) => {
  $("headline").textContent = "the run's data could not be read by this browser";
  throw error;
});
