"use strict";
// The whole run in a strip: where the view is, and where it is worth going.

const overview = byId("overview").getContext("2d");
let overviewKey = "", overviewPicture = null;

function drawOverview() {
  const box = overview.canvas.parentElement.getBoundingClientRect();
  fit(overview, box);
  const key = [box.width, box.height, palette.card, shown.all.length, filter.text, ...filter.nodes].join();
  if (key !== overviewKey) {
    overviewKey = key;
    overviewPicture = paintOverview(box);
  }
  const c = overview, ratio = window.devicePixelRatio || 1, scale = box.height / END;
  c.drawImage(overviewPicture, 0, 0, overviewPicture.width / ratio, overviewPicture.height / ratio);
  const top = view.from * scale, height = Math.max(4, (view.to - view.from) * scale);
  c.fillStyle = palette.accent;
  c.globalAlpha = 0.13;
  c.fillRect(0, top, box.width, height);
  c.globalAlpha = 1;
  c.strokeStyle = palette.accent;
  c.lineWidth = 1.5;
  c.strokeRect(0.75, top + 0.75, box.width - 1.5, Math.max(2, height - 1.5));
}

/// Who leads, how much happens, faults, conflicts; painted once for a filter.
function paintOverview(box) {
  const picture = document.createElement("canvas"), c = picture.getContext("2d");
  fit(c, box);
  c.fillStyle = palette.card;
  c.fillRect(0, 0, box.width, box.height);
  const rows = Math.max(1, Math.ceil(box.height / 2)), counts = new Uint32Array(rows), scale = box.height / END;
  for (const entry of shown.all) counts[Math.min(rows - 1, Math.floor((entry.at * scale) / 2))]++;
  const most = counts.reduce((a, b) => Math.max(a, b), 1), left = 14, room = box.width - left - 2;
  c.fillStyle = palette.peer;
  counts.forEach((count, row) => count && c.fillRect(left, row * 2, Math.max(1, Math.sqrt(count / most) * room), 1.5));
  for (const fault of report.faults) {
    c.fillStyle = faultColours(fault).edge;
    c.globalAlpha = 0.8;
    c.fillRect(8, fault.from_ns * scale, 4, Math.max(1, (fault.to_ns - fault.from_ns) * scale));
  }
  c.globalAlpha = 1;
  for (const life of spansOf.flat().filter((life) => life.role === "leader")) {
    c.fillStyle = termColour(life.term);
    c.fillRect(1, life.from * scale, 5, Math.max(1, (life.to - life.from) * scale));
  }
  c.fillStyle = palette.safety;
  for (const i of conflicts) c.fillRect(0, report.operations[i]?.call_ns * scale - 1, box.width, 2);
  return picture;
}
