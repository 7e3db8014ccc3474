// A temporal mask to scrub: a clip, perturbed and playing; the mask's two ends; the network's score;
// and the scores of all windows.
//
// `render({ model, el })`, by anywidget's convention, draws the model's state and sets the reader's
// choices. In JupyterLab a kernel answers (vidlib.show.scrubber), in a static page `Tables` does.
// The model's attributes:
//   network, perturbation, mask   the question: the number of one of figure.networks, a name, and a
//                                 value in [0, 1] for each frame
//   answer     {perturbation, mask, score, rows, note}: the question, the score, the (T, T) weights
//              that mix each displayed frame from the clip's, and a note to show
//   landscape  {scores, best}: scores of figure.windows (null where not tried) and the number of the
//              best window; empty if unknown
//   figure     all that does not change: as made by vidlib.show.scrubber_figure
//   live, busy whether a kernel answers; its task in the background, "" for none
// Messages to the kernel are {do: "learn"} and {do: "search"}; it answers the first by {path}, masks
// to show one after another; the last one stays.

const ANIMATION = 2000; // milliseconds that a mask's learning is shown

const STYLE = `${SHARED_STYLE}${MASK_LINE_STYLE}${LANDSCAPE_STYLE}
  :host { --accent: #2f6ea8; }
  .choices { display: flex; flex-wrap: wrap; gap: .4rem 1.25rem; margin-bottom: .75rem; }
  .radios { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem; }
  .radios label { cursor: pointer; }
  .radios input { position: absolute; opacity: 0; pointer-events: none; }
  .radios span, .action { display: inline-block; padding: .25rem .65rem; border: 1px solid var(--line);
    border-radius: .3rem; min-height: 0; }
  .radios input:checked + span, .action[aria-pressed=true] { background: var(--accent); color: #fff;
    border-color: var(--accent); }
  .radios input:focus-visible + span { outline: 2px solid #3b82c4; outline-offset: 2px; }
  .action:disabled { opacity: .5; cursor: default; }
  .panes { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 16rem); gap: 1rem 1.5rem; }
  .panes .controls input { flex-basis: 4rem; min-width: 4rem; }
  .clips { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; padding: 0 1.25rem; }
  .clips div { text-align: center; font-size: .75rem; }
  .said { margin: .75rem 0 0; } .said p { margin: 0; }
  .number { font-size: 1.375rem; font-weight: 700; font-variant-numeric: tabular-nums; }
  .waiting { opacity: .5; }
  .meter { position: relative; height: .75rem; margin: .25rem 0; border-radius: .2rem;
    background: color-mix(in srgb, currentColor 10%, transparent); }
  .meter div { position: absolute; inset: 0 auto 0 0; }
  .meter .now { background: #3b82c4; border-radius: .2rem 0 0 .2rem; }
  .meter .lost { background: repeating-linear-gradient(45deg, var(--perturbed) 0 3px, transparent 3px 6px);
    opacity: .8; }
  .meter .before { width: 2px; background: currentColor; inset: -.2rem auto -.2rem; }
  .actions { display: flex; flex-wrap: wrap; gap: .4rem; margin: .6rem 0; }
  .landscape p { margin: 0 0 .25rem; font-weight: 600; }
  @container (max-width: 40rem) {
    .panes { grid-template-columns: minmax(0, 1fr); }
    .clips { padding: 0; }
  }`;

const inWords = (name) => name.replaceAll("_", " ");

class View {
  #model;
  #root;
  #events;
  #observer;
  #sheet = new Image();
  #playback;
  #wanted = true; // play after a change, unless the reader has paused it
  #animation = null; // a clock; its `mask` is shown instead of the model's
  #line;
  #landscape = null;
  #parts;

