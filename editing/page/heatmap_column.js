// The heatmaps beside the picture: level 0, 1, 2 from top to bottom, or the one of a scene. Centres move there, too.

import { element, svg } from "./dom.js";
import { heatmap, paint } from "./heat.js";
import { Surface } from "./surface.js";

const SIZE = 96; // points of a heatmap, each way
const TITLES = ["Object", "Parts", "Details"];

export class HeatmapColumn {
  constructor(host, options) {
    const { model, store, selection, grid } = options;
    Object.assign(this, { store, selection, grid });
    const many = model.counts.length === 1;
    host.classList.toggle("one", many);
    this.maps = model.counts.map((_, level) => this.#make(level, many, options));
    host.replaceChildren(...this.maps.map(({ figure }) => figure));
  }

  #make(level, many, { store, selection, grid, isFree }) {
    const canvas = element("canvas", { role: "img", "aria-label": `Heatmap of level ${level}` });
    const map = element("div", { class: "map" }, canvas);
    const title = many ? "Objects" : `${TITLES[level]} · ${4 << level}×${4 << level}`;
    const figure = element("div", { class: "heatmap" }, element("div", { class: "title" }, many ? null : sign(level), title), map);
    figure.dataset.level = level;
    const surface = new Surface(map, { store, selection, grid, levels: [level], many, isFree });
    map.addEventListener("pointerenter", () => this.#pulse(level, true));
    map.addEventListener("pointerleave", () => this.#pulse(level, false));
    return { figure, canvas, map, surface, level };
  }

  // Hovering a heatmap shows whose it is in the picture.
  #pulse(level, on) {
    for (const handle of document.querySelectorAll(`#stage .handle[data-level="${level}"] .mark`)) {
      handle.style.transform = on ? "scale(1.35)" : "";
    }
  }

  draw() {
    const { layout } = this.store;
    for (const { surface } of this.maps) surface.draw();
    if (!layout) return;
    const { over } = this.selection;
    for (const { canvas, map, level } of this.maps) {
      const glows = over?.level === level;
      paint(canvas, heatmap(layout, level, SIZE, this.grid, glows ? over.index : null), SIZE);
      canvas.style.opacity = over && !glows ? 0.45 : 1;
      map.classList.toggle("pulse", glows);
    }
  }

  cancel() {
    return this.maps.some(({ surface }) => surface.cancel());
  }
}

function sign(level) {
  const shapes = [
    svg("circle", { class: "mark", cx: 7, cy: 7, r: 5.5 }),
    svg("rect", { class: "mark", x: 2, y: 2, width: 10, height: 10, rx: 2 }),
    svg("path", { class: "mark", d: "M7 1.5L13 12H1Z" }),
  ];
  return svg("svg", { class: `level-${level}`, "aria-hidden": "true" }, shapes[level]);
}
