"""The report as one HTML page that needs no network: own CSS, plotly once, all row text escaped.

The content security policy allows only the scripts whose hashes stand in it and no request at
all, so text from a row could not run or load anything even if it reached the page unescaped.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from distill.report import figures, measured, plots, rungs
from distill.report.judge_page import judge_part, judge_plots
from distill.report.measured_plots import cascade_plot, cost_plot, curve_plot
from distill.report.page import render_page, words

VERDICTS = {
    "ship": ("good", "Ship it"),
    "more_data": ("wait", "More data"),
    "fix_labels": ("bad", "Fix the labels"),
    "not_worth_it": ("bad", "Not worth it"),
    "dataset_only": ("plain", "Dataset only"),
}
"""say -> (colour, headline)"""

EXACT = ("accuracy", "exact")
"""Metrics under which a single answer is right or wrong."""


def render(
    report: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    notes: Sequence[str] = (),
    *,
    curves: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    recipe: str = "",
    versions: Mapping[str, str] | None = None,
) -> str:
    """The whole page as one string.

    Args:
        report: report.json (CONTRACT section 4).
        samples: `accepted` [{id, fields}], `rejected` [{id, reason, fields}] and `answers`
            [{id, input, gold, student, teacher}]; each may be missing.
        notes: sentences shown beside the comparison.
        curves: arm -> [{step, loss}], the training losses; absent: `curves` of the report.
        recipe: the recipe's YAML, shown as it is.
        versions: package -> version.
    """
    drawn = _plots(report, curves or report.get("curves") or {})
    return render_page(
        "page.html.jinja",
        drawn,
        ["style.css"],
        report=report,
        verdict=_verdict(report),
        headline=_headline(report),
        table=_table(report),
        sets=_other_sets(report),
        teachers=_by_teacher(report.get("cost")),
        samples=_samples(report, samples),
        **_measured(report),
        notes=notes,
        recipe=recipe,
        versions=versions or {},
        metric_plots=[name for name in drawn if name.startswith("metric-")],
    )


def _measured(report: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured beside the table."""
    collapse = report.get("collapse")
    return {
        "ladder": rungs.ladder_words(report.get("ladder")),
        "cells": rungs.two_by_two_lines(report.get("two_by_two")),
        "rungs": rungs.rung_lines(report.get("significance")),
        "forgetting": measured.forgetting_lines(report.get("forgetting")),
        "failures": measured.failure_lines(report.get("failure_modes")),
        "variety": measured.variety_lines(collapse),
        "variety_columns": measured.VARIETY_COLUMNS[collapse["kind"]] if collapse else (),
        "formats": measured.format_lines(report.get("format")),
        "cascade": measured.cascade_lines(report.get("cascade")),
        "judging": judge_part(_passport(report)),
    }


def _plots(
    report: Mapping[str, Any], curves: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, str]:
    metrics = report.get("metrics") or {}
    drawn = {"rows": plots.waterfall(report["rows"]), "loss": plots.loss_curve(curves)}
    for metric in plots.plotted_metrics(metrics):
        drawn[f"metric-{metric}"] = plots.metric_bars(metrics, metric)
    for metric in plots.plotted_metrics(metrics, most=1):
        drawn["cost"] = cost_plot(metrics, metric)
    drawn["curve"] = curve_plot(report.get("learning_curve"))
    drawn["cascade"] = cascade_plot(report.get("cascade"))
    shown = {name: figure for name, figure in drawn.items() if figure is not None}
    return shown | judge_plots(_passport(report))


