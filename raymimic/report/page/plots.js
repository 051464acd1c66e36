// One way to draw: the common layout, clicks and keys of every figure, and drawing only what is
// near the screen, so that a page of 10,000 trials opens at once.

const PANELS = {};      // id -> function that draws it
const stale = new Set();
const CONFIG = {
  responsive: true, displaylogo: false, displayModeBar: "hover",
  modeBarButtonsToRemove: ["lasso2d", "autoScale2d", "toggleSpikelines"],
};

function layoutOf(own) {
  const axis = {
    gridcolor: colour("grid"), zeroline: false, linecolor: colour("line"), automargin: true,
    ticks: "outside", tickcolor: colour("line"),
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
    font: { color: colour("ink"), family: "system-ui, 'DejaVu Sans', sans-serif", size: 12 },
    margin: { l: 56, r: 12, t: 8, b: 42 }, dragmode: "pan", uirevision: "kept",
    hoverlabel: { align: "left", bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("line"), activecolor: colour("accent") },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
    ...own,
    xaxis: { ...axis, ...own.xaxis }, yaxis: { ...axis, ...own.yaxis },
  };
}

// `spoken` says in words what the figure shows, for those who do not see it.
function draw(id, traces, layout, spoken) {
  const element = $(id);
  element.classList.remove("empty");
  element.setAttribute("role", "group");
  element.setAttribute("tabindex", "0");
  element.setAttribute("aria-label", `${spoken} Arrow keys choose a trial, Enter tells its story.`);
  if (!element.drawn) fill(element);
  const done = Plotly.react(element, traces, layoutOf(layout), layout.dragmode === false ? { ...CONFIG, displayModeBar: false } : CONFIG);
  if (!element.drawn) {
    element.drawn = true;
    element.on("plotly_click", (event) => {
      const trial = event.points.map((point) => point.customdata).find((at) => Number.isInteger(at));
      if (trial !== undefined) choose(trial, true);
    });
    element.addEventListener("keydown", walk);
  }
  return done;
}

function empty(id, text) {
  const element = $(id);
  if (element.drawn) Plotly.purge(element);
  element.drawn = false;
  element.classList.add("empty");
  element.removeAttribute("tabindex");
  fill(element, h("p", { class: "note" }, text));
}

// Left and right go through the shown trials.
function walk(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    event.preventDefault();
    const at = S.shown.indexOf(S.chosen);
    const next = at < 0 ? (step > 0 ? 0 : S.shown.length - 1) : at + step;
    if (S.shown[next] !== undefined) choose(S.shown[next], false);
  } else if (event.key === "Enter" && S.chosen !== null) {
    choose(S.chosen, true);
  }
}

function refresh(id) {
  stale.delete(id);
  PANELS[id]();
}

const near = new Set(["trials"]);  // the table is for the keyboard, too: always there
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting && entry.target.id !== "trials") near.delete(entry.target.id);
    else {
      near.add(entry.target.id);
      if (stale.has(entry.target.id)) refresh(entry.target.id);
    }
  }
}, { rootMargin: "300px" });

// The story takes room beside the panels: the figures grow and shrink with them.
const sizes = new ResizeObserver(() => {
  for (const plot of document.querySelectorAll("main .plot")) if (plot.drawn) Plotly.Plots.resize(plot);
});

// Everything is to be drawn anew: at once what is on the screen, the rest when it comes there.
function redraw(ids = Object.keys(PANELS)) {
  for (const id of ids) stale.add(id);
  for (const id of ids) if (near.has(id)) refresh(id);
}
