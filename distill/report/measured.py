"""What evaluation measured beside the table, as plain rows for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

from distill.report.figures import MISSING, title

MEASURES = {"text": "general text", "questions": "general questions"}


def write_plain(figure: Mapping[str, Any] | None, digits: int = 3, sign: str = "") -> str:
    """`value [low, high]`, the value alone where it has no interval, a dash where there is none."""
    if not figure or figure.get("value") is None:
        return MISSING
    text = f"{figure['value']:{sign}.{digits}f}"
    if figure.get("low") is None or figure.get("high") is None:
        return text
    return f"{text} [{figure['low']:{sign}.{digits}f}, {figure['high']:{sign}.{digits}f}]"


def forgetting_lines(part: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One line for every measure, its topics below it."""
    lines = []
    for name, found in (part or {}).items():
        lines.append(_before_after(MEASURES.get(name, name), found))
        for topic, inside in (found.get("by_topic") or {}).items():
            lines.append({**_before_after(topic, inside), "inside": True})
    return lines


def _before_after(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    better = "lower" if found["lower_is_better"] else "higher"
    return {
        "name": name,
        "metric": f"{title(found['metric'])}, {better} is better",
        "before": write_plain(found["student_before"]),
        "after": write_plain(found["student"]),
        "difference": write_plain(found["difference"], sign="+"),
        "n": found["student"].get("n"),
        "worse": found["worse"],
        "why": found["difference"].get("why") or "",
        "inside": False,
    }
