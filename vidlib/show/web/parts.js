// Code shared by the player and the scrubber. Their modules begin with this text: a widget's module
// is one file and cannot import another.

const SVG = "http://www.w3.org/2000/svg";
const CELL = { width: 10, height: 16, base: 4 }; // of a mask line, in its own units
const ICONS = { play: "M4 2 L14 8 L4 14 Z", pause: "M3 2 H7 V14 H3 Z M9 2 H13 V14 H9 Z" };
const SPEEDS = [0.25, 0.5, 1, 2, 4];

const SHARED_STYLE = `
  :host { display: block; container-type: inline-size; color: inherit; max-width: 54rem;
    --perturbed: #d1495b; --untouched: #2a9d5c; --line: color-mix(in srgb, currentColor 25%, transparent); }
  :host([hidden]) { display: none; }
  figure { margin: 0; padding: .75rem; border: 1px solid var(--line); border-radius: .5rem;
    font-size: .875rem; line-height: 1.35; }
  :focus-visible { outline: 2px solid #3b82c4; outline-offset: 2px; }
  canvas { display: block; width: 100%; height: auto; border-radius: .1875rem; background: #8883; }
  svg.mask { display: block; width: 100%; overflow: visible; }
  .back { fill: currentColor; opacity: .08; }
  .perturbed { fill: var(--perturbed); } .hatch { fill: url(#hatch); }
  .untouched { fill: var(--untouched); }
  .here { fill: none; stroke: currentColor; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
  .controls { display: flex; align-items: center; gap: .5rem .75rem; flex-wrap: wrap; }
  button, select { font: inherit; color: inherit; background: transparent;
    border: 1px solid var(--line); border-radius: .3rem; min-height: 2rem; cursor: pointer; }
  .play { width: 2.5rem; display: grid; place-items: center; padding: 0; }
  .play svg { width: 1rem; height: 1rem; fill: currentColor; }
  select option { color: #111; background: #fff; }
  input[type=range] { flex: 1 1 8rem; min-width: 6rem; margin: 0; accent-color: #3b82c4; }
  .count { font-variant-numeric: tabular-nums; font-size: .8125rem; }
  .legend { display: flex; gap: .25rem 1rem; flex-wrap: wrap; font-size: .75rem; margin-top: .5rem; }
  .legend span { display: inline-flex; align-items: center; gap: .35rem; }
  .legend svg { width: .75rem; height: .9rem; }
  figcaption { margin-top: .5rem; }
  .failed { color: var(--perturbed); }
  @container (max-width: 34rem) {
    .controls { justify-content: space-between; }
    .controls input { flex-basis: 100%; order: 1; }
  }`;

const SHAPES = ["svg", "g", "rect", "path", "pattern", "defs", "title", "line", "text", "circle"];

