// Where things are. Image coordinates are (x, y) in [-1, 1], y down; -1 and 1 are the centres of the border pixels.
// This is the only place that turns them into pixels of the screen and back.

export class View {
  // element: what shows the picture from edge to edge, at any size. resolution: pixels of the picture, each way.
  constructor(element, resolution) {
    this.element = element;
    this.resolution = resolution;
  }

  get width() {
    return this.element.clientWidth;
  }

  get height() {
    return this.element.clientHeight;
  }

  // Of a pointer event's position in the window.
  toImage(clientX, clientY) {
    const box = this.element.getBoundingClientRect();
    return [
      fromShare((clientX - box.left) / box.width, this.resolution),
      fromShare((clientY - box.top) / box.height, this.resolution),
    ];
  }

  // In CSS pixels from the element's left top corner.
  toScreen([x, y]) {
    return [toShare(x, this.resolution) * this.width, toShare(y, this.resolution) * this.height];
  }

  // A length in image coordinates as CSS pixels.
  length(distance) {
    return ((distance / 2) * (this.resolution - 1) * this.width) / this.resolution;
  }

  // CSS pixels as a length in image coordinates.
  distance(length) {
    return (length / this.width) * (2 * this.resolution / (this.resolution - 1));
  }
}

// The share [0, 1] of the picture's side, of an image coordinate, and back.
export const toShare = (x, resolution) => (((x + 1) / 2) * (resolution - 1) + 0.5) / resolution;
export const fromShare = (share, resolution) => ((share * resolution - 0.5) / (resolution - 1)) * 2 - 1;

// One pixel of the picture in image coordinates.
export const pixel = (resolution) => 2 / (resolution - 1);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The nearest of `targets` within `reach`, else null.
export function nearest(value, targets, reach) {
  let best = null;
  for (const target of targets) {
    const away = Math.abs(target - value);
    if (away <= reach && (best === null || away < Math.abs(best - value))) best = target;
  }
  return best;
}
