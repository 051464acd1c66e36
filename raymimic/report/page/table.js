// The trials as a table: sorted by any column, a page at a time; the way to a story by keyboard.

const ROWS_A_PAGE = 25;
const order = { by: "rank", down: false, page: 0 };
const COLUMNS = [
  ["trial", "id", (t, i) => t.id[i]], ["place", "rank", (t, i) => t.rank[i]], ["score", "score", (t, i) => t.score[i]],
  ["by", "source", (t, i) => t.source[i]], ["ended", "status", (t, i) => t.status[i]], ["curve", "kind", (t, i) => (KINDS[t.kind[i]] || KINDS[""])[0]],
  ["epochs", "epochs", (t, i) => t.epochs[i]], ["expected", "expected", (t, i) => t.expected[i]],
];

PANELS.trials = () => {
  const t = S.data.trials, read = (COLUMNS.find((column) => column[1] === order.by) || COLUMNS[1])[2];
  const sign = order.down ? -1 : 1;
  const rows = S.shown.slice().sort((a, b) => {
    const x = read(t, a), y = read(t, b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b;  // unknown ones last
    return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y))) || a - b;
  });
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_A_PAGE));
  order.page = Math.min(order.page, pages - 1);
  const heads = COLUMNS.map(([name, key]) => h("th", {
    scope: "col", "aria-sort": order.by !== key ? "none" : order.down ? "descending" : "ascending",
  }, h("button", {
    type: "button",
    click: () => { order.down = order.by === key && !order.down; order.by = key; order.page = 0; PANELS.trials(); },
  }, name)));
  const body = rows.slice(order.page * ROWS_A_PAGE, (order.page + 1) * ROWS_A_PAGE).map((trial) => h("tr", { "data-trial": trial },
    h("td", {}, trialButton(trial)), COLUMNS.slice(1).map(([, , value]) => {
      const cell = value(t, trial);
      return h("td", { class: typeof cell === "number" ? "number" : null }, num(cell));
    }), h("td", { class: "reason" }, cut(settingsOf(trial), 160))));
  const turn = (step, name) => h("button", {
    type: "button", disabled: order.page + step < 0 || order.page + step >= pages ? "" : null,
    click: () => { order.page += step; PANELS.trials(); },
  }, name);
  keepingFocus($("trials"), () => fill($("trials"), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads, h("th", { scope: "col" }, "settings"))), h("tbody", {}, body))),
    h("div", { class: "pages" }, turn(-1, "← back"), `page ${order.page + 1} of ${pages.toLocaleString("en")}`, turn(1, "next →"))));
  markRow();
};

function trialButton(trial) {
  return h("button", { type: "button", class: "link", "data-trial": trial, click: () => choose(trial, true) }, S.data.trials.id[trial]);
}

function markRow() {
  for (const row of document.querySelectorAll("#trials tbody tr")) row.classList.toggle("chosen", Number(row.dataset.trial) === S.chosen);
}
