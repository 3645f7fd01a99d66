"""What `judge eval` adds to a passport: tests against other judges, and probes of a live one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distill.evaluate.paired import paired
from distill.judge.passport import Passport
from distill.judge.probes import probe_figures, probe_rows
from distill.judge.rows import JudgeData
from distill.judge.verdicts import Verdict, by_row
from distill.progress import Listener
from distill.run.judge.judges import ask_judge


def with_comparisons(
    passport: Passport,
    data: JudgeData,
    verdicts: Sequence[Verdict] | None,
    others: Mapping[str, Sequence[Verdict]],
    seed: int,
) -> Passport:
    """Adds `compared`: this judge against others on the same rows, by McNemar's exact test.

    NAME -> {n, difference F, p, test}; the difference is this judge's accuracy minus the other's,
    a verdict that could not be read counting as wrong. Empty without verdicts or without others.
    """
    found: dict[str, Any] = {}
    mine = None if verdicts is None else _right(data, verdicts)
    for name, theirs in others.items() if mine else ():
        result = paired(_right(data, theirs), mine or [], seed)
        found[name] = {**result, "difference": result["difference"].as_dict()}
    return replace(passport, figures={**passport.figures, "compared": found})


def with_probes(
    passport: Passport,
    ref: str | None,
    data: JudgeData,
    verdicts: Sequence[Verdict] | None,
    count: int,
    seed: int,
    listen: Listener,
) -> Passport:
    """Adds `probes`, null where none were wanted: {PROBE: {gained F, lost F}}.

    Raises: what asking a judge raises.
    """
    found = None
    if ref is not None and verdicts is not None and count:
        judged = by_row(verdicts, data)
        asked = probe_rows(data, judged, count, seed)
        answers, _ = ask_judge(ref, asked, listen)
        found = probe_figures(data, judged, asked, by_row(answers, asked), seed)
    return replace(passport, figures={**passport.figures, "probes": found})


def _right(data: JudgeData, verdicts: Sequence[Verdict]) -> list[float]:
    """1 for each row with gold on which the verdicts, resolved over the orders, say the same."""
    judged = by_row(verdicts, data)
    return [float(judged[row.id].resolved == row.gold) for row in data.rows if row.gold is not None]
