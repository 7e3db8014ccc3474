// The scores of windows as a map: x is their first, y their last perturbed frame.

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const WIDE = 160; // width of the map, in its own units
const TICKS = 5; // columns or rows from one number to the next
const MARKS = { // in a square of side 10
  learned: "M5 1.5 A3.5 3.5 0 0 1 5 8.5 A3.5 3.5 0 0 1 5 1.5 Z",
  best: "M2.5 2.5 L7.5 7.5 M7.5 2.5 L2.5 7.5",
  chosen: "M0 0 H10 V10 H0 Z",
};

const LANDSCAPE_STYLE = `
  svg.map { display: block; width: 100%; max-width: 20rem; margin: 0 auto; touch-action: pan-y;
    cursor: crosshair; overflow: visible; }
  svg.map text { font-size: 8px; fill: currentColor; text-anchor: middle; }
  svg.map .window { stroke: color-mix(in srgb, currentColor 30%, transparent); stroke-width: .4; }
  .mark { fill: none; stroke: #fff; stroke-width: 1.8px; vector-effect: non-scaling-stroke;
    pointer-events: none; }
  .mark.under { stroke: #000; stroke-width: 4.4px; }
  .scale { display: flex; align-items: center; gap: .4rem; font-size: .75rem; max-width: 20rem;
    margin: .35rem auto 0; }
  .scale i { flex: 1; height: .6rem; border-radius: .2rem;
    background: linear-gradient(to right, ${VIRIDIS.join(", ")}); }
  .map ~ .legend { justify-content: center; }
  .map ~ .legend svg { background: #3b528b; border-radius: .15rem; width: .9rem; }`;

const colourOf = (score) => {
  const at = score * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return `color-mix(in srgb, ${VIRIDIS[low + 1]} ${100 * (at - low)}%, ${VIRIDIS[low]})`;
};

// The window, as first and last frame, whose ends are nearest to the wanted ones.
const nearest = (windows, [first, last]) => {
  const distances = windows.map(([a, b]) => Math.abs(a - first) + Math.abs(b - last));
  return windows[distances.indexOf(Math.min(...distances))];
};

// The caller puts `nodes` into the page. `choose` is called with the pressed window, or the nearest
// one with a score; `marked` names the marks that the legend explains.
class Landscape {
  constructor(windows, scores, marked, choose) {
    this.windows = windows.filter((_, n) => scores[n] !== null);
    const ends = (end) =>
      [...new Set(this.windows.map((window) => window[end]))].sort((a, b) => a - b);
    [this.firsts, this.lasts] = [ends(0), ends(1)];
    this.side = WIDE / this.firsts.length;
    const high = this.side * this.lasts.length;
    this.squares = make("g", {}, ...windows.flatMap((window, n) =>
      scores[n] === null ? [] : [this.#square(window, scores[n])]));
    const ticks = (frames, place) => frames.flatMap((frame, i) =>
      i % TICKS ? [] : [make("text", place(this.side * (i + 0.5)), `${frame + 1}`)]);
    this.marks = Object.fromEntries(Object.entries(MARKS).map(([name, d]) => [name,
      make("g", { visibility: "hidden" }, make("path", { class: "mark under", d }),
        make("path", { class: "mark", d }))]));
    this.map = make("svg", { class: "map", viewBox: `-26 -4 ${WIDE + 30} ${high + 30}`, tabindex: 0,
      role: "application", "aria-roledescription": "map of scores" }, this.squares,
      ...ticks(this.firsts, (x) => ({ x, y: high + 10 })),
      ...ticks(this.lasts, (y) => ({ x: -8, y: high - y + 3 })),
      make("text", { x: WIDE / 2, y: high + 22 }, "first frame perturbed"),
      make("text", { transform: `translate(-18 ${high / 2}) rotate(-90)` }, "last frame perturbed"),
      ...Object.values(this.marks));
    this.map.addEventListener("pointerdown", (event) => {
      this.map.setPointerCapture(event.pointerId);
      choose(this.#windowAt(event));
    });
    this.map.addEventListener("pointermove", (event) => {
      if (event.buttons) choose(this.#windowAt(event));
    });
    this.nodes = [this.map,
      make("div", { class: "scale", "aria-hidden": "true" }, "0", make("i"), "1"),
      make("div", { class: "legend" }, ...marked.map((name) =>
        make("span", {}, make("svg", { viewBox: "-2 -2 14 14", "aria-hidden": "true" },
          make("path", { class: "mark", d: MARKS[name] })), name)))];
  }

  #corner([first, last]) {
    const row = this.lasts.length - 1 - this.lasts.indexOf(last);
    return { x: this.side * this.firsts.indexOf(first), y: this.side * row };
  }

  #square(window, score) {
    const frames = perturbedFrames(maskOf(window, window[1] + 1));
    return make("rect", { class: "window", ...this.#corner(window), width: this.side,
      height: this.side, fill: colourOf(score) }, make("title", {}, `${frames}: ${score.toFixed(3)}`));
  }

  #windowAt(event) {
    const { left, top, width, height } = this.squares.getBoundingClientRect();
    const pick = (frames, share) =>
      frames[Math.min(Math.max(Math.floor(share * frames.length), 0), frames.length - 1)];
    return nearest(this.windows, [pick(this.firsts, (event.clientX - left) / width),
      pick(this.lasts, 1 - (event.clientY - top) / height)]);
  }

  // Puts a mark on the square nearest to a window, or removes it for null.
  mark(name, window) {
    this.marks[name].setAttribute("visibility", window ? "visible" : "hidden");
    if (!window) return;
    const { x, y } = this.#corner(nearest(this.windows, window));
    this.marks[name].setAttribute("transform", `translate(${x} ${y}) scale(${this.side / 10})`);
  }
}
