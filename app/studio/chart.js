// Draws a plotly figure and updates it in place, so that it neither flickers nor forgets its zoom when a slider moves.
// Plotly comes from this machine (data.script) and is loaded once a page.

let loading;

function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = undefined;
      reject(new Error("the drawing library could not be loaded; reload the page"));
    };
    document.head.append(script);
  });
  return loading;
}

// Parallel coordinates outline their labels in the colour of the paper, so there it must not be transparent.
function outlined(figure) {
  return figure.data.some((trace) => trace.type === "parcoords");
}

function inTheme(figure, element) {
  const layout = figure.layout;
  const style = getComputedStyle(element);
  const text = style.getPropertyValue("--st-text-color").trim() || style.color;
  const ground = style.getPropertyValue("--st-background-color").trim() || "white";
  const border = style.getPropertyValue("--st-border-color").trim() || "gray";
  const family = style.getPropertyValue("--st-font").trim() || style.fontFamily;
  return {
    ...layout,
    template: undefined,
    paper_bgcolor: outlined(figure) ? ground : layout.paper_bgcolor,
    font: { ...layout.font, color: text, family },
    hoverlabel: { bgcolor: ground, bordercolor: border, font: { color: text, family, size: 13 } },
    autosize: true,
  };
}

export default function ({ data, parentElement }) {
  const node = parentElement.querySelector(".tilewright-chart");
  const figure = JSON.parse(data.figure);
  node.style.height = `${figure.layout.height}px`;
  node.setAttribute("aria-label", data.summary);
  node.wanted = figure;
  loadPlotly(data.script).then(
    async (Plotly) => {
      if (node.wanted !== figure || !node.isConnected) return;
      const config = { ...data.config, responsive: true };
      await Plotly.react(node, figure.data, inTheme(figure, node), config);
      if (node.watcher || !node.isConnected) return;
      node.watcher = new ResizeObserver(() => node.offsetWidth && node._fullLayout && Plotly.Plots.resize(node));
      node.watcher.observe(node);
    },
    (error) => {
      node.textContent = error.message;
    },
  );
  return () => {
    node.wanted = undefined;
    node.watcher?.disconnect();
    node.watcher = undefined;
    if (window.Plotly && !node.isConnected) window.Plotly.purge(node);
  };
}
