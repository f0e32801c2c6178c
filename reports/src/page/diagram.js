"use strict";
// The space-time diagram: a column a node, time downward. Only what is in view is drawn. The lower canvas has what
// happened, the upper what the pointer is at, so that moving the pointer draws little.

const HEAD = 30, SPAN_MIN = 2_000, LABELS_MAX = 70, ARROWS_MAX = 900, CHUNK = 400, SLOW = 7, ROW_HEIGHT = 2;
const view = { from: 0, to: END };
const size = { width: 0, height: 0, gutter: 64, column: 0, lanes: 0, lane: 0, x: [] };
const palette = {};
/// Whether there are too many messages in view to draw, and point at, each.
let isCrowded = false;
const timing = { base: 0, worst: 0 };

const stage = document.querySelector(".stage");
const base = byId("base").getContext("2d");
const over = byId("over").getContext("2d");

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["card", "ink", "soft", "faint", "line", "line-soft", "accent", "accent-soft", "safety", "safety-soft",
    "liveness", "unknown", "fault", "fault-fill", "grey-fill", "peer", "client", "lost", "sans", "mono"])
    palette[name] = style.getPropertyValue(`--${name}`).trim();
  palette.terms = [0, 1, 2, 3, 4, 5].map((n) => style.getPropertyValue(`--term-${n}`).trim());
}

const termColour = (term) => (term === 0 ? palette.faint : palette.terms[(term - 1) % palette.terms.length]);

/// Fits a canvas to its box, in the screen's own pixels.
function fit(context, box) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (context.canvas.width !== width || context.canvas.height !== height)
    Object.assign(context.canvas, { width, height });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function measure() {
  const box = stage.getBoundingClientRect();
  fit(base, box);
  fit(over, box);
  const { width, height } = box, narrow = width < 620;
  const gutter = narrow ? 46 : 78;
  const clients = report.clients || 1;
  const lanes = report.operations.length ? Math.min(width * (narrow ? 0.18 : 0.24), clients * 16 + 20) : 0;
  const column = (width - gutter - lanes) / NODES.length;
  Object.assign(size, { width, height, gutter, column, lanes, narrow, lane: Math.max(1.5, (lanes - 12) / clients) });
  size.x = NODES.map((node) => gutter + column * (node + 0.5));
}

const y = (at) => HEAD + ((at - view.from) / (view.to - view.from)) * (size.height - HEAD);
const timeAt = (py) => view.from + ((py - HEAD) / (size.height - HEAD)) * (view.to - view.from);
const isInView = (from, to) => to >= view.from && from <= view.to;
const laneX = (client) => size.width - size.lanes + 8 + (client % (report.clients || 1)) * size.lane;

/// Moves the view: `from` to `to`, kept inside the run.
function look(from, to) {
  const length = Math.min(END, Math.max(SPAN_MIN, to - from));
  view.from = Math.min(Math.max(0, from + (to - from - length) / 2), END - length);
  view.to = view.from + length;
  redraw();
}

function zoom(factor, at = pointer.at ?? (view.from + view.to) / 2) {
  const share = (at - view.from) / (view.to - view.from);
  const length = Math.min(END, Math.max(SPAN_MIN, (view.to - view.from) * factor));
  look(at - share * length, at + (1 - share) * length);
}

const pan = (ns) => look(view.from + ns, view.to + ns);

// -- frames

let isStale = true, isAsked = false;
function ask() {
  if (!isAsked) requestAnimationFrame(frame);
  isAsked = true;
}
/// What happened must be drawn again.
function redraw() {
  isStale = true;
  ask();
}
function frame() {
  isAsked = false;
  if (isStale) {
    isStale = false;
    const began = performance.now();
    drawBase();
    drawOverview();
    timing.base = performance.now() - began;
    timing.worst = Math.max(timing.worst, timing.base);
  }
  drawOver();
  showPanel();
}

/// Draws at once, and tells how long it took in milliseconds.
function frameNow() {
  isStale = true;
  frame();
  return timing.base;
}

