// The page: what listens to what. One store, one back end, surfaces with handles, and panes.

import { Directions } from "./directions.js";
import { $, download, element, isTyping, toast } from "./dom.js";
import { jsonBlob } from "./files.js";
import { check } from "./fit.js";
import { toImageData } from "./frames.js";
import { Gallery } from "./gallery.js";
import { Grid } from "./geometry.js";
import { HeatmapColumn } from "./heatmap_column.js";
import { firstHint } from "./hint.js";
import { History } from "./history.js";
import { leave, takenUp } from "./left.js";
import { Look } from "./look.js";
import { Menu } from "./menu.js";
import { Panels } from "./panels.js";
import { Photo } from "./photo.js";
import { Picture } from "./picture.js";
import { Pull } from "./pull.js";
import { Selection, Surface } from "./surface.js";
import { Store, emptyDocument } from "./store.js";
import { fromHash } from "./words.js";

const AWAY = "The server does not answer. Start it again (python edit.py --network=…).";
const PANES = ["layout", "pull", "photo", "look", "gallery"];

class Page {
  constructor(backend) {
    this.backend = backend;
    this.store = new Store();
    this.selection = new Selection();
    this.stage = $("#stage");
    this.picture = new Picture(this.stage, { store: this.store, backend });
    this.model = null;
    const on = (name, listen) => backend.addEventListener(name, ({ detail }) => listen(detail));
    on("hello", ({ model, native }) => this.#begin(model, native));
    on("loading", () => this.#status("loading", "loading", "the model is being loaded"));
    on("failed", ({ message }) => this.#notice(`The model could not be opened: ${message}`, true));
    on("gone", (why) => this.#gone(why));
    on("operators", ({ native }) => this.#switched(native));
    on("picture", (frame) => this.#arrived(frame));
    on("error", (message) => this.#error(message));
    setInterval(() => this.#showAge(), 50);
  }

  // ---- beginning, and beginning again after the server was away

  #switched(native) {
    this.isNative = native;
    this.refresh();
  }

  #begin(model, native) {
    this.isNative = native;
    this.#notice("");
    this.askedOriginal = null;
    const isFirst = this.model === null;
    if (!isFirst && JSON.stringify(model) !== JSON.stringify(this.model)) return this.#beginAnew();
    this.model = model;
    this.picture.forget();
    if (isFirst) this.#build();
    if (isFirst) this.#takeUp();
    document.title = `${model.name} · SteerGAN editor`;
    $("#model-name").textContent = `${model.name} · ${model.resolution} px`;
    this.refresh();
  }

  // The server is back with another model, or knows more of it: everything here was made for what there was.
  #beginAnew() {
    this.history.endPlay();
    this.store.commit();
    if (leave(this.store.toJSON()) || leave(this.store.document)) location.reload();
    else this.#notice("The server has another model now. Save the session, and then load this page again.", true);
  }

  // What this page had before it began anew, if it fits.
  async #takeUp() {
    const session = takenUp();
    if (session === null) return;
    try {
      check(session, this.model);
      await this.menu.adopt({ ...session, network: this.model.name });
      toast("The server has another model now; the session goes on with it.");
    } catch (error) {
      download("session.json", jsonBlob(session));
      toast(`The session does not fit the server's new model; it is in your downloads. ${error.message}`, true);
    }
  }

  #build() {
    const { store, backend, selection, picture, model } = this;
    store.document = { ...store.document, network: model.name, ...this.#addressed() };
    const many = model.counts.length === 1;
    const isHeld = () => Boolean(this.pull?.running || this.photo?.running);
    const isFree = () => !this.pull?.isOpen && !isHeld();
    const levels = model.counts.map((_, level) => level);
    const grid = new Grid(model.resolution, model.registration);
    this.surface = new Surface(this.stage, { store, selection, grid, levels, many, isFree });
    this.surface.svg.classList.add("centres");
    this.column = new HeatmapColumn($("#heatmaps"), { store, selection, model, grid, isFree: () => !isHeld() });
    $("#heatmaps").hidden = model.counts.length === 0;
    const isBusy = () => isHeld() || this.history.filming !== null;
    const onRun = () => {
      this.history?.draw();
      if (!isHeld()) this.refresh(); // what came meanwhile was not shown
    };
    this.pull = new Pull(this.stage, { store, backend, picture, grid, model, isBusy, onRun });
    this.photo = new Photo({ store, backend, picture, model, say: toast, isBusy, onRun });
    this.panels = new Panels({ store, backend, selection, model, say: toast });
    this.directions = new Directions({ store, backend, model });
    this.gallery = new Gallery({ store, backend, model });
    this.history = new History({ store, backend, picture, isBusy, isHeld });
    this.look = new Look({ backend, picture, model, refresh: () => this.refresh() });
    this.menu = new Menu({
      store, backend, picture, photo: this.photo, model, isHeld,
      openPane: (name) => this.openPane(name), onOpen: () => this.history.endPlay(),
    });
    this.#listen();
    this.#tabs();
    this.#comparing();
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => this.#follow());
    if (!backend.can.gradients) this.#greyOut();
  }

  // What the address says of a document; {} where it says nothing, or nothing that fits.
  #addressed() {
    const found = fromHash(location.hash);
    try {
      check(found, this.model);
      return found;
    } catch (error) {
      toast(`The address does not fit this model. ${error.message}`, true);
      return {};
    }
  }

  // A link to another seed and layout that is opened in this window; undo leads back.
  #follow() {
    const found = this.#addressed();
    if (found.seed === undefined) return;
    const session = { ...emptyDocument(this.model.name), ...found };
    this.menu.adopt(session).catch((error) => toast(`The address does not fit this model. ${error.message}`, true));
  }

  #listen() {
    const { store, backend, selection } = this;
    const on = (name, listen) => backend.addEventListener(name, ({ detail }) => listen(detail));
    store.addEventListener("change", ({ detail }) => this.#changed(detail.layoutOnly));
    selection.addEventListener("change", () => this.draw());
    on("drag", (frame) => this.pull.step(frame));
    on("invert", (frame) => this.photo.step(frame));
    on("upload", (frame) => this.photo.uploaded(frame));
    on("film", (frame) => this.history.filmed(frame));
    on("progress", (frame) => this.history.progress(frame));
  }

  // ---- drawing, and asking for pictures

  #changed(layoutOnly) {
    this.pull.follow();
    this.photo.follow();
    this.draw();
    if (layoutOnly) return;
    this.refresh();
  }

  draw() {
    this.surface.draw();
    this.column.draw();
    this.pull.draw();
    this.pull.restoreMask();
    this.panels.draw();
    this.directions.draw();
    this.menu.draw();
    this.history.draw();
  }

  refresh() {
    if (this.model === null) return;
    this.picture.request(this.store.document);
  }

  #arrived(frame) {
    if (frame.slot.startsWith("gallery")) return this.gallery.show(frame);
    if (frame.slot.startsWith("truncation")) return this.panels.showPreview(frame);
    if (frame.slot.startsWith("direction")) return this.directions.showPreview(frame);
    if (frame.slot === "original") return this.#original(frame);
    if (frame.slot !== "main") return;
    if (this.pull.running || this.photo.running || !this.picture.show(frame)) return;
    if (frame.id === this.picture.wantedId) this.#newest(frame);
    this.look.draw();
  }

