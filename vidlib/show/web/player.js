// <temporal-mask-player>: draws one sprite sheet, frame by frame, on a grid of canvases.
//
// Its attribute `data-figure`, a JSON object made by vidlib.show.player, holds all that it shows.
// Properties: `frame` (0-based, get and set; also an attribute), `playing`
// (also an attribute), `play()`, `pause()`. The attribute `ready` appears with the first frame.

const FOOT = 4; // under a mask line, for the mark of the current frame

const STYLE = `${SHARED_STYLE}
  .row { display: grid; grid-template-columns: minmax(0, 1fr) 8.5em; column-gap: 1rem;
    margin-bottom: .75rem; }
  .title { grid-column: 1 / -1; font-weight: 600; margin: 0 0 .25rem; }
  .columns { display: grid; gap: .375rem; }
  .column { text-align: center; font-size: .75rem; }
  svg.mask { height: 1.9rem; margin-top: .375rem; cursor: pointer; touch-action: pan-y; }
  .here.foot { fill: currentColor; stroke: none; }
  dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: 1rem 0 0;
    align-content: start; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
  dl div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
  dt { opacity: .75; } dd { margin: 0; }
  @container (max-width: 34rem) {
    .row { grid-template-columns: minmax(0, 1fr); }
    dl { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin-top: .25rem; }
    dl div { display: flex; gap: .4rem; }
  }`;

class TemporalMaskPlayer extends HTMLElement {
  #figure = null;
  #sheet = new Image();
  #views = []; // {context, tiles} of every canvas
  #markers = []; // the mark of the current frame in every mask line
  #playback = null;
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

  get frame() { return this.#playback.frame; }
  set frame(value) { this.#playback.frame = value; }

  get playing() { return this.#playback.playing; }

  play() { this.#playback.play(); }

  pause() { this.#playback.pause(); }

  #build() {
    this.#figure = JSON.parse(this.dataset.figure);
    const figure = this.#figure;
    this.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab leaves our keys alone
    const root = this.attachShadow({ mode: "open" });
    this.#playback = new Playback(figure.frames, figure.fps, {
      position: (t) => this.#position(t),
      moved: () => this.#draw(),
      toggled: () => this.toggleAttribute("playing", this.playing),
    });
    const rows = figure.rows.map((row) => this.#row(row));
    const masked = figure.rows.some((row) => row.mask);
    const box = make("figure", { tabindex: "0", role: "group", "aria-label": figure.caption,
      "aria-keyshortcuts": "Space ArrowLeft ArrowRight Home End" },
      ...rows, this.#playback.controls, ...(masked ? [maskLegend()] : []),
      make("figcaption", {}, figure.caption));
    root.append(make("style", {}, STYLE), box);
    box.addEventListener("keydown", (event) => this.#key(event));

    this.#sheet.onload = () => {
      this.setAttribute("ready", "");
      this.frame = 0;
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
    const outline = make("rect", { class: "here", y: 0, width: CELL.width, height: CELL.height });
    const foot = make("rect", { class: "here foot", y: CELL.height + 1.5, width: CELL.width,
      height: FOOT - 1.5 });
    const line = make("svg", { class: "mask", viewBox: `0 0 ${wide} ${CELL.height + FOOT}`,
      preserveAspectRatio: "none", role: "img",
      "aria-label": `Mask: perturbed in ${perturbedFrames(mask)}` },
      hatch(), ...bars(mask), outline, foot);
    this.#markers.push(outline, foot);
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

  #position(t) {
    return `${t + 1} / ${this.#figure.frames}`;
  }

  #key(event) {
    const target = event.composedPath()[0];
    if (target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#figure.frames - 1;
    const moves = { ArrowLeft: this.frame - 1, ArrowRight: this.frame + 1, Home: 0, End: last };
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
    this.setAttribute("frame", this.frame);
    if (!this.hasAttribute("ready")) return; // no picture yet
    for (const { context, tiles } of this.#views) {
      drawFrame(context, this.#sheet, this.#figure, tiles[this.frame]);
    }
    for (const marker of this.#markers) marker.setAttribute("x", this.frame * CELL.width);
  }
}

if (!customElements.get("temporal-mask-player")) {
  customElements.define("temporal-mask-player", TemporalMaskPlayer);
}
