// The strip of states, and the film through them.

import { $, ONE_AT_A_TIME, download, element, toast } from "./dom.js";

const THUMBNAIL = 52;
const FRAMES = 12; // from one state to the next
const MOST_KEYFRAMES = 100; // that the server takes
const PLAY = 350; // milliseconds a state
const ACTS = ["pointerdown", "click", "input", "keydown", "wheel", "drop", "hashchange"]; // by which something is begun

export class History {
  // isBusy: whether something else that takes long is being done for this page; isHeld: whether it changes the picture.
  constructor({ store, backend, picture, isBusy, isHeld }) {
    Object.assign(this, { store, backend, picture, isBusy, isHeld });
    $("#undo").onclick = () => store.undo();
    $("#redo").onclick = () => store.redo();
    $("#film-gif").onclick = () => this.film(".gif");
    $("#film-mp4").onclick = () => this.film(".mp4");
    $("#film-stop").onclick = () => this.stop();
    $("#film-play").onclick = () => this.play();
    this.filming = null;
    this.playing = null; // {back}: the state where it began
    for (const name of ACTS) addEventListener(name, (event) => this.#interrupt(event), true);
    this.chosen = null;
    this.buttons = new WeakMap(); // of each state's document
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
    const isHeld = this.isHeld();
    $("#undo").disabled = isHeld || (now === 0 && this.store.before === null);
    $("#redo").disabled = isHeld || this.store.future.length === 0;
    for (const name of ["gif", "mp4", "play"]) {
      const able = name === "play" || this.backend.can.films;
      const isKept = this.filming !== null || (name === "play" && isHeld);
      $(`#film-${name}`).disabled = !able || this.store.states.length < 2 || isKept;
    }
    $("#film-play").textContent = this.playing ? "Stop" : "Play";
    $("#film-stop").hidden = this.filming === null;
    if (this.store.before === null) this.#drawStrip(now); // what is being changed is no state yet
  }

  // A state keeps its button; only what has changed is drawn.
  #drawStrip(now) {
    const buttons = this.store.states.map((state, number) => this.#entry(state, number, now));
    const strip = $("#strip");
    if (buttons.length !== strip.children.length || buttons.some((button, i) => button !== strip.children[i])) {
      strip.replaceChildren(...buttons);
    }
    if (buttons[now] === this.chosen) return;
    this.chosen = buttons[now];
    strip.scrollLeft = this.chosen.offsetLeft - strip.offsetLeft - strip.clientWidth + 2 * THUMBNAIL;
  }

  #entry({ document, thumbnail }, number, now) {
    const button = this.#buttonOf(document);
    const selected = String(number === now);
    if (button.getAttribute("aria-selected") !== selected) button.setAttribute("aria-selected", selected);
    button.classList.toggle("undone", number > now);
    if (button.dataset.number !== String(number)) {
      button.dataset.number = number;
      button.setAttribute("aria-label", `State ${number + 1}`);
      if (!button.shown) button.textContent = String(number + 1);
    }
    if (thumbnail && button.shown !== thumbnail) {
      button.shown = thumbnail;
      button.replaceChildren(thumbnail);
    }
    return button;
  }

  #buttonOf(document) {
    if (!this.buttons.has(document)) {
      const button = element("button", { role: "option", onclick: () => this.#goTo(Number(button.dataset.number)) });
      this.buttons.set(document, button);
    }
    return this.buttons.get(document);
  }

  #goTo(number) {
    if (this.isHeld()) toast(ONE_AT_A_TIME, true);
    else this.store.goTo(number);
  }

  // Through all states and back to where it began; pressed again, back at once.
  async play() {
    if (this.playing) return this.endPlay();
    this.store.commit();
    const states = this.store.states.length;
    const played = (this.playing = { back: this.store.past.length });
    for (let number = 0; number < states && this.playing === played; number++) {
      this.store.goTo(number);
      await new Promise((resolve) => setTimeout(resolve, PLAY));
    }
    if (this.playing === played) this.endPlay();
  }

  endPlay() {
    if (!this.playing) return;
    const { back } = this.playing;
    this.playing = null;
    this.store.goTo(back);
    this.draw();
  }

  // Whatever is begun is begun at the state where Play began: a change to an earlier one would end the later ones.
  #interrupt({ type, target, key }) {
    if (!this.playing) return;
    const isButton = $("#film-play").contains(target instanceof Node ? target : null);
    const isPressed = type === "keydown" ? key === "Enter" || key === " " : type !== "wheel";
    if (!isButton || !isPressed) this.endPlay();
  }

  film(suffix) {
    if (this.isBusy()) return toast(ONE_AT_A_TIME, true);
    const documents = this.store.states.map(({ document }) => document); // a layout of null is drawn from the seed
    const options = { suffix, frames: FRAMES, marks: $("#film-marks").checked };
    if (documents.length > MOST_KEYFRAMES) toast(`The film goes through the newest ${MOST_KEYFRAMES} states.`);
    this.filming = this.backend.film(documents.slice(-MOST_KEYFRAMES), options);
    this.#say("0 %");
    this.draw();
  }

  progress({ id, done, total }) {
    if (id === this.filming) this.#say(`${Math.floor((100 * done) / total)} %`);
  }

  #say(text) {
    $("#film-said").textContent = text;
  }

  filmed(frame) {
    if (frame.id !== this.filming) return;
    this.failed();
    const kind = frame.suffix === ".gif" ? "image/gif" : "video/mp4";
    download(`steergan${frame.suffix}`, new Blob([frame.file.data], { type: kind }));
    toast("The film is in your downloads.");
  }

  // Nothing of it is kept, and what still comes is of a film that nobody waits for.
  stop() {
    this.backend.stop();
    this.failed();
  }

  failed() {
    if (this.filming === null) return;
    this.filming = null;
    this.#say("");
    this.draw();
  }
}
