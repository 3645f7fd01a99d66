"""What evaluation measured beside the table, as plain rows for the page and the terminal."""

from collections.abc import Mapping
from typing import Any

from distill.report.figures import MISSING, system_order, title, write_value
from distill.report.page import words

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


def variety_lines(part: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One line for every system whose answers were looked at."""
    if part is None:
        return []
    if part["kind"] == "labels":
        return [
            {
                "name": title(name),
                "cells": [
                    f"{found['entropy']:.3f}",
                    f"{found['commonest']['label']} ({found['commonest']['share']:.1%})",
                ],
                "n": found["n"],
            }
            for name, found in part["systems"].items()
        ]
    return [
        {
            "name": title(name),
            "cells": [
                *(_share((found["distinct"] or {}).get(n)) for n in ("1", "2", "3")),
                write_plain(found["self_similarity"]),
                write_plain(found["nearest"]),
            ],
            "n": found["texts"],
        }
        for name, found in part["systems"].items()
    ]


VARIETY_COLUMNS = {
    "labels": ("entropy (bits)", "commonest label"),
    "texts": ("distinct-1", "distinct-2", "distinct-3", "likeness of two", "likeness to nearest"),
}


def format_lines(part: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Which share of a system's outputs validates."""
    return [
        {"name": title(system), "share": write_plain(part[system])}
        for system in system_order(part or {})
        if part is not None
    ]


def failure_lines(part: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One line for every cluster, with its examples."""
    return [
        {
            "name": found["name"],
            "count": found["count"],
            "rate": write_plain(found["error_rate"], 2),
            "expected": ", ".join(f"{k} {v}" for k, v in (found["expected"] or {}).items()),
            "examples": [
                {
                    "id": example["id"],
                    "reason": None,
                    "fields": {
                        "input": example["input"],
                        "expected": example["expected"],
                        "answered": words(example["answered"]),
                    },
                }
                for example in found["examples"]
            ],
        }
        for found in (part or {}).get("clusters", ())
    ]


def cascade_lines(part: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One line for every threshold; `best` marks the one to take."""
    if part is None:
        return []
    return [
        {
            "threshold": f"{point['threshold']:.3f}" if point["handed"] < 1 else "all",
            "handed": f"{point['handed']:.1%}",
            "agreement": write_plain(point["agreement"]),
            "kept": write_plain(point["kept_accuracy"]),
            "cost": MISSING
            if point["cost_per_1000"] is None
            else write_value("cost_per_1000", point["cost_per_1000"]),
            "best": point == part["best"],
        }
        for point in part["points"]
    ]


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
