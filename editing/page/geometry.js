// Where things are. Image coordinates are (x, y) in [-1, 1], y down; what -1 and 1 are is the model's own: with the
// registration "cells" the borders of the picture, with "corners" the centres of its border pixels.
// This is the only place that turns them into pixels of the screen and back.

export class Grid {
  // resolution: pixels of the picture, each way.
  constructor(resolution, registration) {
    this.resolution = resolution;
    this.span = registration === "cells" ? resolution : resolution - 1; // pixels from -1 to 1
  }

  // One pixel of the picture in image coordinates.
  get pixel() {
    return 2 / this.span;
  }

  // The share [0, 1] of the picture's side, of an image coordinate, and back.
  toShare(x) {
    return 0.5 + (x / 2) * (this.span / this.resolution);
  }

  fromShare(share) {
    return (share - 0.5) * 2 * (this.resolution / this.span);
  }

  // The share of the picture's side, of a length in image coordinates.
  share(distance) {
    return (distance / 2) * (this.span / this.resolution);
  }
}

export class View {
  // element: what shows the picture from edge to edge, at any size.
  constructor(element, grid) {
    this.element = element;
    this.grid = grid;
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
    return [this.grid.fromShare((clientX - box.left) / box.width), this.grid.fromShare((clientY - box.top) / box.height)];
  }

  // In CSS pixels from the element's left top corner.
  toScreen([x, y]) {
    return [this.grid.toShare(x) * this.width, this.grid.toShare(y) * this.height];
  }

  // A length in image coordinates as CSS pixels.
  length(distance) {
    return this.grid.share(distance) * this.width;
  }

  // CSS pixels as a length in image coordinates.
  distance(length) {
    return length / this.width / this.grid.share(1);
  }
}

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
