// One's own picture: uploaded, searched for in the model's latents, and shown beside the model's, with the error.

import { $, ONE_AT_A_TIME } from "./dom.js";
import { toImageData } from "./frames.js";
import { draw } from "./picture.js";

export class Photo {
  constructor({ store, backend, picture, say, isBusy }) {
    Object.assign(this, { store, backend, picture, say, isBusy });
    this.running = null;
    $("#photo").onchange = ({ target }) => target.files[0] && this.choose(target.files[0]);
    $("#photo-drop").onkeydown = ({ key }) => (key === "Enter" || key === " ") && $("#photo").click();
    $("#photo-start").onclick = () => this.start();
    $("#photo-stop").onclick = () => this.stop();
  }

  async choose(file) {
    if (!this.backend.can.gradients) return this.say("The exported page cannot search; open the editor itself for that.", true);
    this.file = file;
    const image = await createImageBitmap(file).catch(() => null);
    if (!image) return this.say(`${file.name} is no picture that can be read here`, true);
    $("#photo-pair").hidden = false;
    drawSquare($("#photo-canvas"), image);
    $("#photo-start").disabled = false;
    $("#photo-said").textContent = `${file.name}, ${image.width} × ${image.height}: cut to a square in the middle`;
  }

  async start() {
    if (this.isBusy()) return this.say(ONE_AT_A_TIME, true);
    await this.backend.upload(this.file);
    const options = { steps: Number($("#photo-steps").value), optimize_layout: $("#photo-layout").checked };
    if (!this.store.layout) options.optimize_layout = false;
    this.running = { id: this.backend.invert(this.store.document, options), last: null };
    this.#show();
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
    if (target) this.picture.setOriginal(target);
  }

  #show() {
    const runs = this.running !== null;
    $("#photo-start").disabled = runs || !this.file;
    $("#photo-stop").disabled = !runs;
    $("#photo-progress").hidden = !runs;
  }
}

function drawSquare(canvas, image) {
  const side = Math.min(image.width, image.height);
  canvas.width = canvas.height = Math.min(side, 256);
  const [x, y] = [(image.width - side) / 2, (image.height - side) / 2];
  canvas.getContext("2d").drawImage(image, x, y, side, side, 0, 0, canvas.width, canvas.height);
}
