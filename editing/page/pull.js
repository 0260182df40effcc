// Pulling points (DragGAN): press one and pull it to its target in one gesture; what may change; the run itself.

import { CircleFields, LEAST_RADIUS } from "./circle_fields.js";
import { Crosshair } from "./crosshair.js";
import { $, ONE_AT_A_TIME, element, svg } from "./dom.js";
import { View, clamp } from "./geometry.js";
import { KeyPoints } from "./key_points.js";

const CIRCLE = [0, 0, 0.5];
const SHORTEST = 6; // CSS pixels of an arrow
const MASK_SIDE = 256; // pixels of a painted mask, each way

export class Pull {
  constructor(host, { store, backend, picture, grid, model, isBusy, onRun }) {
    Object.assign(this, { host, store, backend, picture, grid, isBusy, onRun });
    this.keyPoints = new KeyPoints(model, (field) => (field ? this.choose("off") : this.draw())); // a field knows no masks
    this.#modes(model);
    this.view = new View(host, grid);
    this.svg = svg("svg", { class: "handles", role: "group", "aria-label": "Points to pull: arrow keys move a cross, Enter chooses where a point begins, and then where it goes" });
    this.svg.style.display = "none";
    host.append(this.svg);
    this.crosshair = new Crosshair(this.svg, this.view, {
      onChange: () => this.draw(), onEnter: (at) => this.#enter(at), onRun: () => (this.running ? this.stop() : $("#pull-start").click()),
    });
    this.canvas = $("#mask");
    this.painted = document.createElement("canvas");
    this.painted.width = this.painted.height = MASK_SIDE;
    this.brush = "paint";
    this.gesture = null;
    this.pending = null; // where a point is to begin, after a click: the next one says where it goes
    this.saidOf = null; // the document of which something is said
    this.running = null; // {id, document, points, distances, last}
    this.svg.addEventListener("pointerdown", (event) => this.#press(event));
    this.svg.addEventListener("pointermove", (event) => this.#move(event));
    this.svg.addEventListener("pointerup", (event) => this.#release(event));
    this.svg.addEventListener("pointercancel", (event) => this.#isOfGesture(event) && this.cancel());
    $("#pull-start").onclick = () => this.start();
    $("#pull-stop").onclick = () => this.stop();
    $("#pull-clear").onclick = () => this.store.change({ drag: { ...this.drag, points: [] } });
    for (const button of document.querySelectorAll("[data-mask]")) button.onclick = () => this.choose(button.dataset.mask);
    for (const button of document.querySelectorAll("[data-brush]")) button.onclick = () => this.#takeUp(button.dataset.brush);
    this.circleFields = new CircleFields({
      circle: () => this.drag.mask?.circle ?? null,
      onChange: (circle) => this.#setCircle(circle), onEnd: () => this.#commit(),
    });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  get drag() {
    return { points: [], mask: null, ...this.store.document.drag };
  }

  // "off", "circle" or "brush": what the document's mask is made with.
  get tool() {
    const { mask } = this.drag;
    return !mask ? "off" : mask.circle ? "circle" : "brush";
  }

  get isOpen() {
    return this.svg.style.display !== "none";
  }

  open(isOpen) {
    this.svg.style.display = isOpen ? "" : "none";
    this.pending = null;
    if (!isOpen) this.crosshair.hide();
    this.host.classList.toggle("pulling", isOpen);
    this.draw();
  }

  // Where no centre moves anything, details alone can be changed.
  #modes({ moves_centers: moves }) {
    if (moves) return;
    for (const option of document.querySelectorAll("#pull-mode option")) option.disabled = /^(hybrid|alternate)$/.test(option.value);
    $("#pull-mode").value = "latent";
  }

  // ---- drawing

  draw() {
    this.#drawMask();
    if (!this.isOpen) return;
    this.svg.replaceChildren(svg("rect", { width: "100%", height: "100%", fill: "transparent" }));
    if (!this.running) this.svg.append(...this.keyPoints.marks(this.view));
    this.drag.points.forEach((point, index) => this.#drawPoint(point, index));
    if (this.drag.mask?.circle) this.#drawCircle(this.drag.mask.circle);
    if (this.pending) this.#drawPending(this.pending);
    this.svg.append(...this.crosshair.marks());
    this.#list();
    this.#drawTools();
  }

  #drawTools() {
    const check = (kind, value) => {
      for (const button of document.querySelectorAll(`[data-${kind}]`)) button.setAttribute("aria-checked", String(button.dataset[kind] === value));
    };
    check("mask", this.tool);
    check("brush", this.brush);
    $("#brush-tools").hidden = this.tool !== "brush";
    this.circleFields.draw();
  }

  #drawPending(place) {
    const [cx, cy] = this.view.toScreen(place);
    if (this.crosshair.isShown) {
      const line = { d: `M${cx} ${cy}L${this.view.toScreen(this.crosshair.at).join(" ")}` };
      this.svg.append(svg("path", { class: "arrow-shadow", ...line }), svg("path", { class: "arrow", ...line }));
    }
    this.svg.append(svg("circle", { class: "start-point", cx, cy, r: 7 }));
  }

  #drawPoint({ from, to }, index) {
    const [x1, y1] = this.view.toScreen(this.running?.points[index] ?? from);
    const [x2, y2] = this.view.toScreen(to);
    const line = { d: `M${x1} ${y1}L${x2} ${y2}` };
    const [sx, sy] = this.view.toScreen(from);
    this.svg.append(
      svg("path", { class: "arrow-shadow", ...line }), svg("path", { class: "arrow", ...line }),
      svg("circle", { class: "start-point", cx: sx, cy: sy, r: 7, "data-point": index, "data-end": "from" }),
      svg("circle", { class: "target-point", cx: x2, cy: y2, r: 7, "data-point": index, "data-end": "to" }),
    );
    if (this.running?.points[index]) this.svg.append(svg("circle", { class: "now-point", cx: x1, cy: y1, r: 5 }));
  }

  #drawCircle([x, y, r]) {
    const [cx, cy] = this.view.toScreen([x, y]);
    const radius = this.view.length(r);
    this.svg.append(
      svg("circle", { class: "mask-circle", cx, cy, r: radius }),
      svg("rect", { class: "mask-middle", x: cx - 5, y: cy - 5, width: 10, height: 10, "data-circle": "middle" }),
      svg("circle", { class: "mask-grip", cx: cx + radius, cy, r: 6, "data-circle": "radius" }),
    );
  }

  // What may not change lies in shadow.
  #drawMask() {
    const { mask } = this.drag;
    this.canvas.hidden = !mask || !this.isOpen;
    if (this.canvas.hidden) return;
    this.canvas.width = this.canvas.height = MASK_SIDE;
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = "#0b0b14";
    pen.fillRect(0, 0, MASK_SIDE, MASK_SIDE);
    pen.globalCompositeOperation = "destination-out";
    if (mask.circle) {
      this.#disc(pen, mask.circle.slice(0, 2), mask.circle[2]);
    } else {
      const data = this.painted.getContext("2d").getImageData(0, 0, MASK_SIDE, MASK_SIDE);
      for (let i = 0; i < data.data.length; i += 4) data.data[i + 3] = data.data[i];
      const sheet = document.createElement("canvas");
      sheet.width = sheet.height = MASK_SIDE;
      sheet.getContext("2d").putImageData(data, 0, 0);
      pen.drawImage(sheet, 0, 0);
    }
  }

