// Where the circle of a mask is and how large, in numbers, for whoever does not drag it.

import { $, setValue } from "./dom.js";
import { clamp } from "./geometry.js";

const FIELDS = ["#circle-x", "#circle-y", "#circle-radius"];
export const LEAST_RADIUS = 0.05;
const LIMITS = [[-1, 1], [-1, 1], [LEAST_RADIUS, 3]];

export class CircleFields {
  // circle: what there is now, [x, y, r], or null. onChange: with another one, while it is typed; onEnd: it is typed.
  constructor({ circle, onChange, onEnd }) {
    Object.assign(this, { circle, onChange });
    FIELDS.forEach((name, i) => {
      $(name).oninput = ({ target }) => this.#set(i, target.value);
      $(name).onchange = ({ target }) => {
        onEnd();
        target.value = this.circle()?.[i].toFixed(3) ?? ""; // as near as it goes to what was typed
      };
    });
  }

  draw() {
    const circle = this.circle();
    $("#circle-tools").hidden = circle === null;
    circle?.forEach((value, i) => setValue(FIELDS[i], value.toFixed(3)));
  }

  #set(i, text) {
    const [circle, value] = [this.circle(), Number(text)];
    if (circle === null || text === "" || !Number.isFinite(value)) return;
    this.onChange(circle.with(i, clamp(value, ...LIMITS[i])));
  }
}