  constructor(model, el) {
    this.#model = model;
    const host = make("div", { "data-lm-suppress-shortcuts": "true" }); // JupyterLab leaves our keys alone
    this.#root = host.attachShadow({ mode: "open" });
    el.replaceChildren(host);
    this.#events = {
      "change:figure": () => this.#build(),
      "change:landscape": () => { this.#drawLandscape(); this.#refresh(); },
      "msg:custom": (message) => this.#animate(message.path),
    };
    for (const name of ["network", "perturbation", "mask", "answer", "busy"]) {
      this.#events[`change:${name}`] = () => this.#refresh();
    }
    for (const [event, listener] of Object.entries(this.#events)) model.on(event, listener);
    this.#observer = new IntersectionObserver((entries) => {
      if (!entries.at(-1).isIntersecting) this.#playback.pause();
    });
    this.#observer.observe(host);
    this.#sheet.onload = () => {
      el.setAttribute("ready", "");
      this.#draw();
      if (this.#figure.autoplay && !lessMotion()) this.#playback.play();
    };
    this.#sheet.onerror = () => this.#root.querySelector("figure").append(
      make("p", { class: "failed", role: "alert" }, "The pictures cannot be decoded."));
    this.#build();
  }

  end() {
    this.#playback.pause();
    this.#animation?.stop();
    this.#observer.disconnect();
    for (const [event, listener] of Object.entries(this.#events)) this.#model.off(event, listener);
  }

  get #figure() { return this.#model.get("figure"); }
  get #network() { return this.#figure.networks[this.#model.get("network")]; }
  get #mask() { return this.#animation?.mask ?? this.#model.get("mask"); }
  get #live() { return Boolean(this.#model.get("live")); }

  // Windows that the reader can choose: all with a kernel, otherwise those with a known score.
  get #windows() {
    const { scores } = this.#model.get("landscape");
    return this.#figure.windows.filter((_, n) => this.#live || scores[n] !== null);
  }

  get #best() {
    const { best } = this.#model.get("landscape");
    return best === undefined ? null : maskOf(this.#figure.windows[best], this.#figure.frames);
  }

  // The learned mask, if there can be an answer for it.
  get #learned() {
    const { learned } = this.#network;
    const known = this.#live || this.#model.get("perturbation") in (learned?.answers ?? {});
    return learned && known ? learned.mask : null;
  }

  // The clip's frame that each frame shows, or shows most of.
  get #shown() {
    const { rows = [] } = this.#model.get("answer");
    return rows.map((row) => row.indexOf(Math.max(...row)));
  }

  #choose(changes) {
    this.#animation?.stop();
    this.#animation = null;
    for (const [name, value] of Object.entries(changes)) this.#model.set(name, value);
    this.#model.save_changes();
    if (this.#wanted && !lessMotion()) this.#playback.play();
  }

  // A reader who looks at a learned mask then sees the other network's.
  #chooseNetwork(network) {
    const { learned } = this.#figure.networks[network];
    const mask = same(this.#mask, this.#learned) && learned ? learned.mask : this.#mask;
    this.#choose({ network, mask });
  }

  // If nothing plays, the frame at the moved end is shown.
  #chooseWindow(window, end = null) {
    this.#choose({ mask: maskOf(window, this.#figure.frames) });
    if (end !== null && !this.#playback.playing) this.#playback.frame = windowOf(this.#mask)[end];
  }

  // Moves the first (0) or last (1) frame of the window in a direction, to the next frame that can
  // be chosen or to the farthest.
  #step(end, direction, far = false) {
    const windows = this.#windows;
    const here = nearest(windows, windowOf(this.#mask));
    const by = (window) => (window[end] - here[end]) * direction;
    const there = windows.filter((window) => window[1 - end] === here[1 - end] && by(window) > 0)
      .sort((a, b) => by(a) - by(b));
    if (there.length) this.#chooseWindow(there.at(far ? -1 : 0), end);
  }

  #setValue(frame, value) {
    this.#choose({ mask: this.#mask.with(frame, value) });
    this.#playback.pause();
    this.#playback.frame = frame;
  }

  #build() {
    const { caption, frames, fps, width, height, networks, perturbations, sheet } = this.#figure;
    const playing = this.#playback?.playing;
    this.#playback?.pause();
    this.#playback = new Playback(frames, fps, {
      position: (t) => this.#position(t),
      moved: () => this.#draw(),
    });
    this.#playback.button.addEventListener("click", () => { this.#wanted = this.#playback.playing; });
    this.#line = new MaskLine(frames, {
      moved: (window, end) => this.#chooseWindow(window, end),
      stepped: (end, direction, far) => this.#step(end, direction, far),
      painted: this.#live ? (frame, value) => this.#setValue(frame, value) : null,
    });
    const canvas = () => make("canvas", { width, height, role: "img" });
    const box = (name, ...children) => make("div", { class: name }, ...children);
    const parts = {
      networks: this.#radios("network", networks.map(({ title }, n) => [n, title]),
        (network) => this.#chooseNetwork(network)),
      perturbations: this.#radios("perturbation", perturbations.map((name) => [name, inWords(name)]),
        (perturbation) => this.#choose({ perturbation })),
      untouched: canvas(), perturbed: canvas(), title: make("span"),
      asked: make("p"), number: make("span", { class: "number" }), rest: make("span"),
      now: box("now"), lost: box("lost"), before: box("before"),
      learned: this.#button("learned mask", () => this.#choose({ mask: this.#learned })),
      best: this.#button("best window", () => this.#choose({ mask: this.#best })),
      learn: this.#button("learn from here", () => this.#model.send({ do: "learn" })),
      search: this.#button("score every window", () => this.#model.send({ do: "search" })),
      landscape: box("landscape"),
    };
    this.#parts = parts;
    parts.untouched.setAttribute("aria-label", "the clip, untouched");
    const meter = box("meter", parts.now, parts.lost, parts.before);
    meter.setAttribute("aria-hidden", "true");
    const legend = maskLegend();
    legend.append(this.#line.legend);
    this.#root.replaceChildren(make("style", {}, STYLE),
      make("figure", { role: "group", "aria-label": caption },
        box("choices", ...(networks.length > 1 ? [parts.networks] : []), parts.perturbations),
        box("panes",
          box("clip",
            box("clips", box("", "untouched", parts.untouched), box("", parts.title, parts.perturbed)),
            this.#line.element,
            box("said", parts.asked, meter,
              make("p", { role: "status" }, parts.number, " ", parts.rest)),
            box("actions", parts.learned, parts.best,
              ...(this.#live ? [parts.learn, parts.search] : [])),
            this.#playback.controls),
          parts.landscape),
        legend, make("figcaption", {}, caption)));
    this.#drawLandscape();
    this.#refresh();
    if (this.#sheet.src !== sheet) this.#sheet.src = sheet;
    if (playing) this.#playback.play();
  }

  #radios(name, options, choose) {
    const choices = options.map(([value, text]) => {
      const input = make("input", { type: "radio", name, value });
      input.addEventListener("change", () => choose(value));
      return make("label", {}, input, make("span", {}, text));
    });
    return make("div", { class: "radios", role: "radiogroup", "aria-label": name }, ...choices);
  }

  #button(text, act) {
    const button = make("button", { type: "button", class: "action" }, text);
    button.addEventListener("click", act);
    return button;
  }

  #drawLandscape() {
    const { scores } = this.#model.get("landscape");
    const title = make("p", {}, "Score of every window");
    this.#landscape = null;
    if (!scores) {
      this.#parts.landscape.replaceChildren(title, "Not known yet: “score every window”.");
      return;
    }
    const marked = ["chosen", "best", ...(this.#network.learned ? ["learned"] : [])];
    this.#landscape = new Landscape(this.#figure.windows, scores, marked,
      (window) => this.#chooseWindow(window));
    onKeys(this.#landscape.map, {
      ArrowLeft: () => this.#step(0, -1),
      ArrowRight: () => this.#step(0, 1),
      ArrowDown: () => this.#step(1, -1),
      ArrowUp: () => this.#step(1, 1),
    });
    this.#parts.landscape.replaceChildren(title, ...this.#landscape.nodes);
  }

  // Shows the model's current state.
  #refresh() {
    const parts = this.#parts;
    const mask = this.#mask;
    const perturbation = this.#model.get("perturbation");
    for (const [radios, value] of [["networks", this.#model.get("network")],
      ["perturbations", perturbation]]) {
      for (const input of parts[radios].querySelectorAll("input")) {
        input.checked = input.value === String(value);
      }
    }
    parts.title.textContent = inWords(perturbation);
    parts.perturbed.setAttribute("aria-label", `the clip, perturbed: ${inWords(perturbation)}`);
    this.#line.show(mask, this.#shown);
    this.#showScore(mask, perturbation);
    for (const [name, target] of [["learned", this.#learned], ["best", this.#best]]) {
      parts[name].disabled = !target;
      parts[name].setAttribute("aria-pressed", same(mask, target));
    }
    const busy = this.#model.get("busy");
    parts.learn.disabled = parts.search.disabled = Boolean(busy);
    parts.learn.textContent = busy === "learn" ? "learning…" : "learn from here";
    parts.search.textContent = busy === "search" ? "scoring…" : "score every window";
    if (this.#landscape) {
      const marks = { chosen: mask, best: this.#best, learned: this.#network.learned?.mask };
      for (const [name, marked] of Object.entries(marks)) {
        this.#landscape.mark(name, marked ? windowOf(marked) : null);
      }
      this.#landscape.map.setAttribute("aria-label",
        `Score by first and last perturbed frame; chosen: ${perturbedFrames(mask)}`);
    }
    this.#playback.count.textContent = this.#position(this.#playback.frame);
    this.#draw();
  }

  #showScore(mask, perturbation) {
    const parts = this.#parts;
    const { title, guess, score: before } = this.#network;
    const { score = before, note, ...asked } = this.#model.get("answer");
    const current = asked.perturbation === perturbation && same(mask, asked.mask);
    parts.asked.replaceChildren(`${title}’s score for `, make("b", {}, guess));
    parts.number.textContent = score.toFixed(3);
    parts.number.classList.toggle("waiting", !current);
    const words = [`with ${perturbedFrames(mask)} perturbed; ${before.toFixed(3)} untouched`, note];
    parts.rest.textContent = words.filter(Boolean).join(". ");
    parts.now.style.width = parts.lost.style.left = `${100 * score}%`;
    parts.lost.style.width = `${100 * Math.max(before - score, 0)}%`;
    parts.before.style.left = `calc(${100 * before}% - 1px)`;
  }

  #position(t) {
    const { frames } = this.#figure;
    return `${t + 1} / ${frames}, shows ${(this.#shown[t] ?? frames - 1) + 1}`;
  }

  #draw() {
    const { untouched, perturbed } = this.#parts;
    const t = this.#playback.frame;
    this.#line.frame = t;
    if (!this.#sheet.complete || !this.#sheet.naturalWidth) return; // no picture yet
    const [plain, mixed] = [untouched, perturbed].map((canvas) => canvas.getContext("2d"));
    drawFrame(plain, this.#sheet, this.#figure, t);
    const row = this.#model.get("answer").rows?.[t];
    if (!row) return;
    // The sum of the clip's frames, each by its weight.
    mixed.globalCompositeOperation = "source-over";
    mixed.globalAlpha = 1;
    mixed.fillRect(0, 0, perturbed.width, perturbed.height);
    mixed.globalCompositeOperation = "lighter";
    row.forEach((weight, s) => {
      if (!weight) return;
      mixed.globalAlpha = weight;
      drawFrame(mixed, this.#sheet, this.#figure, s);
    });
  }

  // Shows masks one after another and chooses the last; readers who asked for less motion see that.
  #animate(path) {
    this.#animation?.stop();
    if (lessMotion()) {
      this.#choose({ mask: path.at(-1) });
      return;
    }
    let n = 0;
    this.#animation = new Clock(() => ANIMATION / path.length, () => {
      n += 1;
      if (n >= path.length) {
        this.#choose({ mask: path.at(-1) });
        return;
      }
      this.#animation.mask = path[n];
      this.#refresh();
    });
    this.#animation.start();
  }
}

const render = ({ model, el }) => {
  const view = new View(model, el);
  return () => view.end();
};

// A figure in a static page; its attribute `data-figure` holds the data.
class TemporalMaskScrubber extends HTMLElement {
  #end = null;

  connectedCallback() {
    this.style.display = "block";
    this.model ??= new Tables(JSON.parse(this.dataset.figure));
    this.#end = render({ model: this.model, el: this });
  }

  disconnectedCallback() { this.#end(); }
}

if (!customElements.get("temporal-mask-scrubber")) {
  customElements.define("temporal-mask-scrubber", TemporalMaskScrubber);
}

export default { render };
