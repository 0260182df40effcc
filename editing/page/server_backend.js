// The back end that asks the server over a WebSocket. Events: hello, picture, drag, invert, upload, film, progress,
// error, stopped, operators, loading, failed, refused, gone. `detail` is the message, or the frame's header with its
// parts.

import { readFrame } from "./frames.js";

const FIRST_WAIT = 500; // milliseconds before it tries to connect again
const LONGEST_WAIT = 3000;
const AWAY = {}; // nothing more is known than that it does not answer
const LOCKED = {
  reason: "The server asks for its password again.",
  link: { href: "login", text: "Log in, in another tab." },
};

export class ServerBackend extends EventTarget {
  can = { gradients: true, overlays: true, films: true };
  where = (isNative) => (isNative ? "by the server" : "by the server with PyTorch's operators, as the native ones are not ready");
  #socket = null;
  #wait = FIRST_WAIT;
  #next = 1;
  #why = AWAY; // why there is no connection, where more is known than that there is none

  connect() {
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    this.#socket = new WebSocket(address);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = () => this.#again();
  }

  get isConnected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Each returns the number of its request, which the answers have as `id`. What takes long and cannot be asked fails.
  render(document, { slot = "main", overlay = null } = {}) {
    return this.#send("render", { document: plain(document), slot, overlay });
  }

  drag(document, options) {
    return this.#ask("drag", { document: plain(document), options });
  }

  invert(document, options) {
    return this.#ask("invert", { document: plain(document), options });
  }

  film(documents, { suffix, frames, marks }) {
    return this.#ask("film", { documents: documents.map(plain), suffix, frames, marks });
  }

  stop() {
    return this.#send("stop", {});
  }

  // A picture's file, for `invert`.
  async upload(file) {
    if (this.isConnected) this.#socket.send(await file.arrayBuffer());
  }

  #ask(type, fields) {
    const id = this.#send(type, fields);
    const said = { type: "error", id, slot: "long", message: "The server does not answer; try again when it is back." };
    if (!this.isConnected) setTimeout(() => this.dispatchEvent(new CustomEvent("error", { detail: said })));
    return id;
  }

  #send(type, fields) {
    const id = this.#next++;
    if (this.isConnected) this.#socket.send(JSON.stringify({ type, id, ...fields }));
    return id;
  }

  #receive(data) {
    const message = typeof data === "string" ? JSON.parse(data) : readFrame(data);
    if (message.type === "hello") [this.#wait, this.#why] = [FIRST_WAIT, AWAY];
    if (message.type === "refused") this.#why = { reason: message.message };
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #again() {
    this.#sayGone();
    setTimeout(() => this.connect(), this.#wait);
    this.#wait = Math.min(this.#wait * 1.5, LONGEST_WAIT);
    this.#askWhy();
  }

  #sayGone() {
    this.dispatchEvent(new CustomEvent("gone", { detail: this.#why }));
  }

  // A WebSocket that is refused does not say why; a page that leads to another one does.
  async #askWhy() {
    const answer = await fetch("./", { redirect: "manual", cache: "no-store" }).catch(() => null);
    const isKnown = answer !== null && this.#why !== LOCKED;
    const why = answer?.type === "opaqueredirect" ? LOCKED : isKnown ? this.#why : AWAY;
    if (this.isConnected || why === this.#why) return;
    this.#why = why;
    this.#sayGone();
  }
}

// A picture does not depend on what was before.
const plain = (document) => ({ ...document, history: [] });

export const makeBackend = () => new ServerBackend();