def _passport(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The student's, of a judge task."""
    found: Mapping[str, Any] | None = (report.get("judging") or {}).get("student")
    return found


def _verdict(report: Mapping[str, Any]) -> dict[str, Any] | None:
    found = report.get("verdict")
    if not found:
        return None
    colour, words = VERDICTS[found["say"]]
    return {
        "colour": colour,
        "words": words,
        "because": found["because"],
        "numbers": found.get("numbers") or [],
    }


def _headline(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few figures that a reader looks for first."""
    metrics, cost, tiles = report.get("metrics") or {}, report.get("cost"), []
    if report["rows"]:
        tiles.append({"value": f"{report['rows'][-1]['accepted']:,}", "words": "rows kept"})
    if cost and cost["usd"] is not None:
        tiles.append({"value": f"${cost['usd']:,.2f}", "words": "spent on answers"})
    elif cost:
        tiles.append({"value": f"{cost['requests']:,}", "words": "questions asked"})
    names = plots.plotted_metrics({"student": metrics.get("student", {})}, most=1)
    for metric in names:
        for system in ("student", "teacher"):
            figure = metrics.get(system, {}).get(metric)
            if figure and figure.get("value") is not None:
                value = figures.write_value(metric, figure["value"])
                tiles.append({"value": value, "words": f"{figures.title(metric)}, {system}"})
    return tiles


def _table(report: Mapping[str, Any]) -> dict[str, Any] | None:
    return _comparison(report.get("metrics"), report.get("metrics_on"))


def _other_sets(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sets = {name: _comparison(m, name) for name, m in (report.get("metrics_by_set") or {}).items()}
    return {name: table for name, table in sets.items() if table is not None}


def _comparison(
    metrics: Mapping[str, Mapping[str, Any]] | None, measured_on: str | None
) -> dict[str, Any] | None:
    if not metrics:
        return None
    columns = figures.metric_names(metrics)
    lines: list[dict[str, Any]] = [
        {
            "system": figures.title(system),
            "mine": system == "student",
            "cells": [_cell(column, metrics[system].get(column)) for column in columns],
            "n": figures.count_rows(metrics[system]),
        }
        for system in figures.system_order(metrics)
    ]
    return {
        "columns": [figures.title(column) for column in columns],
        "widths": [
            _width([line["cells"][place] for line in lines]) for place in range(len(columns))
        ],
        "lines": lines,
        "how": figures.how_to_read(metrics, measured_on),
    }


def _width(cells: Sequence[Mapping[str, str]]) -> str:
    """The CSS class that keeps the values of a column under each other beside their spreads."""
    spreads = [cell["spread"] for cell in cells if cell["spread"]]
    if not spreads:
        return ""
    return "interval" if any(spread.startswith("[") for spread in spreads) else "sd"


def _cell(metric: str, figure: Mapping[str, Any] | None) -> dict[str, str]:
    text = figures.write_figure(metric, figure)
    value, _, spread = text.partition(" ")
    return {"value": value, "spread": spread, "why": str((figure or {}).get("why") or "")}


def _by_teacher(cost: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One line per teacher; a bare number is what it cost."""
    lines = []
    for name, spent in (cost or {}).get("by_teacher", {}).items():
        known = spent if isinstance(spent, Mapping) else {"usd": spent}
        lines.append({"name": name, **known})
    return lines


def _samples(
    report: Mapping[str, Any], samples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    exact = any(name in EXACT for m in (report.get("metrics") or {}).values() for name in m)
    shown: dict[str, list[dict[str, Any]]] = {"accepted": [], "rejected": []}
    for kind in ("accepted", "rejected"):
        for row in samples.get(kind, ()):
            fields = {name: words(value) for name, value in row["fields"].items()}
            shown[kind].append({"id": row["id"], "reason": row.get("reason"), "fields": fields})
    answers = [_answer(row, exact) for row in samples.get("answers", ())]
    shown["wrong"] = [row for row in answers if row["right"] is False]
    shown["right"] = [row for row in answers if row["right"] is True]
    shown["answers"] = [row for row in answers if row["right"] is None]
    return shown


def _answer(row: Mapping[str, Any], exact: bool) -> dict[str, Any]:
    names = ("input", "gold", "student", "teacher")
    fields = {name: words(row[name]) for name in names if name in row}
    right = _same(row.get("student"), row.get("gold")) if exact else None
    return {"id": row["id"], "reason": None, "fields": fields, "right": right}


def _same(answer: Any, gold: Any) -> bool:
    """Whether an answer is the gold one; the text of an object counts as the object."""
    if isinstance(answer, str) and not isinstance(gold, str):
        try:
            answer = json.loads(answer)
        except ValueError:
            return False
    return bool(answer == gold)