function drawBase() {
  const c = base;
  c.fillStyle = palette.card;
  c.fillRect(0, 0, size.width, size.height);
  c.save();
  c.beginPath();
  c.rect(0, HEAD, size.width, size.height - HEAD);
  c.clip();
  drawClusterFaults(c);
  drawGrid(c);
  const messages = inView(shown.messages, FLIGHT_MAX);
  isCrowded = messages.length > ARROWS_MAX;
  NODES.forEach((node) => drawFaults(c, node));
  if (isCrowded) drawTraffic(c, messages);
  drawFacts(c);
  NODES.forEach((node) => drawLife(c, node));
  if (!isCrowded) drawMessages(c, messages);
  drawEvents(c);
  drawOperations(c);
  c.restore();
  drawHead(c);
}

// -- the frame around it

/// The distance of ticks: 1, 2 or 5 of a power of ten, at least 52 pixels apart.
function tickStep() {
  const least = (52 * (view.to - view.from)) / (size.height - HEAD);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least);
}

function drawGrid(c) {
  const step = tickStep();
  const decimals = Math.min(9, Math.max(0, Math.ceil(9 - Math.log10(step) - 1e-9)));
  c.font = `11px ${palette.mono}`;
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const py = Math.round(y(at)) + 0.5;
    c.fillStyle = palette["line-soft"];
    c.fillRect(size.gutter, py - 0.5, size.width - size.gutter, 1);
    c.fillStyle = palette.faint;
    if (py > HEAD + 8) c.fillText(seconds(at, decimals), size.gutter - 8, py);
  }
}

function drawHead(c) {
  c.fillStyle = palette.card;
  c.fillRect(0, 0, size.width, HEAD);
  c.fillStyle = palette.line;
  c.fillRect(0, HEAD - 1, size.width, 1);
  c.textBaseline = "middle";
  c.font = `600 12px ${palette.sans}`;
  c.textAlign = "center";
  for (const node of NODES) {
    c.fillStyle = filter.nodes.has(node) ? palette.ink : palette.faint;
    c.fillText(size.column < 62 && node > 0 ? String(node) : nodeName(node), size.x[node], HEAD / 2, size.column - 4);
  }
  c.font = `11px ${palette.sans}`;
  c.fillStyle = palette.faint;
  c.textAlign = "right";
  c.fillText("s", size.gutter - 8, HEAD / 2);
  c.textAlign = "center";
  const title = size.lanes > 126 ? "operations by client" : size.lanes > 70 ? "operations" : size.lanes ? "ops" : "";
  c.fillText(title, size.width - size.lanes / 2, HEAD / 2);
  if (size.lanes) {
    c.fillStyle = palette.line;
    c.fillRect(size.width - size.lanes, 0, 1, size.height);
  }
}

/// Text on a ground of its own that ends in an ellipsis where it does not fit. The baseline is the middle.
function write(c, text, x, py, width) {
  const fits = Math.floor(width / 5.9);
  if (fits < 4) return;
  const short = text.length > fits ? `${text.slice(0, fits - 1)}…` : text, colour = c.fillStyle;
  const long = c.measureText(short).width;
  c.globalAlpha = 0.82;
  c.fillStyle = palette.card;
  c.fillRect(c.textAlign === "right" ? x - long - 2 : x - 2, py - 6, long + 4, 12);
  c.globalAlpha = 1;
  c.fillStyle = colour;
  c.fillText(short, x, py);
}

// -- faults

const faultColours = (fault) =>
  fault.mattered === false
    ? { fill: palette["grey-fill"], edge: palette.faint }
    : { fill: palette["fault-fill"], edge: palette.fault };

function faultBox(c, fault, x, width) {
  const top = Math.max(HEAD - 4, y(fault.from_ns)), bottom = Math.min(size.height + 4, y(fault.to_ns));
  const height = Math.max(2, bottom - top), { fill, edge } = faultColours(fault);
  c.globalAlpha = shown.faults.has(fault) ? 1 : 0.12;
  if (fault.took_effect) {
    c.fillStyle = fill;
    c.fillRect(x, top, width, height);
    c.fillStyle = edge;
    c.fillRect(x, top, fault.mattered ? 3 : 1.5, height);
  } else {
    c.strokeStyle = edge;
    c.lineWidth = 1;
    c.setLineDash([2, 2]);
    c.strokeRect(x + 0.5, top + 0.5, Math.max(1, width - 1), Math.max(1, height - 1));
    c.setLineDash([]);
  }
  c.globalAlpha = 1;
  return top;
}

