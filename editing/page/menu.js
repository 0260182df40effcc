// Opening and saving: sessions, layouts, latents, pictures; copying in words.

import { $, download, toast } from "./dom.js";
import { fromBase64, jsonBlob, layoutFile, pngOf, read, withSession, zip } from "./files.js";
import { check } from "./fit.js";
import { commandLine, python, toHash, unsaid } from "./words.js";

export class Menu {
  constructor({ store, picture, photo, model, openPane }) {
    Object.assign(this, { store, picture, photo, model, openPane });
    const actions = {
      png: () => this.#png(), session: () => download("session.json", jsonBlob(this.store.toJSON())),
      layout: () => this.#layout(), latents: () => this.#latents(), command: () => this.#command(),
      python: () => this.#copy(python(store.document, model), "Save the session as session.json beside it."), link: () => this.#link(),
    };
    for (const button of document.querySelectorAll("[data-save]")) {
      button.onclick = () => {
        $("#save-menu").open = false;
        actions[button.dataset.save]();
      };
    }
    $("[data-save=layout]").disabled = model.counts.length === 0;
    $("#open").onchange = ({ target }) => {
      if (target.files[0]) this.open(target.files[0]);
      target.value = "";
    };
    $("#open-label").onkeydown = ({ key }) => (key === "Enter" || key === " ") && $("#open").click();
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
      if (found.session) this.#session(found.session);
      else if (found.layout) this.store.change({ layout: found.layout });
      else {
        this.openPane("photo");
        await this.photo.choose(found.picture);
      }
    } catch (error) {
      toast(`${file.name}: ${error.message}`, true);
    }
  }

  #session(session) {
    const { network } = this.store.document;
    if (session.network && session.network !== network) toast(`This session was made with ${session.network}; here it may look different.`);
    this.store.open({ ...session, network });
    toast("session opened");
  }

  async #png() {
    const bytes = await pngOf(this.picture.canvas);
    download(`seed${this.store.document.seed}.png`, withSession(bytes, this.store.toJSON()));
  }

  #layout() {
    download("layout.json", jsonBlob(layoutFile(this.store.layout)));
  }

  #latents() {
    download("latents.npz", zip({ "w.npy": fromBase64(this.store.document.w) }));
  }

  #command() {
    const { document, layout } = this.store;
    const more = [document.layout && "layout.json", document.w && "latents.npz"].filter(Boolean);
    const files = more.length ? `Save ${more.join(" and ")} beside it.` : "";
    this.#copy(commandLine(document, layout, this.model), unsaid(document) ?? files);
  }

  #link() {
    const address = new URL(location.href);
    address.hash = toHash(this.store.document);
    this.#copy(address.href, this.store.document.w ? "It has seed and layout, but not what was pulled." : "");
  }

  async #copy(text, more) {
    try {
      await navigator.clipboard.writeText(text);
      toast(`copied. ${more}`);
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
