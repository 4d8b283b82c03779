// The map of the pool: points on a canvas, in colours that one chooses, to look at and to select from.
"use strict";

const section = document.getElementById("map");
const canvas = section.querySelector("canvas");
const pen = canvas.getContext("2d");
const find = (name) => section.querySelector(`[data-part="${name}"]`);
const NEAR = 14; // pixels around the pointer
let data = null;
let groups = []; // of the chosen colouring: {name, colour, points}
let chosen = new Set();
let lasso = null;
let here = -1;
let view = { x: 0, y: 0, zoom: 1 };
let asked = false;

// Where points are ------------------------------------------------------------------------------

const size = () => ({ w: canvas.clientWidth, h: canvas.clientHeight });

function place(i) {
  const { w, h } = size();
  const side = (value, from, length) => 10 + ((value / 999 - from) * view.zoom) * (length - 20);
  return [side(data.x[i], view.x, w), side(999 - data.y[i], view.y, h)];
}

function nearest(x, y, most) {
  let best = -1;
  let least = most * most;
  for (let i = 0; i < data.tasks.length; i++) {
    const [a, b] = place(i);
    const far = (a - x) ** 2 + (b - y) ** 2;
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

function zoom(factor) {
  const next = Math.min(32, Math.max(1, view.zoom * factor));
  const keep = 0.5 / view.zoom - 0.5 / next; // the middle stays where it is
  view = { x: view.x + keep, y: view.y + keep, zoom: next };
  move(0, 0);
}

function move(dx, dy) {
  const inside = (value) => Math.min(1 - 1 / view.zoom, Math.max(0, value));
  view.x = inside(view.x + dx / view.zoom);
  view.y = inside(view.y + dy / view.zoom);
  draw();
}

// Colours ---------------------------------------------------------------------------------------

function colour(by) {
  const number = (a, b) => `${a.toPrecision(3)} to ${b.toPrecision(3)}`;
  if (by === "sure") groups = byNumber(data.sure, 0, 100, (a, b) => `${a}% to ${b}% sure`);
  else if (by === "decides") groups = byName(data.modalities, data.decides);
  else if (data.range) groups = byNumber(data[by], ...data.range, number);
  else groups = byName(data.classes, data[by]);
  const legend = find("legend");
  legend.replaceChildren(...groups.map((group) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const dot = document.createElement("span");
    dot.className = "swatch";
    dot.style.background = group.colour;
    button.type = "button";
    button.append(dot, `${group.name} (${group.points.length})`);
    button.title = "Select these tasks";
    button.addEventListener("click", () => select(group.points));
    item.append(button);
    return item;
  }));
  draw();
}

// Drawing ---------------------------------------------------------------------------------------

function draw() {
  if (asked || !data) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paint(); });
}

function paint() {
  const { w, h } = size();
  const sharp = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * sharp)) canvas.width = Math.round(w * sharp);
  if (canvas.height !== Math.round(h * sharp)) canvas.height = Math.round(h * sharp);
  pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  pen.clearRect(0, 0, w, h);
  const dot = Math.min(7, (data.tasks.length > 3000 ? 3 : 5) * Math.sqrt(view.zoom));
  const own = Math.max(2, Math.round(dot * sharp));
  const [wide, high] = [view.zoom * (w - 20), view.zoom * (h - 20)];
  pen.setTransform(1, 0, 0, 1, -Math.floor(own / 2), -Math.floor(own / 2));
  for (const group of groups) {
    pen.fillStyle = group.colour;
    pen.globalAlpha = group.colour === QUIET ? 0.45 : 0.85;
    for (const i of group.points) { // as in `place`, at whole pixels: both are faster
      const x = Math.round((10 + (data.x[i] / 999 - view.x) * wide) * sharp);
      const y = Math.round((10 + ((999 - data.y[i]) / 999 - view.y) * high) * sharp);
      if (x > -9 && y > -9 && x < canvas.width && y < canvas.height) pen.fillRect(x, y, own, own);
    }
  }
  pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  pen.globalAlpha = 1;
  pen.strokeStyle = getComputedStyle(canvas).color;
  for (const i of chosen.size < 2000 ? chosen : []) {
    const [x, y] = place(i);
    pen.strokeRect(x - dot / 2 - 1, y - dot / 2 - 1, dot + 2, dot + 2);
  }
  if (here >= 0) {
    const [x, y] = place(here);
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 7);
    pen.stroke();
    pen.lineWidth = 1;
  }
  if (lasso) {
    pen.beginPath();
    lasso.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.stroke();
  }
}

// A task ----------------------------------------------------------------------------------------

