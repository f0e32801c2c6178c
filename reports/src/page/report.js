"use strict";
// The report as the page needs it: one list of everything that happened, by time; who was what when; what is filtered.

const report = JSON.parse(document.getElementById("report").textContent);
const byId = (id) => document.getElementById(id);

const MESSAGE = 0, EVENT = 1, STATE = 2, FAULT = 3, OPERATION = 4;
const GROUPS = ["messages", "events", "states", "faults", "operations"];
const NODES = Array.from({ length: report.nodes + 1 }, (_, node) => node);
/// When the run ended; a page of nothing still has a millisecond to show.
const END = Math.max(1e6, report.end_ns);

/// The first position whose value, told by `key`, is not below `value`.
function lowerBound(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const byTime = (a, b) => a.at - b.at;

// -- who was what when

const statesOf = NODES.map(() => []);
for (const state of report.states) statesOf[state.node]?.push(state);
for (const states of statesOf) states.sort((a, b) => a.at_ns - b.at_ns);

/// What a node was at a time; undefined before anything is known of it.
function stateAt(node, at) {
  const states = statesOf[node];
  return states[lowerBound(states, at + 1e-6, (state) => state.at_ns) - 1];
}

/// Spans in which a node kept its part and term: what the diagram draws of it.
const spansOf = statesOf.map((states) => {
  const spans = [];
  for (const state of states) {
    const last = spans[spans.length - 1];
    if (last && last.role === state.role && last.term === state.term) continue;
    if (last) last.to = state.at_ns;
    spans.push({ from: state.at_ns, to: END, role: state.role, term: state.term, state });
  }
  return spans;
});

/// Faults of a node beside each other: the lane of each, so that none hides another.
const lanesOf = NODES.map((node) => {
  const ends = [], placed = [];
  const mine = report.faults.filter((fault) => fault.nodes.includes(node));
  for (const fault of mine.sort((a, b) => a.from_ns - b.from_ns)) {
    let lane = ends.findIndex((end) => end <= fault.from_ns);
    if (lane < 0) lane = ends.length;
    ends[lane] = Math.max(fault.to_ns, fault.from_ns + 1);
    placed.push({ fault, lane });
  }
  return { placed, lanes: ends.length };
});
const clusterFaults = report.faults.filter((fault) => fault.nodes.length === 0);

// -- everything that happened

const conflicts = new Set();
report.operations.forEach((operation, i) => operation.conflict && conflicts.add(i));
for (const finding of report.findings) for (const i of finding.operations) conflicts.add(i);

const items = [];
const item = (type, i, at, to, nodes, kind, text) =>
  items.push({ type, i, at, to, nodes, kind, text, find: `${kind} ${text}`.toLowerCase() });
report.messages.forEach((m, i) =>
  item(MESSAGE, i, m.sent_ns, m.received_ns ?? m.sent_ns, [m.from, m.to], m.received_ns === null ? `${m.kind} (lost)` : m.kind, m.text));
report.events.forEach((e, i) => item(EVENT, i, e.at_ns, e.at_ns, [e.node], e.kind, e.text));
spansOf.forEach((spans, node) =>
  spans.forEach((span, i) => item(STATE, i, span.from, span.from, [node], span.role, `node ${node} is ${span.role} in term ${span.term}`)));
report.faults.forEach((f, i) => item(FAULT, i, f.from_ns, f.to_ns, f.nodes.length ? f.nodes : NODES, f.kind, f.text));
report.operations.forEach((o, i) =>
  item(OPERATION, i, o.call_ns, o.return_ns ?? END, [o.node], o.outcome, `#${i} client ${o.client} ${o.session} ${o.request} ${o.answer}`));
items.sort(byTime);
items.forEach((entry, id) => { entry.id = id; });
const operationItem = new Map(items.filter((entry) => entry.type === OPERATION).map((entry) => [entry.i, entry]));
/// The longest flight: a message that is in view was sent at most so long before.
const FLIGHT_MAX = items.reduce((most, entry) => (entry.type === MESSAGE ? Math.max(most, entry.to - entry.at) : most), 0);

// -- filters

const kindKey = (entry) => `${GROUPS[entry.type]}/${entry.kind}`;
const kinds = new Map();
for (const entry of items) kinds.set(kindKey(entry), (kinds.get(kindKey(entry)) ?? 0) + 1);

const filter = { nodes: new Set(NODES), hidden: new Set(), text: "" };
const shown = { all: [], messages: [], events: [], bars: [], operations: new Set(), faults: new Set() };

/// Whether there is any filter at all.
const isFiltered = () => filter.text !== "" || filter.hidden.size > 0 || filter.nodes.size < NODES.length;

/// Computes anew what is shown. A thing between two nodes is shown when either is.
function applyFilter() {
  const passes = (entry) =>
    entry.nodes.some((node) => filter.nodes.has(node)) &&
    !filter.hidden.has(kindKey(entry)) &&
    (filter.text === "" || entry.find.includes(filter.text));
  shown.all = items.filter(passes);
  const of = (type) => shown.all.filter((entry) => entry.type === type);
  shown.messages = of(MESSAGE);
  shown.events = of(EVENT);
  shown.bars = of(OPERATION);
  shown.operations = new Set(shown.bars.map((entry) => entry.i));
  shown.faults = new Set(of(FAULT).map((entry) => report.faults[entry.i]));
}

// -- words

const nodeName = (node) => (node === 0 ? "clients" : `node ${node}`);
const seconds = (ns, decimals = 6) => (ns / 1e9).toFixed(decimals);

/// A length of time with the unit that suits it.
function span(ns) {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} µs`;
  if (ns < 1e9) return `${(ns / 1e6).toFixed(ns < 1e7 ? 2 : 1)} ms`;
  return `${(ns / 1e9).toFixed(2)} s`;
}

/// An element with its attributes and children.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
