// The generator of an exported page. Files beside it (editing/static_page.py): model.json, what the page has to know;
// mapping.onnx, latents to styles; synthesis.onnx, styles and layout to the picture; seeds.json and latents.bin, what
// each seed stands for; runtime/, onnxruntime-web.

import * as ort from "./runtime/ort.js";

const near = (name) => new URL(name, import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that a static host may not send
ort.env.wasm.wasmPaths = { wasm: near("runtime/ort.wasm") };

async function load(name, kind) {
  const answer = await fetch(near(name));
  if (!answer.ok) throw new Error(`${name} is missing beside this page`);
  return answer[kind]();
}

class Generator {
  static async open() {
    const [model, seeds, latents, ...programs] = await Promise.all([
      load("model.json", "json"), load("seeds.json", "json"), load("latents.bin", "arrayBuffer"),
      load("mapping.onnx", "arrayBuffer"), load("synthesis.onnx", "arrayBuffer"),
    ]);
    const sessions = [];
    for (const program of programs) sessions.push(await ort.InferenceSession.create(new Uint8Array(program)));
    return new Generator(model, seeds, new Float32Array(latents), ...sessions);
  }

  constructor(model, seeds, latents, mapping, synthesis) {
    Object.assign(this, { model, seeds, latents, mapping, synthesis, styles: { key: null, ws: null } });
  }

  // {picture, layout} of a document, as editing/rendering.py has them.
  async render(document) {
    if (document.noise_mode !== "const") throw new Error("this page has the model's own noise only");
    if (document.directions?.length) throw new Error("this page has no directions; open the editor itself for them");
    const layout = this.#layout(document);
    const given = layoutInputs(layout, this.model.counts);
    const ws = await this.#styles(document, given);
    const { image } = await this.synthesis.run(chosen({ ws, ...given }, this.synthesis.inputNames), ["image"]);
    return { picture: pixels(image), layout };
  }

  #layout(document) {
    if (this.model.counts.length === 0) return null;
    const layout = document.layout ?? this.seeds[this.#seed(document.seed)];
    if (layout.noise) throw new Error("layouts with noise need the editor itself");
    const counts = layout.levels.map(({ centers }) => centers.length);
    if (String(counts) !== String(this.model.counts)) {
      throw new Error(`the layout has ${counts.join(", ")} centres a level, but this model takes ${this.model.counts.join(", ")}`);
    }
    return layout;
  }

  #seed(seed) {
    if (!(seed < this.model.seeds)) throw new Error(`this page knows the seeds 0 to ${this.model.seeds - 1}, and not ${seed}`);
    return seed;
  }

  // Those of the picture before, where they are the same: while a centre moves, only the layout changes.
  async #styles(document, given) {
    if (document.w) return this.#final(document.w);
    const { seed, object_seeds, truncation_psi, truncation_cutoff, label } = document;
    const layout = this.mapping.inputNames.some((name) => name in given) ? document.layout : null;
    const key = JSON.stringify([seed, object_seeds, truncation_psi, truncation_cutoff, label, layout]);
    if (key !== this.styles.key) this.styles = { key, ws: await this.#map(document, given) };
    return this.styles.ws;
  }

  async #map(document, given) {
    const { truncation_psi: psi, truncation_cutoff: cutoff } = document;
    if (psi !== 1 && !this.model.truncates) throw new Error("this model cannot truncate");
    const inputs = { z: this.#latents(document), c: this.#label(document.label), ...given };
    const mapped = async (value) =>
      (await this.mapping.run(chosen({ ...inputs, psi: floats([value], [1]) }, this.mapping.inputNames), ["ws"])).ws;
    const ws = await mapped(psi);
    if (cutoff === null || psi === 1) return ws;
    const whole = await mapped(1);
    const layer = ws.data.length / ws.dims[1];
    whole.data.set(ws.data.subarray(0, Math.min(cutoff * layer, ws.data.length)));
    return whole;
  }

  // z of the seed, with the codes of single objects replaced.
  #latents({ seed, object_seeds }) {
    const shape = this.model.latent_shape;
    const size = shape.reduce((a, b) => a * b);
    const z = this.latents.slice(this.#seed(seed) * size, (seed + 1) * size);
    const [codes, width] = shape.length === 2 ? shape : [0, 0];
    if (object_seeds && object_seeds.length !== codes) throw new Error(`${object_seeds.length} object seeds, but this model takes ${codes}`);
    object_seeds?.forEach((code, number) => {
      if (code === null) return;
      const [other, source] = Array.isArray(code) ? code : [code, number];
      if (!(source < codes)) throw new Error(`there is no object ${source}`);
      const at = this.#seed(other) * size + source * width;
      z.set(this.latents.subarray(at, at + width), number * width);
    });
    return floats(z, [1, ...shape]);
  }

  #label(label) {
    const row = new Float32Array(Math.max(this.model.classes, 1));
    if (Array.isArray(label)) row.set(label);
    else row[label ?? 0] = 1;
    return floats(row, [1, row.length]);
  }

  #final(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const length = new DataView(bytes.buffer).getUint16(8, true); // of a .npy file's header
    const values = new Float32Array(bytes.slice(10 + length).buffer);
    const shape = [1, ...this.model.w_shape];
    if (values.length !== shape.reduce((a, b) => a * b)) throw new Error("these styles were found with another model");
    return floats(values, shape);
  }
}

const floats = (values, shape) => new ort.Tensor("float32", Float32Array.from(values), shape);

const chosen = (inputs, names) => Object.fromEntries(names.map((name) => [name, inputs[name]]));

function layoutInputs(layout, counts) {
  const inputs = {};
  counts.forEach((count, level) => {
    const { centers, spreads, strengths } = layout.levels[level];
    inputs[`centers_${level}`] = floats(centers.flat(), [1, count, 2]);
    inputs[`spreads_${level}`] = floats(spreads, [1, count]);
    inputs[`strengths_${level}`] = floats(strengths ?? spreads.map(() => 1), [1, count]);
  });
  return inputs;
}

// Rows of channels, 127.5 x + 128 in [0, 255], rounded down.
function pixels({ data, dims: [, channels, height, width] }) {
  const bytes = new Uint8Array(data.length);
  const plane = height * width;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < channels; c++) {
      bytes[i * channels + c] = Math.min(255, Math.max(0, Math.floor(127.5 * data[c * plane + i] + 128)));
    }
  }
  return { width, height, channels, data: bytes };
}

let generator = null;
onmessage = async ({ data: { id, slot, document } }) => {
  try {
    const start = performance.now();
    const made = await generator.render(document);
    const ms = performance.now() - start;
    postMessage({ type: "picture", id, slot, ms, ...made }, [made.picture.data.buffer]);
  } catch (error) {
    postMessage({ type: "error", id, slot, message: error.message });
  }
};

try {
  generator = await Generator.open();
  postMessage({ type: "hello", model: generator.model, native: true });
} catch (error) {
  postMessage({ type: "failed", message: error.message });
}
