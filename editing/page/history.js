// The strip of states, and the film through them.

import { $, download, element, toast } from "./dom.js";

const THUMBNAIL = 52;
const FRAMES = 12; // from one state to the next
const PLAY = 350; // milliseconds a state

export class History {
  constructor({ store, backend, picture }) {
    Object.assign(this, { store, backend, picture });
    $("#undo").onclick = () => store.undo();
    $("#redo").onclick = () => store.redo();
    $("#film-gif").onclick = () => this.film(".gif");
    $("#film-mp4").onclick = () => this.film(".mp4");
    $("#film-play").onclick = () => this.play();
    this.filming = null;
  }

  // The picture of the present state has come.
  photograph() {
    if (this.store.before !== null) return;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = THUMBNAIL * 2;
    canvas.getContext("2d").drawImage(this.picture.canvas, 0, 0, canvas.width, canvas.height);
    this.store.thumbnail = canvas;
    this.draw();
  }

  draw() {
    const now = this.store.past.length;
    $("#undo").disabled = now === 0 && this.store.before === null;
    $("#redo").disabled = this.store.future.length === 0;
    for (const name of ["gif", "mp4", "play"]) {
      const able = name === "play" || this.backend.can.films;
      $(`#film-${name}`).disabled = !able || this.store.states.length < 2 || this.filming !== null;
    }
    const buttons = this.store.states.map(({ thumbnail }, number) => this.#entry(thumbnail, number, now));
    $("#strip").replaceChildren(...buttons);
    const chosen = buttons[now];
    const strip = $("#strip");
    if (chosen) strip.scrollLeft = chosen.offsetLeft - strip.offsetLeft - strip.clientWidth + 2 * THUMBNAIL;
  }

  #entry(thumbnail, number, now) {
    const button = element("button", {
      role: "option", "aria-selected": String(number === now), class: number > now ? "undone" : "",
      "aria-label": `State ${number + 1}`, onclick: () => this.store.goTo(number),
    });
    if (thumbnail) {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [thumbnail.width, thumbnail.height];
      canvas.getContext("2d").drawImage(thumbnail, 0, 0);
      button.append(canvas);
    } else button.append(String(number + 1));
    return button;
  }

  async play() {
    const states = this.store.states.length;
    const back = this.store.past.length;
    for (let number = 0; number < states; number++) {
      this.store.goTo(number);
      await new Promise((resolve) => setTimeout(resolve, PLAY));
    }
    this.store.goTo(back);
  }

  film(suffix) {
    const documents = this.store.states.map(({ document, layout }) => ({ ...document, layout: document.layout ?? layout ?? null }));
    const options = { suffix, frames: FRAMES, marks: $("#film-marks").checked };
    this.filming = this.backend.film(documents.slice(-100), options);
    toast("making the film");
    this.draw();
  }

  filmed(frame) {
    if (frame.id !== this.filming) return;
    this.filming = null;
    const kind = frame.suffix === ".gif" ? "image/gif" : "video/mp4";
    download(`steergan${frame.suffix}`, new Blob([frame.file.data], { type: kind }));
    this.draw();
  }

  failed() {
    this.filming = null;
    this.draw();
  }
}
