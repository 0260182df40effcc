// Steps along directions in the latent space, of the files that the editor was started with: a slider for each that is
// used, and what it leads to on either side of the one at hand.

import { $, element } from "./dom.js";
import { toImageData } from "./frames.js";
import { draw } from "./picture.js";

const REACH = 3; // standard deviations either way
const SIDES = [-REACH, 0, REACH];

export class Directions {
  constructor({ store, backend, model }) {
    Object.assign(this, { store, backend, rows: new Map(), previews: null });
    this.known = (model.directions ?? []).flatMap(({ file, names }) => names.map((name, index) => ({ file, index, name: `${file}: ${name}` })));
    $("#directions").hidden = this.known.length === 0;
    $("#direction-add").append(...this.known.map(({ name }, number) => element("option", { value: number }, name)));
    $("#direction-add").onchange = ({ target }) => this.#add(target);
  }

  draw() {
    const used = this.store.document.directions.map((step, number) => this.#row(step, number));
    const place = $("#direction-rows");
    if (used.length !== place.children.length || used.some((row, i) => row !== place.children[i])) {
      place.replaceChildren(...used);
      this.#forget();
    }
  }

  #add(select) {
    const { file, index } = this.known[Number(select.value)];
    select.value = "";
    const { directions } = this.store.document;
    if (!directions.some((step) => isSame(step, { file, index }))) {
      this.store.change({ directions: [...directions, { file, index, strength: 0 }] });
    }
    this.rows.get(`${file}:${index}`)?.querySelector("input").focus();
  }

  // The one that the direction has had before, so that a slider stays under the pointer that moves it.
  #row(step, number) {
    const key = `${step.file}:${step.index}`;
    if (!this.rows.has(key)) this.rows.set(key, this.#make(step));
    const row = this.rows.get(key);
    row.dataset.number = number;
    const slider = $("input", row);
    slider.value = step.strength;
    $("output", row).textContent = step.strength.toFixed(1);
    return row;
  }

  #make(step) {
    const name = this.known.find((each) => isSame(each, step))?.name ?? `${step.file}: ${step.index}`;
    const row = element("div", { class: "direction-row" });
    const number = () => Number(row.dataset.number);
    const slider = element("input", {
      type: "range", min: -REACH, max: REACH, step: 0.1, "aria-label": name,
      oninput: () => this.store.preview({ directions: this.#with(number(), Number(slider.value)) }),
      onchange: () => this.store.commit(), onfocus: () => this.#preview(number()),
    });
    const remove = () => this.store.change({ directions: this.store.document.directions.filter((_, i) => i !== number()) });
    row.append(
      element("label", { class: "slider" }, element("span", { title: name }, name), slider, element("output")),
      element("button", { class: "icon", "aria-label": `Remove ${name}`, title: "Remove", onclick: remove }, "×"),
    );
    return row;
  }

  #with(number, strength) {
    return this.store.document.directions.map((step, i) => (i === number ? { ...step, strength } : step));
  }

  // What the slider leads to on the left, in the middle and on the right.
  #preview(number) {
    this.previews = SIDES.map((strength, side) => {
      const document = { ...this.store.document, layout: this.store.layout, directions: this.#with(number, strength) };
      this.backend.render(document, { slot: `direction${side}` });
      return element("canvas", { width: 32, height: 32 });
    });
    $("#direction-previews").replaceChildren(...this.previews);
  }

  #forget() {
    this.previews = null;
    $("#direction-previews").replaceChildren();
  }

  showPreview(frame) {
    const canvas = this.previews?.[Number(frame.slot.slice("direction".length))];
    if (canvas) draw(canvas, toImageData(frame.picture));
  }
}

const isSame = (a, b) => a.file === b.file && a.index === b.index;
