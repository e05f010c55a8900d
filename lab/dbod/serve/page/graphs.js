// Graphs as SVG, drawn from the API's rows; times in UTC.

const SPACE = "http://www.w3.org/2000/svg";
export const STATES = ["RUNNING", "MAINTENANCE", "STOPPED", "UNKNOWN"];

function draw(tag, attributes = {}, ...inside) {
  const made = document.createElementNS(SPACE, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function frame(width, height, what) {
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": what });
}

const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

function times(svg, from, to, x, y, count) {
  const step = (to - from) / count;
  for (let i = 0; i <= count; i++) {
    const at = from + i * step;
    svg.append(draw("text", { x: x(at), y, "text-anchor": i === 0 ? "start" : i === count ? "end" : "middle" }, clock(at)));
  }
}

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most);
}

function levels(svg, most, unit, left, right, y) {
  for (const part of [0, 0.5, 1]) {
    svg.append(draw("line", { class: "axis", x1: left, x2: right, y1: y(most * part), y2: y(most * part) }));
    if (part === 0 || Number.isInteger(most * part) || unit)
      svg.append(draw("text", { x: left - 6, y: y(most * part) + 3, "text-anchor": "end" }, `${+(most * part).toPrecision(3)}${unit}`));
  }
}

// One instance: how long its answer took, and a strip of its states.
export function answers(rows, hours) {
  const [width, height, left, right, top, bottom] = [760, 190, 52, 752, 12, 138];
  const svg = frame(width, height, "answer times and states");
  const to = Date.now() / 1000, from = to - hours * 3600;
  const x = (at) => left + ((at - from) / (to - from)) * (right - left);
  const measured = rows.filter((row) => row.state === "RUNNING" && row.seconds !== null);
  const most = nice(Math.max(1, ...measured.map((row) => row.seconds * 1000)));
  const y = (ms) => bottom - (ms / most) * (bottom - top);
  levels(svg, most, " ms", left, right, y);
  let part = [];
  const flush = () => {
    if (part.length) {
      const line = part.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
      svg.append(draw("polygon", { class: "under", points: `${part[0][0]},${bottom} ${line} ${part.at(-1)[0]},${bottom}` }));
      svg.append(draw("polyline", { class: "line", points: line }));
    }
    part = [];
  };
  let before = 0;
  for (const row of measured) {
    if (row.at - before > 300) flush();
    part.push([x(row.at), y(row.seconds * 1000)]);
    before = row.at;
  }
  flush();
  rows.forEach((row, i) => {
    const end = Math.min(rows[i + 1]?.at ?? to, row.at + 150);
    const bar = draw("rect", { class: `s-${row.state}`, x: x(row.at), y: 150, width: x(end) - x(row.at) + 0.6, height: 12 });
    bar.append(draw("title", {}, `${clock(row.at)} ${row.state}`));
    svg.append(bar);
  });
  svg.append(draw("text", { x: left - 6, y: 160, "text-anchor": "end" }, "state"));
  times(svg, from, to, x, 180, 6);
  return svg;
}

// All instances: how many were in which state at each look; looks are gathered so that a bar is a few pixels.
export function fleet(rows, hours) {
  const [width, height, left, right, top, bottom] = [760, 165, 34, 752, 10, 137];
  const svg = frame(width, height, "instances by state");
  const to = Date.now() / 1000, from = to - hours * 3600, slots = 144, span = (to - from) / slots;
  const found = Array.from({ length: slots }, () => null);
  for (const row of rows) {
    const slot = Math.min(slots - 1, Math.floor((row.at - from) / span));
    if (slot < 0) continue;
    if (!found[slot] || found[slot].at !== row.at) found[slot] = { at: row.at, seen: {} };
    found[slot].seen[row.state] = row.n;
  }
  const total = (slot) => (slot ? Object.values(slot.seen).reduce((a, b) => a + b, 0) : 0);
  const most = Math.max(1, ...found.map(total));
  const y = (n) => bottom - (n / most) * (bottom - top);
  const x = (at) => left + ((at - from) / (to - from)) * (right - left);
  levels(svg, most, "", left, right, y);
  found.forEach((slot, i) => {
    if (!slot) return;
    let below = 0;
    for (const state of STATES) {
      const n = slot.seen[state] ?? 0;
      if (!n) continue;
      const bar = draw("rect", { class: `s-${state}`, x: left + (i * (right - left)) / slots, y: y(below + n), width: (right - left) / slots - 0.4, height: y(below) - y(below + n) });
      bar.append(draw("title", {}, `${clock(slot.at)} ${n} ${state}`));
      svg.append(bar);
      below += n;
    }
  });
  times(svg, from, to, x, 157, 6);
  return svg;
}

// Backups that were tried, by day: by the schedule, by hand, failed.
export function backups(rows, days) {
  const [width, height, left, right, top, bottom] = [400, 170, 28, 396, 10, 142];
  const svg = frame(width, height, "backups a day");
  const list = Array.from({ length: days }, (_, i) => new Date(Date.now() - (days - 1 - i) * 86400000).toISOString().slice(0, 10));
  const parts = { automatic: {}, hand: {}, failed: {} };
  for (const row of rows) {
    const kind = row.failed ? "failed" : row.automatic ? "automatic" : "hand";
    parts[kind][row.day] = (parts[kind][row.day] ?? 0) + row.n;
  }
  const total = (day) => Object.values(parts).reduce((sum, part) => sum + (part[day] ?? 0), 0);
  const most = Math.max(2, ...list.map(total));
  const y = (n) => bottom - (n / most) * (bottom - top);
  levels(svg, most, "", left, right, y);
  const step = (right - left) / days;
  list.forEach((day, i) => {
    let below = 0;
    for (const [kind, part] of Object.entries(parts)) {
      const n = part[day] ?? 0;
      if (!n) continue;
      const bar = draw("rect", { class: `b-${kind}`, x: left + i * step + step * 0.15, y: y(below + n), width: step * 0.7, height: y(below) - y(below + n) });
      bar.append(draw("title", {}, `${day}: ${n} ${kind}`));
      svg.append(bar);
      below += n;
    }
    if ((days - 1 - i) % Math.ceil(days / 7) === 0)
      svg.append(draw("text", { x: left + (i + 0.5) * step, y: 160, "text-anchor": "middle" }, day.slice(8) + "." + day.slice(5, 7) + "."));
  });
  return svg;
}
