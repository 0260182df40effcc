// A session as a command line, as Python, and as the hash of an address.

const quoted = (text) => (/^[\w./:,=+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

// What generate.py needs to make the same picture; files are those of the menu, saved into the current folder.
export function commandLine(document, layout, model) {
  const words = ["python generate.py", `--network=${quoted(model.network)}`, `--seeds=${document.seed}`];
  if (document.w) words.push("--latents=latents.npz");
  else {
    if (document.truncation_psi !== 1) words.push(`--trunc=${document.truncation_psi}`);
    if (document.truncation_cutoff !== null) words.push(`--trunc-cutoff=${document.truncation_cutoff}`);
    if (model.classes) words.push(`--class=${quoted(String(document.label ?? 0))}`);
    document.object_seeds?.forEach((seed, i) => {
      if (seed !== null) words.push(`--restyle=${[i, seed].flat().join(":")}`); // [seed, the object whose style it is]
    });
  }
  for (const { file, index, strength } of document.directions) {
    words.push(`--direction=${quoted(`${file}.safetensors:${index}:${strength}`)}`);
  }
  if (document.noise_mode !== "const") words.push(`--noise-mode=${document.noise_mode}`);
  if (document.layout && layout) words.push("--layout=layout.json");
  return [...words, "--outdir=out"].join(" ");
}

export function python(document, model) {
  const files = [...new Set(document.directions.map(({ file }) => `${file}.safetensors`))];
  const along = files.length ? `, directions=known_directions(${JSON.stringify(files)}, model.G.w_shape)` : "";
  return [
    "from editing.document import load_session; from editing.rendering import render; from training.sampling import Model",
    ...(files.length ? ["from editing.latent.registry import known_directions"] : []),
    `model = Model.load(${JSON.stringify(model.network)})`,
    `picture = render(model, load_session("session.json")${along}).image  # uint8 [${model.resolution}, ${model.resolution}, ${model.channels}]`,
  ].join("\n");
}

// Why a command line cannot say everything, or null.
export function unsaid(document) {
  if (document.noise_mode === "random" && document.noise_seed !== null && document.noise_seed !== document.seed) {
    return "The noise's own seed is in the session only: use the lines of Python.";
  }
  return null;
}

// What a link does not say of a session; "" where it says all.
export function unlinked(document) {
  const missing = [
    document.w && "what was pulled or found", document.directions.length > 0 && "directions",
    document.noise_mode !== "const" && "noise", !document.w && document.truncation_cutoff !== null && "where truncation ends",
  ].filter(Boolean);
  return missing.length ? `It has seed and layout, but not ${missing.join(", ")}. Save the session for that.` : "";
}

// Seed, truncation and layout, which fit an address.
export function toHash(document) {
  const short = { s: document.seed };
  if (document.truncation_psi !== 1) short.t = document.truncation_psi;
  if (document.object_seeds) short.o = document.object_seeds;
  if (document.label !== null) short.c = document.label;
  if (document.layout) short.l = document.layout.levels.map(({ centers, spreads, strengths }) => [
    centers.map((c) => c.map(rounded)), spreads.map(rounded), ...(strengths ? [strengths.map(rounded)] : []),
  ]);
  return `#${encodeURIComponent(JSON.stringify(short))}`;
}

const rounded = (value) => Math.round(value * 1e4) / 1e4;

// The changes to a document that a hash says; {} where it says none.
export function fromHash(hash) {
  try {
    const short = JSON.parse(decodeURIComponent(hash.slice(1)));
    const changes = { seed: short.s, truncation_psi: short.t ?? 1, object_seeds: short.o ?? null, label: short.c ?? null };
    if (short.l) {
      changes.layout = { levels: short.l.map(([centers, spreads, strengths]) => ({ centers, spreads, ...(strengths && { strengths }) })) };
    }
    return Number.isInteger(short.s) ? changes : {};
  } catch {
    return {};
  }
}
