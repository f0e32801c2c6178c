"use strict";
// What the pointer is at: found in what is drawn, and drawn above it.

function drawOver() {
  const c = over;
  c.clearRect(0, 0, size.width, size.height);
  c.save();
  c.beginPath();
  c.rect(0, HEAD, size.width, size.height - HEAD);
  c.clip();
  drawPast(c);
  c.restore();
  for (const i of marked) if (operationItem.has(i)) outline(c, operationItem.get(i), palette.accent);
  if (pointer.over && pointer.over !== chosen) outline(c, pointer.over, palette.soft);
  if (chosen) outline(c, chosen, palette.accent);
  const at = now();
  if (at === null || at < view.from || at > view.to) return;
  const py = Math.round(y(at)) + 0.5;
  c.fillStyle = held === null ? palette.soft : palette.accent;
  c.globalAlpha = 0.55;
  c.fillRect(size.gutter, py - 0.5, size.width - size.gutter, 1);
  c.globalAlpha = 1;
  c.font = `11px ${palette.mono}`;
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.fillRect(0, py - 9, size.gutter - 2, 18);
  c.fillStyle = palette.card;
  c.fillText(seconds(at, size.narrow ? 3 : 6), size.gutter - 7, py);
}

function outline(c, entry, colour) {
  c.strokeStyle = c.fillStyle = colour;
  c.lineWidth = 2.5;
  if (entry.type === MESSAGE) {
    const line = clipped(flight(entry));
    strokeAll(c, [line]);
    c.lineWidth = 2.5;
    if (line.lost) cross(c, line.x1, line.y1, 5);
    else arrowhead(c, line);
    return;
  }
  c.lineWidth = 2;
  if (entry.type === OPERATION) {
    const x = laneX(report.operations[entry.i].client), width = Math.max(1.5, Math.min(10, size.lane - 2));
    const top = Math.max(HEAD, y(entry.at)), bottom = Math.min(size.height, y(entry.to));
    if (bottom >= HEAD) c.strokeRect(x - 2.5, top - 2.5, width + 5, Math.max(6, bottom - top + 5));
    return;
  }
  for (const node of entry.type === FAULT ? report.faults[entry.i].nodes : entry.nodes) {
    c.beginPath();
    c.arc(size.x[node], y(entry.at), 7, 0, 7);
    if (y(entry.at) >= HEAD) c.stroke();
  }
}

/// The thing that is drawn nearest to a place, if it is near.
function hit(px, py) {
  let best = null, nearest = 9;
  const offer = (entry, distance) => {
    if (distance < nearest) [best, nearest] = [entry, distance];
  };
  if (px > size.width - size.lanes) {
    for (const entry of shown.bars)
      if (isInView(entry.at, entry.to)) {
        const x = laneX(report.operations[entry.i].client) + Math.min(5, size.lane / 2);
        offer(entry, Math.hypot(px - x, Math.max(0, y(entry.at) - py, py - y(entry.to))));
      }
    return best;
  }
  // A point is harder to hit than a line: it wins when both are near.
  for (const entry of inView(shown.events)) offer(entry, Math.hypot(px - size.x[entry.nodes[0]], py - y(entry.at)) - 3);
  for (const entry of isCrowded ? [] : inView(shown.messages, FLIGHT_MAX)) offer(entry, distanceTo(clipped(flight(entry)), px, py));
  return best ?? faultAt(px, py);
}

function distanceTo({ x0, y0, x1, y1 }, px, py) {
  const dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
  const share = length ? Math.max(0, Math.min(1, ((px - x0) * dx + (py - y0) * dy) / length)) : 0;
  return Math.hypot(px - x0 - share * dx, py - y0 - share * dy);
}

function faultAt(px, py) {
  const at = timeAt(py), node = Math.floor((px - size.gutter) / size.column);
  const isHere = ({ from_ns, to_ns, nodes }) => from_ns <= at && at <= to_ns && (!nodes.length || nodes.includes(node));
  const isNear = px > (size.x[node] ?? Infinity) + 7;
  const found = isNear ? items.find((entry) => entry.type === FAULT && isHere(report.faults[entry.i]) && shown.faults.has(report.faults[entry.i])) : null;
  return found ?? null;
}
