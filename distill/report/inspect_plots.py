"""The plots of the inspect page as plotly figures in JSON; colours as in `plots`."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from distill.report.plots import (
    ARM,
    CURVES,
    FAILED,
    GRID,
    INK,
    LOST,
    ROW_HEIGHT,
    STUDENT,
    finished,
)

MOST_BARS = 30
SHORT = 42
FEW_RATERS = 12
"""Up to so many have a bar each; more are points."""
LEGEND = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
HEAT = [[0.0, "rgba(63,127,214,0.06)"], [1.0, "#3f7fd6"]]


def draw_all(report: Mapping[str, Any]) -> dict[str, str]:
    """Every plot that the report has figures for, by the place where it stands."""
    drawn: dict[str, str | None] = {
        "fixes": fixes(report["fix_first"]),
        "labels": labels(report["labels"]),
        "languages": languages(report["languages"]),
        "openings": openings(report["diversity"].get("openings") or ()),
        "leakage": leakage(report["leakage"]),
        "suspects": suspects(report["label_errors"]),
    }
    for field, found in report["lengths"].items():
        drawn[f"length-{field}"] = lengths(found["histogram"], "words")
    if report["tokens"]:
        drawn["tokens"] = lengths(report["tokens"]["histogram"], "tokens")
    for place, found in enumerate(report["agreement"].values()):
        drawn[f"cohen-{place}"] = cohen(found["cohen"])
        drawn[f"raters-{place}"] = raters(found["dawid_skene"].get("raters") or {})
        drawn[f"votes-{place}"] = bars(found["labels"], STUDENT, "ratings")
    return {name: figure for name, figure in drawn.items() if figure is not None}


def fixes(found: Sequence[Mapping[str, Any]]) -> str | None:
    """Rows per failure, in the order in which to mend them."""
    return bars({fix["what"]: fix["count"] for fix in found[:12]}, LOST, "rows", least=1)


def labels(found: Mapping[str, Any] | None) -> str | None:
    """Rows per label, stacked by split; the rarest are added up where there are many."""
    import plotly.graph_objects as go

    if not found or not found["counts"]:
        return None
    counts: dict[str, int] = found["counts"]
    shown = list(counts)[:MOST_BARS]
    if len(counts) > MOST_BARS:  # the commonest and the rarest tell how uneven it is
        half = MOST_BARS // 2
        shown = list(counts)[:half] + list(counts)[-half:]
    figure = go.Figure()
    for place, (split, given) in enumerate(found["by_split"].items()):
        figure.add_bar(
            orientation="h",
            y=[_short(name) for name in shown],
            x=[given.get(name, 0) for name in shown],
            name=escape(split, quote=False),
            marker={"color": CURVES[place % len(CURVES)]},
            hovertemplate="%{y}: %{x:,} rows<extra>%{fullData.name}</extra>",
        )
    several = len(found["by_split"]) > 1
    figure.update_layout(
        barmode="stack",
        showlegend=several,
        legend=LEGEND,
    )
    _across(figure)
    return finished(figure, 50 + 30 * several + 22 * len(shown))


def languages(found: Mapping[str, Any]) -> str | None:
    """Texts per language."""
    counts = found["counts"] or {}
    return bars(dict(list(counts.items())[:12]), STUDENT, "texts") if len(counts) > 1 else None


def openings(found: Sequence[Mapping[str, Any]]) -> str | None:
    """The commonest first words and how many texts begin so."""
    return bars({f"{entry['words']} \u2026": entry["count"] for entry in found}, ARM, "texts")


def leakage(found: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Leaked rows per pair of splits and kind."""
    import plotly.graph_objects as go

    pairs = [pair for pair, entry in found.items() if entry["rows"]]
    if not pairs:
        return None
    figure = go.Figure()
    for kind, colour in (("exact", FAILED), ("near", LOST), ("ngram", ARM)):
        figure.add_bar(
            orientation="h",
            y=[_short(pair.replace("|", " in ")) for pair in pairs],
            x=[found[pair][kind] for pair in pairs],
            name=kind,
            marker={"color": colour},
            hovertemplate="%{y}: %{x:,} rows<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        barmode="group",
        showlegend=True,
        legend=LEGEND,
    )
    _across(figure)
    return finished(figure, 90 + 64 * len(pairs))


def suspects(found: Sequence[Mapping[str, Any]]) -> str | None:
    """Suspected errors per pair of given and suggested label."""
    counts: dict[str, int] = {}
    for error in found:
        name = f"{error['given']} \u2192 {error['suggested']}"
        counts[name] = counts.get(name, 0) + 1
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:12]
    return bars(dict(most), LOST, "rows", least=2)


