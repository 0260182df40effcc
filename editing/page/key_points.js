// Key points that a fitted field moves (edit.py serve --directions=field.safetensors): where they are in the picture, as
// handles of the pane that pulls, and the choice of the field that does it.

import { $, element, svg } from "./dom.js";

export class KeyPoints {
  constructor(model, onChange) {
    this.fields = model.fields ?? [];
    this.places = {}; // by the field's name, in the newest picture
    const options = this.fields.map(({ file }) => element("option", { value: `field ${file}` }, `key points, by ${file}`));
    $("#pull-mode").append(...options);
    $("#pull-mode").addEventListener("change", () => {
      $("#pull-mask").disabled = this.field !== null;
      onChange(this.field);
    });
  }

  // What is chosen, or null.
  get field() {
    return this.fields.find(({ file }) => $("#pull-mode").value === `field ${file}`) ?? null;
  }

  get #shown() {
    return this.field ? (this.places[this.field.file] ?? []) : [];
  }

  // A picture has come.
  measured(frame) {
    this.places = frame.key_points ?? {};
  }

  // The key point nearest to a place, which is what a field would pull; the place itself without a field.
  snapped(at) {
    const away = (place) => Math.hypot(place[0] - at[0], place[1] - at[1]);
    return this.#shown.reduce((best, place) => (away(place) < away(best) ? place : best), this.#shown[0] ?? at);
  }

  marks(view) {
    return this.#shown.map((place, index) => {
      const [cx, cy] = view.toScreen(place);
      return svg("circle", { class: "key-point", cx, cy, r: 5 }, svg("title", {}, this.field.points[index]));
    });
  }
}
