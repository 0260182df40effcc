// Handles over a picture or a heatmap: what is dragged, nudged, widened, removed. The layout changes through the store;
// pictures come later, from whoever listens to it.

import { svg } from "./dom.js";
import { View, nearest } from "./geometry.js";
import { SPREADS, placed, strength, withSpread, withStrength } from "./layouts.js";

const SNAP = 6; // CSS pixels
const STEP = 1.15; // factor of a spread at a turn of the wheel
const CLICK = 4; // CSS pixels that a pointer may move and still have clicked
const WHEEL_END = 300; // milliseconds after which a wheel has come to rest
const SIZES = [8, 6.5, 6]; // half of a handle's, by level

export class Surface {
  // host: the element with the picture; levels: whose handles are shown; selection: {level, index} shared by all
  // surfaces, in an EventTarget with `value`. many: a scene of several objects.
  constructor(host, { store, selection, grid, levels, many, isFree = () => true }) {
    Object.assign(this, { host, store, selection, levels, many, isFree, stepping: false, wheelEnd: null });
    this.view = new View(host, grid);
    this.svg = svg("svg", { class: "handles", role: "group", "aria-label": "Centres" });
    this.guides = svg("g", { class: "guides" });
    this.rings = svg("g", { class: "rings" });
    this.marks = svg("g", { class: "marks" });
    this.svg.append(this.guides, this.rings, this.marks);
    host.append(this.svg);
    this.handles = new Map();
    this.gesture = null;
    this.svg.addEventListener("pointerdown", (event) => this.#press(event));
    this.svg.addEventListener("pointermove", (event) => this.#move(event));
    this.svg.addEventListener("pointerup", (event) => this.#release(event));
    this.svg.addEventListener("pointercancel", () => this.cancel());
    this.svg.addEventListener("lostpointercapture", () => this.cancel());
    this.svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.svg.addEventListener("keydown", (event) => this.#key(event));
    for (const end of ["keyup", "focusout"]) this.svg.addEventListener(end, () => this.#endKeys());
    new ResizeObserver(() => this.draw()).observe(host);
  }

  // ---- drawing

  draw() {
    const layout = this.store.layout;
    this.#forgetGesture();
    this.svg.classList.toggle("none", !layout && this.handles.size === 0);
    if (!layout) return; // until another seed's picture tells where its centres are, those of the one on display stay
    const wanted = new Set();
    for (const level of this.levels.toReversed()) {
      layout.levels[level].centers.forEach((center, index) => {
        wanted.add(`${level}:${index}`);
        this.#drawHandle(layout, level, index, center);
      });
    }
    for (const [name, handle] of this.handles) {
      if (!wanted.has(name)) {
        handle.remove();
        this.handles.delete(name);
      }
    }
    this.#drawRing(layout);
    this.#drawGesture(layout);
  }

  // What is dragged belongs to a seed; it is not put into another one.
  #forgetGesture() {
    if (this.gesture && this.gesture.seed !== this.store.document.seed) this.gesture = null;
  }

  #drawHandle(layout, level, index, center) {
    const name = `${level}:${index}`;
    if (!this.handles.has(name)) this.handles.set(name, this.#makeHandle(level, index));
    const handle = this.handles.get(name);
    const [x, y] = this.view.toScreen(center);
    const removed = strength(layout, level, index) === 0;
    handle.setAttribute("transform", `translate(${x} ${y})`);
    handle.classList.toggle("selected", this.#isSelected(level, index));
    handle.classList.toggle("removed", removed);
    handle.setAttribute("aria-label", `${nameOf(level, index, this.many)}, ${place(center)}${removed ? ", removed" : ""}`);
    handle.dataset.x = center[0];
    handle.dataset.y = center[1];
  }

  #makeHandle(level, index) {
    const size = SIZES[Math.min(level, 2)];
    const kind = this.many ? `object object-${index % 8}` : `level-${level}`;
    const handle = svg("g", {
      class: `handle ${kind}`, tabindex: "0", role: "button", "aria-roledescription": "movable point",
      "data-level": level, "data-index": index,
    });
    handle.append(svg("circle", { class: "hit", r: matchMedia("(pointer: coarse)").matches ? 22 : 14 }));
    handle.append(shape(this.many ? 0 : level, size));
    if (this.many) handle.append(svg("text", { class: "number", dy: "0.36em" }, String(index + 1)));
    handle.addEventListener("focus", () => this.selection.set({ level, index }));
    handle.addEventListener("pointerenter", () => this.selection.hover({ level, index }));
    handle.addEventListener("pointerleave", () => this.selection.hover(null));
    this.marks.append(handle);
    return handle;
  }

  #drawRing(layout) {
    const chosen = this.selection.value;
    this.rings.replaceChildren();
    if (!chosen || !this.levels.includes(chosen.level)) return;
    const { centers, spreads } = layout.levels[chosen.level];
    if (!centers[chosen.index]) return;
    const [x, y] = this.view.toScreen(centers[chosen.index]);
    const radius = this.view.length(Math.sqrt(spreads[chosen.index]));
    const grip = [x + radius * Math.SQRT1_2, y + radius * Math.SQRT1_2];
    this.rings.append(
      svg("circle", { class: "ring-shadow", cx: x, cy: y, r: radius }),
      svg("circle", { class: "ring", cx: x, cy: y, r: radius }),
      svg("circle", { class: "ring-hit", cx: x, cy: y, r: radius, "data-grip": "spread" }),
      svg("circle", { class: "grip", cx: grip[0], cy: grip[1], r: 5, "data-grip": "spread" }),
    );
  }

  // While dragging: a hollow ghost at the original place, a line to the centre, and how far it is.
  #drawGesture(layout) {
    const now = this.gesture;
    this.guides.replaceChildren();
    if (now?.kind !== "move" || !now.hasMoved) return;
    const at = layout.levels[now.level].centers[now.index];
    const [fromX, fromY] = this.view.toScreen(now.from);
    const [x, y] = this.view.toScreen(at);
    for (const [axis, value] of now.snapped) {
      const [sx, sy] = this.view.toScreen([value, value]);
      const line = axis === 0 ? { x1: sx, x2: sx, y1: 0, y2: this.view.height } : { y1: sy, y2: sy, x1: 0, x2: this.view.width };
      this.guides.append(svg("line", { class: "guide", ...line }));
    }
    this.guides.append(
      svg("line", { class: "way-shadow", x1: fromX, y1: fromY, x2: x, y2: y }),
      svg("line", { class: "way", x1: fromX, y1: fromY, x2: x, y2: y }),
      svg("circle", { class: "ghost", cx: fromX, cy: fromY, r: SIZES[0] }),
    );
    if (this.view.width > 200) this.guides.append(this.#label(at, now.from, [x, y]));
  }

  #label(at, from, [x, y]) {
    const far = Math.hypot(at[0] - from[0], at[1] - from[1]) / this.view.grid.pixel;
    const text = `${far.toFixed(1)} px  →  ${at[0].toFixed(2)}, ${at[1].toFixed(2)}`;
    const [width, height] = [text.length * 6.4 + 14, 22];
    const left = Math.min(Math.max(x + 16, 4), this.view.width - width - 4);
    const top = y > height + 26 ? y - height - 14 : y + 18;
    return svg("g", { class: "measure", transform: `translate(${left} ${top})` },
      svg("rect", { width, height, rx: 6 }), svg("text", { x: width / 2, y: 15 }, text));
  }

  #isSelected(level, index) {
    const chosen = this.selection.value;
    return chosen?.level === level && chosen?.index === index;
  }

  // ---- pointers

  #press(event) {
    if (event.button !== 0 || !this.isFree() || !this.store.layout || this.gesture) return;
    const handle = event.target.closest?.(".handle");
    if (!handle && !event.target.dataset.grip && !this.selection.value) return;
    event.preventDefault();
    const { level, index } = handle ? pointOf(handle) : this.selection.value;
    handle?.focus({ preventScroll: true });
    const kind = handle ? "move" : event.target.dataset.grip ? "spread" : "place";
    this.selection.set({ level, index });
    this.svg.setPointerCapture(event.pointerId);
    this.#begin(kind, level, index, event);
  }