function about(i) {
  const said = (of) => (data.range ? of[i] : of[i] < 0 ? null : data.classes[of[i]]);
  const parts = [];
  if (said(data.predicted) !== null) {
    parts.push(`predicted ${said(data.predicted)}${data.sure[i] < 0 ? "" : ` (${data.sure[i]}% sure)`}`);
  }
  if (said(data.label) !== null) parts.push(`labelled ${said(data.label)}`);
  if (data.decides[i] >= 0) parts.push(`${data.modalities[data.decides[i]]} decides`);
  if (data.rank[i] > 0) parts.push(`number ${data.rank[i]} of the order`);
  return parts.join(", ");
}

let showing = 0;
function show(i) {
  if (i === here) return;
  here = i;
  draw();
  clearTimeout(showing);
  if (i < 0) return;
  const link = document.createElement("a");
  link.href = `${section.dataset.studio}${data.tasks[i]}`;
  link.rel = "noreferrer";
  link.textContent = `Task ${data.tasks[i]}`;
  find("task").replaceChildren(link, `: ${about(i)}`);
  const box = find("media");
  box.style.minHeight = `${box.offsetHeight}px`; // what is below stays where it is
  box.replaceChildren();
  showing = setTimeout(() => media(i), 200);
}

function media(i) {
  const box = find("media");
  section.dataset.kinds.split(" ").forEach((kind, at) => {
    const address = `${section.dataset.at}/${data.tasks[i]}/media/${at}`;
    if (kind === "image" || kind === "video" || kind === "audio") {
      const picture = document.createElement("img");
      picture.className = kind === "audio" ? "waveform" : "thumbnail";
      picture.alt = `${kind} of task ${data.tasks[i]}`;
      picture.src = address;
      box.append(picture);
    } else {
      const text = document.createElement("q");
      box.append(text);
      fetch(address).then((answer) => answer.text()).then((words) => {
        text.textContent = words.slice(0, 300);
      }, () => text.remove());
    }
  });
}

// Selecting -------------------------------------------------------------------------------------

function select(points) {
  chosen = new Set(points);
  section.toggleAttribute("data-used", chosen.size > 0);
  const ids = [...chosen].map((i) => data.tasks[i]).sort((a, b) => a - b);
  find("chosen").hidden = !ids.length;
  find("count").textContent = `${ids.length} tasks are selected; these are their ids:`;
  find("ids").value = ids.join(",");
  const link = find("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([`${ids.join("\n")}\n`], { type: "text/plain" }));
  draw();
}

function inside(x, y, line) {
  let within = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [[a, b], [c, d]] = [line[i], line[j]];
    if (b > y !== d > y && x < ((c - a) * (y - b)) / (d - b) + a) within = !within;
  }
  return within;
}

function finish() {
  const line = lasso;
  lasso = null;
  if (!line || line.length < 3) return draw();
  const found = [];
  for (let i = 0; i < data.tasks.length; i++) if (inside(...place(i), line)) found.push(i);
  select(found);
}

// Hands -----------------------------------------------------------------------------------------

let from = null;
const at = (event) => [event.offsetX, event.offsetY];
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (find("pan").checked && !event.shiftKey) from = at(event);
  else lasso = [at(event)];
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = at(event);
  const { w, h } = size();
  if (lasso) { lasso.push([x, y]); draw(); }
  else if (from) { move((from[0] - x) / w, (from[1] - y) / h); from = [x, y]; }
  else show(nearest(x, y, NEAR));
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => { from = null; finish(); });
}
canvas.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Escape") select([]);
  if (!way) return;
  event.preventDefault();
  const { w, h } = size();
  const [x, y] = here < 0 ? [w / 2, h / 2] : place(here);
  let best = -1;
  let least = Infinity;
  for (let i = 0; i < data.tasks.length; i++) {
    if (i === here) continue;
    const [a, b] = place(i);
    const along = (a - x) * way[0] + (b - y) * way[1];
    const beside = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]);
    if (along > 0.5 && beside <= along && along + 2 * beside < least) [best, least] = [i, along + 2 * beside];
  }
  if (best >= 0) show(best);
});
find("in").addEventListener("click", () => zoom(2));
find("out").addEventListener("click", () => zoom(0.5));
find("whole").addEventListener("click", () => { view = { x: 0, y: 0, zoom: 1 }; draw(); });
find("clear").addEventListener("click", () => select([]));
find("copy").addEventListener("click", () => {
  find("ids").select();
  if (navigator.clipboard) navigator.clipboard.writeText(find("ids").value);
  else document.execCommand("copy");
});
for (const choice of section.querySelectorAll('input[name="colour"]')) {
  choice.addEventListener("change", () => colour(choice.value));
}
window.addEventListener("resize", draw);

new IntersectionObserver((seen, watching) => {
  if (!seen.some((one) => one.isIntersecting)) return;
  watching.disconnect();
  fetch(section.dataset.map).then((answer) => answer.json()).then((found) => {
    data = found;
    colour(section.querySelector('input[name="colour"]:checked').value);
    section.dataset.ready = "";
  }, () => { find("task").textContent = "The map could not be loaded."; });
}, { rootMargin: "400px" }).observe(section);
section.classList.add("scripted");
