// Draws every plot of the page from the JSON beside it. No request, no cloud button.
const NARROW = 500, LONGEST = 20;
const shortened = (name) => {
  const plain = name.replace(/^filter: /, ""), half = LONGEST / 2;
  return plain.length > LONGEST ? `${plain.slice(0, half)}\u2026${plain.slice(1 - half)}` : plain;
};
// Long names of bars would leave no room for the bars on a small screen.
function fit(figure, width) {
  const names = figure.data.filter((one) => one.orientation === "h").flatMap((one) => one.y);
  if (width >= NARROW || !names.length) return;
  const shown = [...new Set(names)];
  Object.assign(figure.layout.yaxis ??= {}, {
    tickmode: "array", tickvals: shown, ticktext: shown.map(shortened), tickfont: { size: 11 },
  });
  Object.assign(figure.layout.xaxis ??= {}, { nticks: 4, tickangle: 0, tickfont: { size: 11 } });
}
for (const block of document.querySelectorAll("script[data-plot]")) {
  const place = document.getElementById(block.dataset.plot);
  const figure = JSON.parse(block.textContent);
  fit(figure, place.clientWidth);
  Plotly.newPlot(place, figure.data, figure.layout, {
    displaylogo: false,
    displayModeBar: false,
    responsive: true,
    scrollZoom: false,
    showEditInChartStudio: false,
    plotlyServerURL: "",
  });
}
