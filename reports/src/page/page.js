"use strict";
// What people do with the page: pointer, keys, filters, findings.

const pointer = { at: null, over: null, x: 0, y: 0 };
let held = null, chosen = null, finding = -1;

// -- choosing

/// Shows one thing: holds its time, describes it, and brings it into view.
function choose(entry) {
  chosen = entry;
  held = entry.at;
  if (entry.at < view.from || entry.at > view.to) {
    const length = view.to - view.from;
    look(entry.at - length * 0.3, entry.at + length * 0.7);
  }
  byId("said").textContent = `${seconds(entry.at)} s: ${told(entry).what}, ${line(entry)}`;
  ask();
}

function letGo() {
  held = chosen = null;
  mark([]);
  finding = -1;
  showFinding();
}

/// The next thing that is shown, or the one before.
function step(by) {
  if (!shown.all.length) return;
  const isShown = chosen && shown.all[position(chosen)] === chosen;
  const from = now() ?? view.from, at = isShown ? position(chosen) + by : lowerBound(shown.all, from, (entry) => entry.at) - (by < 0 ? 1 : 0);
  choose(shown.all[Math.max(0, Math.min(shown.all.length - 1, at))]);
}

// -- findings

const findingButtons = [...document.querySelectorAll(".finding")];

function showFinding() {
  findingButtons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === finding)));
}

/// Goes to a finding: its operations are marked, and the diagram shows the time between them; where it has none, the
/// moment that its sentence names.
function goToFinding(i) {
  if (!report.findings.length) return;
  finding = (i + report.findings.length) % report.findings.length;
  showFinding();
  findingButtons[finding]?.scrollIntoView({ block: "nearest" });
  const { operations, sentence } = report.findings[finding];
  goToOperations(operations);
  const moment = /\bat (\d+\.\d{6}) s\b/i.exec(sentence);
  if (!operations.length && moment) goToMoment(Number(moment[1]) * 1e9);
}

/// Shows a second at most around a moment.
function goToMoment(at_ns) {
  const length = Math.min(view.to - view.from, 1e9);
  look(at_ns - length / 2, at_ns + length / 2);
  held = at_ns;
  ask();
}

function goToOperations(operations) {
  const known = operations.filter((i) => operationItem.has(i)), these = known.map((i) => report.operations[i]);
  mark(known);
  if (!these.length) return;
  const from = Math.min(...these.map((o) => o.call_ns)), to = Math.max(...these.map((o) => o.return_ns ?? o.call_ns));
  const margin = Math.max(20e6, (to - from) * 0.25);
  look(from - margin, to + margin);
  choose(operationItem.get(known[known.length - 1]));
}

/// Shows the time from the first cause to the last fact.
function lookAtStory() {
  const told = report.explanation.facts.map((fact) => fact.at_ns);
  if (!told.length) return;
  const causes = report.faults.filter((fault) => fault.mattered).map((fault) => fault.from_ns);
  const from = Math.min(...told, ...causes), to = Math.max(...told), margin = Math.max(20e6, (to - from) * 0.15);
  look(from - margin, to + margin);
}

findingButtons.forEach((button, i) => button.addEventListener("click", () => goToFinding(i)));
document.querySelectorAll("[data-fact]").forEach((button) =>
  button.addEventListener("click", () => {
    const fact = report.explanation.facts[Number(button.dataset.fact)];
    finding = -1;
    showFinding();
    if (fact.operation !== null && operationItem.has(fact.operation)) return goToOperations([fact.operation]);
    goToMoment(fact.at_ns);
  }));

// -- filters

function refilter() {
  applyFilter();
  const count = (n) => n.toLocaleString("en");
  byId("shown").textContent = isFiltered() ? `${count(shown.all.length)} of ${count(items.length)} shown` : `${count(items.length)} events`;
  byId("shown").classList.toggle("narrowed", isFiltered());
  byId("reset").disabled = !isFiltered();
  if (chosen && shown.all[position(chosen)] !== chosen) chosen = null;
  pointer.over = null;
  showToggles();
  listOperations();
  redraw();
}

function makeToggles() {
  const toggle = (node) =>
    el("button", {
      class: "toggle", "data-node": node, "aria-pressed": "true", title: `Show or hide ${nodeName(node)}; double click: only this`,
      onclick: () => {
        if (!filter.nodes.delete(node)) filter.nodes.add(node);
        refilter();
      },
      ondblclick: () => {
        filter.nodes = new Set([node]);
        refilter();
      },
    }, node === 0 ? "clients" : String(node));
  byId("nodes").append(...NODES.map(toggle));
}

