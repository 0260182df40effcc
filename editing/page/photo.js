// One's own picture: uploaded, searched for in the model's latents, and shown beside the model's, with the error.

import { $, ONE_AT_A_TIME, opensByKey } from "./dom.js";
import { toImageData } from "./frames.js";
import { clamp } from "./geometry.js";
import { draw } from "./picture.js";

const LARGEST = 20 << 20; // bytes of a file: editing/server/protocol.py takes no more
const MOST_PIXELS = 50_000_000; // nor more than these
const mib = (bytes) => (bytes / 2 ** 20).toFixed(0);
const millions = (pixels) => (pixels / 1e6).toFixed(0);

export class Photo {
  constructor({ store, backend, picture, model, say, isBusy, onRun }) {
    Object.assign(this, { store, backend, picture, model, say, isBusy, onRun });
    this.running = null;
    $("#photo").onchange = ({ target }) => target.files[0] && this.choose(target.files[0]);
    opensByKey($("#photo-drop"), $("#photo"));
    $("#photo-start").onclick = () => this.start();
    $("#photo-stop").onclick = () => this.stop();
  }

  // Whether it is a picture that can be searched for; where not, that is said.
  async choose(file) {
    const refusal = this.#refusal(file);
    if (refusal) return this.#refuse(refusal);
    const image = await createImageBitmap(file).catch(() => null);
    if (!image) return this.#refuse(`${file.name} is no picture that can be read here; use a PNG or a JPEG.`);
    const pixels = image.width * image.height;
    if (pixels > MOST_PIXELS) return this.#refuse(`${file.name} has ${millions(pixels)} million pixels; ${millions(MOST_PIXELS)} are the most. Make the picture smaller.`);
    this.file = file;
    $("#photo-pair").hidden = false;
    drawSquare($("#photo-canvas"), image);
    $("#photo-start").disabled = false;
    $("#photo-said").textContent = `${file.name}, ${image.width} × ${image.height}: cut to a square in the middle`;
    return true;
  }

  #refusal({ name, size }) {
    if (!this.backend.can.gradients) return "This page cannot search for pictures; open the editor itself for that.";
    if (size > LARGEST) return `${name} has ${mib(size)} MiB; ${mib(LARGEST)} are the most. Make the picture smaller.`;
    return null;
  }

  #refuse(text) {
    this.say(text, true);
    return false;
  }

  async start() {
    if (this.isBusy()) return this.say(ONE_AT_A_TIME, true);
    await this.backend.upload(this.file);
    const options = { steps: this.#steps(), optimize_layout: $("#photo-layout").checked };
    if (this.model.counts.length === 0) options.optimize_layout = false;
    this.running = { id: this.backend.invert(this.store.document, options), last: null, document: this.store.document };
    $("#photo-said").textContent = "looking for a picture to begin with"; // among many, which takes seconds
    this.#show();
  }

  // As many as the field says, or as near as it goes.
  #steps() {
    const field = $("#photo-steps");
    field.value = clamp(Math.round(Number(field.value)) || 200, Number(field.min), Number(field.max));
    return Number(field.value);
  }

  // The search ends when its picture is left for another.
  follow() {
    if (!this.running || this.running.document === this.store.document) return;
    this.backend.stop();
    this.failed("Stopped, as another picture was chosen.");
  }

  uploaded(frame) {
    if (frame.id !== this.running?.id) return;
    this.running.target = toImageData(frame.picture);
    draw($("#photo-canvas"), this.running.target);
  }

  step(frame) {
    if (frame.id !== this.running?.id) return;
    this.running.last = { w: frame.w, layout: frame.layout };
    draw($("#found-canvas"), toImageData(frame.picture));
    this.picture.put(frame.picture);
    $("#photo-progress").value = frame.step / frame.steps;
    // rms is of values in [-1, 1]; of 255 it is half of 255 times as much.
    $("#photo-said").textContent = `step ${frame.step} of ${frame.steps}: off by ${(frame.rms * 127.5).toFixed(1)} of 255 on average (root mean square)`;
    if (frame.step >= frame.steps) this.#finish();
  }

  stop() {
    this.backend.stop();
    this.#finish();
  }

  failed(message) {
    if (!this.running) return;
    this.running = null;
    $("#photo-said").textContent = message;
    this.#show();
  }

  #finish() {
    const { last, target } = this.running ?? {};
    this.running = null;
    this.#show();
    if (!last) return;
    const w = { w: last.w, layout: last.layout, object_seeds: null, directions: [] };
    this.store.change({ ...w, drag: { points: [], mask: null } });
    if (target) this.store.original = { key: this.store.originalKey, image: target };
  }

  #show() {
    const runs = this.running !== null;
    this.onRun();
    $("#photo-start").disabled = runs || !this.file;
    $("#photo-stop").disabled = !runs;
    $("#photo-progress").hidden = !runs;
  }
}

function drawSquare(canvas, image) {
  const side = Math.min(image.width, image.height);
  canvas.width = canvas.height = Math.min(side, 256);
  const [x, y] = [(image.width - side) / 2, (image.height - side) / 2];
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // below transparent parts, as the server has it
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, x, y, side, side, 0, 0, canvas.width, canvas.height);
}
