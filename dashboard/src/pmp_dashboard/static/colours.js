// A diverging scale in which empty and full stations stand out.

import { token } from "./dom.js";

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

export class Colours {
  constructor() {
    this.low = parse(token("--low"));
    this.middle = parse(token("--middle"));
    this.high = parse(token("--high"));
    this.empty = token("--empty");
    this.full = token("--full");
    this.closed = token("--closed");
    this.land = token("--land");
    this.shore = token("--shore");
    this.card = token("--card");
    this.ink = token("--ink");
    this.muted = token("--muted");
    this.line = token("--line");
    this.series = token("--series");
    this.band = token("--band");
  }

  // share: 0 to 1.
  scale(share) {
    const [from, to, part] =
      share < 0.5 ? [this.low, this.middle, share * 2] : [this.middle, this.high, share * 2 - 1];
    const mixed = from.map((value, i) => Math.round(value + (to[i] - value) * part));
    return `rgb(${mixed.join(" ")})`;
  }
}