function makeKinds() {
  const sheet = document.querySelector("#kinds .sheet");
  for (const group of GROUPS) {
    const mine = [...kinds].filter(([key]) => key.startsWith(`${group}/`)).sort(([a], [b]) => (a < b ? -1 : 1));
    if (!mine.length) continue;
    const boxes = mine.map(([key, count]) => kindBox(key, key.slice(group.length + 1), "part", count, [key]));
    sheet.append(kindBox(group, group, "whole", mine.reduce((sum, [, count]) => sum + count, 0), mine.map(([key]) => key)), ...boxes);
  }
}

function kindBox(key, name, kind, count, keys) {
  const box = el("input", { type: "checkbox", "data-kind": key, onchange: () => {
    for (const each of keys) {
      if (box.checked) filter.hidden.delete(each);
      else filter.hidden.add(each);
    }
    refilter();
  } });
  box.keys = keys;
  return el("label", { class: kind }, box, name, el("span", { class: "count" }, count.toLocaleString("en")));
}

function showToggles() {
  document.querySelectorAll(".toggle").forEach((button) =>
    button.setAttribute("aria-pressed", String(filter.nodes.has(Number(button.dataset.node)))));
  document.querySelectorAll("#kinds input").forEach((box) => {
    const hidden = box.keys.filter((key) => filter.hidden.has(key)).length;
    box.checked = hidden < box.keys.length;
    box.indeterminate = hidden > 0 && hidden < box.keys.length;
  });
}

let searching = 0;
byId("search").addEventListener("input", () => {
  clearTimeout(searching);
  searching = setTimeout(() => {
    filter.text = byId("search").value.trim().toLowerCase();
    refilter();
  }, 120);
});
byId("reset").addEventListener("click", () => {
  Object.assign(filter, { nodes: new Set(NODES), hidden: new Set(), text: "" });
  byId("search").value = "";
  refilter();
});
byId("conflicts").addEventListener("change", listOperations);
byId("outcome").addEventListener("change", listOperations);
table.addEventListener("scroll", () => showRows());
document.addEventListener("click", (event) => {
  if (!byId("kinds").contains(event.target)) byId("kinds").open = false;
});

// -- pointer

const canvas = byId("over"), touches = new Map();
let dragged = null;

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

canvas.addEventListener("pointermove", (event) => {
  const place = placeOf(event);
  if (touches.has(event.pointerId)) drag(event.pointerId, place);
  Object.assign(pointer, place, { at: place.y >= HEAD ? timeAt(place.y) : null });
  pointer.over = place.y >= HEAD && touches.size === 0 ? hit(place.x, place.y) : null;
  ask();
});
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  touches.set(event.pointerId, placeOf(event));
  dragged = touches.size === 1 ? 0 : null;
});

function drag(id, place) {
  const before = touches.get(id);
  const perPixel = (view.to - view.from) / (size.height - HEAD);
  if (touches.size === 1) {
    if (dragged !== null) dragged += Math.abs(place.y - before.y) + Math.abs(place.x - before.x);
    if (dragged === null || dragged > 4) {
      canvas.classList.add("pans");
      pan((before.y - place.y) * perPixel);
    }
  } else {
    const other = [...touches].find(([each]) => each !== id)[1];
    const [was, is] = [Math.abs(before.y - other.y), Math.abs(place.y - other.y)];
    if (was > 8 && is > 8) zoom(was / is, timeAt((place.y + other.y) / 2));
  }
  touches.set(id, place);
}

function release(event) {
  const isClick = touches.size === 1 && dragged !== null && dragged <= 4 && event.type === "pointerup";
  touches.delete(event.pointerId);
  canvas.classList.remove("pans");
  dragged = null;
  if (!isClick) return;
  const { x, y: py } = placeOf(event), entry = py >= HEAD ? hit(x, py) : null;
  if (entry) choose(entry);
  else if (py >= HEAD) [chosen, held] = [null, timeAt(py)];
  ask();
}
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => {
  Object.assign(pointer, { at: null, over: null });
  ask();
});
canvas.addEventListener("dblclick", (event) => zoom(0.35, timeAt(placeOf(event).y)));
canvas.addEventListener("wheel", (event) => {
  const lines = event.deltaMode === 1 ? 16 : 1, turned = event.deltaY * lines;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    event.preventDefault();
    return zoom(Math.exp(Math.max(-1, Math.min(1, turned * 0.0035))), timeAt(placeOf(event).y));
  }
  // At its ends the diagram lets the page scroll.
  if (turned < 0 ? view.from <= 0 : view.to >= END) return;
  event.preventDefault();
  pan((turned * (view.to - view.from)) / size.height);
}, { passive: false });

