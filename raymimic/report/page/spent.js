// Money, tokens and calls.

PANELS.spent = () => {
  const calls = S.data.calls, head = S.data.head;
  fill($("spent-table"));
  $("spent-note").textContent = "";
  if (!calls.length) return empty("spent", "No language model was asked: the run cost nothing.");
  const x = calls.map((call) => call.when / 60), spent = [];
  for (const call of calls) spent.push((spent.at(-1) || 0) + (Number(call.cost) || 0));
  const bad = calls.map((_, at) => at).filter((at) => calls[at].status !== "ok");
  const say = (call) => `${esc(call.model)}, ${esc(call.purpose)}: ${esc(call.status)}<br>${call.tokens[0]} tokens in, ${call.tokens[1]} out, ${num(call.seconds)} s`;
  const traces = [{
    x, y: calls.map((call) => call.tokens[0] + call.tokens[1]), mode: "markers", name: "tokens of a call", yaxis: "y2",
    text: calls.map(say), hoverinfo: "text", marker: { symbol: "circle-open", size: 7, color: colour("soft"), line: { width: 1.5 } },
  }, {
    x, y: spent, mode: "lines", name: "dollars so far", line: { color: colour("accent"), width: 2.5, shape: "hv" }, hoverinfo: "y+name",
  }];
  if (bad.length) {
    traces.push({
      x: bad.map((at) => x[at]), y: bad.map((at) => spent[at]), mode: "markers", name: "failed call", text: bad.map((at) => say(calls[at])),
      hoverinfo: "text", marker: { symbol: "x", size: bad.length > 20 ? 6 : 10, color: colour("bad"), line: { width: 1, color: colour("ink") } },
    });
  }
  draw("spent", traces, {
    xaxis: { title: { text: "minutes since the run began" }, rangemode: "tozero" },
    yaxis: { title: { text: "US dollars" }, rangemode: "tozero", tickprefix: "$" },
    yaxis2: { overlaying: "y", side: "right", rangemode: "tozero", showgrid: false, title: { text: "tokens" }, color: colour("soft") },
    margin: { l: 60, r: 55, t: 8, b: 42 },
  }, `${count(calls.length, "call")}, ${money(head.cost)}.`);
  const groups = {};
  for (const call of calls) {
    const key = JSON.stringify([call.model, call.purpose]);
    const sum = (groups[key] ||= { ok: 0, failed: 0, in: 0, out: 0, cost: 0, unpriced: 0, seconds: 0 });
    if (call.status === "ok") sum.ok++; else sum.failed++;
    sum.in += call.tokens[0]; sum.out += call.tokens[1]; sum.seconds += call.seconds;
    if (call.cost === null) sum.unpriced++; else sum.cost += Number(call.cost);
  }
  const rows = Object.entries(groups).map(([key, sum]) => {
    const [model, purpose] = JSON.parse(key);
    const cost = `${money(sum.cost)}${sum.unpriced ? ` + ${sum.unpriced} unpriced` : ""}`;
    return h("tr", {}, [model, purpose].map((text) => h("td", {}, text)),
      [sum.ok, sum.failed, `${sum.in.toLocaleString("en")} / ${sum.out.toLocaleString("en")}`, cost, num(sum.seconds / (sum.ok + sum.failed))].map((value) => h("td", { class: "number" }, value.toLocaleString("en"))));
  });
  const heads = ["model", "asked for", "answered", "failed", "tokens in / out", "cost", "s a call"];
  fill($("spent-table"), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows))));
  $("spent-note").textContent = `${count(calls.length, "call")}, ${head.tokens[0].toLocaleString("en")} tokens in, ${head.tokens[1].toLocaleString("en")} out, ${money(head.cost)}${unpriced(head.unpriced)}.`;
};
