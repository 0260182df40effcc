// Other pictures beside this one: the same layout with other latents, or the same latent with other layouts.

import { $, element } from "./dom.js";
import { toImageData } from "./frames.js";
import { draw } from "./picture.js";

const COUNT = 9;

export class Gallery {
  constructor({ store, backend, model }) {
    Object.assign(this, { store, backend, model, kind: "latents", first: 1, entries: [] });
    $("#gallery-more").onclick = () => {
      this.first += COUNT;
      this.fill();
    };
    for (const button of document.querySelectorAll("[data-gallery]")) {
      button.onclick = () => {
        this.kind = button.dataset.gallery;
        for (const each of document.querySelectorAll("[data-gallery]")) each.setAttribute("aria-checked", String(each === button));
        this.fill();
      };
    }
  }

  fill() {
    const seeds = Array.from({ length: COUNT }, (_, i) => (this.store.document.seed + this.first + i) % this.model.seeds);
    this.entries = seeds.map((seed, number) => this.#entry(seed, number));
    $("#gallery").replaceChildren(...this.entries.map(({ button }) => button));
    this.entries.forEach((entry, number) => this.#ask(entry, number));
  }

  #entry(seed, number) {
    const canvas = element("canvas", { width: 64, height: 64 });
    const about = this.kind === "latents" ? `seed ${seed}` : `layout of seed ${seed}`;
    const button = element("button", { "aria-label": about, onclick: () => this.#adopt(number) }, canvas, element("span", {}, String(seed)));
    return { seed, canvas, button, document: null };
  }

  // A layout of another seed is known as soon as that seed's own picture tells it.
  #ask(entry, number) {
    const { document, layout } = this.store;
    const slot = `gallery${number}`;
    if (this.kind === "latents") {
      entry.document = { ...document, seed: entry.seed, layout, w: null, object_seeds: null };
      entry.id = this.backend.render(entry.document, { slot });
    } else {
      entry.id = this.backend.render({ ...document, seed: entry.seed, layout: null, w: null, object_seeds: null }, { slot });
    }
  }

  show(frame) {
    const number = Number(frame.slot.slice("gallery".length));
    const entry = this.entries[number];
    if (!entry || frame.id !== entry.id) return;
    if (entry.document === null) {
      entry.document = { ...this.store.document, layout: frame.layout };
      entry.id = this.backend.render(entry.document, { slot: frame.slot });
      return;
    }
    draw(entry.canvas, toImageData(frame.picture));
  }

  #adopt(number) {
    const { document } = this.entries[number];
    if (document) this.store.change({ seed: document.seed, layout: document.layout, w: document.w, object_seeds: document.object_seeds });
  }
}
