"""Runs side by side: figures, paired tests on the rows that they share, cost, time, size."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from distill.evaluate.paired import paired
from distill.rows.answers import NAME
from distill.rows.readers import read_records
from distill.run.directory import RunDirectory, find_run
from distill.run.look import report_of

STUDENT = "student"


def compare_runs(refs: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """`runs` with their figures, and `tests` between the students of every two of them.

    Raises: UsageError for a run that is not there or has no report.
    """
    directories = [find_run(ref) for ref in refs]
    names = _names(directories)
    runs = [_summary(name, directory) for name, directory in zip(names, directories, strict=True)]
    scores = {name: _scores(directory) for name, directory in zip(names, directories, strict=True)}
    return {"runs": runs, "tests": [test for pair in combinations(names, 2)
                                    for test in _tests(*pair, scores, seed)]}  # fmt: skip


def _names(directories: Sequence[RunDirectory]) -> list[str]:
    """Short names, or paths where two runs share one."""
    short = [directory.root.name for directory in directories]
    if len(set(short)) == len(short):
        return short
    return [f"{place}: {directory.root}" for place, directory in enumerate(directories, 1)]


def _summary(name: str, directory: RunDirectory) -> dict[str, Any]:
    report = report_of(directory)
    training = report["training"] or {}
    return {
        "name": name,
        "folder": str(directory.root),
        "recipe_hash": report["run"]["recipe_hash"],
        "seconds": report["run"]["seconds"],
        "metrics": (report["metrics"] or {}).get(STUDENT),
        "metrics_on": report.get("metrics_on"),
        "cost": report["cost"],
        "training": training or None,
        "trainable_share": training.get("trainable_share"),
        "forgetting": report.get("forgetting"),
        "verdict": report["verdict"],
    }


def _scores(directory: RunDirectory) -> dict[str, dict[str, float]]:
    """Set -> row id -> how right the student's answer is; empty where nothing was recorded."""
    path = directory.stage("evaluate") / NAME
    if not path.is_file():
        return {}
    found: dict[str, dict[str, float]] = {}
    for line in read_records(path):
        if line["system"] == STUDENT:
            found.setdefault(line["set"], {})[str(line["id"])] = float(line["score"])
    return found


def _tests(
    one: str, other: str, scores: Mapping[str, Mapping[str, Mapping[str, float]]], seed: int
) -> list[dict[str, Any]]:
    """A test for every set that both were measured on; rows are joined by id."""
    found = []
    for name in sorted(set(scores[one]) & set(scores[other])):
        mine, theirs = scores[one][name], scores[other][name]
        shared = sorted(set(mine) & set(theirs))
        head = {"a": one, "b": other, "set": name}
        if not shared:
            found.append({**head, "n": 0, "difference": {"value": None, "why": "no row in common"},
                          "p": None, "test": None})  # fmt: skip
            continue
        result = paired([mine[row] for row in shared], [theirs[row] for row in shared], seed)
        found.append({**head, **result, "difference": result["difference"].as_dict()})
    return found
