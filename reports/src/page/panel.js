"use strict";
// Beside the diagram: what every node is at the time under the pointer, what lasts then, what happens around it.

const BEFORE = 5, AFTER = 9;
const panel = byId("panel");
let panelKey = "";

const LETTERS = {
  leader: "leads", follower: "follows", candidate: "campaigns", "pre-candidate": "asks to campaign", recovering: "recovers",
  paused: "paused", down: "down",
};

/// The time that the panel tells of: the one held, or else the pointer's.
const now = () => held ?? pointer.at;

function showPanel() {
  const at = now() ?? view.to, entry = chosen ?? pointer.over;
  const key = [at, entry?.id, held, shown.all.length, filter.text].join();
  if (key === panelKey) return;
  panelKey = key;
  panel.replaceChildren(heading(at), stateTable(at), ...detail(entry), ...toldPast(), ...lasting(at), ...nearby(at));
}

function heading(at) {
  const pin = held === null ? [] : [el("button", { class: "pin", onclick: letGo, title: "Follow the pointer again (Esc)" }, "held · Esc")];
  return el("div", { class: "now" }, el("time", {}, `${seconds(at)} s`), ...pin);
}

function stateTable(at) {
  const cells = ["node", "", "term", "commit", "applied", "digest"].map((name, i) =>
    el("th", { scope: "col", class: i >= 2 && i <= 4 ? "number" : null }, name));
  const rows = NODES.slice(1).map((node) => {
    const state = stateAt(node, at);
    if (!state) return el("tr", { "data-node": node }, el("td", {}, String(node)), el("td", { colspan: 5, class: "faint" }, "nothing known yet"));
    const number = (n) => el("td", { class: "number mono" }, String(n));
    return el("tr", { "data-node": node, "data-role": state.role }, el("td", {}, String(node)), el("td", {}, part(state)), number(state.term),
      number(state.commit), number(state.applied), el("td", { class: "mono", title: state.digest }, state.digest));
  });
  return el("table", { class: "states" }, el("thead", {}, el("tr", {}, ...cells)), el("tbody", {}, ...rows));
}

function part(state) {
  const swatch = el("i", {}), colour = termColour(state.term);
  const isStopped = state.role === "down" || state.role === "paused";
  swatch.style.setProperty("--swatch-edge", isStopped ? palette.faint : colour);
  if (state.role === "leader") swatch.style.setProperty("--swatch", colour);
  return el("span", { class: "part-of" }, swatch, LETTERS[state.role]);
}

// -- one thing

function detail(entry) {
  if (!entry) return [el("p", { class: "faint" }, "Point at the diagram, or step with j and k.")];
  const { what, rows } = told(entry);
  const list = rows.filter(([, value]) => value !== "" && value !== null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  return [el("div", { class: "detail", id: "detail" }, el("p", { class: "what" }, what), el("dl", {}, ...list))];
}

function told(entry) {
  return [toldMessage, toldEvent, toldState, toldFault, toldOperation][entry.type](entry);
}

const clock = (ns) => el("span", { class: "mono" }, `${seconds(ns)} s`);

function toldMessage(entry) {
  const m = report.messages[entry.i];
  const received = m.received_ns === null ? "never: lost" : el("span", {}, clock(m.received_ns), `, after ${span(m.received_ns - m.sent_ns)}`);
  return { what: `${m.kind}: ${nodeName(m.from)} → ${nodeName(m.to)}`, rows: [["text", m.text], ["sent", clock(m.sent_ns)], ["received", received]] };
}

function toldEvent(entry) {
  const e = report.events[entry.i];
  return { what: `${e.kind}, ${nodeName(e.node)}`, rows: [["text", e.text], ["at", clock(e.at_ns)]] };
}

function toldState(entry) {
  return { what: entry.text, rows: [["at", clock(entry.at)]] };
}

function toldFault(entry) {
  const f = report.faults[entry.i];
  const mattered = f.mattered === null ? "not analysed" : f.mattered ? "necessary" : "irrelevant to the verdict";
  const length = f.to_ns > f.from_ns ? `, for ${span(f.to_ns - f.from_ns)}` : "";
  return {
    what: `fault ${f.id}: ${f.kind}`,
    rows: [["text", f.text], ["on", f.nodes.length ? f.nodes.map(nodeName).join(", ") : "the whole cluster"],
      ["from", el("span", {}, clock(f.from_ns), length)], ["effect", f.took_effect ? "took effect" : "none"], ["cause", mattered]],
  };
}

function toldOperation(entry) {
  const o = report.operations[entry.i];
  const answered = o.return_ns === null ? "never" : el("span", {}, clock(o.return_ns), `, after ${span(o.return_ns - o.call_ns)}`);
  return {
    what: `operation #${entry.i}${conflicts.has(entry.i) ? ", conflicts" : ""}`,
    rows: [["client", `${o.client}, session ${o.session}, at node ${o.node}`], ["request", o.request], ["answer", o.answer],
      ["outcome", o.outcome], ["asked", clock(o.call_ns)], ["answered", answered]],
  };
}

// -- what is around

function lasting(at) {
  const active = items.filter((entry) => entry.type === FAULT && entry.at <= at && at <= entry.to);
  if (!active.length) return [];
  const chip = (entry) => el("li", { class: report.faults[entry.i].mattered === false ? "grey" : null }, entry.text);
  return [el("div", {}, el("h2", {}, "Faults at this time"), el("ul", { class: "chips" }, ...active.map(chip)))];
}

const line = (entry) => {
  const [from, to] = entry.nodes;
  if (entry.type === MESSAGE) return `${from || "c"}→${to || "c"} ${entry.kind} ${entry.text}`;
  if (entry.type === EVENT) return `${nodeName(from)}: ${entry.text}`;
  if (entry.type === FAULT) return `fault: ${entry.text}`;
  return entry.text;
};

function nearby(at) {
  const here = chosen && shown.all[position(chosen)] === chosen ? position(chosen) : lowerBound(shown.all, at, (entry) => entry.at);
  const around = shown.all.slice(Math.max(0, here - BEFORE), here + AFTER);
  if (!around.length) return [];
  const row = (entry) => {
    const classes = [entry === chosen ? "chosen" : "", entry.at > at ? "after-now" : ""].join(" ").trim();
    return el("li", { class: classes || null, title: line(entry), onclick: () => choose(entry) }, el("time", {}, seconds(entry.at)), el("span", {}, line(entry)));
  };
  return [el("div", {}, el("h2", {}, "Around"), el("ul", { class: "near" }, ...around.map(row)))];
}

/// Where an item is among those that are shown, or would be.
function position(entry) {
  let at = lowerBound(shown.all, entry.at, (other) => other.at);
  while (at < shown.all.length && shown.all[at].at === entry.at && shown.all[at].id < entry.id) at++;
  return at;
}
