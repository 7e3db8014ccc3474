// A mask, bar by bar, and under it a rail on which the reader drags its two ends.

const STEP = 0.1; // change of a mask's value per key press
const FINEST = 0.05; // a drag rounds the value to multiples of this

const MASK_LINE_STYLE = `
  .line { position: relative; margin: .6rem 1.25rem 0; touch-action: pan-y; user-select: none;
    -webkit-user-select: none; cursor: pointer; }
  svg.mask { height: 2.5rem; }
  svg.mask[tabindex] { touch-action: none; cursor: ns-resize; }
  .rail { position: relative; height: 1.75rem; }
  .rail::before { content: ""; position: absolute; inset: .8rem 0 auto; height: .15rem;
    background: var(--line); }
  .reach { position: absolute; top: .65rem; height: .45rem; background: var(--perturbed); cursor: grab; }
  .grip { position: absolute; top: .125rem; width: 1.5rem; height: 1.5rem; box-sizing: border-box;
    background: var(--accent); cursor: ew-resize; }
  .grip.first { border-radius: 50% 0 50% 50%; transform: translateX(-100%); }
  .grip.last { border-radius: 0 50% 50% 50%; }
  .grip::before { content: ""; position: absolute; bottom: 100%; height: 2.6rem; width: 2px;
    background: var(--accent); }
  .grip.first::before { right: 0; } .grip.last::before { left: 0; }
  .grip::after { content: ""; position: absolute; inset: .45rem .55rem; border: solid #fff;
    border-width: 0 2px; }
  .shows { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); text-align: center;
    font-size: .6875rem; font-variant-numeric: tabular-nums; opacity: .85; }
  .shows .moved { font-weight: 700; }
  .shows.many { font-size: .5625rem; }
  @container (max-width: 40rem) { .line { margin-inline: 1.4rem; } }
  @container (max-width: 30rem) { .shows { font-size: .5625rem; } .many { display: none; } }`;

// The mask that perturbs a window, given by its first and last frame.
const maskOf = ([first, last], length) =>
  Array.from({ length }, (_, t) => Number(first <= t && t <= last));

// The window from the first to the last perturbed frame; without any, the frame of highest value.
const windowOf = (mask) => {
  const on = mask.flatMap((value, t) => (value > 0.5 ? [t] : []));
  return on.length ? [on[0], on.at(-1)] : Array(2).fill(mask.indexOf(Math.max(...mask)));
};

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

// The action of each key, by its name.
const onKeys = (element, keys) =>
  element.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  });

// It calls `moved` with the new window and the end being dragged (null for both); `stepped` with an
// end, a direction and whether to go as far as possible; and, if values between 0 and 1 can be set,
// `painted` with a frame and its value.
class MaskLine {
  #mask;
  #frame = 0;

