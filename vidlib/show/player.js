// <temporal-mask-player>: draws one sprite sheet, frame by frame, on a grid of canvases.
//
// Everything it shows stands in its attribute `data-figure`, a JSON object made by
// vidlib.show.player. Properties: `frame` (0-based, get and set; also an attribute), `playing`
// (also an attribute), `play()`, `pause()`. The attribute `ready` appears with the first frame.
(() => {
  if (customElements.get("temporal-mask-player")) return;

  const SPEEDS = [0.25, 0.5, 1, 2, 4];
  const SVG = "http://www.w3.org/2000/svg";
  const CELL = { width: 10, height: 16, base: 4, foot: 4 }; // of the mask line, in its own units
  const ICONS = { play: "M4 2 L14 8 L4 14 Z", pause: "M3 2 H7 V14 H3 Z M9 2 H13 V14 H9 Z" };

  const STYLE = `
    :host { display: block; container-type: inline-size; color: inherit; max-width: 54rem;
      --perturbed: #d1495b; --untouched: #2a9d5c; --line: color-mix(in srgb, currentColor 25%, transparent); }
    :host([hidden]) { display: none; }
    figure { margin: 0; padding: .75rem; border: 1px solid var(--line); border-radius: .5rem;
      font-size: .875rem; line-height: 1.35; }
    figure:focus-visible, button:focus-visible, select:focus-visible, input:focus-visible {
      outline: 2px solid #3b82c4; outline-offset: 2px; }
    .row { display: grid; grid-template-columns: minmax(0, 1fr) 8.5em; column-gap: 1rem;
      margin-bottom: .75rem; }
    .title { grid-column: 1 / -1; font-weight: 600; margin: 0 0 .25rem; }
    .columns { display: grid; gap: .375rem; }
    .column { text-align: center; font-size: .75rem; }
    canvas { display: block; width: 100%; height: auto; border-radius: .1875rem; background: #8883; }
    svg.mask { display: block; width: 100%; height: 1.9rem; margin-top: .375rem; cursor: pointer;
      touch-action: pan-y; overflow: visible; }
    .back { fill: currentColor; opacity: .08; }
    .perturbed { fill: var(--perturbed); } .hatch { fill: url(#hatch); }
    .untouched { fill: var(--untouched); }
    .here { fill: none; stroke: currentColor; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
    .here.foot { fill: currentColor; stroke: none; }
    dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: 1rem 0 0;
      align-content: start; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
    dl div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
    dt { opacity: .75; } dd { margin: 0; }
    .controls { display: flex; align-items: center; gap: .5rem .75rem; flex-wrap: wrap; }
    button, select { font: inherit; color: inherit; background: transparent;
      border: 1px solid var(--line); border-radius: .3rem; min-height: 2rem; }
    button { width: 2.5rem; display: grid; place-items: center; cursor: pointer; padding: 0; }
    button svg { width: 1rem; height: 1rem; fill: currentColor; }
    select option { color: #111; background: #fff; }
    input { flex: 1 1 8rem; min-width: 6rem; margin: 0; accent-color: #3b82c4; }
    .count { font-variant-numeric: tabular-nums; font-size: .8125rem; }
    .legend { display: flex; gap: .25rem 1rem; flex-wrap: wrap; font-size: .75rem; margin-top: .5rem; }
    .legend span { display: inline-flex; align-items: center; gap: .35rem; }
    .legend svg { width: .75rem; height: .9rem; }
    figcaption { margin-top: .5rem; }
    .failed { color: var(--perturbed); }
    @container (max-width: 34rem) {
      .row { grid-template-columns: minmax(0, 1fr); }
      dl { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin-top: .25rem; }
      dl div { display: flex; gap: .4rem; }
      .controls { justify-content: space-between; }
      input { flex-basis: 100%; order: 1; }
    }`;

  // An element with attributes and children; text goes in as text, never as markup.
  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "rect", "path", "pattern", "defs", "title", "line"].includes(name);
    const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  const hatch = () =>
    make("defs", {}, make("pattern",
      { id: "hatch", width: 3, height: 3, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      make("line", { x1: 0, y1: 0, x2: 0, y2: 3, stroke: "#fff", "stroke-width": 1.6, opacity: 0.75 })));

  // The bar of one frame: tall and hatched when perturbed, low and plain when untouched.
  const bar = (value, x) => {
    const height = CELL.base + (CELL.height - CELL.base) * value;
    const box = { x: x + 0.4, y: CELL.height - height, width: CELL.width - 0.8, height };
    if (value <= 0.5) return [make("rect", { ...box, class: "untouched" })];
    return [make("rect", { ...box, class: "perturbed" }), make("rect", { ...box, class: "hatch" })];
  };

  const describe = (mask) => {
    const runs = [];
    mask.forEach((value, t) => {
      if (value <= 0.5) return;
      const last = runs.at(-1);
      if (last && last[1] === t - 1) last[1] = t;
      else runs.push([t, t]);
    });
    if (!runs.length) return "Mask: no frame perturbed";
    const spans = runs.map(([a, b]) => (a === b ? `${a + 1}` : `${a + 1} to ${b + 1}`));
    return `Mask: perturbed in frames ${spans.join(", ")}`;
  };

  const lessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  class TemporalMaskPlayer extends HTMLElement {
    #figure = null;
    #sheet = new Image();
    #views = []; // {context, tiles} of every canvas
    #markers = []; // what marks the current frame in every mask line
    #frame = 0;
    #speed = 1;
    #clock = 0; // id of the requested animation frame; 0 when paused
    #parts = {};
    #observer = null;

    connectedCallback() {
      if (!this.#figure) this.#build();
      this.#observer = new IntersectionObserver((entries) => {
        if (!entries.at(-1).isIntersecting) this.pause();
      });
      this.#observer.observe(this);
    }

    disconnectedCallback() {
      this.pause();
      this.#observer.disconnect();
    }

    get frame() { return this.#frame; }
    set frame(value) {
      const last = this.#figure.frames - 1;
      this.#frame = Math.min(Math.max(Math.round(Number(value)) || 0, 0), last);
      this.setAttribute("frame", this.#frame);
      this.#draw();
    }

    get playing() { return this.#clock !== 0; }

    play() {
      if (this.playing) return;
      // Readers who asked for less motion see one pass, not a loop.
      const once = lessMotion();
      const last = this.#figure.frames - 1;
      if (once && this.#frame === last) this.frame = 0;
      let due = performance.now() + this.#interval();
      const tick = (now) => {
        this.#clock = requestAnimationFrame(tick);
        if (now < due) return;
        due = Math.max(due + this.#interval(), now); // after a stall go on, do not catch up
        if (once && this.#frame === last) this.pause();
        else this.frame = (this.#frame + 1) % this.#figure.frames;
      };
      this.#clock = requestAnimationFrame(tick);
      this.#showPlaying();
    }

    pause() {
      cancelAnimationFrame(this.#clock);
      this.#clock = 0;
      this.#showPlaying();
    }

    #interval() { return 1000 / (this.#figure.fps * this.#speed); }

    #showPlaying() {
      this.toggleAttribute("playing", this.playing);
      this.#parts.icon.setAttribute("d", this.playing ? ICONS.pause : ICONS.play);
      this.#parts.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    }

    #build() {
      this.#figure = JSON.parse(this.dataset.figure);
      const figure = this.#figure;
      this.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab: our keys are ours
      const root = this.attachShadow({ mode: "open" });
      const rows = figure.rows.map((row) => this.#row(row));
      const masked = figure.rows.some((row) => row.mask);
      const box = make("figure", { tabindex: "0", role: "group", "aria-label": figure.caption,
        "aria-keyshortcuts": "Space ArrowLeft ArrowRight Home End" },
        ...rows, this.#controls(), ...(masked ? [this.#legend()] : []),
        make("figcaption", {}, figure.caption));
      root.append(make("style", {}, STYLE), box);
      box.addEventListener("keydown", (event) => this.#key(event));
      this.#showPlaying();

      this.#sheet.onload = () => {
        this.frame = this.#frame;
        this.setAttribute("ready", "");
        if (figure.autoplay && !lessMotion()) this.play();
      };
      this.#sheet.onerror = () =>
        box.append(make("p", { class: "failed", role: "alert" }, "The pictures cannot be decoded."));
      this.#sheet.src = figure.sheet;
    }

    #row(row) {
      const { width, height } = this.#figure;
      const columns = make("div", { class: "columns",
        style: `grid-template-columns: repeat(${row.columns.length}, minmax(0, 1fr))` });
      for (const { title, tiles } of row.columns) {
        const canvas = make("canvas", { width, height, role: "img",
          "aria-label": [row.title, title].filter(Boolean).join(", ") });
        this.#views.push({ context: canvas.getContext("2d"), tiles });
        columns.append(make("div", { class: "column" }, title, canvas));
      }
      const pictures = make("div", {}, columns);
      if (row.mask) pictures.append(this.#mask(row.mask));
      const scores = make("dl", {});
      for (const [name, value] of row.scores) {
        scores.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
      }
      return make("div", { class: "row" }, make("p", { class: "title" }, row.title), pictures, scores);
    }

    #mask(mask) {
      const wide = mask.length * CELL.width;
      const line = make("svg", { class: "mask", viewBox: `0 0 ${wide} ${CELL.height + CELL.foot}`,
        preserveAspectRatio: "none", role: "img", "aria-label": describe(mask) }, hatch());
      mask.forEach((value, t) => {
        const x = t * CELL.width;
        line.append(make("rect", { class: "back", x: x + 0.4, y: 0, width: CELL.width - 0.8,
          height: CELL.height }), ...bar(value, x));
      });
      const outline = make("rect", { class: "here", y: 0, width: CELL.width, height: CELL.height });
      const foot = make("rect", { class: "here foot", y: CELL.height + 1.5, width: CELL.width,
        height: CELL.foot - 1.5 });
      this.#markers.push(outline, foot);
      line.append(outline, foot);
      const scrub = (event) => {
        const { left, width } = line.getBoundingClientRect();
        this.frame = Math.floor(((event.clientX - left) / width) * mask.length);
      };
      line.addEventListener("pointerdown", (event) => {
        this.pause();
        line.setPointerCapture(event.pointerId);
        scrub(event);
      });
      line.addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
      return line;
    }

    #controls() {
      const icon = make("path", { d: ICONS.play });
      const button = make("button", { type: "button" },
        make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, icon));
      const slider = make("input", { type: "range", min: 0, max: this.#figure.frames - 1, step: 1,
        value: 0, "aria-label": "Frame" });
      const widest = this.#position(this.#figure.frames - 1).length;
      const count = make("span", { class: "count", style: `min-width: ${widest}ch` });
      const speed = make("select", { "aria-label": "Speed" });
      for (const factor of SPEEDS) speed.append(make("option", { value: factor }, `${factor}×`));
      speed.value = "1";
      button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      slider.addEventListener("input", () => { this.pause(); this.frame = slider.value; });
      speed.addEventListener("change", () => { this.#speed = Number(speed.value); });
      this.#parts = { icon, button, slider, count };
      return make("div", { class: "controls" }, button, slider, count, speed);
    }

    #position(t) {
      const { frames, numbers } = this.#figure;
      return `${t + 1} / ${frames}${numbers ? ` · video frame ${numbers[t]}` : ""}`;
    }

    #legend() {
      const swatch = (value) => make("svg", { viewBox: `0 0 ${CELL.width} ${CELL.height}`,
        "aria-hidden": "true" }, hatch(), ...bar(value, 0));
      return make("div", { class: "legend" },
        make("span", {}, swatch(1), "perturbed (mask over 0.5)"),
        make("span", {}, swatch(0), "untouched"),
        make("span", {}, "height: the mask's value"));
    }

    #key(event) {
      const target = event.composedPath()[0];
      if (target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
      const last = this.#figure.frames - 1;
      const moves = { ArrowLeft: this.#frame - 1, ArrowRight: this.#frame + 1, Home: 0, End: last };
      if (event.key in moves) {
        this.pause();
        this.frame = moves[event.key];
      } else if (event.key === " " && !target.matches("button")) {
        if (this.playing) this.pause();
        else this.play();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }

    #draw() {
      const { width, height, pitch, margin, across, frames } = this.#figure;
      const t = this.#frame;
      for (const { context, tiles } of this.#views) {
        const x = (tiles[t] % across) * pitch[0] + margin[0];
        const y = Math.floor(tiles[t] / across) * pitch[1] + margin[1];
        context.drawImage(this.#sheet, x, y, width, height, 0, 0, width, height);
      }
      for (const marker of this.#markers) marker.setAttribute("x", t * CELL.width);
      const { slider, count } = this.#parts;
      slider.value = t;
      slider.setAttribute("aria-valuetext", `frame ${t + 1} of ${frames}`);
      count.textContent = this.#position(t);
    }
  }

  customElements.define("temporal-mask-player", TemporalMaskPlayer);
})();