// An element with attributes and children; text goes in as text, never as markup.
const make = (name, attributes = {}, ...children) => {
  const shape = SHAPES.includes(name);
  const node = shape ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

const hatch = () =>
  make("defs", {}, make("pattern",
    { id: "hatch", width: 3, height: 3, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    make("line", { x1: 0, y1: 0, x2: 0, y2: 3, stroke: "#fff", "stroke-width": 1.6, opacity: 0.75 })));

// The bar of one frame: tall and hatched if perturbed, low and plain if not.
const bar = (value, x) => {
  const height = CELL.base + (CELL.height - CELL.base) * value;
  const box = { x: x + 0.4, y: CELL.height - height, width: CELL.width - 0.8, height };
  if (value <= 0.5) return [make("rect", { ...box, class: "untouched" })];
  return [make("rect", { ...box, class: "perturbed" }), make("rect", { ...box, class: "hatch" })];
};

// The bars of a mask, each in front of its background.
const bars = (mask) =>
  mask.flatMap((value, t) => [
    make("rect", { class: "back", x: t * CELL.width + 0.4, y: 0, width: CELL.width - 0.8,
      height: CELL.height }),
    ...bar(value, t * CELL.width),
  ]);

const maskLegend = () => {
  const swatch = (value) => make("svg", { viewBox: `0 0 ${CELL.width} ${CELL.height}`,
    "aria-hidden": "true" }, hatch(), ...bar(value, 0));
  return make("div", { class: "legend" },
    make("span", {}, swatch(1), "perturbed (mask over 0.5)"),
    make("span", {}, swatch(0), "untouched"),
    make("span", {}, "height: the mask's value"));
};

// The perturbed frames in words, such as "frames 3 to 5, 9".
const perturbedFrames = (mask) => {
  const runs = [];
  mask.forEach((value, t) => {
    if (value <= 0.5) return;
    const last = runs.at(-1);
    if (last && last[1] === t - 1) last[1] = t;
    else runs.push([t, t]);
  });
  if (!runs.length) return "no frame";
  const spans = runs.map(([a, b]) => (a === b ? `${a + 1}` : `${a + 1} to ${b + 1}`));
  const single = runs.length === 1 && runs[0][0] === runs[0][1];
  return `${single ? "frame" : "frames"} ${spans.join(", ")}`;
};

const lessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// Draws a frame of a sprite sheet over a whole canvas.
const drawFrame = (context, picture, { across, pitch, margin, width, height }, n) => {
  const x = (n % across) * pitch[0] + margin[0];
  const y = Math.floor(n / across) * pitch[1] + margin[1];
  context.drawImage(picture, x, y, width, height, 0, 0, width, height);
};

// Calls `step` each time `interval()` milliseconds have passed, while it runs.
class Clock {
  #id = 0;

  constructor(interval, step) { Object.assign(this, { interval, step }); }

  get running() { return this.#id !== 0; }

  start() {
    let due = performance.now() + this.interval();
    const tick = (now) => {
      this.#id = requestAnimationFrame(tick);
      if (now < due) return;
      due = Math.max(due + this.interval(), now); // after a stall, continue without catching up
      this.step();
    };
    this.stop();
    this.#id = requestAnimationFrame(tick);
  }

  stop() {
    cancelAnimationFrame(this.#id);
    this.#id = 0;
  }
}

// The current frame, set by playing or by hand. `controls` is the element with the buttons. Callers
// pass: `position`, which names frame t; `moved`, called when the frame is set; `toggled`, called
// when playing starts or ends.
class Playback {
  #frame = 0;
  #once = false;
  #speed = 1;
  #clock;

  constructor(frames, fps, { position, moved, toggled = () => {} }) {
    Object.assign(this, { frames, position, moved, toggled });
    this.#clock = new Clock(() => 1000 / (fps * this.#speed), () => {
      if (this.#once && this.#frame === frames - 1) this.pause();
      else this.frame = (this.#frame + 1) % frames;
    });
    this.icon = make("path", { d: ICONS.play });
    this.button = make("button", { type: "button", class: "play", "aria-label": "Play" },
      make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, this.icon));
    this.slider = make("input", { type: "range", min: 0, max: frames - 1, step: 1, value: 0,
      "aria-label": "Frame" });
    this.count = make("span", { class: "count", style: `min-width: ${position(frames - 1).length}ch` });
    const speed = make("select", { "aria-label": "Speed" });
    for (const factor of SPEEDS) speed.append(make("option", { value: factor }, `${factor}×`));
    speed.value = "1";
    this.button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    this.slider.addEventListener("input", () => { this.pause(); this.frame = this.slider.value; });
    speed.addEventListener("change", () => { this.#speed = Number(speed.value); });
    this.controls = make("div", { class: "controls" }, this.button, this.slider, this.count, speed);
  }

  get frame() { return this.#frame; }
  set frame(value) {
    this.#frame = Math.min(Math.max(Math.round(Number(value)) || 0, 0), this.frames - 1);
    this.slider.value = this.#frame;
    this.slider.setAttribute("aria-valuetext", `frame ${this.#frame + 1} of ${this.frames}`);
    this.count.textContent = this.position(this.#frame);
    this.moved();
  }

  get playing() { return this.#clock.running; }

  play() {
    if (this.playing) return;
    this.#once = lessMotion(); // readers who asked for less motion see one pass, not a loop
    if (this.#once && this.#frame === this.frames - 1) this.frame = 0;
    this.#clock.start();
    this.#showPlaying();
  }

  pause() {
    this.#clock.stop();
    this.#showPlaying();
  }

  #showPlaying() {
    this.icon.setAttribute("d", this.playing ? ICONS.pause : ICONS.play);
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.toggled();
  }
}
