// Heatmaps, drawn here so that they move with the pointer: max over i of strength_i exp(-|p - c_i|^2 / s_i), in colour.

import { strength } from "./layouts.js";

// Black, violet, orange, pale yellow: evenly spaced stops, mixed linearly.
const STOPS = [
  [0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122],
  [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191],
];

const RAMP = Uint8ClampedArray.from({ length: 256 * 3 }, (_, i) => {
  const at = (Math.floor(i / 3) / 255) * (STOPS.length - 1);
  const first = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[first][i % 3] + (STOPS[first + 1][i % 3] - STOPS[first][i % 3]) * (at - first);
});

// Values [0, 1] of a level, or of one centre of it, at the middles of size x size cells of the picture.
export function heatmap(layout, level, size, grid, only = null) {
  const { centers, spreads } = layout.levels[level];
  const values = new Float32Array(size * size);
  centers.forEach(([cx, cy], index) => {
    if (only !== null && only !== index) return;
    const across = bell(cx, spreads[index], size, grid);
    const down = bell(cy, spreads[index], size, grid);
    const peak = strength(layout, level, index);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const value = peak * down[y] * across[x];
        if (value > values[y * size + x]) values[y * size + x] = value;
      }
    }
  });
  return values;
}

function bell(center, spread, size, grid) {
  return Float32Array.from({ length: size }, (_, i) => Math.exp(-((grid.fromShare((i + 0.5) / size) - center) ** 2) / spread));
}

// Paints values onto a canvas in colour; alpha(value) is how opaque a point is, 0 to 255.
export function paint(canvas, values, size, alpha = () => 255) {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  values.forEach((value, i) => {
    const color = Math.round(Math.min(1, Math.max(0, value)) * 255) * 3;
    image.data.set([RAMP[color], RAMP[color + 1], RAMP[color + 2], alpha(value)], i * 4);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