  constructor(frames, { moved, stepped, painted = null }) {
    this.painted = painted;
    this.here = make("rect", { class: "here", y: 0, width: CELL.width, height: CELL.height });
    this.bars = make("svg", { class: "mask", viewBox: `0 0 ${frames * CELL.width} ${CELL.height}`,
      preserveAspectRatio: "none", role: "img" });
    this.reach = make("div", { class: "reach" });
    this.grips = ["first", "last"].map((end) => make("div", { class: `grip ${end}`, role: "slider",
      tabindex: 0, "aria-label": `${end} perturbed frame` }));
    const many = frames > 20 ? "many" : ""; // for a narrow page
    this.shows = make("div", { class: `shows ${many}`, "aria-hidden": "true" });
    this.legend = make("span", { class: many }, "numbers: the frame shown");
    this.element = make("div", { class: "line" }, this.bars,
      make("div", { class: "rail" }, this.reach, ...this.grips), this.shows);
    this.#listenToPointer(frames, moved);
    this.grips.forEach((grip, end) => onKeys(grip, {
      ArrowLeft: () => stepped(end, -1),
      ArrowDown: () => stepped(end, -1),
      ArrowRight: () => stepped(end, 1),
      ArrowUp: () => stepped(end, 1),
      Home: () => stepped(end, -1, true),
      End: () => stepped(end, 1, true),
    }));
    if (!painted) return;
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0,
      "aria-label": "value of the mask", "aria-orientation": "vertical",
      "aria-valuemin": 0, "aria-valuemax": 1 })) this.bars.setAttribute(name, value);
    const paint = (by, frame = this.#frame) => this.#paint(frame, this.#mask[frame] + by);
    onKeys(this.bars, {
      ArrowLeft: () => paint(0, Math.max(this.#frame - 1, 0)),
      ArrowRight: () => paint(0, Math.min(this.#frame + 1, frames - 1)),
      ArrowUp: () => paint(STEP),
      ArrowDown: () => paint(-STEP),
    });
  }

  #paint(frame, value) {
    this.painted(frame, Math.round(clamp(value, 0, 1) / FINEST) / Math.round(1 / FINEST));
  }

  #listenToPointer(frames, moved) {
    const at = (event) => { // in frames
      const { left, width } = this.bars.getBoundingClientRect();
      return ((event.clientX - left) / width) * frames;
    };
    let drag = null;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault(); // otherwise the focus set here is lost again
      this.element.setPointerCapture(event.pointerId);
      const [first, last] = windowOf(this.#mask);
      const x = at(event);
      const gaps = [Math.abs(x - first), Math.abs(x - last - 1)];
      const gripped = this.grips.indexOf(event.target);
      const end = gripped >= 0 ? gripped : Number(gaps[1] < gaps[0]);
      if (this.painted && this.bars.contains(event.target)) {
        this.bars.focus({ preventScroll: true });
        drag = (event) => {
          const { top, height } = this.bars.getBoundingClientRect();
          this.#paint(clamp(Math.floor(at(event)), 0, frames - 1), 1 - (event.clientY - top) / height);
        };
        drag(event);
      } else if (gripped < 0 && first < x && x < last + 1 && Math.min(...gaps) > 1) {
        drag = (event) => {
          const by = clamp(Math.round(at(event) - x), -first, frames - 1 - last);
          moved([first + by, last + by], null);
        };
      } else {
        this.grips[end].focus({ preventScroll: true });
        const off = gripped >= 0 ? x - [first, last + 1][end] : 0;
        drag = (event) => {
          const edge = Math.round(at(event) - off);
          moved(end ? [first, clamp(edge - 1, first, frames - 1)] : [clamp(edge, 0, last), last], end);
        };
        if (gripped < 0) drag(event);
      }
    });
    this.element.addEventListener("pointermove", (event) => drag?.(event));
    for (const done of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(done, () => { drag = null; });
    }
  }

  // Marks the current frame.
  set frame(t) {
    this.#frame = t;
    this.here.setAttribute("x", t * CELL.width);
    if (!this.painted) return;
    const value = this.#mask[t];
    this.bars.setAttribute("aria-valuenow", value);
    this.bars.setAttribute("aria-valuetext", `frame ${t + 1}: ${value.toFixed(2)}`);
  }

  // Shows a mask, and under each frame the number of the frame displayed then.
  show(mask, shown) {
    this.#mask = mask;
    const [first, last] = windowOf(mask);
    const frames = mask.length;
    this.bars.replaceChildren(hatch(), ...bars(mask), this.here);
    if (!this.painted) this.bars.setAttribute("aria-label", `Mask: perturbed in ${perturbedFrames(mask)}`);
    this.reach.style.left = `${(100 * first) / frames}%`;
    this.reach.style.right = `${100 - (100 * (last + 1)) / frames}%`;
    [first, last].forEach((t, end) => {
      const grip = this.grips[end];
      grip.style.left = `${(100 * (t + end)) / frames}%`;
      grip.setAttribute("aria-valuemin", end ? first + 1 : 1);
      grip.setAttribute("aria-valuemax", end ? frames : last + 1);
      grip.setAttribute("aria-valuenow", t + 1);
      grip.setAttribute("aria-valuetext", `frame ${t + 1} of ${frames}`);
    });
    this.shows.replaceChildren(...shown.map((s, t) =>
      make("span", s === t ? {} : { class: "moved" }, `${s + 1}`)));
  }
}