  #begin(kind, level, index, event) {
    this.#endKeys();
    const layout = this.store.layout;
    const from = layout.levels[level].centers[index];
    const start = this.view.toImage(event.clientX, event.clientY);
    this.gesture = {
      kind, level, index, layout, from, hasMoved: false, snapped: [], pointer: event.pointerId,
      seed: this.store.document.seed,
      pressed: [event.clientX, event.clientY], offset: [from[0] - start[0], from[1] - start[1]],
      targets: snapTargets(layout, level, index), // once, at the start
    };
  }

  #move(event) {
    const now = this.gesture;
    if (!now || event.pointerId !== now.pointer) return;
    const way = Math.hypot(event.clientX - now.pressed[0], event.clientY - now.pressed[1]);
    now.hasMoved ||= way > (event.pointerType === "touch" ? 2 * CLICK : CLICK);
    if (!now.hasMoved || now.kind === "place") return;
    const at = this.view.toImage(event.clientX, event.clientY);
    if (now.kind === "spread") this.#stretch(at);
    else this.#drag(at, event);
  }

  #drag(at, { shiftKey, altKey }) {
    const now = this.gesture;
    const target = [at[0] + now.offset[0], at[1] + now.offset[1]];
    if (shiftKey) {
      const across = Math.abs(target[0] - now.from[0]) > Math.abs(target[1] - now.from[1]);
      target[across ? 1 : 0] = now.from[across ? 1 : 0];
    }
    now.snapped = altKey ? [] : this.#snap(target, now.targets, shiftKey && now.from);
    const alone = altKey && now.level === 0;
    this.store.preview({ layout: placed(now.layout, now.level, now.index, target, alone) });
  }

  // Changes `target`; returns [[axis, value]...] of what it was drawn to.
  #snap(target, targets, fixed) {
    const reach = this.view.distance(SNAP);
    const found = [];
    for (const axis of [0, 1]) {
      if (fixed && target[axis] === fixed[axis]) continue;
      const value = nearest(target[axis], targets[axis], reach);
      if (value === null) continue;
      target[axis] = value;
      found.push([axis, value]);
    }
    return found;
  }

  #stretch(at) {
    const now = this.gesture;
    const radius = Math.hypot(at[0] - now.from[0], at[1] - now.from[1]);
    this.store.preview({ layout: withSpread(now.layout, now.level, now.index, radius ** 2) });
  }

  // A click beside a handle puts the selected centre there: dragging is never the only way.
  #release(event) {
    const now = this.gesture;
    if (!now || event.pointerId !== now.pointer) return;
    this.gesture = null;
    if (now.kind === "place" && !now.hasMoved) {
      const at = this.view.toImage(event.clientX, event.clientY);
      this.store.preview({ layout: placed(now.layout, now.level, now.index, at, event.altKey && now.level === 0) });
    }
    this.store.commit();
    this.draw();
  }

  cancel() {
    if (!this.gesture) return false;
    this.gesture = null;
    this.store.cancel();
    this.draw();
    return true;
  }

  #wheel(event) {
    const handle = event.target.closest?.(".handle");
    const chosen = this.selection.value;
    if (!this.isFree() || !this.store.layout || !chosen) return;
    if (!event.target.dataset?.grip && !(handle && this.#isSelected(...Object.values(pointOf(handle))))) return;
    event.preventDefault();
    this.#widen(chosen, event.deltaY < 0 ? STEP : 1 / STEP);
    clearTimeout(this.wheelEnd);
    this.wheelEnd = setTimeout(() => this.#endKeys(), WHEEL_END);
  }

  // ---- keys, while a handle has the focus: what one does while it is held is one entry of the history

  #key(event) {
    const handle = event.target.closest?.(".handle");
    if (!handle || event.ctrlKey || event.metaKey || !this.isFree() || !this.store.layout) return;
    const { level, index } = pointOf(handle);
    if (!event.repeat) this.#endKeys();
    if (!this.#keyed(event, level, index)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #keyed(event, level, index) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in ways) this.#nudge(level, index, ways[event.key], event);
    else if (event.key === "[" || event.key === "]") this.#widen({ level, index }, event.key === "]" ? STEP : 1 / STEP);
    else if (event.key === "Delete" || event.key === "Backspace") this.#strengthen(level, index, 0);
    else if (event.key === "r" || event.key === "R") this.#strengthen(level, index, 1);
    else return false;
    return true;
  }

  #nudge(level, index, [dx, dy], { shiftKey, altKey }) {
    const step = this.view.grid.pixel * (shiftKey ? 10 : 1);
    const [x, y] = this.store.layout.levels[level].centers[index];
    const alone = altKey && level === 0;
    this.#step(placed(this.store.layout, level, index, [x + dx * step, y + dy * step], alone));
  }

  #widen({ level, index }, factor) {
    const spread = this.store.layout.levels[level].spreads[index];
    this.#step(withSpread(this.store.layout, level, index, spread * factor));
  }

  #step(layout) {
    this.stepping = true;
    this.store.preview({ layout });
  }

  #endKeys() {
    clearTimeout(this.wheelEnd);
    if (this.stepping && !this.gesture) this.store.commit();
    this.stepping = false;
  }

  #strengthen(level, index, value) {
    this.store.change({ layout: withStrength(this.store.layout, level, index, value) });
  }
}

