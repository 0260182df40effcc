// The pane "Layout": the selected centre, the objects of a scene, and what concerns the whole picture.

import { $, element, setValue } from "./dom.js";
import { toImageData } from "./frames.js";
import { nameOf } from "./surface.js";
import { placed, strength, withSpread, withStrength } from "./layouts.js";
import { draw } from "./picture.js";

export class Panels {
  constructor({ store, backend, selection, model, say }) {
    Object.assign(this, { store, backend, selection, model, say, many: model.counts.length === 1 });
    this.#selected();
    this.#whole();
  }

  draw() {
    const { document } = this.store;
    setValue("#seed", document.seed);
    setValue("#truncation", document.truncation_psi);
    $("#truncation-value").textContent = document.truncation_psi.toFixed(2);
    setValue("#noise", document.noise_mode);
    setValue("#class", document.label ?? 0);
    $("#truncation").disabled = document.w !== null || !this.model.truncates;
    $("#new-noise").hidden = document.noise_mode !== "random";
    $("#reset").disabled = document.layout === null;
    this.#drawSelected();
    if (this.many) this.#drawObjects();
  }

  // ---- the selected centre

  #selected() {
    const change = (make) => ({ target }) => {
      const { value: chosen } = this.selection;
      const number = Number(target.value);
      if (!chosen || !this.store.layout || target.value === "" || !Number.isFinite(number)) return;
      this.store.preview({ layout: make(this.store.layout, chosen, number) });
    };
    const at = (layout, { level, index }) => layout.levels[level].centers[index];
    const makers = {
      "#center-x": (layout, chosen, x) => placed(layout, chosen.level, chosen.index, [x, at(layout, chosen)[1]]),
      "#center-y": (layout, chosen, y) => placed(layout, chosen.level, chosen.index, [at(layout, chosen)[0], y]),
      "#center-spread": (layout, chosen, spread) => withSpread(layout, chosen.level, chosen.index, spread),
      "#spread-slider": (layout, chosen, power) => withSpread(layout, chosen.level, chosen.index, 10 ** power),
      "#strength-slider": (layout, chosen, value) => withStrength(layout, chosen.level, chosen.index, value),
    };
    for (const [name, make] of Object.entries(makers)) {
      $(name).oninput = change(make);
      $(name).onchange = () => this.store.commit();
    }
  }

  #drawSelected() {
    const { value: chosen } = this.selection;
    const level = chosen && this.store.layout?.levels[chosen.level];
    const none = !level || !level.centers[chosen.index];
    $("#selected").disabled = none;
    $("#selected").hidden = this.model.counts.length === 0;
    if (!this.store.layout) return; // another seed's picture is on its way
    $("#selected-name").textContent = none ? "No point selected" : nameOf(chosen.level, chosen.index, this.many);
    if (none) return;
    const [x, y] = level.centers[chosen.index];
    setValue("#center-x", x.toFixed(3));
    setValue("#center-y", y.toFixed(3));
    setValue("#center-spread", level.spreads[chosen.index].toFixed(3));
    setValue("#spread-slider", Math.log10(level.spreads[chosen.index]));
    setValue("#strength-slider", strength(this.store.layout, chosen.level, chosen.index));
  }

  // ---- objects of a scene

  #drawObjects() {
    const { layout } = this.store;
    if (!layout || $("#objects").contains(document.activeElement) && document.activeElement.tagName === "SELECT") return;
    const count = layout.levels[0].centers.length;
    const rows = Array.from({ length: count }, (_, i) => this.#objectRow(i, count));
    if (this.model.objects) rows.push(this.#backgroundRow(count));
    const focused = document.activeElement?.dataset?.key;
    $("#objects").replaceChildren(...rows);
    if (focused) $(`#objects [data-key="${focused}"]`)?.focus();
  }

  #objectRow(index, count) {
    const gone = strength(this.store.layout, 0, index) === 0;
    const chosen = this.selection.value?.index === index;
    const toggle = () => this.#strengthen(index, gone ? 1 : 0);
    const actions = [element("button", { onclick: toggle, "data-key": `toggle${index}` }, gone ? "Bring back" : "Remove")];
    if (this.model.objects) {
      actions.unshift(element("button", { onclick: () => this.#restyle(index), "data-key": `style${index}`, title: "A new style for this object" }, "New style"));
      actions.unshift(this.#copySelect(index, count));
    }
    return element("div", { class: `object-row object-${index % 8}${chosen ? " selected" : ""}`, onclick: () => this.selection.set({ level: 0, index }) },
      element("span", { class: "chip" }, String(index + 1)), element("span", {}, gone ? "removed" : `Object ${index + 1}`),
      element("span", { class: "actions" }, ...actions));
  }

  #strengthen(index, value) {
    const { layout } = this.store;
    if (layout) this.store.change({ layout: withStrength(layout, 0, index, value) });
  }

  #copySelect(index, count) {
    const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== index);
    const options = others.map((i) => element("option", { value: i }, `of object ${i + 1}`));
    const choose = ({ target }) => target.value !== "" && this.#copyStyle(index, Number(target.value));
    return element("select", { "aria-label": `Copy a style to object ${index + 1}`, title: "Copy the style of another object", onchange: choose },
      element("option", { value: "" }, "Copy"), ...options);
  }

  #backgroundRow(number) {
    return element("div", { class: "object-row" }, element("span", { class: "chip" }, "B"), element("span", {}, "Background"),
      element("span", { class: "actions" }, element("button", { onclick: () => this.#restyle(number), "data-key": "background" }, "New background")));
  }

  get #seeds() {
    return this.store.document.object_seeds?.slice() ?? Array(this.model.objects + 1).fill(null);
  }

  #restyle(number) {
    this.#setStyle(number, Math.floor(Math.random() * this.model.seeds));
  }

  // The code that another object has: of its own seed, or of the document's.
  #copyStyle(to, from) {
    const code = this.#seeds[from] ?? this.store.document.seed;
    this.#setStyle(to, Array.isArray(code) ? code : [code, from]);
  }

  #setStyle(number, code) {
    if (this.store.document.w !== null) return this.say("Styles were changed by pulling; undo that, or begin from a seed, to restyle objects.");
    const seeds = this.#seeds;
    seeds[number] = code;
    this.store.change({ object_seeds: seeds });
  }

  // ---- the whole picture

  #whole() {
    const { store, model } = this;
    const begin = (seed) => store.change({
      seed, w: null, object_seeds: null, noise_seed: null, drag: { points: [], mask: null },
      layout: $("#keep-layout").checked ? store.layout : null,
    });
    $("#new").onclick = () => begin(Math.floor(Math.random() * Math.min(model.seeds, 1e6)));
    $("#seed").max = model.seeds - 1;
    $("#seed").onchange = ({ target }) => {
      const seed = Math.round(Number(target.value));
      if (target.value !== "" && seed >= 0 && seed < model.seeds) begin(seed);
      else this.#refuseSeed();
    };
    $("#keep-layout").closest("label").hidden = model.counts.length === 0;
    $("#reset").hidden = model.counts.length === 0;
    $("#reset").onclick = () => {
      store.change({ layout: null });
    };
    $("#truncation").oninput = ({ target }) => store.preview({ truncation_psi: Number(target.value) });
    $("#truncation").onchange = () => store.commit();
    $("#truncation").onfocus = () => this.#previewTruncation();
    $("#truncation").onpointerdown = () => this.#previewTruncation();
    $("#noise").onchange = ({ target }) => store.change({ noise_mode: target.value, noise_seed: null });
    $("#new-noise").onclick = () => store.change({ noise_seed: Math.floor(Math.random() * 2 ** 32) });
    $("#pixels").onchange = ({ target }) => $("#stage").classList.toggle("single-pixels", target.checked);
    this.#classes();
  }

  #refuseSeed() {
    this.say(`Seeds here are whole numbers from 0 to ${this.model.seeds - 1}.`, true);
    setValue("#seed", this.store.document.seed);
  }

  #classes() {
    $("#class-row").hidden = this.model.classes === 0;
    const names = Array.from({ length: this.model.classes }, (_, i) => element("option", { value: i }, this.model.class_names[i] ?? String(i)));
    $("#class").replaceChildren(...names);
    $("#class").onchange = ({ target }) => this.store.change({ label: Number(target.value) });
  }

  // What the slider leads to, on the left and on the right, and where it is.
  #previewTruncation() {
    if (this.store.document.w !== null) return;
    const values = [0, 0.5, 1];
    this.previews = values.map((psi, i) => {
      const canvas = element("canvas", { width: 32, height: 32 });
      this.backend.render({ ...this.store.document, layout: this.store.layout, truncation_psi: psi }, { slot: `truncation${i}` });
      return canvas;
    });
    $("#truncation-previews").replaceChildren(...this.previews);
  }

  showPreview(frame) {
    const canvas = this.previews?.[Number(frame.slot.slice("truncation".length))];
    if (canvas) draw(canvas, toImageData(frame.picture));
  }
}
