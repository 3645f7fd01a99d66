"""Whether one rung of the ladder is better than another, on the same rows."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.evaluate.paired import paired

FROM_THE_BOTTOM = (
    "majority", "longer", "closed_book", "student_before", "zero_shot", "few_shot",
    "chain_of_thought", "react", "retrieval", "student_closed_book", "student",
    "student_retrieval", "teacher",
)  # fmt: skip
"""The order in which a team would climb."""


def compared_rungs(
    scores: Mapping[str, Sequence[float]], name: str, seed: int = 0
) -> list[dict[str, Any]]:
    """Paired tests of every system against the student, and of every rung against the one below.

    McNemar's exact test where answers are right or wrong, else a permutation test; the difference
    (b minus a) has a bootstrap interval. `p_adjusted` holds for all tests at once (Holm 1979).

    Args:
        scores: SYSTEM -> how right each of its answers is, in the order of the rows.
        name: The set that it was measured on.
        seed: Of the resampling.

    Returns: [{a, b, set, n, difference, p, p_adjusted, test}].
    """
    found = []
    for one, other in pairs_of(list(scores)):
        result = paired(scores[one], scores[other], seed)
        difference = result["difference"].as_dict()
        found.append({"a": one, "b": other, "set": name, **result, "difference": difference})
    for test, p in zip(found, _holm([test["p"] for test in found]), strict=True):
        test["p_adjusted"] = p
    return found


def pairs_of(systems: Sequence[str]) -> list[tuple[str, str]]:
    """Which two are compared; where nothing was trained the teacher stands for the student."""
    known = sorted(systems, key=_height)
    # Two names of one and the same model say nothing to each other.
    rungs = [name for name in known if not (name == "zero_shot" and "student_before" in systems)]
    goal = next((name for name in ("student", "teacher") if name in systems), None)
    against = [(name, goal) for name in rungs if goal is not None and name != goal]
    ladder = [name for name in rungs if _height(name)[0] < FROM_THE_BOTTOM.index("student")]
    return list(dict.fromkeys([*against, *pairwise(ladder)]))


def _height(name: str) -> tuple[int, int, str]:
    stem, _, count = name.rpartition("_")
    if stem == "few_shot" and count.isdigit():
        return FROM_THE_BOTTOM.index(stem), int(count), name
    place = FROM_THE_BOTTOM.index(name) if name in FROM_THE_BOTTOM else len(FROM_THE_BOTTOM)
    return place, 0, name


def _holm(values: Sequence[float | None]) -> list[float | None]:
    known = [at for at, p in enumerate(values) if p is not None]
    adjusted: list[float | None] = [None] * len(values)
    if not known:
        return adjusted
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"statsmodels is not installed; adjusted tests need it: {line}",
            [Problem("package statsmodels is missing", fix=line)],
        ) from missing
    found = multipletests([values[at] for at in known], method="holm")[1]
    for at, p in zip(known, found, strict=True):
        adjusted[at] = float(p)
    return adjusted
