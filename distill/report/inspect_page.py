"""A dataset's inspection as one HTML page that needs no network; all row text is escaped."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from distill.report.inspect_plots import draw_all
from distill.report.page import render_page, words

EXAMPLES = 6
"""Rows that are shown of each failure."""
SUSPECTS = 40
CLUSTERS = 15
PAIRS = 25
DISPUTED = 25
IDS = 2000
"""Ids that are listed of each failure; the JSON has all."""
LONGEST = 1500
"""Characters of a field that are shown."""
FIELDS = 12


def render_inspection(report: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page as one string.

    Args:
        report: What `distill inspect --json` prints.
        rows: Row id -> fields, for the examples.
    """
    return render_page(
        "inspect.html.jinja",
        draw_all(report),
        ["style.css", "inspect.css"],
        report=report,
        name=PurePath(report.get("dataset") or "dataset").name or "dataset",
        folder=_folder(report.get("dataset") or ""),
        tiles=_tiles(report),
        missed=[gate for gate in report.get("gates") or () if not gate["passed"]],
        fixes=[_fix(fix, rows) for fix in report["fix_first"]],
        mapping=_mapping(report["mapping"]),
        suspects=[_suspect(error, report, rows) for error in report["label_errors"][:SUSPECTS]],
        clusters=((report["duplicates"] or {}).get("clusters") or ())[:CLUSTERS],
        leaks=_leaks(report, rows),
        agreement=[
            _agreement(place, field, found, rows)
            for place, (field, found) in enumerate(report["agreement"].items())
        ],
        slices={name: _slice_table(found) for name, found in report["slices"].items()},
        lengths=_lengths(report["lengths"]),
        figure=_figure,
    )


def _folder(dataset: str) -> str:
    """Where the dataset lies, as it was given."""
    parent = str(PurePath(dataset).parent)
    return "" if parent == "." else parent


def _tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few figures that a reader looks for first."""
    tiles = [(f"{report['rows']:,}", "rows")]
    if report["units"] is not None:
        tiles.append((f"{report['units']:,}", "rated units"))
    if report["labels"]:
        tiles.append((f"{len(report['labels']['counts']):,}", "labels"))
    if report["duplicates"]:
        found = report["duplicates"]
        tiles.append((f"{found['exact'] + found['near']:,}", "rows repeat another"))
    if report["leakage"]:
        leaked = sum(len(pair["rows"]) for pair in report["leakage"].values())
        tiles.append((f"{leaked:,}", "rows leak"))
    if report["label_errors"]:
        tiles.append((f"{len(report['label_errors']):,}", "labels in doubt"))
    for field, found in report["agreement"].items():
        value = found["alpha"]["value"]
        shown = "undefined" if value is None else f"{value:.3f}"
        tiles.append((shown, f"Krippendorff's alpha, {field}"))
    return [{"value": value, "words": text} for value, text in tiles]


def _fix(fix: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    shown = [_card(id, rows) for id in fix["rows"][:EXAMPLES]]
    ids = "\n".join(fix["rows"][:IDS])
    left = max(0, len(fix["rows"]) - IDS)
    return {**fix, "cards": [card for card in shown if card], "ids": ids, "left": left}


def _card(id: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    if id not in rows:
        return None
    fields = {
        name: _cut(words(value)) or "(empty)" for name, value in list(rows[id].items())[:FIELDS]
    }
    return {"id": id, "fields": fields}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} \u2026 ({len(text):,} characters)"


def _mapping(mapping: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(part, columns, "guessed" or "given") for every part that is there."""
    lines = [("shape", mapping["shape"], "")]
    keys = ("input", "context", "output", "chosen", "rejected", "messages", "unit", "rater",
            "label", "votes")  # fmt: skip
    for key in keys:
        value = mapping.get(key)
        if value:
            shown = value if isinstance(value, str) else ", ".join(value)
            lines.append((key, shown, "guessed" if key in mapping["guessed"] else "given"))
    for field, columns in mapping["raters"].items():
        how = "guessed" if "raters" in mapping["guessed"] else "given"
        lines.append((f"raters of {field}", ", ".join(columns), how))
    return lines


def _suspect(
    error: Mapping[str, Any], report: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    column = report["mapping"]["input"]
    text = words(rows.get(error["id"], {}).get(column, ""))
    return {**error, "text": text[:300]}


def _leaks(
    report: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Pair -> its most similar rows, side by side with what they are like."""
    column = report["mapping"]["input"] or report["mapping"]["messages"]
    texts = report.get("gold_texts") or {}
    found = {}
    for pair, entry in report["leakage"].items():
        best = sorted(entry["pairs"], key=lambda p: (-p["similarity"], p["row"]))[:PAIRS]
        found[pair] = [
            {
                **one,
                "text": words(rows.get(one["row"], {}).get(column, ""))[:300],
                "other_text": words(
                    rows.get(one["other"], {}).get(column) or texts.get(one["other"], "")
                )[:300],
            }
            for one in best
        ]
    return found


def _agreement(
    place: int, field: str, found: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    disputed = [
        {
            "unit": unit["unit"],
            "votes": ", ".join(f"{label} {count}" for label, count in unit["votes"].items()),
            "card": _card(unit["rows"][0], rows),
        }
        for unit in found["disputed"][:DISPUTED]
    ]
    return {"place": place, "field": field, **found, "shown": disputed}


def _slice_table(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns that any slice has, as text."""
    names = list(dict.fromkeys(name for entry in found for name in entry))
    names = [n for n in names if any(entry.get(n) is not None for entry in found)]
    if all(entry.get("labels") == 1 for entry in found):  # a slice per label
        names = [n for n in names if n not in ("labels", "majority", "majority_share")]
    return {
        "columns": [name.replace("_", " ") for name in names],
        "lines": [[_slice_cell(name, entry.get(name)) for name in names] for entry in found],
    }


def _slice_cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if name == "words":
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{100 * value:.1f} %"


def _lengths(lengths: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for field, found in lengths.items():
        for unit in ("characters", "words"):
            lines.append({"of": f"{field}, {unit}", **found[unit]})
    return lines


def _figure(figure: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A figure with its interval; why there is none where there is none."""
    if figure is None:
        return "-"
    if figure["value"] is None:
        return f"undefined: {figure['why']}"
    text = f"{figure['value']:.{digits}f}"
    if figure.get("low") is None:
        return text
    return f"{text} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"
