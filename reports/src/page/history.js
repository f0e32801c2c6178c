"use strict";
// The clients' operations as a table, of which only the rows in view exist.

const ROW = 26, SPARE = 8;
const table = byId("table"), rowsBox = byId("rows");
const marked = new Set();
let listed = [], listKey = "";

/// Which operations are listed: the filters', and the table's own.
function listOperations() {
  const only = byId("conflicts").checked, outcome = byId("outcome").value;
  listed = [];
  report.operations.forEach((operation, i) => {
    if (only ? !conflicts.has(i) && !marked.has(i) : !shown.operations.has(i)) return;
    if (outcome === "" || operation.outcome === outcome) listed.push(i);
  });
  rowsBox.style.height = `${listed.length * ROW}px`;
  table.setAttribute("aria-rowcount", listed.length + 1);
  byId("operations-shown").textContent = `${listed.length.toLocaleString("en")} of ${report.operations.length.toLocaleString("en")} operations`;
  showRows(true);
}

/// Makes the rows that are in view.
function showRows(always = false) {
  const first = Math.max(0, Math.floor(table.scrollTop / ROW) - SPARE);
  const end = Math.min(listed.length, Math.ceil((table.scrollTop + table.clientHeight) / ROW) + SPARE);
  const key = `${first} ${end}`;
  if (!always && key === listKey) return;
  listKey = key;
  const rows = [];
  for (let at = first; at < end; at++) rows.push(row(listed[at], at));
  if (!listed.length) rows.push(el("p", { class: "nothing" }, report.operations.length ? "No operation passes the filters." : "No operations were recorded."));
  rowsBox.replaceChildren(...rows);
}

function row(i, at) {
  const o = report.operations[i];
  const classes = ["row", conflicts.has(i) ? "conflict" : "", marked.has(i) ? "marked" : ""].join(" ").trim();
  const cell = (text, kind = null) => el("span", { role: "cell", class: kind, title: kind ? null : text }, text);
  const took = o.return_ns === null ? "no answer" : span(o.return_ns - o.call_ns);
  const element = el("div", { class: classes, role: "row", "aria-rowindex": at + 2, "data-operation": i, onclick: () => choose(operationItem.get(i)) },
    cell(String(i), "number mono"), cell(String(o.client), "number"), cell(o.session, "mono"), cell(String(o.node), "number"),
    cell(seconds(o.call_ns), "number mono"), cell(took, "number"), cell(conflicts.has(i) ? `${o.outcome} ✕` : o.outcome, `outcome-${o.outcome}`),
    cell(o.request), cell(o.answer));
  element.style.top = `${at * ROW}px`;
  return element;
}

/// Marks operations, in the table and in the diagram, and shows the first of them in the table.
function mark(operations) {
  marked.clear();
  for (const i of operations) marked.add(i);
  listOperations();
  const at = listed.findIndex((i) => marked.has(i));
  if (at >= 0) table.scrollTop = Math.max(0, at * ROW - 3 * ROW);
  showRows(true);
  ask();
}
