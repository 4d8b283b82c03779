// Groups of the map's points, each with a name and a colour: by class, or by steps of a number.
"use strict";

const COLOURS = ["#4c8dd6", "#e08a1e", "#3da35d", "#d1556b", "#9067c6", "#a9744f", "#d977b8",
  "#e8c020", "#8a8f1f", "#2fa9b8", "#6f7fe8", "#c2603a"];
const QUIET = "#8a939c";

function mixed(share) { // from blue to orange, seen as different by everybody
  const part = (a, b) => Math.round(a + (b - a) * share);
  return `rgb(${part(60, 240)},${part(120, 140)},${part(215, 30)})`;
}

function byName(names, which) {
  const own = names.slice(0, COLOURS.length).map((name, i) => ({ name, colour: COLOURS[i], points: [] }));
  const rest = { name: "others", colour: QUIET, points: [] };
  const none = { name: "none", colour: QUIET, points: [] };
  which.forEach((at, i) => (at < 0 ? none : own[at] || rest).points.push(i));
  return [none, rest, ...own].filter((group) => group.points.length);
}

function byNumber(values, low, high, told) {
  const steps = Array.from({ length: 5 }, (_, n) => ({
    name: told(low + ((high - low) * n) / 5, low + ((high - low) * (n + 1)) / 5),
    colour: mixed(n / 4), points: [] }));
  const none = { name: "none", colour: QUIET, points: [] };
  values.forEach((value, i) => {
    if (value === null || value < 0 && low >= 0) none.points.push(i);
    else steps[Math.min(4, Math.floor((5 * (value - low)) / (high - low || 1)))].points.push(i);
  });
  return [none, ...steps].filter((group) => group.points.length);
}
