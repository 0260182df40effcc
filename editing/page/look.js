// Looking inside: the discriminator's attention and the generator's mean features over the picture; differences.

import { $, element } from "./dom.js";

export class Look {
  constructor({ backend, picture, model, refresh }) {
    Object.assign(this, { picture, refresh });
    const option = (kind, name) => (r) => element("option", { value: `${kind}:${r}` }, `${name}, ${r} × ${r}`);
    const attention = model.attention.map(option("attention", "attention of the discriminator"));
    const features = model.features.map(option("features", "features of the generator"));
    $("#look").append(...attention, ...features);
    $("#look").disabled = !backend.can.overlays;
    $("#look").onchange = ({ target }) => this.choose(target.value);
    $("#look-opacity").oninput = ({ target }) => ($("#overlay").style.opacity = target.value);
    this.isDifference = false;
    $("#difference").onclick = () => this.toggleDifference();
  }

  choose(value) {
    const [kind, resolution] = value.split(":");
    this.picture.look = value ? { kind, resolution: Number(resolution) } : null;
    this.#setDifference(false);
    this.refresh();
  }

  // One map at a time lies over the picture.
  toggleDifference() {
    const on = !this.isDifference && this.picture.original !== null;
    if (on && this.picture.look) {
      $("#look").value = "";
      this.choose("");
    }
    this.#setDifference(on);
    if (on) this.draw();
    else this.picture.overlay.hidden = true;
  }

  #setDifference(on) {
    this.isDifference = on;
    $("#difference").setAttribute("aria-pressed", String(on));
    if (!on) $("#look-said").textContent = "";
  }

  // After each picture.
  draw() {
    if (!this.isDifference || !this.picture.original) return;
    const mean = this.picture.difference();
    $("#look-said").textContent = `The two pictures differ by ${mean.toFixed(1)} of 255 on average.`;
  }
}
