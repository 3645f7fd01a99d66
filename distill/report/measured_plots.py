"""Plots of what evaluation measured beside the table: quality against cost, the learning curve."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from distill.report.figures import system_order, title, write_value
from distill.report.plots import ARM, GRID, INK, LOST, STUDENT, finished, spread_of, system_colour


def cost_plot(metrics: Mapping[str, Mapping[str, Any]], metric: str) -> str | None:
    """Quality over USD per 1,000 rows, one point per system with both; None with fewer than two."""
    import plotly.graph_objects as go

    known = [s for s in system_order(metrics) if _both(metrics[s], metric)]
    if len(known) < 2:
        return None
    figure = go.Figure()
    costs = [math.log(metrics[system]["cost_per_1000"]["value"]) for system in known]
    middle = (min(costs) + max(costs)) / 2
    for system, place in zip(known, costs, strict=True):
        quality, cost = metrics[system][metric], metrics[system]["cost_per_1000"]["value"]
        below, above = spread_of(quality)
        figure.add_scatter(
            x=[cost],
            y=[quality["value"]],
            mode="markers+text",
            text=[f"\u2002{escape(title(system), quote=False)}\u2002"],
            textposition="middle right" if place <= middle else "middle left",
            marker={"size": 11, "color": system_colour(system)},
            error_y={"type": "data", "symmetric": False, "array": [above], "arrayminus": [below],
                     "color": INK, "thickness": 1.2, "width": 3},
            hovertemplate=f"%{{text}}: {write_value(metric, quality['value'])} at "
            f"{write_value('cost_per_1000', cost)} USD<extra></extra>",
            cliponaxis=False,
        )  # fmt: skip
    figure.update_xaxes(
        title_text="USD per 1,000 rows (logarithmic; cheaper is further left)",
        type="log",
        gridcolor=GRID,
        zeroline=False,
        dtick=1,
    )
    figure.update_yaxes(
        title_text=title(metric), gridcolor=GRID, zeroline=False, automargin=True, ticksuffix=" "
    )
    figure.update_layout(showlegend=False)
    return finished(figure, 340)


def curve_plot(curve: Mapping[str, Any] | None) -> str | None:
    """The deciding metric over the rows trained on, with intervals; hollow: twice the rows."""
    import plotly.graph_objects as go

    if not curve:
        return None
    metric = curve["metric"]
    points = [(p["rows"], p["figures"][metric]) for p in curve["points"]]
    spreads = [spread_of(figure) for _, figure in points]
    figure = go.Figure(
        go.Scatter(
            x=[rows for rows, _ in points],
            y=[found["value"] for _, found in points],
            mode="lines+markers",
            line={"color": STUDENT, "width": 2},
            marker={"size": 8},
            error_y={"type": "data", "symmetric": False, "array": [up for _, up in spreads],
                     "arrayminus": [down for down, _ in spreads], "color": INK,
                     "thickness": 1.2, "width": 3},
            hovertemplate="%{x:,} rows: %{y:.3f}<extra></extra>",
        )
    )  # fmt: skip
    if (ahead := curve["next"]) is not None:
        figure.add_scatter(
            x=[points[-1][0], ahead["rows"]],
            y=[points[-1][1]["value"], ahead["value"]],
            mode="lines+markers",
            line={"color": ARM, "width": 2, "dash": "dot"},
            marker={"size": 8, "symbol": ["circle", "circle-open"]},
            hovertemplate="%{x:,} rows, projected: %{y:.3f}<extra></extra>",
        )
    ticks = [rows for rows, _ in points] + ([ahead["rows"]] if ahead else [])
    figure.update_xaxes(
        title_text="training rows (logarithmic)",
        type="log",
        tickvals=ticks,
        ticktext=[f"{rows:,}" for rows in ticks],
        gridcolor=GRID,
        zeroline=False,
    )
    figure.update_yaxes(
        title_text=title(metric), gridcolor=GRID, zeroline=False, automargin=True, ticksuffix=" "
    )
    figure.update_layout(showlegend=False)
    return finished(figure, 320)


def cascade_plot(part: Mapping[str, Any] | None) -> str | None:
    """How often a cascade is right over the share that it hands on; None where people decide."""
    import plotly.graph_objects as go

    if not part or part["to"] == "people":
        return None
    points = part["points"]
    figures = [point["agreement"] for point in points]
    spreads = [spread_of(figure) for figure in figures]
    figure = go.Figure(
        go.Scatter(
            x=[point["handed"] for point in points],
            y=[found["value"] for found in figures],
            mode="lines+markers",
            line={"color": STUDENT, "width": 2},
            marker={
                "size": [12 if point == part["best"] else 7 for point in points],
                "color": [LOST if point == part["best"] else STUDENT for point in points],
            },
            error_y={"type": "data", "symmetric": False, "array": [up for _, up in spreads],
                     "arrayminus": [down for down, _ in spreads], "color": INK,
                     "thickness": 1.2, "width": 3},
            hovertemplate="%{x:.0%} handed on: %{y:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(
        title_text="share handed to the teacher", tickformat=".0%", gridcolor=GRID, zeroline=False
    )
    figure.update_yaxes(
        title_text="right", gridcolor=GRID, zeroline=False, automargin=True, ticksuffix=" "
    )
    figure.update_layout(showlegend=False)
    return finished(figure, 300)


def _both(figures: Mapping[str, Any], metric: str) -> bool:
    cost = (figures.get("cost_per_1000") or {}).get("value")
    return (figures.get(metric) or {}).get("value") is not None and bool(cost)