function drawFaults(c, node) {
  const { placed, lanes } = lanesOf[node];
  if (!lanes) return;
  const left = size.x[node] + 9, width = Math.max(2, Math.min(11, (size.column / 2 - 12) / lanes));
  c.font = `11px ${palette.sans}`;
  c.textAlign = "left";
  c.textBaseline = "middle";
  let free = HEAD;
  for (const { fault, lane } of placed) {
    if (!isInView(fault.from_ns, fault.to_ns)) continue;
    const top = Math.max(HEAD + 9, faultBox(c, fault, left + lane * width, width - 1) + 7);
    if (top < free || !shown.faults.has(fault)) continue;
    free = top + 14;
    c.fillStyle = fault.mattered === false ? palette.faint : palette.soft;
    const at = timeAt(top), beside = placed.filter((other) => other.fault.from_ns <= at && at <= other.fault.to_ns);
    const x = left + (beside.reduce((most, other) => Math.max(most, other.lane), lane) + 1) * width + 4;
    write(c, fault.kind, x, top, Math.min(size.x[node] + size.column * 0.86, size.width - size.lanes - 6) - x);
  }
}

function drawClusterFaults(c) {
  c.font = `11px ${palette.sans}`;
  c.textAlign = "left";
  c.textBaseline = "middle";
  for (const fault of clusterFaults) {
    if (!isInView(fault.from_ns, fault.to_ns)) continue;
    const top = faultBox(c, fault, size.gutter, size.width - size.gutter - size.lanes);
    c.fillStyle = palette.soft;
    if (shown.faults.has(fault)) write(c, fault.kind, size.gutter + 8, Math.max(HEAD + 9, top + 9), size.column / 2 - 16);
  }
}

// -- nodes

const LIFE = {
  leader: { width: 11 }, follower: { width: 2 }, candidate: { width: 6, dash: [4, 3] }, "pre-candidate": { width: 4, dash: [2, 3] },
  recovering: { width: 3, dash: [8, 4] }, paused: { width: 13, plain: true }, down: { width: 13, plain: true },
};

function drawLife(c, node) {
  const x = size.x[node];
  if (node === 0) {
    c.fillStyle = palette.line;
    c.fillRect(x - 1, HEAD, 2, size.height);
  }
  c.globalAlpha = filter.nodes.has(node) ? 1 : 0.3;
  for (const life of spansOf[node]) {
    if (!isInView(life.from, life.to)) continue;
    const top = Math.max(HEAD - 20, y(life.from)), bottom = Math.min(size.height + 20, y(life.to));
    drawPart(c, life, x, top, bottom);
  }
  c.globalAlpha = 1;
}

function drawPart(c, life, x, top, bottom) {
  const { width, dash, plain } = LIFE[life.role];
  const height = Math.max(1, bottom - top);
  if (plain) return drawStopped(c, life.role, x, top, height, width);
  c.strokeStyle = c.fillStyle = termColour(life.term);
  if (dash) {
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    c.moveTo(x, top);
    c.lineTo(x, top + height);
    c.stroke();
    c.setLineDash([]);
  } else c.fillRect(x - width / 2, top, width, height);
  if (life.role === "leader" && height >= 14) {
    c.font = `600 11px ${palette.sans}`;
    c.textAlign = "right";
    c.textBaseline = "top";
    c.fillText(`t${life.term}`, x - 9, Math.max(top, HEAD + 2) + 1);
  }
}

