"""--fail-under and --fail-over: figures that a dataset must reach, for CI."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distill.errors import Problem, UsageError

NAMES = (
    "agreement", "percent", "leakage", "duplicates", "exact", "near", "contradictions",
    "label_errors", "empty", "truncated", "refusals", "pii", "unknown", "missing", "entropy",
    "rows",
)  # fmt: skip
"""Short names of figures; any place of the JSON can be named too, with dots."""


def parse_gates(texts: Sequence[str], flag: str) -> dict[str, float]:
    """Name -> limit from texts like "agreement=0.6,leakage=0".

    Raises: UsageError for what is not name=number.
    """
    found: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",") if part.strip()):
        name, mark, value = part.rpartition("=")
        try:
            limit = float(value)
        except ValueError:
            limit = math.nan
        if not (mark and name.strip() and math.isfinite(limit)):
            problem = Problem(
                f"{flag} {part!r} is not name=number", allowed="for example agreement=0.6"
            )
            raise UsageError(str(problem), [problem])
        found[name.strip()] = limit
    return found


def check_gates(
    report: Mapping[str, Any], under: Mapping[str, float], over: Mapping[str, float]
) -> list[dict[str, Any]]:
    """[{name, rule, limit, value, passed, why}] for every gate.

    A figure that is undefined passes no gate. Counts over nothing (leakage without a second split)
    are 0.

    Raises: UsageError for a name that the report does not know.
    """
    asked = [(name, "under", limit) for name, limit in under.items()]
    asked += [(name, "over", limit) for name, limit in over.items()]
    unknown = sorted({name for name, _, _ in asked if not _known(report, name)})
    if unknown:
        problems = [
            Problem(
                f"there is no figure {name!r} to hold a gate against",
                allowed=", ".join(NAMES) + ", or a dotted path of the JSON",
            )
            for name in unknown
        ]
        raise UsageError(str(problems[0]), problems)
    found = []
    for name, rule, limit in asked:
        value, why = gate_value(report, name)
        passed = value is not None and (value >= limit if rule == "under" else value <= limit)
        found.append(
            {"name": name, "rule": rule, "limit": limit, "value": value, "passed": passed,
             "why": why}
        )  # fmt: skip
    return found


def gate_text(gate: Mapping[str, Any]) -> str:
    """One gate in words."""
    value = "undefined" if gate["value"] is None else f"{gate['value']:.6g}"
    sign = "below" if gate["rule"] == "under" else "above"
    why = f" ({gate['why']})" if gate["why"] else ""
    if gate["passed"]:
        return f"gate {gate['name']}: {value}, not {sign} {gate['limit']:g}"
    if gate["value"] is None:
        return f"gate {gate['name']}: undefined{why}, so it cannot be held to {gate['limit']:g}"
    return f"gate {gate['name']}: {value} is {sign} {gate['limit']:g}{why}"


def gate_value(report: Mapping[str, Any], name: str) -> tuple[float | None, str | None]:
    """The figure behind a name, and why there is none."""
    if name in NAMES:
        return _short(report, name)
    return _number(_at(report, name))


def _short(report: Mapping[str, Any], name: str) -> tuple[float | None, str | None]:
    if name in ("agreement", "percent"):
        return _agreement(report, "alpha" if name == "agreement" else "percent_interval")
    if name == "leakage":
        return float(sum(len(pair["rows"]) for pair in report["leakage"].values())), None
    if name in ("duplicates", "exact", "near"):
        found = report["duplicates"]
        if found is None:
            return None, "no text to compare"
        both = found["exact"] + found["near"]
        return float(both if name == "duplicates" else found[name]), None
    if name == "contradictions" or name == "label_errors":
        return float(len(report[name])), None
    if name in ("empty", "truncated", "refusals"):
        return float(report["faults"][name.removesuffix("s")]["count"]), None
    if name == "pii":
        return float(sum(entry["count"] for entry in report["pii"].values())), None
    if name == "unknown":
        tokens = report["tokens"]
        return (None, "no --tokenizer") if tokens is None else (float(tokens["unknown"]), None)
    if name == "rows":
        return float(report["rows"]), None
    labels = report["labels"]
    return (None, "no labels") if labels is None else (float(labels[name]), None)


def _agreement(report: Mapping[str, Any], key: str) -> tuple[float | None, str | None]:
    """The lowest figure of all fields; undefined where one is, or where nobody rated."""
    figures = {field: found[key] for field, found in report["agreement"].items()}
    if not figures:
        return None, "no ratings: give --annotators, --unit --rater --label, or --votes"
    for field, figure in figures.items():
        if figure["value"] is None:
            return None, f"{field}: {figure['why']}"
    return min(figure["value"] for figure in figures.values()), None


def _known(report: Mapping[str, Any], name: str) -> bool:
    return name in NAMES or _at(report, name) is not None


def _at(report: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    value = report
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _number(value: Any) -> tuple[float | None, str | None]:
    if isinstance(value, bool | int | float):
        return float(value), None
    if isinstance(value, list):
        return float(len(value)), None
    if isinstance(value, Mapping) and "value" in value:
        return (value["value"], value.get("why")) if value["value"] is not None else (
            None, str(value.get("why")))  # fmt: skip
    return None, "not a figure"