  // Of the document as it is now; an older picture's layout is no longer anybody's.
  #newest(frame) {
    this.pull.measured(frame);
    if (this.store.document.layout === null && frame.layout) this.#drawn(frame);
    this.#settled();
  }

  #drawn(frame) {
    const isFirst = this.store.known === null;
    if (JSON.stringify(frame.layout) !== JSON.stringify(this.store.drawn)) this.store.setDrawn(frame.layout);
    if (isFirst) firstHint(this.store, this.surface.view);
  }

  // The newest picture is on display.
  #settled() {
    this.history.photograph();
    document.body.dataset.settled = this.picture.wantedId;
    if (this.store.before === null) this.#compareWith();
  }

  // What the picture is compared with: the seed's own; of styles that were found or pulled elsewhere, what was opened.
  #compareWith() {
    const { store, picture } = this;
    const [key, known] = [store.originalKey, store.original];
    if (known?.key === key && (known.image || known.id === this.askedOriginal)) return;
    if (store.document.w !== null) store.original = { key, image: known?.image ?? picture.newest };
    else {
      this.askedOriginal = this.backend.render(JSON.parse(key), { slot: "original" });
      store.original = { key, image: null, id: this.askedOriginal };
    }
  }

  #original(frame) {
    const { original } = this.store;
    if (original?.id !== frame.id) {
      if (frame.id === this.askedOriginal) this.askedOriginal = null; // of a state that was left: asked for again there
      return;
    }
    original.image = toImageData(frame.picture);
    this.picture.compare();
    this.look.draw();
  }

  // ---- what goes wrong

  #error({ id, slot, message }) {
    if (this.pull?.running && id === this.pull.running.id) return this.pull.failed(message);
    if (this.photo?.running && id === this.photo.running.id) return this.photo.failed(message);
    if (this.history?.filming === id) this.history.failed();
    if (slot === "main" || slot === null || slot === "long") toast(message, true);
    this.picture.asked.delete(id);
  }

  // why: {reason, link} where more is known than that it does not answer; link: {href, text}.
  #gone({ reason, link }) {
    this.pull?.failed("the server has gone");
    this.photo?.failed("the server has gone");
    this.history?.failed();
    this.picture.asked.clear();
    this.#notice(`${reason ?? AWAY} This page goes on by itself. Nothing is lost.`, true, link);
  }

  #notice(text, isBad = false, link = null) {
    const notice = $("#notice");
    notice.hidden = text === "";
    notice.replaceChildren(text, ...(link ? [" ", element("a", { href: link.href, target: "_blank" }, link.text)] : []));
    notice.classList.toggle("bad", isBad);
  }

  #status(state, text, more) {
    const status = $("#status");
    status.dataset.state = state;
    status.title = more;
    $("#status-text").textContent = text;
  }

  #showAge() {
    if (this.model === null) return;
    if (!this.backend.isConnected) return this.#status("gone", "gone", "the server does not answer");
    const { latency, age, isLate } = this.picture;
    const ms = Math.round(isLate ? age : latency);
    this.#status(isLate ? "late" : "live", `${ms} ms`, `${ms} ms from a change to its picture, made ${this.backend.where(this.isNative)}`);
  }

  #greyOut() {
    for (const name of ["pull", "photo"]) {
      $(`#tab-${name}`).disabled = true;
      $(`#tab-${name}`).title = "This needs gradients: open the editor itself for it.";
    }
    for (const each of document.querySelectorAll(".keys .gradients")) each.hidden = true;
    for (const name of ["look", "film-gif", "film-mp4"]) $(`#${name}`).title = "This needs the editor itself.";
    for (const option of document.querySelectorAll("#noise option:not([value=const])")) option.disabled = true;
  }

  // ---- panes

  #tabs() {
    for (const name of PANES) {
      $(`#tab-${name}`).onclick = () => this.openPane(name);
      $(`#tab-${name}`).onkeydown = ({ key }) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (!step) return;
        const usable = PANES.filter((each) => !$(`#tab-${each}`).disabled);
        const next = usable.at((usable.indexOf(name) + step) % usable.length);
        this.openPane(next);
        $(`#tab-${next}`).focus();
      };
    }
  }

  openPane(name) {
    for (const each of PANES) {
      $(`#tab-${each}`).setAttribute("aria-selected", String(each === name));
      $(`#tab-${each}`).tabIndex = each === name ? 0 : -1;
      $(`#pane-${each}`).hidden = each !== name;
    }
    this.pull.open(name === "pull");
    if (name === "gallery") this.gallery.fill();
  }

  // ---- before and after

  #comparing() {
    const hold = $("#hold");
    const set = (held) => () => this.#hold(held);
    hold.addEventListener("pointerdown", set(true));
    for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) hold.addEventListener(end, set(false));
    addEventListener("blur", set(false));
    hold.addEventListener("keydown", ({ key }) => (key === "Enter" || key === " ") && this.#hold(true));
    hold.addEventListener("keyup", set(false));
    const handle = $("#wipe");
    $("#wipe-toggle").onclick = ({ currentTarget }) => {
      const on = handle.hidden;
      handle.hidden = !on;
      currentTarget.setAttribute("aria-pressed", String(on));
      this.#wipe(on ? 0.5 : null);
    };
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.stage.getBoundingClientRect();
      this.#wipe((event.clientX - box.left) / box.width);
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.05, ArrowRight: 0.05 }[event.key];
      if (step) this.#wipe(this.picture.wipe + step);
      if (step) event.preventDefault();
    });
  }

  #hold(held) {
    this.picture.hold(held);
  }

  #wipe(share) {
    this.picture.setWipe(share);
    const percent = Math.round((this.picture.wipe ?? 0.5) * 100);
    $("#wipe").style.left = `${percent}%`;
    $("#wipe").setAttribute("aria-valuenow", percent);
  }

  // ---- keys that hold for the whole page

  #key(event) {
    if (isTyping(event.target)) return;
    if (event.target instanceof HTMLSelectElement && !event.ctrlKey && !event.metaKey) return; // letters choose there
    if ((event.ctrlKey || event.metaKey) && "zy".includes(event.key.toLowerCase())) {
      const again = event.key.toLowerCase() === "y" || event.shiftKey;
      $(again ? "#redo" : "#undo").click();
      event.preventDefault();
    } else if (event.key === "Escape") this.#escape();
    else if (event.key === " " && !event.target.closest?.("button, summary, label, a, input")) {
      this.#hold(true);
      addEventListener("keyup", () => this.#hold(false), { once: true });
      event.preventDefault();
    } else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "n") $("#new").click();
    else if (event.key === "p" && this.backend.can.gradients) this.#pullByKeys();
  }

  #pullByKeys() {
    this.openPane("pull");
    this.pull.svg.focus();
  }

  #escape() {
    if (this.surface.cancel() || this.column.cancel() || this.pull.cancel() || this.store.cancel()) return;
    this.selection.set(null);
    document.activeElement?.blur();
  }
}

const kind = $('meta[name="steergan-backend"]').content;
const { makeBackend } = await import(kind === "onnx" ? "./onnx_backend.js" : "./server_backend.js");
const backend = makeBackend();
globalThis.steergan = new Page(backend); // for the console, and for tests
backend.connect();
