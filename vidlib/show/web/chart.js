// <plotly-chart>: draws the plotly figure in its attribute `data-figure` (JSON). The text in it,
// which readers see until then, says what the figure shows.
//
// All charts of a book share one plotly.min.js at its root, loaded when a page first needs it.
// Text takes the colour of the page around it, and follows it when the reader changes the theme.
(() => {
  if (customElements.get("plotly-chart")) return;
  let loading = null;

  const plotly = () => {
    loading ??= new Promise((resolve, reject) => {
      if (window.Plotly) return resolve(window.Plotly);
      const script = document.createElement("script");
      script.src = `${document.documentElement.dataset.content_root ?? ""}plotly.min.js`;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error(`${script.src} cannot be loaded`));
      document.head.append(script);
    });
    return loading;
  };

  class PlotlyChart extends HTMLElement {
    #theme = null;

    async connectedCallback() {
      if (this.#theme) return;
      const colour = () => getComputedStyle(this).color;
      const { layout, config, ...figure } = JSON.parse(this.dataset.figure);
      this.setAttribute("role", "figure");
      this.setAttribute("aria-label", this.textContent);
      this.style.display = "block";
      this.#theme = new MutationObserver(() => {
        if (this.hasAttribute("ready")) window.Plotly.relayout(box, { "font.color": colour() });
      });
      const box = document.createElement("div");
      box.style.height = `${layout.height}px`;
      this.replaceChildren(box);
      const { newPlot } = await plotly();
      const font = { ...layout.font, color: colour() };
      await newPlot(box, {
        ...figure, layout: { ...layout, font }, config: { ...config, responsive: true } });
      this.setAttribute("ready", "");
      this.#theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }
  }

  customElements.define("plotly-chart", PlotlyChart);
})();
