"""The page's three plots as plotly figures in JSON: row waterfall, loss curve, metric bars.

Colours are mid-tones on transparent paper, so that one figure serves a light and a dark page.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from distill.report.figures import RUNNING, UNBOUNDED, system_order, title, write_figure

INK = "#808791"
GRID = "rgba(128,135,145,0.25)"
STUDENT = "#3f7fd6"
ARM = "#86aee4"
TEACHER = "#7d8794"
BASELINE = "#b3b9c2"
LOST = "#d98a3d"
FAILED = "#c9524f"
CURVES = (STUDENT, LOST, "#4fa08b", "#9a7fd1", TEACHER)

MOST_REASONS = 7
"""Bars of one stage's reasons; smaller ones are added up."""

ROW_HEIGHT = 34


def waterfall(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """From the rows proposed to the rows kept: one falling bar per stage and reason."""
    import plotly.graph_objects as go

    if not rows:
        return None
    steps = [("proposed", int(rows[0]["in"]), "absolute")]
    for stage in rows:
        steps += [(label, -count, "relative") for label, count in _losses(stage)]
    steps.append(("kept", 0, "total"))
    names = [escape(f"{label}", quote=False) for label, _, _ in steps]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=names,
            x=[count for _, count, _ in steps],
            measure=[kind for _, _, kind in steps],
            text=[_count(count) for _, count, _ in steps[:-1]] + [f"{rows[-1]['accepted']:,}"],
            textposition="auto",
            connector={"line": {"color": GRID, "width": 1}},
            decreasing={"marker": {"color": LOST}},
            totals={"marker": {"color": STUDENT}},
            increasing={"marker": {"color": STUDENT}},
            hovertemplate="%{y}: %{text} rows<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ")
    figure.update_xaxes(gridcolor=GRID, zeroline=False, rangemode="tozero", nticks=6)
    return finished(figure, 60 + ROW_HEIGHT * len(steps))


def loss_curve(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """Training loss over steps, one line per trained student; thin points are not smoothed."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, (arm, points) in enumerate(curves.items()):
        kept = [p for p in points if p.get("step") is not None and p.get("loss") is not None]
        if kept:
            figure.add_scatter(
                x=[p["step"] for p in kept],
                y=[p["loss"] for p in kept],
                name=escape(title(arm), quote=False),
                mode="lines" if len(kept) > 1 else "markers",
                line={"color": CURVES[place % len(CURVES)], "width": 2},
                hovertemplate="step %{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
            )
    if not figure.data:
        return None
    figure.update_xaxes(title_text="optimiser step", gridcolor=GRID, zeroline=False, nticks=7)
    figure.update_yaxes(
        title_text="loss (nats)",
        gridcolor=GRID,
        zeroline=False,
        rangemode="tozero",
        automargin=True,
        ticksuffix=" ",
    )
    figure.update_layout(
        showlegend=len(figure.data) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return finished(figure, 300)


def metric_bars(metrics: Mapping[str, Mapping[str, Any]], metric: str) -> str | None:
    """One metric for every system that has it: the mean with its interval, or its sd over seeds."""
    import plotly.graph_objects as go

    systems = [s for s in system_order(metrics) if _value(metrics[s].get(metric)) is not None]
    if not systems:
        return None
    figures = [metrics[system][metric] for system in systems]
    spreads = [spread_of(figure) for figure in figures]
    plot = go.Figure(
        go.Bar(
            orientation="h",
            y=[escape(title(system), quote=False) for system in systems],
            x=[figure["value"] for figure in figures],
            marker={"color": [system_colour(system) for system in systems]},
            width=0.62,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [up for _, up in spreads],
                "arrayminus": [down for down, _ in spreads],
                "color": INK,
                "thickness": 1.5,
                "width": 4,
            },
            customdata=[write_figure(metric, figure) for figure in figures],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    )
    plot.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ")
    highest = max(f["value"] + up for f, (_, up) in zip(figures, spreads, strict=True))
    top = 1.0 if metric not in UNBOUNDED and highest <= 1 else highest * 1.05
    plot.update_xaxes(gridcolor=GRID, zeroline=False, range=[0, top or 1], nticks=6)
    return finished(plot, 40 + ROW_HEIGHT * len(systems))


def plotted_metrics(metrics: Mapping[str, Mapping[str, Any]], most: int = 3) -> list[str]:
    """The metrics worth a plot: how good a system is, not what it costs or how often it parsed."""
    names = dict.fromkeys(
        name
        for figures in metrics.values()
        for name, figure in figures.items()
        if _value(figure) is not None and name not in (*RUNNING, "parsed", "valid")
    )
    return list(names)[:most]


def _losses(stage: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What a stage took away, the largest reasons by name, in the order of the filters."""
    reasons = sorted(stage["reasons"].items(), key=lambda item: (-item[1], item[0]))
    shown, rest = reasons[:MOST_REASONS], reasons[MOST_REASONS:]
    order = [one["filter"] for one in stage.get("filters") or ()]
    place = {name: at for at, name in enumerate(order)}
    shown.sort(key=lambda item: place.get(item[0].partition(":")[0], len(order)))
    losses = [(f"{stage['stage']}: {title(reason)}", count) for reason, count in shown]
    other = sum(count for _, count in rest)
    unnamed = stage["rejected"] + stage["failed"] - sum(stage["reasons"].values())
    if other + unnamed > 0:
        losses.append((f"{stage['stage']}: {'other' if reasons else 'rejected'}", other + unnamed))
    return [(label, count) for label, count in losses if count]


def _count(count: int) -> str:
    return f"{count:,}".replace("-", "\u2212")


def _value(figure: Mapping[str, Any] | None) -> float | None:
    return None if figure is None else figure.get("value")


def spread_of(figure: Mapping[str, Any]) -> tuple[float, float]:
    """Lengths of the error bar to the left and to the right."""
    if (sd := figure.get("sd")) is not None:
        return (sd, sd)
    value, low, high = figure["value"], figure.get("low"), figure.get("high")
    below = value - low if low is not None else 0.0
    above = high - value if high is not None else 0.0
    return (max(0.0, below), max(0.0, above))


def system_colour(system: str) -> str:
    """A mid-tone: the student stands out, then its arms, then the rest."""
    if system == "student":
        return STUDENT
    if system == "teacher":
        return TEACHER
    return ARM if system in ("hard_labels", "hard_labels_confident", "text") else BASELINE


def finished(figure: Any, height: int) -> str:
    """A figure in the look of our pages, as JSON; height in pixels."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 16, "t": 8, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        dragmode=False,
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
        uniformtext={"mode": "hide", "minsize": 9},
    )
    text: str = figure.to_json()
    return text
