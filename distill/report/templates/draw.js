// Draws every plot of the page from the JSON beside it. No request, no cloud button.
for (const block of document.querySelectorAll("script[data-plot]")) {
  const place = document.getElementById(block.dataset.plot);
  const figure = JSON.parse(block.textContent);
  Plotly.newPlot(place, figure.data, figure.layout, {
    displaylogo: false,
    displayModeBar: false,
    responsive: true,
    scrollZoom: false,
    showEditInChartStudio: false,
    plotlyServerURL: "",
  });
}
