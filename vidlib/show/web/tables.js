// Replaces a kernel in a static page: a model, by anywidget's convention, that answers from the
// figure's tables for some windows and, under some perturbations, for the learned mask. A mask
// without an answer becomes the nearest window.

const same = (a, b) => a.length === b?.length && a.every((value, t) => value === b[t]);

class Tables {
  #state;
  #listeners = new Map();

  constructor(figure) {
    const perturbation = figure.perturbations[0];
    const { best } = figure.networks[0].tables[perturbation];
    const mask = maskOf(figure.windows[best], figure.frames);
    this.#state = { figure, network: 0, perturbation, mask };
    this.save_changes();
  }

  get(name) { return this.#state[name]; }

  set(name, value) {
    if (this.#state[name] === value) return;
    this.#state[name] = value;
    for (const listener of this.#listeners.get(`change:${name}`) ?? []) listener();
  }

  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.#listeners.set(event, this.#listeners.get(event).filter((other) => other !== listener));
  }

  save_changes() {
    const { figure, network, perturbation, mask } = this.#state;
    const { tables, learned } = figure.networks[network];
    const table = tables[perturbation];
    const known = learned?.answers[perturbation];
    this.set("landscape", table);
    if (known && same(mask, learned.mask)) {
      const rows = this.#rows(known.weights, 0, figure.frames);
      this.set("answer", { perturbation, mask, score: known.score,
        rows: rows.map((row) => row.map((weight) => weight / 255)) });
      return;
    }
    const tried = figure.windows.filter((_, n) => table.scores[n] !== null);
    const chosen = nearest(tried, windowOf(mask));
    const n = figure.windows.indexOf(chosen);
    const [order] = this.#rows(figure.orders[perturbation], n, 1);
    this.set("mask", maskOf(chosen, figure.frames));
    this.set("answer", { perturbation, mask: this.#state.mask, score: table.scores[n],
      rows: order.map((shown) => maskOf([shown, shown], figure.frames)) });
  }

  // Some rows of a table of bytes, in base64, with a column per frame.
  #rows(table, first, count) {
    const { frames } = this.#state.figure;
    const bytes = Array.from(atob(table), (character) => character.charCodeAt(0));
    return Array.from({ length: count }, (_, n) =>
      bytes.slice((first + n) * frames, (first + n + 1) * frames));
  }
}