// What is selected, and what the pointer is over: shared by all surfaces. Events: change.
export class Selection extends EventTarget {
  value = null;
  over = null;

  set(value) {
    if (JSON.stringify(value) === JSON.stringify(this.value)) return;
    this.value = value;
    this.dispatchEvent(new Event("change"));
  }

  hover(value) {
    this.over = value;
    this.dispatchEvent(new Event("change"));
  }
}

export const nameOf = (level, index, many) =>
  many ? `Object ${index + 1}` : level === 0 ? "Whole object, level 0" : `${["", "Part", "Detail"][level]} ${index + 1}, level ${level}`;

const place = ([x, y]) => `at ${x.toFixed(2)}, ${y.toFixed(2)}`;

const pointOf = (handle) => ({ level: Number(handle.dataset.level), index: Number(handle.dataset.index) });

function shape(level, size) {
  if (level === 1) return svg("rect", { class: "mark", x: -size, y: -size, width: 2 * size, height: 2 * size, rx: 2 });
  if (level === 2) return svg("path", { class: "mark", d: `M0 ${-size * 1.2}L${size * 1.15} ${size * 0.8}H${-size * 1.15}Z` });
  return svg("circle", { class: "mark", r: size });
}

// The middle, the thirds and the other centres of the level, by axis.
function snapTargets(layout, level, index) {
  const others = layout.levels[level].centers.filter((_, i) => i !== index);
  return [0, 1].map((axis) => [0, -1 / 3, 1 / 3, ...others.map((center) => center[axis])]);
}

export { SPREADS };
