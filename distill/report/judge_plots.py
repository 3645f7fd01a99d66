"""Plots of a judge's confidence: whether it means what it says, and what answering less gains."""

from collections.abc import Mapping
from typing import Any

from distill.report.plots import GRID, INK, STUDENT, finished


def reliability_plot(found: Mapping[str, Any] | None) -> str | None:
    """How often it is right over how sure it is, in bins of equal mass; dotted: were it honest."""
    import plotly.graph_objects as go

    bins = (found or {}).get("bins") or ()
    if not bins:
        return None
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": INK, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=[one["p"] for one in bins],
        y=[one["accuracy"] for one in bins],
        customdata=[one["n"] for one in bins],
        mode="lines+markers",
        line={"color": STUDENT, "width": 2},
        marker={"size": 8},
        hovertemplate="%{customdata} rows, sure %{x:.3f}: right %{y:.3f}<extra></extra>",
    )
    return _square(figure, "its confidence", "right")


def selective_plot(found: Mapping[str, Any] | None) -> str | None:
    """How often it is right over the share of rows that it answers, its surest first."""
    import plotly.graph_objects as go

    points = sorted((found or {}).get("selective") or (), key=lambda one: float(one["share"]))
    if len(points) < 2:
        return None
    figure = go.Figure(
        go.Scatter(
            x=[one["share"] for one in points],
            y=[one["accuracy"] for one in points],
            customdata=[one["above"] for one in points],
            mode="lines+markers",
            line={"color": STUDENT, "width": 2},
            marker={"size": 8},
            hovertemplate="%{x:.0%} of the rows (sure from %{customdata:.3f}): right %{y:.3f}"
            "<extra></extra>",
        )
    )
    return _square(figure, "share of the rows that it answers", "right of those")


def _square(figure: Any, x: str, y: str) -> str:
    axis = {"gridcolor": GRID, "zeroline": False, "range": [-0.02, 1.02], "nticks": 6}
    figure.update_xaxes(title_text=x, **axis)
    figure.update_yaxes(title_text=y, automargin=True, ticksuffix=" ", **axis)
    figure.update_layout(showlegend=False)
    return finished(figure, 300)
