// <clip-gallery>: clips as cards, with filters by data set, class, answers and mask lengths.
//
// vidlib.show.gallery makes its attribute `data-figure`, a JSON list. A card gets its player, with
// the pictures, when it comes near the visible part of the page. The page's address holds the
// filters after "#", so that a selection can be linked. The attribute `ready` appears with the
// cards.

const NEAR = "600px 0px"; // how far outside the visible part a card gets its player

const STYLE = `${SHARED_STYLE}
  :host { max-width: none; font-size: .875rem; line-height: 1.35; }
  form { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr));
    gap: .5rem .75rem; }
  fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 0; padding: .25rem .75rem .75rem;
    min-width: 0; display: grid; grid-template-columns: 1fr 1fr; gap: .5rem .75rem; align-content: start; }
  legend { font-weight: 600; padding: 0 .25rem; }
  label { display: grid; gap: .125rem; align-content: end; min-width: 0; }
  label.wide { grid-column: 1 / -1; }
  select, input { width: 100%; min-width: 0; padding: 0 .25rem; box-sizing: border-box; }
  input { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line);
    border-radius: .3rem; min-height: 2rem; }
  button { padding: 0 .75rem; }
  .found { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .75rem 0; }
  .found p { margin: 0; font-weight: 600; }
  ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 1.5rem 1rem; align-items: start;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
  li { container-type: inline-size; min-width: 0; }
  li[hidden] { display: none; }
  h3 { font-size: 1rem; margin: 0; }
  li p { margin: 0; opacity: .85; }
  li p:last-of-type { margin-bottom: .5rem; }
  .place { min-height: calc(66cqi * var(--shape) + 22rem); } /* about a player's */`;

const option = (value, text = value) => make("option", { value }, text);

const labelled = (text, control, attributes = {}) => make("label", attributes, text, control);

const select = (name, ...options) => make("select", { name }, option("", "any"), ...options);

const distinct = (values) => [...new Set(values)];

class ClipGallery extends HTMLElement {
  #cards = null;
  #items = []; // the element of every card
  #form = make("form", { "aria-label": "Filter the clips" });
  #found = make("p", { role: "status" });
  #near = null; // watches for cards that come near

  connectedCallback() {
    if (!this.#cards) this.#build();
    window.addEventListener("hashchange", this.#restore);
  }

  disconnectedCallback() {
    window.removeEventListener("hashchange", this.#restore);
  }

  #build() {
    this.#cards = JSON.parse(this.dataset.figure);
    this.#items = this.#cards.map((card) => this.#item(card));
    this.#form.append(this.#clipFilters(), ...this.#networkFilters());
    this.#form.addEventListener("input", () => this.#changed());
    const clear = make("button", { type: "button" }, "Clear filters");
    clear.addEventListener("click", () => {
      this.#form.reset();
      this.#changed();
    });
    this.attachShadow({ mode: "open" }).append(make("style", {}, STYLE), this.#form,
      make("div", { class: "found" }, this.#found, clear), make("ul", { role: "list" }, ...this.#items));
    this.#filter();
    this.#restore();
    this.#near = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.#show(target);
    }, { rootMargin: NEAR });
    for (const item of this.#items) this.#near.observe(item);
    this.setAttribute("ready", "");
  }

  #clipFilters() {
    const sets = distinct(this.#cards.map((card) => card.dataset));
    const classes = sets.map((set) => {
      const names = this.#cards.filter((card) => card.dataset === set).map((card) => card.label);
      return make("optgroup", { label: set }, ...distinct(names).map((name) => option(name)));
    });
    return make("fieldset", {}, make("legend", {}, "Clip"),
      labelled("Data set", select("set", ...sets.map((set) => option(set))), { class: "wide" }),
      labelled("Class", select("class", ...classes), { class: "wide" }));
  }

  #networkFilters() {
    const most = Math.max(...this.#cards.map((card) => card.player.frames));
    const frames = (name) => make("input", { type: "number", name, min: 0, max: most });
    return Object.keys(this.#cards[0].answers).map((network) => {
      const key = network.toLowerCase();
      return make("fieldset", {}, make("legend", {}, network),
        labelled("Answer", select(key, option("right"), option("wrong")), { class: "wide" }),
        labelled("Mask length from", frames(`${key}-from`)),
        labelled("Mask length to", frames(`${key}-to`)));
    });
  }

  #item({ dataset, label, answers, player }) {
    const said = Object.entries(answers).map(([network, [right, length]]) => make("p", {},
      `${network}: ${right ? "right" : "wrong"}, mask length ${length} of ${player.frames}`));
    return make("li", {}, make("h3", {}, label), make("p", {}, dataset), ...said,
      make("div", { class: "place", style: `--shape: ${player.height / player.width}` }));
  }

  #show(item) {
    this.#near.unobserve(item);
    const { player } = this.#cards[this.#items.indexOf(item)];
    const figure = make("temporal-mask-player", { "data-figure": JSON.stringify(player) });
    item.querySelector(".place").replaceWith(figure);
  }

  #fits({ dataset, label, answers }) {
    const wanted = (name) => this.#form.elements[name].value;
    const is = (name, value) => ["", value].includes(wanted(name));
    return is("set", dataset) && is("class", label) && Object.entries(answers).every(([network, [right, length]]) => {
      const key = network.toLowerCase();
      return is(key, right ? "right" : "wrong") && length >= Number(wanted(`${key}-from`)) &&
        length <= Number(wanted(`${key}-to`) || Infinity);
    });
  }

  #filter() {
    this.#items.forEach((item, n) => { item.hidden = !this.#fits(this.#cards[n]); });
    const shown = this.#items.filter((item) => !item.hidden).length;
    const all = this.#items.length;
    this.#found.textContent =
      shown ? `${shown} of ${all} clips` : `None of ${all} clips: clear or loosen a filter.`;
  }

  #changed() {
    this.#filter();
    const set = [...new FormData(this.#form)].filter(([, value]) => value);
    history.replaceState(history.state, "", `#${new URLSearchParams(set)}`);
  }

  // Reads the filters from the address, unless it points to another place in the page.
  #restore = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    const controls = [...this.#form.elements].filter((element) => element.name);
    if (location.hash.length > 1 && !controls.some(({ name }) => given.has(name))) return;
    for (const control of controls) {
      control.value = given.get(control.name) ?? "";
      if (control.selectedIndex === -1) control.value = ""; // no such option
    }
    this.#filter();
  };
}

if (!customElements.get("clip-gallery")) customElements.define("clip-gallery", ClipGallery);