/// A process that stands still is two lines, one that is not there an empty frame; both say so.
function drawStopped(c, role, x, top, height, width) {
  c.fillStyle = palette["grey-fill"];
  c.fillRect(x - width / 2, top, width, height);
  c.fillStyle = palette.soft;
  if (role === "paused") {
    c.fillRect(x - 3.5, top, 2, height);
    c.fillRect(x + 1.5, top, 2, height);
  } else {
    c.strokeStyle = palette.faint;
    c.lineWidth = 1;
    c.strokeRect(x - width / 2 + 0.5, top + 0.5, width - 1, Math.max(1, height - 1));
  }
  if (height < 16 || size.column < 62) return;
  c.font = `11px ${palette.sans}`;
  c.textAlign = "right";
  c.textBaseline = "top";
  c.fillText(role, x - width / 2 - 4, Math.max(top, HEAD + 2) + 1);
}

// -- messages

/// Tells of each place whether it is the first there: things that fall on the same pixels are drawn once.
function firsts(lanes) {
  const rows = Math.ceil(size.height) + 1, taken = new Uint8Array(lanes * rows);
  return (lane, py) => {
    if (py < 0 || py >= rows) return true;
    const at = lane * rows + (py | 0), isFirst = taken[at] === 0;
    taken[at] = 1;
    return isFirst;
  };
}

/// The items of a list that are in view.
function inView(list, before = 0) {
  const seen = [], first = lowerBound(list, view.from - before, (entry) => entry.at);
  for (let at = first; at < list.length && list[at].at <= view.to; at++) if (list[at].to >= view.from) seen.push(list[at]);
  return seen;
}

/// Where a message is drawn. A lost one ends before the receiver, where the time of a usual flight would be.
function flight(entry) {
  const m = report.messages[entry.i];
  const x0 = size.x[m.from], x1 = size.x[m.to], y0 = y(m.sent_ns);
  if (m.received_ns !== null) return { x0, y0, x1, y1: y(m.received_ns), lost: false };
  return { x0, y0, x1: x0 + (x1 - x0) * 0.72, y1: y0 + Math.min(26, Math.abs(x1 - x0) * 0.12), lost: true };
}

/// The part of a line that is in the canvas: far ends would lose precision.
function clipped(line) {
  const { x0, y0, x1, y1 } = line, low = -40, high = size.height + 40;
  if (y0 >= low && y1 <= high) return line;
  const at = (py) => x0 + ((x1 - x0) * (py - y0)) / (y1 - y0);
  return {
    ...line, x0: y0 < low ? at(low) : x0, y0: Math.max(y0, low), x1: y1 > high ? at(high) : x1, y1: Math.min(y1, high),
  };
}

function drawMessages(c, messages) {
  const lines = { peer: [], client: [], lost: [] };
  for (const entry of messages) {
    const line = clipped(flight(entry)), [from, to] = entry.nodes;
    lines[line.lost ? "lost" : from && to ? "peer" : "client"].push(line);
  }
  c.lineWidth = 1;
  c.globalAlpha = messages.length > ARROWS_MAX / 3 ? 0.6 : 0.85;
  for (const [name, list] of Object.entries(lines)) {
    c.strokeStyle = c.fillStyle = palette[name];
    strokeAll(c, list);
    list.forEach((line) => (line.lost ? cross(c, line.x1, line.y1) : arrowhead(c, line)));
  }
  c.globalAlpha = 1;
  if (messages.length <= LABELS_MAX && !size.narrow) labelMessages(c, messages);
}

/// Many messages: usual ones are a wash between two columns, delayed ones still lines, lost ones ticks at the receiver.
function drawTraffic(c, messages) {
  const rows = Math.ceil(size.height / ROW_HEIGHT) + 1, washes = [], slow = { peer: [], client: [] };
  const scale = (size.height - HEAD) / (view.to - view.from), isFirst = firsts(NODES.length * 2);
  c.fillStyle = palette.lost;
  c.globalAlpha = 0.8;
  for (const entry of messages) {
    const { from, to, sent_ns: sent, received_ns: received } = report.messages[entry.i];
    const py = HEAD + (sent - view.from) * scale;
    if (received === null) {
      if (isFirst(from < to ? to : to + NODES.length, py)) c.fillRect(size.x[to] - Math.sign(to - from) * 11 - 3, py, 6, 1.5);
    } else if ((received - sent) * scale > SLOW) slow[from && to ? "peer" : "client"].push(clipped(flight(entry)));
    else {
      const pair = Math.min(from, to) * NODES.length + Math.max(from, to);
      washes[pair] ??= new Uint8Array(rows);
      washes[pair][(py / ROW_HEIGHT) | 0] = 1;
    }
  }
  washes.forEach((wash, pair) => {
    const low = Math.floor(pair / NODES.length), high = pair % NODES.length;
    c.fillStyle = low === 0 ? palette.client : palette.peer;
    c.globalAlpha = low === 0 ? 0.06 : 0.1;
    fillRuns(c, wash, size.x[low], size.x[high] - size.x[low]);
  });
  c.lineWidth = 1;
  c.globalAlpha = 0.55;
  for (const [way, list] of Object.entries(slow)) {
    c.strokeStyle = palette[way];
    strokeAll(c, list);
  }
  c.globalAlpha = 1;
}

