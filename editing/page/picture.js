// The picture on display: the newest frame, what it is compared with, and how old it is.

import { $ } from "./dom.js";
import { toImageData } from "./frames.js";
import { clamp } from "./geometry.js";
import { paint } from "./heat.js";

const LATE = 150; // milliseconds after which the frame shown counts as old

export class Picture {
  constructor(stage, { store, backend }) {
    Object.assign(this, { stage, store, backend });
    this.canvas = $("#picture");
    this.other = $("#original");
    this.overlay = $("#overlay");
    this.shownId = 0;
    this.wantedId = 0;
    this.newest = null; // ImageData
    this.originalShown = null; // ImageData that `other` has
    this.asked = new Map(); // id: time
    this.latency = 0;
    this.look = null; // {kind, resolution} of an overlay
    this.held = false;
    this.wipe = null; // share of the width, where the two pictures meet
  }

  request(document) {
    const overlay = this.backend.can.overlays ? this.look : null;
    this.wantedId = this.backend.render(document, { overlay });
    this.asked.set(this.wantedId, performance.now());
  }

  // A frame of the slot "main"; false where a newer one is shown already.
  show(frame) {
    if (frame.id < this.shownId) return false;
    this.shownId = frame.id;
    if (this.asked.has(frame.id)) this.latency = performance.now() - this.asked.get(frame.id);
    for (const id of this.asked.keys()) if (id <= frame.id) this.asked.delete(id);
    this.put(frame.picture);
    this.#showOverlay(frame.overlay);
    return true;
  }

  put(part) {
    this.newest = toImageData(part);
    draw(this.canvas, this.newest);
    this.canvas.dataset.id = this.shownId;
    this.compare();
  }

  // Milliseconds since the oldest request that was not answered; 0 when the newest is shown.
  get age() {
    const [oldest] = this.asked.values();
    return oldest === undefined ? 0 : performance.now() - oldest;
  }

  get isLate() {
    return this.age > LATE;
  }

  forget() {
    this.asked.clear();
    this.shownId = 0;
  }

  #showOverlay(part) {
    this.overlay.hidden = !part;
    if (!part) return;
    const values = Float32Array.from(part.data, (value) => value / 255);
    paint(this.overlay, values, part.width, (value) => 60 + 160 * value);
  }

  // ---- compared with the original

  // ImageData of what the picture is compared with, or null while it is not there.
  get original() {
    return this.store.original?.image ?? null;
  }

  hold(held) {
    this.held = held;
    this.compare();
  }

  setWipe(share) {
    this.wipe = share === null ? null : clamp(share, 0, 1);
    this.compare();
  }

  compare() {
    const { original } = this;
    const both = original && (this.held || this.wipe !== null);
    this.other.hidden = !both;
    $("#badge").hidden = !both; // the original is all of it, or what is left of the wipe
    this.stage.classList.toggle("held", Boolean(original && this.held));
    if (!both) return;
    if (original !== this.originalShown) draw(this.other, (this.originalShown = original));
    const right = this.held ? 0 : 100 * (1 - this.wipe);
    this.other.style.clipPath = `inset(0 ${right}% 0 0)`;
  }

  // Where the two differ, as a map over the picture; returns the mean difference, 0 to 255.
  difference() {
    const [a, b] = [this.newest.data, this.original.data];
    const values = new Float32Array(a.length / 4);
    let sum = 0;
    for (let i = 0; i < values.length; i++) {
      for (let c = 0; c < 3; c++) values[i] += Math.abs(a[i * 4 + c] - b[i * 4 + c]) / 3;
      sum += values[i];
    }
    this.overlay.hidden = false;
    paint(this.overlay, values.map((value) => value / 128), this.newest.width, (value) => Math.min(255, 400 * value));
    return sum / values.length;
  }
}

export function draw(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
