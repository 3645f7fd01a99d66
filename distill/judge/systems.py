"""Whether a judge ranks whole systems as people do, where the rows name who wrote each answer.

A judge may be unsure of single answers and still put the systems in order, or the other way round:
that is what leaderboards rest on (Zheng et al. 2023, arXiv:2306.05685, section 4.2).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.judge.columns import find_system, find_writers
from distill.judge.paths import cell
from distill.judge.resample import Resampler
from distill.judge.rows import JudgeData, JudgeRow, Value
from distill.judge.verdicts import Judged
from distill.measure.intervals import nothing

LEAST = 3
"""Systems under which a rank correlation is -1 or 1 whatever they are."""
PAIR_OF_NAMES = "cmp_key"
"""PandaLM's column (arXiv:2306.05087): the first answer's system, an underscore, the second's."""
NO_COLUMNS = "no columns name the systems: --map system=COL, or system_a=COL,system_b=COL"
SAME = "the judge, or people, put all systems level"
WINS = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


@dataclass(frozen=True, slots=True)
class _Scored:
    """Answers of the rows that have both verdicts. Shapes: (N, A), A answers in a row."""

    system_NA: Any
    """Class numbers of systems."""
    judge_NA: Any
    people_NA: Any


def writers_of(data: JudgeData, rows: Sequence[JudgeRow]) -> list[tuple[str | None, ...]] | None:
    """Who wrote the answers of each row, in their order; None where no column says it."""
    roles = ("system_a", "system_b") if data.kind == "pairwise" else ("system",)
    columns = tuple(data.mapping[role] for role in roles if role in data.mapping)
    if len(columns) == len(roles):
        return _named(rows, columns)
    names = list(dict.fromkeys(name for row in rows for name in row.fields))
    if data.kind == "absolute":
        single = find_system(names, [row.fields for row in rows])
        return _named(rows, (single,)) if single else None
    if (pair := data.writers or find_writers(names)) is not None:
        return _named(rows, pair)
    halves = [str(row.fields.get(PAIR_OF_NAMES, "")).split("_") for row in rows]
    if rows and all(len(both) == 2 and all(both) for both in halves):
        return [tuple(both) for both in halves]
    return None


def system_ranks(
    data: JudgeData, rows: Sequence[JudgeRow], judged: Mapping[str, Judged], seed: int
) -> dict[str, Any]:
    """Rank correlations of the judge's and people's figure of each system, and that table.

    The figure is the mean score, or of pairs the win rate (a tie is half a win); both are taken on
    the same rows, those with either verdict. Intervals draw instructions anew, systems stay.

    Returns: {n (systems), by, spearman F, kendall F (tau-b), table [{system, n, judge, people}],
    why}; `n` of a figure counts systems.
    """
    by = "win_rate" if data.kind == "pairwise" else "mean_score"
    writers = writers_of(data, rows)
    if writers is None:
        return no_ranks(NO_COLUMNS, by)
    kept = [
        (row, names, said)
        for row, names in zip(rows, writers, strict=True)
        if (said := judged[row.id].resolved) is not None
        and None not in names
        and len(set(names)) == len(names)
    ]
    names = sorted({str(name) for _, pair, _ in kept for name in pair})
    scored = _scored(kept, {name: code for code, name in enumerate(names)})
    table = _table(scored, names) if kept else []
    if len(names) < LEAST:
        why = f"systems with verdicts of both: {len(names)}; a rank needs {LEAST}"
        return {**no_ranks(why, by), "n": len(names), "table": table}
    resampler = Resampler([row.instruction or row.id for row, _, _ in kept], seed)
    measures = _measures()
    return {
        "n": len(names),
        "by": by,
        **{
            name: replace(
                resampler.figure(_correlation(scored, len(names), measure), SAME), n=len(names)
            )
            for name, measure in measures.items()
        },
        "table": table,
        "why": None,
    }


def no_ranks(why: str, by: str | None = None) -> dict[str, Any]:
    """The same keys, where nothing can be said."""
    return {"n": 0, "by": by, "spearman": nothing(why), "kendall": nothing(why), "table": [],
            "why": why}  # fmt: skip


def _named(rows: Sequence[JudgeRow], columns: Sequence[str]) -> list[tuple[str | None, ...]]:
    found = []
    for row in rows:
        values = (cell(row.fields, column) for column in columns)
        found.append(tuple(None if v is None or not str(v).strip() else str(v) for v in values))
    return found


def _scored(
    kept: Sequence[tuple[JudgeRow, tuple[str | None, ...], Value]], codes: Mapping[str, int]
) -> _Scored:
    import numpy as np

    return _Scored(
        np.asarray([[codes[str(name)] for name in names] for _, names, _ in kept], dtype=int),
        np.asarray([_points(said) for _, _, said in kept], dtype=float),
        np.asarray([_points(row.gold) for row, _, _ in kept], dtype=float),
    )


def _points(value: Value | None) -> tuple[float, ...]:
    """What a verdict gives to each answer of its row."""
    return WINS[value] if isinstance(value, str) else (float(value or 0.0),)


def _means(scored: _Scored, at: Any, systems: int) -> tuple[Any, Any, Any]:
    """Answers, the judge's mean and people's mean of each system; shapes (S,), NaN without rows."""
    import numpy as np

    codes = scored.system_NA[at].ravel()
    count = np.bincount(codes, minlength=systems)
    with np.errstate(invalid="ignore"):
        judge, people = (
            np.bincount(codes, weights=points[at].ravel(), minlength=systems) / count
            for points in (scored.judge_NA, scored.people_NA)
        )
    return count, judge, people


def _table(scored: _Scored, names: Sequence[str]) -> list[dict[str, Any]]:
    """People's best first."""
    columns = _means(scored, slice(None), len(names))
    found = [
        {"system": name, "n": int(n), "judge": float(judge), "people": float(people)}
        for name, n, judge, people in zip(names, *columns, strict=True)
    ]
    return sorted(found, key=lambda line: (-line["people"], line["system"]))


def _correlation(
    scored: _Scored, systems: int, measure: Callable[[Any, Any], Any]
) -> Callable[[Any], float]:
    import numpy as np

    def of(at: Any) -> float:
        count, judge, people = _means(scored, at, systems)
        drawn = count > 0
        # Equal means may differ in their last bit, which is no rank.
        mine, theirs = judge[drawn].round(12), people[drawn].round(12)
        if drawn.sum() < LEAST or np.ptp(mine) == 0 or np.ptp(theirs) == 0:
            return math.nan
        return float(measure(mine, theirs).statistic)

    return of


def _measures() -> dict[str, Callable[[Any, Any], Any]]:
    from scipy import stats

    return {"spearman": stats.spearmanr, "kendall": stats.kendalltau}