/// Fills the rows that are set; rows that follow each other at once.
function fillRuns(c, rows, x, width) {
  for (let at = 0; at < rows.length; at++) {
    if (!rows[at]) continue;
    const begin = at;
    while (rows[at + 1]) at++;
    c.fillRect(x, begin * ROW_HEIGHT, width, (at + 1 - begin) * ROW_HEIGHT);
  }
}

function strokeAll(c, lines) {
  for (let begin = 0; begin < lines.length; begin += CHUNK) {
    c.beginPath();
    for (let i = begin; i < Math.min(lines.length, begin + CHUNK); i++) {
      c.moveTo(lines[i].x0, lines[i].y0);
      c.lineTo(lines[i].x1, lines[i].y1);
    }
    c.stroke();
  }
}

function arrowhead(c, { x0, y0, x1, y1 }) {
  const angle = Math.atan2(y1 - y0, x1 - x0), tip = x1 - Math.sign(x1 - x0) * 2;
  c.beginPath();
  c.moveTo(tip, y1);
  c.lineTo(tip - 8 * Math.cos(angle - 0.36), y1 - 8 * Math.sin(angle - 0.36));
  c.lineTo(tip - 8 * Math.cos(angle + 0.36), y1 - 8 * Math.sin(angle + 0.36));
  c.fill();
}

function cross(c, x, py, arm = 4) {
  c.lineWidth = 1.8;
  c.beginPath();
  c.moveTo(x - arm, py - arm);
  c.lineTo(x + arm, py + arm);
  c.moveTo(x - arm, py + arm);
  c.lineTo(x + arm, py - arm);
  c.stroke();
  c.lineWidth = 1;
}

function labelMessages(c, seen) {
  c.font = `10.5px ${palette.sans}`;
  c.textBaseline = "bottom";
  const free = new Map();
  for (const entry of seen) {
    const { x0, y0, x1, y1 } = flight(entry), right = x1 > x0, slot = `${x0} ${right}`;
    const x = x0 + (right ? 1 : -1) * Math.min(34, size.column * 0.3), py = y0 + ((y1 - y0) * Math.abs(x - x0)) / Math.max(1, Math.abs(x1 - x0)) - 1;
    if (py < (free.get(slot) ?? HEAD + 12)) continue;
    free.set(slot, py + 12);
    c.textAlign = right ? "left" : "right";
    const width = c.measureText(entry.kind).width;
    c.fillStyle = palette.card;
    c.globalAlpha = 0.8;
    c.fillRect(right ? x : x - width, py - 11, width, 11);
    c.globalAlpha = 1;
    c.fillStyle = report.messages[entry.i].received_ns === null ? palette.lost : palette.soft;
    c.fillText(entry.kind, x, py);
  }
}

// -- events

function drawEvents(c) {
  const seen = inView(shown.events), isFirst = firsts(NODES.length), isDense = seen.length > ARROWS_MAX / 2;
  for (const entry of seen) {
    const node = entry.nodes[0], py = y(entry.at);
    if (!isFirst(node, py)) continue;
    if (isDense) tick(c, size.x[node], py);
    else diamond(c, size.x[node], py, entry.kind);
  }
  c.globalAlpha = 1;
  if (seen.length <= LABELS_MAX && !size.narrow) labelEvents(c, seen);
}