  // A disc in image coordinates, on a canvas that covers the picture.
  #disc(pen, [x, y], r) {
    const side = (value) => this.grid.toShare(value) * MASK_SIDE;
    pen.beginPath();
    pen.arc(side(x), side(y), this.grid.share(r) * MASK_SIDE, 0, 2 * Math.PI);
    pen.fill();
  }

  #list() {
    const pixels = (point, index) => {
      const distance = this.running?.distances?.[index];
      return distance ?? Math.hypot(point.to[0] - point.from[0], point.to[1] - point.from[1]) / this.grid.pixel;
    };
    const [list, { points }] = [$("#points"), this.drag];
    while (list.children.length > points.length) list.lastChild.remove();
    while (list.children.length < points.length) list.append(this.#row(list.children.length));
    points.forEach((point, index) => {
      $("output", list.children[index]).textContent = `${pixels(point, index).toFixed(1)} px to go`;
    });
    $("#pull-start").disabled = this.drag.points.length === 0 || this.running !== null || !this.backend.can.gradients;
    $("#pull-stop").disabled = this.running === null;
  }

  // Kept from one step of a run to the next, so that a slow click and the focus stay with its button.
  #row(index) {
    return element("li", {}, `Point ${index + 1}`, element("output", { class: "quiet" }),
      element("button", { "aria-label": `Remove point ${index + 1}`, onclick: () => this.#without(index) }, "Remove"));
  }

  #without(index) {
    this.store.change({ drag: { ...this.drag, points: this.drag.points.filter((_, i) => i !== index) } });
  }

  // The newest picture has come, with what was measured in it.
  measured(frame) {
    this.keyPoints.measured(frame);
    this.draw();
  }

  // ---- gestures

  #press(event) {
    if (event.button !== 0 || this.gesture) return;
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    const at = this.view.toImage(event.clientX, event.clientY);
    this.gesture = { ...this.#begun(event, at), pointer: event.pointerId, seed: this.store.document.seed };
    if (this.gesture.kind === "brush") this.#stroke(this.gesture, at);
  }

  #begun(event, at) {
    const { point, end, circle } = event.target.dataset;
    if (circle) return { kind: circle };
    if (point) return { kind: "point", index: Number(point), end };
    if (this.tool === "brush" && this.brush !== "points") return { kind: "brush", last: at };
    return { kind: "new", index: this.drag.points.length, start: at, pressed: [event.clientX, event.clientY] };
  }

  #isOfGesture({ pointerId }) {
    return this.gesture?.pointer === pointerId;
  }

  #move(event) {
    const now = this.gesture;
    if (!this.#isOfGesture(event)) return;
    const at = this.view.toImage(event.clientX, event.clientY).map((value) => clamp(value, -1, 1));
    if (now.kind === "brush") {
      const trail = event.getCoalescedEvents?.() ?? [event];
      for (const each of trail) this.#stroke(now, this.view.toImage(each.clientX, each.clientY));
    } else if (now.kind === "middle" || now.kind === "radius") this.#changeCircle(now.kind, at);
    else this.#changePoint(now, at, event);
  }

  #changeCircle(kind, at) {
    const [x, y, r] = this.drag.mask.circle;
    const radius = Math.max(LEAST_RADIUS, Math.hypot(at[0] - x, at[1] - y));
    this.#setCircle(kind === "middle" ? [...at, r] : [x, y, radius]);
  }

  #setCircle(circle) {
    this.store.preview({ drag: { ...this.drag, mask: { circle } } });
  }

  #changePoint(now, at, event) {
    const points = this.drag.points.slice();
    if (now.kind === "new") {
      if (Math.hypot(event.clientX - now.pressed[0], event.clientY - now.pressed[1]) < SHORTEST && !points[now.index]) return;
      this.pending = null;
      points[now.index] = { from: this.keyPoints.snapped(now.start).map((value) => clamp(value, -1, 1)), to: at };
    } else points[now.index] = { ...points[now.index], [now.end]: at };
    this.store.preview({ drag: { ...this.drag, points } });
  }

  #release(event) {
    if (!this.#isOfGesture(event)) return;
    const now = this.gesture;
    this.gesture = null;
    if (now.kind === "brush") this.#keepBrush();
    const isClick = now.kind === "new" && !this.drag.points[now.index];
    if (isClick) this.#choosePlace(now.start, "Now click where it should go.");
    this.#commit();
  }

  #commit() {
    const isPulled = this.store.before !== null && this.keyPoints.field !== null;
    this.store.commit();
    if (isPulled && !this.isBusy()) this.start(); // the picture follows
  }

  // Dragging is never the only way: a click says where a point begins, and the next one where it goes.
  #choosePlace(place, next) {
    const [at, from] = [place.map((value) => clamp(value, -1, 1)), this.pending];
    this.pending = from ? null : this.keyPoints.snapped(at);
    if (from) this.store.preview({ drag: { ...this.drag, points: [...this.drag.points, { from, to: at }] } });
    else {
      this.#say(next);
      this.draw();
    }
  }

  // The same by keys.
  #enter(at) {
    if (this.gesture) return;
    this.#choosePlace(at, "Now move the cross to where it should go, and press Enter.");
    this.#commit();
  }

  cancel() {
    if (!this.gesture && !this.pending) return false;
    const isPainted = this.gesture?.kind === "brush";
    this.gesture = this.pending = null;
    this.#say("");
    if (!this.store.cancel()) this.draw();
    if (isPainted) this.#wipeStroke();
    return true;
  }

  // What was painted is not in the document's mask.
  #wipeStroke() {
    this.restored = null;
    this.restoreMask();
  }

  // ---- the mask

  choose(tool) {
    if (tool === "off") this.store.change({ drag: { ...this.drag, mask: null } });
    if (tool === "circle") this.store.change({ drag: { ...this.drag, mask: { circle: this.#around() } } });
    if (tool === "brush" && !this.drag.mask?.png) {
      this.brush = "paint";
      this.#blank();
      this.#keepBrush();
      this.store.commit();
    }
    this.draw();
  }

  // What pressing the picture does while there is a painted mask.
  #takeUp(brush) {
    this.brush = brush;
    this.#drawTools();
  }

  // A circle about everything that is pulled.
  #around() {
    const places = this.drag.points.flatMap(({ from, to }) => [from, to]);
    if (places.length === 0) return CIRCLE;
    const middle = [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length);
    const reach = Math.max(...places.map((place) => Math.hypot(place[0] - middle[0], place[1] - middle[1])));
    return [...middle, reach + 0.25];
  }

  #blank() {
    const pen = this.painted.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, MASK_SIDE, MASK_SIDE);
  }

  #stroke(now, at) {
    const pen = this.painted.getContext("2d");
    const [radius, steps] = [Number($("#brush-size").value) / 2, 8];
    pen.fillStyle = this.brush === "erase" ? "#000" : "#fff";
    for (let i = 1; i <= steps; i++) {
      this.#disc(pen, [0, 1].map((axis) => now.last[axis] + ((at[axis] - now.last[axis]) * i) / steps), radius);
    }
    now.last = at;
    this.#drawMask();
  }

  #keepBrush() {
    const png = this.painted.toDataURL("image/png").split(",")[1];
    this.restored = png; // it is there already, and what is painted meanwhile is newer
    this.store.preview({ drag: { ...this.drag, mask: { png } } });
  }

  // A mask that came with a session, or back with undo.
  async restoreMask() {
    const png = this.drag.mask?.png;
    if (!png || png === this.restored) return;
    this.restored = png;
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    const isThere = await image.decode().then(() => true, () => false);
    if (png !== this.restored) return; // a newer one has taken its place
    this.#blank();
    if (isThere) this.painted.getContext("2d").drawImage(image, 0, 0, MASK_SIDE, MASK_SIDE);
    this.#drawMask();
  }

  // ---- the run

  start() {
    if (this.isBusy()) return this.#say(ONE_AT_A_TIME);
    const { field } = this.keyPoints;
    const options = field ? { field: field.file } : { mode: $("#pull-mode").value };
    const id = this.backend.drag({ ...this.store.document, layout: this.store.layout }, options);
    this.pending = null;
    this.running = { id, document: this.store.document, points: [], distances: null };
    this.#say("on its way");
    this.onRun();
    this.draw();
  }

  // A run ends when its picture is left for another, and begins again from where it is when its points or its mask are
  // changed.
  follow() {
    if (this.gesture && this.gesture.seed !== this.store.document.seed) this.gesture = null; // not into another picture
    if (!this.running && this.store.document !== this.saidOf) this.#say(""); // it was said of another picture
    if (!this.running || this.running.document === this.store.document) return;
    const isLeft = withoutDrag(this.running.document) !== withoutDrag(this.store.document);
    if (isLeft) {
      this.backend.stop();
      this.failed("Stopped, as another picture was chosen.");
    } else if (this.store.before === null) queueMicrotask(() => this.#again());
  }

  #again() {
    if (!this.running || JSON.stringify(this.running.document.drag) === JSON.stringify(this.store.document.drag)) return;
    this.stop();
    if (this.drag.points.length > 0) this.start();
  }

  stop() {
    if (!this.running) return;
    this.backend.stop();
    this.#finish("stopped; this is the last picture");
  }

  // A step of the run, a frame of the server.
  step(frame) {
    if (frame.id !== this.running?.id) return;
    Object.assign(this.running, { points: frame.points, distances: frame.distances });
    this.running.last = { w: frame.w, layout: frame.layout };
    this.picture.put(frame.picture);
    this.#say(`step ${frame.step}: ${mean(frame.distances).toFixed(1)} px to go`);
    if (frame.done) this.#finish(frame.reason);
    else this.draw();
  }

  failed(message) {
    if (!this.running) return;
    this.running = null;
    this.#say(message);
    this.onRun();
    this.draw();
  }

  // The picture that was reached, as one entry of the history; points begin where they have come to.
  #finish(reason) {
    const { document, last, points, distances } = this.running;
    this.running = null;
    this.onRun();
    const left = distances ? `, ${mean(distances).toFixed(1)} px from the target` : "";
    if (last) this.#keep(document, last, points);
    this.#say(`${reason ?? "done"}${left}`);
    this.draw();
  }

  #keep(document, last, points) {
    const began = document.drag.points.map(({ from }) => String(from));
    const moved = this.drag.points.map((point) => ({ ...point, from: points[began.indexOf(String(point.from))] ?? point.from }));
    this.store.change({ w: last.w, layout: last.layout, directions: [], drag: { ...this.drag, points: moved } }); // w has them
  }

  #say(text) {
    this.saidOf = this.store.document;
    $("#pull-said").textContent = text;
  }
}

const withoutDrag = (document) => JSON.stringify({ ...document, drag: null });

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
