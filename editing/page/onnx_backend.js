// The back end of a page that was exported: the generator itself runs in it, in a worker. Events as those of
// server_backend.js. What is asked for while a picture is being made waits; of each slot the newest counts.

export class OnnxBackend extends EventTarget {
  can = { gradients: false, overlays: false, films: false };
  where = () => "in this page (WebAssembly, one thread)";
  isConnected = false;
  #worker = null;
  #waiting = new Map(); // slot: request
  #running = null;
  #next = 1;

  connect() {
    this.#say("loading");
    this.#worker = new Worker(new URL("onnx_worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = ({ message }) => this.#say("failed", { message: message ?? "a file of this page is missing" });
  }

  render(document, { slot = "main" } = {}) {
    const id = this.#next++;
    this.#waiting.delete(slot); // what is asked for again goes to the end
    this.#waiting.set(slot, { id, slot, document: { ...document, history: [] } });
    this.#go();
    return id;
  }

  drag() {
    return this.#refuse();
  }

  invert() {
    return this.#refuse();
  }

  film() {
    return this.#refuse();
  }

  async upload() {}

  stop() {}

  #refuse() {
    const id = this.#next++;
    const said = { id, slot: "long", message: "This page cannot do that; open the editor itself for it." };
    setTimeout(() => this.#say("error", said));
    return id;
  }

  #go() {
    if (!this.isConnected || this.#running !== null || this.#waiting.size === 0) return;
    const slot = this.#waiting.has("main") ? "main" : this.#waiting.keys().next().value;
    this.#running = this.#waiting.get(slot);
    this.#waiting.delete(slot);
    this.#worker.postMessage(this.#running);
  }

  #receive(message) {
    if (message.type === "hello") this.isConnected = true;
    else if (message.type !== "failed") this.#running = null;
    this.#say(message.type, message);
    this.#go();
  }

  #say(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const makeBackend = () => new OnnxBackend();