const strip = byId("overview");
function jump(event) {
  if (event.buttons === 0 && event.type !== "pointerdown") return;
  strip.setPointerCapture(event.pointerId);
  const box = strip.getBoundingClientRect(), length = view.to - view.from;
  const middle = ((event.clientY - box.top) / box.height) * END;
  // Of the whole run, a part is shown where the strip is touched.
  const shorter = length >= END ? END / 8 : length;
  look(middle - shorter / 2, middle + shorter / 2);
}
strip.addEventListener("pointerdown", jump);
strip.addEventListener("pointermove", jump);

// -- keys and buttons

const length = () => view.to - view.from;
const keys = {
  j: () => step(1), k: () => step(-1), n: () => goToFinding(finding + 1), p: () => goToFinding(finding < 0 ? -1 : finding - 1),
  "+": () => zoom(0.6, held ?? undefined), "=": () => zoom(0.6, held ?? undefined), "-": () => zoom(1 / 0.6, held ?? undefined), 0: () => look(0, END),
  Home: () => look(0, length()), End: () => look(END - length(), END), "?": () => byId("help").showModal(),
  "/": () => byId("search").focus(), Escape: letGo,
  ArrowDown: (event) => pan(length() * (event.shiftKey ? 0.9 : 0.12)), ArrowUp: (event) => pan(-length() * (event.shiftKey ? 0.9 : 0.12)),
};
const ON_DIAGRAM = ["Home", "End", "ArrowDown", "ArrowUp"];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const isTyping = event.target.matches("input[type=search], select");
  if (isTyping && event.key === "Escape") return event.target.blur();
  if (isTyping || !keys[event.key] || (ON_DIAGRAM.includes(event.key) && event.target !== canvas)) return;
  event.preventDefault();
  keys[event.key](event);
});
const buttons = { previous: "k", next: "j", in: "+", out: "-", fit: "0", "help-open": "?" };
for (const [id, key] of Object.entries(buttons)) byId(id).addEventListener("click", (event) => keys[key](event));

// -- beginning

const sample = (drawing, text) => {
  const holder = el("span");
  holder.innerHTML = `<svg viewBox="0 0 22 12" aria-hidden="true">${drawing}</svg>`;
  holder.append(text);
  return holder;
};
byId("legend").append(
  sample('<rect x="7" width="9" height="12" fill="var(--term-0)"/>', "leads, coloured by term"),
  sample('<rect x="10" width="2" height="12" fill="var(--term-0)"/>', "follows"),
  sample('<path d="M11 0v12" stroke="var(--term-0)" stroke-width="5" stroke-dasharray="3 2"/>', "campaigns"),
  sample('<path d="M8.5 0v12M13.5 0v12" stroke="var(--soft)" stroke-width="2"/>', "paused"),
  sample('<rect x="6" y=".5" width="10" height="11" fill="var(--grey-fill)" stroke="var(--faint)"/>', "down"),
  sample('<rect x="6" width="10" height="12" fill="var(--fault-fill)"/><rect x="6" width="2" height="12" fill="var(--fault)"/>', "fault"),
  sample('<rect x="6" width="10" height="12" fill="var(--grey-fill)"/><rect x="6" width="1.5" height="12" fill="var(--faint)"/>', "fault that did not matter"),
  sample('<rect x="6.5" y=".5" width="9" height="11" fill="none" stroke="var(--fault)" stroke-dasharray="2 2"/>', "fault without effect"),
  sample('<path d="M1 6h18" stroke="var(--peer)"/><path d="M21 6l-6-3v6z" fill="var(--peer)"/>', "between nodes"),
  sample('<path d="M1 6h18" stroke="var(--client)"/><path d="M21 6l-6-3v6z" fill="var(--client)"/>', "of clients"),
  sample('<path d="M1 6h15M13 3l6 6M19 3l-6 6" stroke="var(--lost)" stroke-width="1.5"/>', "lost"),
  sample('<rect x="6" width="9" height="12" fill="var(--safety)"/>', "operation that conflicts"),
  sample('<path d="M1 9L11 3L21 8" stroke="var(--accent)" fill="none" stroke-dasharray="2 2"/><circle cx="11" cy="3" r="2.5" fill="var(--accent)"/>', "above it: what the chosen could depend on"),
);

new ResizeObserver(() => {
  measure();
  redraw();
}).observe(stage);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readPalette();
  redraw();
});

readPalette();
measure();
makeToggles();
makeKinds();
refilter();
if (report.findings.length) goToFinding(0);
if (report.explanation) lookAtStory();
scrollTo(0, 0);
/// For the console, and for tests.
window.page = { view, shown, items, marked, timing, look, draw: frameNow };
