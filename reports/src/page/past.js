"use strict";
// What a node could know at a moment: of each other node, everything up to a time, by the messages that had arrived.
//
// Only messages between nodes count. The clients share a machine, but not their knowledge. Source: Lamport, "Time,
// Clocks, and the Ordering of Events in a Distributed System" (1978), the relation "happened before".

/// Messages between nodes that arrived, the latest first; made when first asked for.
let arrivals = null;

/// Where and when a thing happened: the end of what it could depend on. None for what has no single place.
function placeInTime(entry) {
  if (entry.type === MESSAGE) {
    const m = report.messages[entry.i];
    return m.received_ns === null ? { node: m.from, at: m.sent_ns } : { node: m.to, at: m.received_ns };
  }
  if (entry.type === OPERATION) return { node: report.operations[entry.i].node, at: entry.to };
  return entry.type === FAULT ? null : { node: entry.nodes[0], at: entry.at };
}

/// Of each node the last moment that can have had an influence on what happened at a node at a time.
function pastOf({ node, at }) {
  arrivals ??= report.messages.filter((m) => m.received_ns !== null && m.from && m.to).sort((a, b) => b.received_ns - a.received_ns);
  const last = NODES.map(() => -1);
  last[node] = at;
  for (let n = lowerBound(arrivals, -at, (m) => -m.received_ns); n < arrivals.length; n++) {
    // Later arrivals cannot matter any more: a message leaves before it arrives.
    const { from, to, sent_ns, received_ns } = arrivals[n];
    if (received_ns <= last[to] && sent_ns > last[from]) last[from] = sent_ns;
  }
  return last;
}

let past = null;

/// The past of the thing that is chosen.
function pastOfChosen() {
  const place = chosen && placeInTime(chosen);
  if (!place || place.node === 0 || report.nodes < 2) return null;
  if (past?.entry !== chosen) past = { entry: chosen, ...place, last: pastOf(place) };
  return past;
}

/// A line through the columns: what is above it can have had an influence on what is chosen.
function drawPast(c) {
  const shown = pastOfChosen();
  if (!shown) return;
  const points = NODES.slice(1).map((node) => [size.x[node], Math.max(HEAD - 30, Math.min(size.height + 30, y(Math.max(0, shown.last[node]))))]);
  c.strokeStyle = c.fillStyle = palette.accent;
  c.lineWidth = 1.5;
  c.setLineDash([2, 3]);
  c.beginPath();
  points.forEach(([x, py]) => c.lineTo(x, py));
  c.stroke();
  c.setLineDash([]);
  for (const [x, py] of points) {
    c.beginPath();
    c.arc(x, py, 3.5, 0, 7);
    c.fill();
  }
}

/// The same in words.
function toldPast() {
  const shown = pastOfChosen();
  if (!shown) return [];
  const row = (node) => {
    const last = shown.last[node], ago = span(Math.max(0, shown.at - last));
    return el("li", {}, `of node ${node}: `, last < 0 ? "nothing" : el("span", { class: "mono" }, `${seconds(last)} s`), last < 0 ? "" : `, ${ago} before`);
  };
  const others = NODES.slice(1).filter((node) => node !== shown.node);
  return [el("div", { id: "past" }, el("h2", {}, `Node ${shown.node} could know`), el("ul", { class: "past" }, ...others.map(row)))];
}
