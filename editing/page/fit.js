// What comes from outside, a file or an address, is held against what the page can show before it takes the place of
// what is there. The server, or the exported model, has the last word on the rest.

const MOST_STATES = 200;
const isNumber = (value) => Number.isFinite(value);
const isWithin = (low, high) => (value) => isNumber(value) && value >= low && value <= high;
const isPair = (value) => Array.isArray(value) && value.length === 2 && value.every(isWithin(-10, 10));
const isList = (value, length, isEntry) => Array.isArray(value) && value.length === length && value.every(isEntry);

// Throws an Error to be shown where fields of a document are not what this model's page can show.
export function check(fields, model) {
  for (const [name, test] of Object.entries(TESTS)) {
    const value = fields[name];
    if (value === undefined || (value === null && name !== "seed")) continue;
    const wrong = test(value, model);
    if (wrong) throw new Error(`${name}: ${wrong}`);
  }
}

const TESTS = {
  seed: (seed, model) => (Number.isInteger(seed) && seed >= 0 && seed < model.seeds ? null : `a whole number from 0 to ${model.seeds - 1} is needed`),
  truncation_psi: (psi) => (isWithin(-10, 10)(psi) ? null : "a number from -10 to 10 is needed"),
  label: (label, { classes }) => (isLabel(label, classes) ? null : classes ? `a class from 0 to ${classes - 1} is needed` : "this model has no classes"),
  object_seeds: (seeds, { objects }) => (objects > 0 && Array.isArray(seeds) && seeds.length === objects + 1 ? null : `this model has ${objects} objects with styles of their own`),
  layout: misfit,
  w: (text, { w_shape }) => (valuesOf(text) === w_shape.reduce((a, b) => a * b) ? null : "these styles were found with another model"),
  directions: (steps) => (Array.isArray(steps) && steps.every((step) => typeof step?.file === "string" && isNumber(step.strength)) ? null : "files and strengths are needed"),
  drag: (drag) => (typeof drag === "object" && isDrag(drag) ? null : "points with two ends are needed, and a mask or none"),
  history: states,
};

// How many numbers an array of float32 has, a .npy file in base64; null where it is none.
function valuesOf(text) {
  try {
    const header = atob(text.slice(0, 16)); // 10 bytes, the last two with the length of what follows
    const begin = 10 + header.charCodeAt(8) + 256 * header.charCodeAt(9);
    return (atob(text).length - begin) / 4;
  } catch {
    return null;
  }
}

// What is wrong with a layout, or null.
function misfit(layout, { counts }) {
  if (!Array.isArray(layout.levels)) return "it has no levels";
  const has = layout.levels.map((level) => level?.centers?.length ?? 0);
  if (String(has) !== String(counts)) return `${has.join(", ") || "no"} points a level, and this model takes ${counts.join(", ") || "none"}`;
  const isLevel = ({ centers, spreads, strengths }, level) =>
    isList(centers, counts[level], isPair) && isList(spreads, counts[level], isWithin(0, 1e6)) && (strengths == null || isList(strengths, counts[level], isWithin(0, 1)));
  return layout.levels.every(isLevel) ? null : "places, spreads and strengths have to be numbers";
}

const isLabel = (label, classes) => (Array.isArray(label) ? isList(label, classes, isNumber) : Number.isInteger(label) && label >= 0 && label < classes);
const isMask = (mask) => mask === null || isList(mask.circle, 3, isNumber) || typeof mask.png === "string";
const isDrag = ({ points = [], mask = null }) =>
  Array.isArray(points) && points.every((each) => isPair(each?.from) && isPair(each?.to)) && isMask(mask);

function states(list, model) {
  if (!Array.isArray(list) || list.length > MOST_STATES || list.some((state) => state === null || typeof state !== "object")) {
    return `at most ${MOST_STATES} earlier states are needed`;
  }
  list.forEach((state) => check({ ...state, history: undefined }, model));
  return null;
}
