"""The share that truly passes, from a judge that errs: its verdicts corrected by its known errors.

    true rate = (observed + specificity - 1) / (sensitivity + specificity - 1)

Rogan and Gladen 1978 (doi:10.1093/oxfordjournals.aje.a112510); for judges, with an interval from
both samples, the judged and the labelled one: arXiv:2511.21140. Rows with a gold verdict give
sensitivity and specificity; those without one, or else the same rows, give the observed rate.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.judge.rows import JudgeRow
from distill.judge.verdicts import Judged
from distill.measure.intervals import CONFIDENCE, Figure, nothing

RESAMPLES = 1000
NOT_SCORES = "pairs have no pass rate"
NO_CUT = "name what passes: --pass-at SCORE"


def corrected_pass_rate(
    rows: Sequence[JudgeRow],
    judged: Mapping[str, Judged],
    *,
    pass_at: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """observed, sensitivity, specificity, corrected (figures), pass_at, labelled, unlabelled.

    Args:
        rows: All rows, those without gold too.
        judged: What the judge said of them.
        pass_at: The least score that passes; absent: 1 where every gold score is 0 or 1.
        seed: Of the bootstrap, which draws both samples anew.
    """
    import numpy as np

    cut = pass_at if pass_at is not None else _own_cut(rows)
    if cut is None:
        return unknown_pass_rate(NO_CUT)
    known, open_ = [], []
    for row in rows:
        said = judged[row.id].resolved
        if not isinstance(said, float | int):
            continue
        if row.gold is None:
            open_.append(said >= cut)
        elif isinstance(row.gold, float | int):
            known.append((row.gold >= cut, said >= cut))
    if not known:
        return {**unknown_pass_rate("no judged row has a gold score"), "pass_at": cut}
    gold, found = (np.asarray(part, dtype=bool) for part in zip(*known, strict=True))
    test = np.asarray(open_, dtype=bool) if open_ else found
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        at = rng.integers(0, len(gold), len(gold))
        # Without rows of its own the observed rate is that of the same draw.
        drawn = test[rng.integers(0, len(test), len(test))] if open_ else found[at]
        draws.append(_rates(gold[at], found[at], drawn))
    names = ("observed", "sensitivity", "specificity", "corrected")
    values = _rates(gold, found, test)
    whys = (
        "no row", "no gold row passes", "every gold row passes",
        "the judge tells passing rows from others no better than chance",
    )  # fmt: skip
    sizes = (len(test), int(gold.sum()), int((~gold).sum()), len(test))
    columns = np.asarray(draws, dtype=float).T
    figures = {
        name: _figure(value, column, why, n)
        for name, value, column, why, n in zip(names, values, columns, whys, sizes, strict=True)
    }
    return {**figures, "pass_at": cut, "labelled": len(gold), "unlabelled": len(open_), "why": None}


def unknown_pass_rate(why: str) -> dict[str, Any]:
    """The same keys, where nothing can be said."""
    names = ("observed", "sensitivity", "specificity", "corrected")
    rest = {"pass_at": None, "labelled": 0, "unlabelled": 0, "why": why}
    return {**dict.fromkeys(names, nothing(why)), **rest}


def _own_cut(rows: Sequence[JudgeRow]) -> float | None:
    values = {row.gold for row in rows if row.gold is not None}
    return 1.0 if values and values <= {0.0, 1.0} else None


def _rates(gold: Any, said: Any, test: Any) -> tuple[float, float, float, float]:
    nan = float("nan")
    observed = float(test.mean()) if len(test) else nan
    sensitivity = float(said[gold].mean()) if gold.any() else nan
    specificity = float((~said[~gold]).mean()) if (~gold).any() else nan
    skill = sensitivity + specificity - 1
    true = min(1.0, max(0.0, (observed + specificity - 1) / skill)) if skill > 0 else nan
    return observed, sensitivity, specificity, true


def _figure(value: float, drawn: Any, why: str, n: int) -> Figure:
    import numpy as np

    if value != value:
        return nothing(why, n)
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return Figure(value, None, None, n)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Figure(value, float(low), float(high), n)
