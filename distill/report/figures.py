"""How figures are named, ordered and written, the same in the terminal and on the page."""

from collections.abc import Iterable, Mapping
from typing import Any

SYSTEMS = (
    "teacher", "student", "student_retrieval", "student_closed_book",
    "hard_labels", "hard_labels_confident", "text", "student_before",
    "zero_shot", "few_shot", "chain_of_thought", "react", "retrieval", "closed_book",
    "majority", "longer",
)  # fmt: skip
"""The order of a comparison, from the one to reach to the one to beat."""

TITLES = {
    "macro_f1": "macro F1",
    "field_f1": "field F1",
    "rouge_l": "ROUGE-L",
    "win_rate": "win rate",
    "kl_to_teacher": "KL to teacher",
    "cost_per_1000": "USD per 1,000",
    "rows_per_s": "rows/s",
    "tokens_per_row": "tokens/row",
}

RUNNING = ("cost_per_1000", "rows_per_s", "tokens_per_row")
"""Metrics about running a system, not about how good it is."""

UNBOUNDED = (
    *RUNNING, "loss", "kl_to_teacher", "mae", "pearson", "spearman", "kendall", "kappa",
    "kappa_quadratic", "kappa_linear",
)  # fmt: skip
"""Metrics that are not shares between 0 and 1."""

MISSING = "-"


def system_order(names: Iterable[str]) -> list[str]:
    """Systems in the order of SYSTEMS; few_shot_4 stands with few_shot, unknown ones last."""

    def place(name: str) -> tuple[int, str]:
        stem = next((s for s in SYSTEMS if name == s or name.startswith(f"{s}_")), name)
        known = name if name in SYSTEMS else stem
        return (SYSTEMS.index(known) if known in SYSTEMS else len(SYSTEMS), name)

    return sorted(names, key=place)


def metric_names(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every metric that some system has a value for: in the order given, running costs last."""
    seen = dict.fromkeys(
        name
        for figures in metrics.values()
        for name, figure in figures.items()
        if figure.get("value") is not None
    )
    return sorted(seen, key=lambda name: name in RUNNING)


JUDGED = (
    "accuracy", "accuracy_failures_wrong", "both_right", "consistency", "kappa", "kappa_quadratic",
    "spearman", "mae", "parsed", *RUNNING,
)  # fmt: skip
"""Of the many figures of a judge those that fit a terminal; the page and the JSON hold all."""


def terminal_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The columns of a table that has little room."""
    names = metric_names(metrics)
    judged = "accuracy_failures_wrong" in names
    return [name for name in names if not judged or name in JUDGED]


def title(name: str) -> str:
    """The words for a system, metric or stage."""
    return TITLES.get(name, name.replace("_", " "))


def write_value(metric: str, value: float) -> str:
    """One number with as many digits as its metric deserves."""
    if metric == "cost_per_1000":
        return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"
    if metric in RUNNING:
        return f"{value:,.1f}"
    return f"{value:.3f}"


def write_figure(metric: str, figure: Mapping[str, Any] | None) -> str:
    """A figure as text: `mean ± sd` over seeds, else `value [low, high]`; running costs alone."""
    if not figure or figure.get("value") is None:
        return MISSING
    text = write_value(metric, figure["value"])
    if metric in RUNNING:
        return text
    if figure.get("sd") is not None:
        return f"{text} ± {write_value(metric, figure['sd'])}"
    if figure.get("low") is None or figure.get("high") is None:
        return text
    return f"{text} [{write_value(metric, figure['low'])}, {write_value(metric, figure['high'])}]"


def count_rows(figures: Mapping[str, Any]) -> int | None:
    """The rows that a system was measured on: of its first known figure."""
    return next((f["n"] for f in figures.values() if f.get("value") is not None), None)


def count_seeds(metrics: Mapping[str, Mapping[str, Any]]) -> int:
    """The most seeds that stand behind any figure; 1 where nothing was repeated."""
    every = (figure for figures in metrics.values() for figure in figures.values())
    return max((figure.get("seeds") or 1 for figure in every), default=1)


def how_to_read(metrics: Mapping[str, Mapping[str, Any]], measured_on: str | None) -> str:
    """The line under a comparison: what the signs mean and on which rows it was measured."""
    counts = {n for figures in metrics.values() if (n := count_rows(figures)) is not None}
    rows = f"{min(counts):,}" if len(counts) == 1 else f"{min(counts):,} to {max(counts):,}"
    where = f"Measured on {rows} rows of {measured_on or 'gold'}." if counts else ""
    seeds = count_seeds(metrics)
    spread = f" ±: standard deviation over {seeds} seeds." if seeds > 1 else ""
    has_interval = any(
        figure.get("low") is not None and figure.get("sd") is None
        for figures in metrics.values()
        for figure in figures.values()
    )
    return f"{where}{spread}{' [ ]: 95 % interval.' if has_interval else ''}".strip()