def lengths(histogram: Mapping[str, Sequence[float]], unit: str) -> str:
    """How many texts have how many words (or tokens)."""
    import plotly.graph_objects as go

    edges, counts = histogram["edges"], histogram["counts"]
    width = edges[1] - edges[0]
    spans = [f"{low:g}" if width == 1 else f"{low:g} to {low + width - 1:g}" for low in edges[:-1]]
    figure = go.Figure(
        go.Bar(
            x=[low + (width - 1) / 2 for low in edges[:-1]],
            y=list(counts),
            width=width * 0.92,
            customdata=spans,
            marker={"color": STUDENT},
            hovertemplate="%{customdata} " + unit + ": %{y:,} texts<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=unit, gridcolor=GRID, zeroline=False, nticks=8)
    figure.update_yaxes(
        title_text="texts", gridcolor=GRID, zeroline=False, automargin=True, ticksuffix=" "
    )
    return finished(figure, 260)


def cohen(found: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Kappa of every pair of raters; of many raters those with most pairs."""
    import plotly.graph_objects as go

    known = {pair: figure for pair, figure in found.items() if figure["value"] is not None}
    names = sorted({name for pair in known for name in pair.split("|")})[:25]
    if len(names) < 2:
        return None
    table: list[list[float | None]] = [[None] * len(names) for _ in names]
    for pair, figure in known.items():
        parts = pair.split("|")
        if len(parts) == 2 and set(parts) <= set(names):
            one, other = names.index(parts[0]), names.index(parts[1])
            table[one][other] = table[other][one] = figure["value"]
    written = [["" if v is None else f"{v:.2f}" for v in row] for row in table]
    shown = [_short(name, 16) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=table, x=shown, y=shown, zmin=0, zmax=1, colorscale=HEAT, showscale=False,
            text=written if len(names) <= 10 else None,
            texttemplate="%{text}" if len(names) <= 10 else None, hoverongaps=False,
            xgap=2, ygap=2, hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(automargin=True, showgrid=False, tickangle=0 if len(names) < 5 else 45)
    figure.update_yaxes(automargin=True, showgrid=False, autorange="reversed", ticksuffix=" ")
    return finished(figure, 110 + max(34 * min(len(names), 6), 18 * len(names)))


def raters(found: Mapping[str, Mapping[str, Any]]) -> str | None:
    """How much each rater's word says (Dawid-Skene), against how often they rated."""
    import plotly.graph_objects as go

    if not found:
        return None
    if len(found) <= FEW_RATERS:
        return bars({n: round(e["informativeness"], 2) for n, e in found.items()}, STUDENT, "of 1")
    figure = go.Figure(
        go.Scatter(
            x=[entry["ratings"] for entry in found.values()],
            y=[entry["informativeness"] for entry in found.values()],
            text=[escape(name, quote=False) for name in found],
            mode="markers",
            marker={
                "color": [
                    FAILED if e["informativeness"] < 0.1 else STUDENT for e in found.values()
                ],
                "size": 9,
                "opacity": 0.8,
            },
            hovertemplate="%{text}: says %{y:.2f}, %{x:,} ratings<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="ratings", gridcolor=GRID, zeroline=False, rangemode="tozero")
    figure.update_yaxes(
        title_text="what a rating says", gridcolor=GRID, zeroline=False, range=[-0.03, 1.05],
        automargin=True, ticksuffix=" ",
    )  # fmt: skip
    return finished(figure, 280)


def bars(counts: Mapping[str, float], colour: str, unit: str, *, least: int = 1) -> str | None:
    """One horizontal bar per name, in the order given."""
    import plotly.graph_objects as go

    if len(counts) < least:
        return None
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=[_short(name) for name in counts],
            x=list(counts.values()),
            marker={"color": colour},
            width=0.66,
            text=[f"{value:,}" for value in counts.values()],
            textposition="outside",
            textangle=0,
            textfont={"color": INK},
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,} " + unit + "<extra></extra>",
        )
    )
    _across(figure)
    figure.update_xaxes(range=[0, 1.12 * max(max(counts.values()), 1)])
    return finished(figure, 50 + (ROW_HEIGHT - 6) * len(counts))


def _across(figure: Any) -> None:
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ", type="category")
    figure.update_xaxes(gridcolor=GRID, zeroline=False, rangemode="tozero", nticks=6)


def _short(name: str, most: int = SHORT) -> str:
    text = " ".join(str(name).split())
    return escape(text if len(text) <= most else f"{text[: most - 1]}\u2026", quote=False)
