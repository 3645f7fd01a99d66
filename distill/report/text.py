"""The comparison as an aligned plain text table, for the terminal, the README and model cards."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.report.figures import (
    MISSING,
    count_rows,
    how_to_read,
    system_order,
    terminal_metrics,
    title,
    write_figure,
)


def comparison_table(report: Mapping[str, Any], metrics: Sequence[str] | None = None) -> str:
    """One line per system, one column per metric that any system has, numbers right-aligned.

    `metrics` picks the columns; of a judge's many figures some are shown. A report without
    figures gives one sentence that says so.
    """
    measured: Mapping[str, Mapping[str, Any]] = report.get("metrics") or {}
    columns = list(metrics) if metrics is not None else terminal_metrics(measured)
    if not measured or not columns:
        return "Nothing was measured."
    header = ["system", *(title(name) for name in columns), "n"]
    lines = [
        [
            title(system),
            *(write_figure(name, measured[system].get(name)) for name in columns),
            _rows(measured[system]),
        ]
        for system in system_order(measured)
    ]
    return f"{_aligned([header, *lines])}\n{how_to_read(measured, report.get('metrics_on'))}"


def _rows(figures: Mapping[str, Any]) -> str:
    rows = count_rows(figures)
    return MISSING if rows is None else str(rows)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rule = "  ".join("-" * width for width in widths)
    written = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([written[0], rule, *written[1:]])
