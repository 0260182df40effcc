// Other pictures beside this one: the same layout with other latents, or the same latent with other layouts.

import { $, element } from "./dom.js";
import { toImageData } from "./frames.js";
import { draw } from "./picture.js";

const COUNT = 9;
const NO_DRAG = { points: [], mask: null };
const WAIT = 300; // milliseconds that the session is at rest before the pictures follow it

export class Gallery {
  constructor({ store, backend, model }) {
    Object.assign(this, { store, backend, model, kind: "latents", first: 1, entries: [], waiting: null });
    store.addEventListener("change", () => this.#follow());
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
    return { seed, canvas, button, layout: undefined, asked: null };
  }

  // What an entry has of its own; the rest is the session's as it is now.
  #varied({ seed, layout }) {
    if (this.kind === "layouts") return { layout };
    return { seed, w: null, object_seeds: null, noise_seed: null, layout: this.store.layout };
  }

  // Whether the layout that the entries share is not known yet.
  get #isEarly() {
    return this.model.counts.length > 0 && !this.store.layout;
  }

  // Pictures of what has been changed meanwhile, of the entries that are there.
  #follow() {
    clearTimeout(this.waiting);
    if ($("#pane-gallery").hidden || this.store.before !== null) return;
    this.waiting = setTimeout(() => this.entries.forEach((entry, number) => this.#ask(entry, number)), WAIT);
  }

  // A layout of another seed is known as soon as that seed's own picture tells it.
  #ask(entry, number) {
    if (this.kind === "latents" && this.#isEarly) return; // when it is known, this comes again
    const isUnknown = this.kind === "layouts" && entry.layout === undefined;
    const varied = isUnknown ? { seed: entry.seed, layout: null, w: null, object_seeds: null } : this.#varied(entry);
    const document = { ...this.store.document, ...varied, drag: NO_DRAG };
    const asked = JSON.stringify(document);
    if (asked === entry.asked) return;
    entry.asked = asked;
    entry.id = this.backend.render(document, { slot: `gallery${number}` });
  }

  show(frame) {
    const number = Number(frame.slot.slice("gallery".length));
    const entry = this.entries[number];
    if (!entry || frame.id !== entry.id) return;
    if (this.kind === "layouts" && entry.layout === undefined) {
      entry.layout = frame.layout ?? null;
      this.#ask(entry, number);
    } else draw(entry.canvas, toImageData(frame.picture));
  }

  #adopt(number) {
    const entry = this.entries[number];
    const isKnown = this.kind === "layouts" ? entry.layout !== undefined : !this.#isEarly;
    if (isKnown) this.store.change({ ...this.#varied(entry), drag: NO_DRAG });
  }
}