function labelEvents(c, seen) {
  const free = NODES.map(() => HEAD);
  c.font = `10.5px ${palette.sans}`;
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillStyle = palette.soft;
  for (const entry of seen) {
    const node = entry.nodes[0], py = y(entry.at);
    if (py < free[node]) continue;
    free[node] = py + 13;
    write(c, entry.text, size.x[node] - 12, py, size.column * 0.82 - 14);
  }
}

/// Of many events, only that there are some.
function tick(c, x, py) {
  c.globalAlpha = 0.5;
  c.fillStyle = palette.soft;
  c.fillRect(x - 12, py - 0.5, 5, 1);
}

function diamond(c, x, py, kind) {
  const r = 3.4;
  c.beginPath();
  c.moveTo(x, py - r);
  c.lineTo(x + r, py);
  c.lineTo(x, py + r);
  c.lineTo(x - r, py);
  c.closePath();
  c.fillStyle = kind === "sometimes" ? palette.card : palette.ink;
  c.fill();
  c.strokeStyle = kind === "sometimes" ? palette.ink : palette.card;
  c.lineWidth = 1;
  c.stroke();
}

// -- operations

function operationColour(operation) {
  if (operation.outcome === "ok") return palette.client;
  return operation.outcome === "error" ? palette.liveness : palette.unknown;
}

/// Bars that look alike share a lane: of the same client, with the same outcome.
function operationLane(entry) {
  const { client, outcome } = report.operations[entry.i];
  return (client % (report.clients || 1)) * 4 + ["ok", "error", "unknown"].indexOf(outcome);
}

function drawOperations(c) {
  if (!size.lanes) return;
  const late = [], isFirst = firsts((report.clients || 1) * 4);
  for (const entry of shown.bars) {
    if (entry.at > view.to) break;
    if (entry.to < view.from) continue;
    if (conflicts.has(entry.i)) late.push(entry);
    else if (isFirst(operationLane(entry), y(entry.at)) || y(entry.to) - y(entry.at) > 2) operationBar(c, entry);
  }
  late.forEach((entry) => operationBar(c, entry));
  let free = HEAD;
  c.font = `600 11px ${palette.sans}`;
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillStyle = palette.safety;
  for (const entry of late) {
    const py = Math.max(HEAD + 8, y(entry.at));
    if (py < free) continue;
    free = py + 13;
    c.fillText(`#${entry.i} ▸`, laneX(report.operations[entry.i].client) - 2, py);
  }
}

function operationBar(c, entry) {
  const operation = report.operations[entry.i], conflict = conflicts.has(entry.i);
  const x = laneX(operation.client), width = Math.max(1.5, Math.min(10, size.lane - 2));
  const top = Math.max(HEAD - 4, y(entry.at)), height = Math.max(2, Math.min(size.height + 4, y(entry.to)) - top);
  c.fillStyle = c.strokeStyle = conflict ? palette.safety : operationColour(operation);
  if (operation.return_ns === null) {
    // It may take effect at any time from now on: a line that goes on beside what comes later.
    c.globalAlpha = 0.5;
    c.fillRect(x - 1.5, top, 1, height);
    c.globalAlpha = 1;
    c.fillRect(x - 1.5, top, width + 1.5, 2);
  } else if (operation.outcome === "error" && !conflict) {
    c.lineWidth = 1;
    c.strokeRect(x + 0.5, top + 0.5, Math.max(1, width - 1), Math.max(1, height - 1));
  } else c.fillRect(x, top, width, Math.max(conflict ? 4 : 2, height));
}

/// The facts that contradict each other: a line across everything.
function drawFacts(c) {
  c.strokeStyle = palette.safety;
  c.setLineDash([5, 4]);
  c.lineWidth = 1;
  for (const fact of report.explanation?.facts ?? []) {
    if (!isInView(fact.at_ns, fact.at_ns)) continue;
    const py = Math.round(y(fact.at_ns)) + 0.5;
    c.beginPath();
    c.moveTo(size.gutter, py);
    c.lineTo(size.width, py);
    c.stroke();
  }
  c.setLineDash([]);
}
