// The first visit: a hand of nobody drags the first point there and back, and says what it does.

import { $ } from "./dom.js";
import { placed } from "./layouts.js";

const SEEN = "steergan-hint-seen";
const LONG = 2600; // milliseconds
const FAR = 0.35;

export function firstHint(store, view) {
  const layout = store.layout;
  if (!layout || wasSeen()) return;
  const hint = $("#hint");
  const from = layout.levels[0].centers[0];
  const [x, y] = view.toScreen(from);
  hint.hidden = false;
  hint.style.left = `${Math.min(Math.max(x - 100, 8), view.width - 218)}px`;
  hint.style.top = y > view.height / 2 ? `${Math.max(y - 130, 8)}px` : `${y + 60}px`;
  const sign = from[0] > 0 ? -1 : 1;
  const started = performance.now();
  let isMoving = !matchMedia("(prefers-reduced-motion: reduce)").matches;

  const rest = () => {
    if (isMoving) store.cancel(); // once: what is changed afterwards is not the hint's
    isMoving = false;
  };
  const step = (now) => {
    const share = (now - started) / LONG;
    if (!isMoving || share >= 1) return rest();
    const way = Math.sin(Math.PI * share) ** 2 * FAR * sign;
    store.preview({ layout: placed(layout, 0, 0, [from[0] + way, from[1]]) });
    requestAnimationFrame(step);
  };
  if (isMoving) requestAnimationFrame(step);
  const over = new AbortController();
  const end = () => {
    over.abort();
    rest();
    hint.hidden = true;
    remember();
  };
  $("#hint-done").onclick = end;
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, end, { capture: true, signal: over.signal });
}

function wasSeen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    localStorage.setItem(SEEN, "1");
  } catch {
    // then it comes again next time
  }
}
