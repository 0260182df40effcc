// A cross over the picture that keys move, so that points can be pulled without a pointer.

import { svg } from "./dom.js";
import { clamp } from "./geometry.js";

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ARM = 14; // CSS pixels

export class Crosshair {
  // surface: an SVG element, which takes the focus; view: where it is in the picture. onChange: it has moved, come or
  // gone; onEnter: with the place [x, y] that was chosen; onRun: whoever is at the keys wants the run to begin or end.
  constructor(surface, view, { onChange, onEnter, onRun }) {
    Object.assign(this, { surface, view, onChange, onEnter, onRun, at: [0, 0], isShown: false });
    surface.setAttribute("tabindex", "0");
    surface.addEventListener("focus", () => this.#show(surface.matches(":focus-visible")));
    surface.addEventListener("blur", () => this.hide());
    surface.addEventListener("pointerdown", () => this.hide());
    surface.addEventListener("keydown", (event) => this.#key(event));
  }

  #show(isShown) {
    if (!isShown && !this.isShown) return;
    this.isShown = isShown;
    this.onChange();
  }

  hide() {
    this.#show(false);
  }

  #key(event) {
    const isEnter = event.key === "Enter" && !event.repeat;
    if (event.key in WAYS) this.#step(WAYS[event.key], event.shiftKey ? 10 : 1);
    else if (isEnter && (event.ctrlKey || event.metaKey)) this.onRun();
    else if (isEnter && this.isShown) this.onEnter(this.at);
    else return;
    event.preventDefault();
  }

  // By as many pixels of the picture, as far as its border.
  #step(way, pixels) {
    const step = this.view.grid.pixel * pixels;
    this.at = this.at.map((value, axis) => clamp(value + way[axis] * step, -1, 1));
    this.#show(true);
  }

  marks() {
    if (!this.isShown) return [];
    const [x, y] = this.view.toScreen(this.at);
    const line = { d: `M${x - ARM} ${y}h${2 * ARM}M${x} ${y - ARM}v${2 * ARM}` };
    return [svg("path", { class: "arrow-shadow", ...line }), svg("path", { class: "arrow crosshair", ...line })];
  }
}
