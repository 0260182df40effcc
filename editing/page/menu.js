// Opening and saving: sessions, layouts, latents, pictures; copying in words.

import { $, ONE_AT_A_TIME, download, opensByKey, toast } from "./dom.js";
import { fromBase64, jsonBlob, layoutFile, pngOf, read, withSession, zip } from "./files.js";
import { check } from "./fit.js";
import { completed } from "./store.js";
import { commandLine, python, toHash, unlinked, unsaid } from "./words.js";

const NOBODY = "the server does not answer; open it again when it is back";
const NOT_YET = "The picture of this state is not there yet.";

export class Menu {
  // isHeld: whether something that takes long changes the picture.
  // onOpen: something is about to take the place of the document.
  constructor({ store, backend, picture, photo, model, isHeld, openPane, onOpen }) {
    Object.assign(this, { store, backend, picture, photo, model, openPane, onOpen, tried: 0 });
    const actions = {
      png: () => this.#png(), session: () => download("session.json", jsonBlob(this.store.toJSON())),
      layout: () => this.#layout(), latents: () => this.#latents(), command: () => this.#command(),
      python: () => this.#copy(python(store.document, model), "Save the session as session.json beside it."), link: () => this.#link(),
    };
    for (const button of document.querySelectorAll("[data-save]")) {
      button.onclick = () => {
        $("#save-menu").open = false;
        if (isHeld()) toast(ONE_AT_A_TIME, true); // what is on display is no state yet
        else actions[button.dataset.save]();
      };
    }
    $("[data-save=layout]").disabled = model.counts.length === 0;
    $("#open").onchange = ({ target }) => {
      if (target.files[0]) this.open(target.files[0]);
      target.value = "";
    };
    opensByKey($("#open-label"), $("#open"));
    this.#closing();
    this.#dropping();
  }

  // A click beside the open menu closes it, and so does Escape.
  #closing() {
    const menu = $("#save-menu");
    addEventListener("pointerdown", ({ target }) => menu.contains(target) || (menu.open = false), true);
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      $("summary", menu).focus();
      event.stopPropagation();
    });
  }

  draw() {
    $("[data-save=latents]").disabled = this.store.document.w === null;
  }

  // What somebody chose or dropped.
  async open(file) {
    try {
      const found = await read(file);
      check(found.session ?? { layout: found.layout }, this.model);
      if (found.session) await this.#session(found.session);
      else if (found.layout) await this.#layoutFrom(found.layout);
      else if (await this.photo.choose(found.picture)) this.openPane("photo");
    } catch (error) {
      toast(`${file.name}: ${error.message}`, true);
    }
  }

  async #session(session) {
    const { network } = this.store.document;
    await this.adopt({ ...session, network });
    const isOther = session.network && session.network !== network;
    toast(isOther ? `Session opened. It was made with ${session.network}; here it may look different.` : "Session opened.");
  }

  async #layoutFrom(layout) {
    await this.#tryOut({ ...this.store.document, layout });
    this.store.change({ layout });
    toast("Layout opened.");
  }

  // A session takes the place of this one when there is a picture of it. Throws an Error to be shown where there is none.
  async adopt(session) {
    await this.#tryOut(completed(session));
    this.store.open(session);
  }

  #tryOut(document) {
    const { backend } = this;
    if (!backend.isConnected) throw new Error(NOBODY);
    this.tried = (this.tried + 1) % 1000;
    const id = backend.render(document, { slot: `tried${this.tried}` });
    const until = new AbortController();
    return new Promise((resolve, reject) => {
      const on = (name, listen) => backend.addEventListener(name, ({ detail }) => listen(detail), { signal: until.signal });
      on("picture", (frame) => frame.id === id && resolve());
      on("error", (error) => error.id === id && reject(new Error(error.message)));
      on("gone", () => reject(new Error(NOBODY)));
    }).then(() => this.onOpen()).finally(() => until.abort());
  }

  async #png() {
    if (this.picture.shownId !== this.picture.wantedId) return toast(NOT_YET, true);
    const bytes = await pngOf(this.picture.canvas);
    download(`seed${this.store.document.seed}.png`, withSession(bytes, this.store.toJSON()));
  }

  #layout() {
    if (!this.store.layout) return toast(NOT_YET, true);
    download("layout.json", jsonBlob(layoutFile(this.store.layout)));
  }

  #latents() {
    download("latents.npz", zip({ "w.npy": fromBase64(this.store.document.w) }));
  }

  #command() {
    const { document, layout } = this.store;
    const more = [document.layout && "layout.json", document.w && "latents.npz"].filter(Boolean);
    const files = more.length ? `Save ${more.join(" and ")} beside it.` : "";
    this.#copy(commandLine(document, layout, this.model), [files, unsaid(document)].filter(Boolean).join(" "));
  }

  #link() {
    const address = new URL(location.href);
    address.hash = toHash(this.store.document);
    this.#copy(address.href, unlinked(this.store.document));
  }

  async #copy(text, more) {
    try {
      await navigator.clipboard.writeText(text);
      toast(`Copied. ${more}`);
    } catch {
      prompt(`Copy this. ${more}`, text);
    }
    $("#save-menu").dataset.copied = text;
  }

  #dropping() {
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    addEventListener("dragleave", () => document.body.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      if (event.dataTransfer.files[0]) this.open(event.dataTransfer.files[0]);
    });
  }
}
