// The session: one document, what it was before, and what was undone. Everything that shows it listens here.

export const FORMAT = "steergan-session";
export const VERSION = 1;
const MOST_STATES = 200;

export function emptyDocument(network = "") {
  return {
    format: FORMAT, version: VERSION, network, seed: 0, object_seeds: null, truncation_psi: 1, truncation_cutoff: null,
    label: null, noise_mode: "const", noise_seed: null, layout: null, w: null, directions: [],
    drag: { points: [], mask: null }, history: [],
  };
}

// A document from outside with what it leaves out, or has null for, as in a new one.
export function completed(document) {
  const given = Object.entries(document).filter(([, value]) => value !== null);
  return { ...emptyDocument(), ...Object.fromEntries(given), history: [] };
}

export class Store extends EventTarget {
  constructor() {
    super();
    this.document = emptyDocument();
    this.past = []; // {document, layout}, oldest first
    this.future = [];
    this.known = null; // {seed, layout}: of the newest seed whose picture has told its layout
    this.before = null; // the state at the beginning of a change that is not finished
    this.thumbnail = null; // canvas with the picture of this state, which is no other's
    this.original = null; // {key, image, id}: what this state is compared with; states after it have the same
  }

  // The layout that the seed itself has; null until its own picture tells, as another seed's is none of it.
  get drawn() {
    return this.known?.seed === this.document.seed ? this.known.layout : null;
  }

  // What is where: the document's own layout, or the seed's.
  get layout() {
    return this.document.layout ?? this.drawn;
  }

  // Of which seed, and how it is drawn: documents of one key have one original, until a photograph takes its place.
  get originalKey() {
    const { document } = this;
    return JSON.stringify({ ...document, layout: null, object_seeds: null, directions: [], w: null, drag: { points: [], mask: null } });
  }

  get states() {
    return [...this.past, this.#state(), ...this.future.toReversed()];
  }

  // Shows a changed document; it becomes one entry of the history with `commit`, and is as it was with `cancel`.
  preview(changes) {
    this.before ??= this.#state();
    this.#show({ ...this.document, ...changes });
  }

  commit() {
    if (this.before === null) return;
    const before = this.before;
    this.before = null;
    if (JSON.stringify(before.document) !== JSON.stringify(this.document)) {
      this.past = [...this.past, before].slice(-MOST_STATES);
      this.future = [];
      this.dispatchEvent(new Event("commit"));
    }
    this.#tell();
  }

  cancel() {
    if (this.before === null) return false;
    const before = this.before;
    this.before = null;
    this.#restore(before);
    return true;
  }

  change(changes) {
    this.commit();
    this.preview(changes);
    this.commit();
  }

  undo() {
    if (this.cancel() || this.past.length === 0) return;
    this.future.push(this.#state());
    this.#restore(this.past.pop());
  }

  redo() {
    if (this.cancel() || this.future.length === 0) return;
    this.past.push(this.#state());
    this.#restore(this.future.pop());
  }

  // Goes to one of `states`.
  goTo(number) {
    this.cancel();
    while (this.past.length > number) this.undo();
    while (this.past.length < number && this.future.length) this.redo();
  }

  // A session from a file takes the place of this one, which can be undone.
  open(document) {
    const opened = completed(document);
    this.commit();
    const earlier = (document.history ?? []).map((state) => ({ document: completed(state), layout: state.layout }));
    this.past = [...this.past, this.#state(), ...earlier];
    this.past = this.past.slice(-MOST_STATES);
    this.future = [];
    this.known = this.original = null;
    this.#show(opened);
    this.dispatchEvent(new Event("commit"));
  }

  // The layout of the document's seed, which the picture brought along.
  setDrawn(layout) {
    this.known = { seed: this.document.seed, layout };
    this.#tell(true);
  }

  // The session file, with what was before.
  toJSON() {
    return { ...this.document, history: this.past.map(({ document }) => ({ ...document, history: [] })) };
  }

  #state() {
    const { document, layout, known, thumbnail, original } = this;
    return { document, layout, known, thumbnail, original };
  }

  #restore({ document, known, thumbnail, original = null }) {
    if (known?.seed === document.seed) this.known = known;
    this.original = original;
    this.#show(document, thumbnail);
  }

  #show(document, thumbnail = null) {
    this.document = document;
    this.thumbnail = thumbnail;
    this.#tell();
  }

  #tell(layoutOnly = false) {
    this.dispatchEvent(new CustomEvent("change", { detail: { layoutOnly } }));
  }
}
