// Layouts as documents have them: {levels: [{centers: [[x, y]...], spreads: [...], strengths: [...]}]}. All functions
// return changed copies. What they compute is what training/layouts/layout.py computes.

import { clamp } from "./geometry.js";

const CHILD_LIMIT = 3; // centres of levels 1 and 2 may leave the picture by this much
export const SPREADS = [0.005, 4];

export const copy = (layout) => structuredClone(layout);

export const strength = (layout, level, index) => layout.levels[level].strengths?.[index] ?? 1;

// One centre put at (x, y), as near as is allowed. Levels 1 and 2 follow a centre of level 0 unless `alone`.
export function placed(layout, level, index, [x, y], alone = false) {
  const limit = level === 0 ? 1 : CHILD_LIMIT;
  const target = [clamp(x, -limit, limit), clamp(y, -limit, limit)];
  const [fromX, fromY] = layout.levels[level].centers[index];
  return moved(layout, level, index, [target[0] - fromX, target[1] - fromY], alone, target);
}

function moved(layout, level, index, [dx, dy], alone, target) {
  const changed = copy(layout);
  changed.levels[level].centers[index] = target;
  if (level === 0 && !alone) {
    for (const follower of changed.levels.slice(1)) {
      follower.centers = follower.centers.map(([x, y]) => [
        clamp(x + dx, -CHILD_LIMIT, CHILD_LIMIT),
        clamp(y + dy, -CHILD_LIMIT, CHILD_LIMIT),
      ]);
    }
  }
  return changed;
}

export function withSpread(layout, level, index, spread) {
  const changed = copy(layout);
  changed.levels[level].spreads[index] = clamp(spread, ...SPREADS);
  return changed;
}

export function withStrength(layout, level, index, value) {
  const changed = copy(layout);
  const { strengths, spreads } = changed.levels[level];
  changed.levels[level].strengths = strengths ?? spreads.map(() => 1);
  changed.levels[level].strengths[index] = clamp(value, 0, 1);
  return changed;
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
