"""A judge's passport: every figure that says how far to trust it (CONTRACT section 6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.judge.absolute import absolute_figures
from distill.judge.calibration import calibration
from distill.judge.cascade import cascade_part
from distill.judge.families import family_preferences
from distill.judge.lines import longer_preference, markup_preference, reference_lines, slices
from distill.judge.pairwise import Readings, pairwise_figures
from distill.judge.pass_rate import NOT_SCORES, corrected_pass_rate, unknown_pass_rate
from distill.judge.recorded import column_verdicts
from distill.judge.resample import Resampler
from distill.judge.rows import JudgeData, JudgeRow
from distill.judge.systems import no_ranks, system_ranks, writers_of
from distill.judge.verdicts import Judged, Verdict, by_row
from distill.measure.intervals import Figure, nothing

WORST = 10
SHOWN_CHARACTERS = 2000
NO_VERDICTS = "no judge and no verdicts were given"
NO_GOLD = "no row has a gold verdict"
PAIR_KEYS = ("order_ab", "order_ba", "both_right", "consistency", "tie_recall")
ALL_KEYS = ("parsed", "accuracy", "accuracy_failures_wrong", "macro_f1", "kappa")
NO_PAIRS = "the rows are not pairs"


@dataclass(frozen=True, slots=True)
class Passport:
    """Figures, and the rows on which the judge and people disagree."""

    figures: Mapping[str, Any]
    """Plain data but for Figure values."""
    disagreements: Sequence[JudgeRow]
    """Worst first."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON of CONTRACT section 6."""
        found: dict[str, Any] = plain(self.figures)
        return found


def judge_passport(
    data: JudgeData,
    verdicts: Sequence[Verdict] | None,
    *,
    teacher: str | None = None,
    cost: Mapping[str, Any] | None = None,
    teacher_cost: float | None = None,
    pass_at: float | None = None,
    seed: int = 0,
) -> Passport:
    """Measures verdicts against people; without verdicts only the reference lines are given.

    Args:
        data: Rows with people's verdicts; those without a gold verdict are left out and counted.
        verdicts: What the judge said, in any order; None where there is no judge.
        teacher: Column of a teacher's verdicts.
        cost: What judging cost, as the caller measured it.
        teacher_cost: USD per 1,000 rows of the teacher, for the cascade.
        pass_at: The least score that passes, for the pass rate.
        seed: Of every bootstrap.
    """
    rows = [row for row in data.rows if row.gold is not None]
    lines = reference_lines(data, rows, teacher, seed) if rows else _no_lines()
    head = {
        "kind": data.kind,
        "n": len(rows),
        "without_gold": len(data.rows) - len(rows),
        "notes": list(data.notes),
    }
    rest = {"reference_lines": lines, "cost": cost}
    if verdicts is None or not rows:
        why = NO_GOLD if not rows else NO_VERDICTS
        return Passport({**head, **_nothing(why), **rest}, [])
    judged = by_row(verdicts, data)
    if data.kind == "pairwise":
        measured = {**pairwise_figures(Readings.of(rows, judged), seed), "absolute": None}
    else:
        measured = {
            **dict.fromkeys(PAIR_KEYS, nothing(NO_PAIRS)),
            "position": _no_position(NO_PAIRS),
            **absolute_figures(rows, judged, seed),
        }
    found = {row.id: judged[row.id].resolved for row in rows}
    right = {row.id: None if found[row.id] is None else found[row.id] == row.gold for row in rows}
    wrong = _disagreements(rows, judged)
    return Passport(
        {
            **head,
            "errors": sum(value is None for value in found.values()),
            **_truncated([judged[row.id].truncated for row in rows]),
            **measured,
            "verbosity": _verbosity(data, rows, judged),
            "markup": _markup(data, rows, judged),
            "families": _families(data, rows, judged),
            "calibration": _calibration(rows, judged, seed),
            "cascade": _cascade(
                data, rows, judged, teacher, (cost or {}).get("usd_per_1000"), teacher_cost
            ),
            "pass_rate": unknown_pass_rate(NOT_SCORES)
            if data.kind == "pairwise"
            else corrected_pass_rate(data.rows, judged, pass_at=pass_at, seed=seed),
            "systems": system_ranks(data, rows, judged, seed),
            "slices": slices(rows, right, seed),
            "worst": [_shown(row, judged[row.id]) for row in wrong[:WORST]],
            **rest,
        },
        wrong,
    )


def plain(value: Any) -> Any:
    """The same data with every Figure as the shape F."""
    if isinstance(value, Figure):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def _nothing(why: str) -> dict[str, Any]:
    return {
        "errors": None,
        **_truncated([]),
        **{key: nothing(why) for key in (*ALL_KEYS, *PAIR_KEYS)},
        "position": _no_position(why),
        "absolute": None,
        "verbosity": None,
        "markup": None,
        "families": None,
        "calibration": None,
        "cascade": None,
        "pass_rate": unknown_pass_rate(why),
        "systems": no_ranks(why),
        "slices": [],
        "worst": [],
    }


def _truncated(told: Sequence[bool | None]) -> dict[str, int | None]:
    """Rows with an answer that was cut off, null where no row tells, and how many do not tell."""
    known = [one for one in told if one is not None]
    return {
        "truncated": sum(known) if known else None,
        "truncated_unknown": len(told) - len(known),
    }


def _no_position(why: str) -> dict[str, Any]:
    return {"first": None, "second": None, "p": None, "flips": None, "why": why}


def _no_lines() -> dict[str, Figure]:
    names = (
        "majority",
        "random",
        "first",
        "longer",
        "longer_no_ties",
        "human_human",
        "teacher_human",
    )
    return {name: nothing(NO_GOLD) for name in names}


def _verbosity(
    data: JudgeData, rows: Sequence[JudgeRow], judged: Mapping[str, Judged]
) -> dict[str, float | None] | None:
    """The judge's leaning to the longer answer, and that of people on the same rows."""
    if data.kind != "pairwise":
        return None
    read = [row for row in rows if judged[row.id].resolved is not None]
    judge = longer_preference(read, [judged[row.id].resolved for row in read])
    people = longer_preference(read, [row.gold for row in read])
    more = None if judge is None or people is None else judge - people
    return {"judge": judge, "people": people, "difference": more}


def _markup(
    data: JudgeData, rows: Sequence[JudgeRow], judged: Mapping[str, Judged]
) -> dict[str, Figure] | None:
    """The judge's leaning to lists and Markdown, and that of people on the same rows."""
    if data.kind != "pairwise":
        return None
    read = [row for row in rows if judged[row.id].resolved is not None]
    return {
        "judge": markup_preference(read, [judged[row.id].resolved for row in read]),
        "people": markup_preference(read, [row.gold for row in read]),
    }


def _families(
    data: JudgeData, rows: Sequence[JudgeRow], judged: Mapping[str, Judged]
) -> list[dict[str, Any]] | None:
    """The judge's leaning to families of models, beside that of people."""
    if data.kind != "pairwise":
        return None
    chosen = [judged[row.id].resolved for row in rows]
    return family_preferences(rows, chosen, writers_of(data, rows))


def _calibration(
    rows: Sequence[JudgeRow], judged: Mapping[str, Judged], seed: int
) -> dict[str, Any] | None:
    """None where the judge tells no probabilities."""
    import numpy as np

    known = [row for row in rows if judged[row.id].confidence is not None]
    if not known:
        return None
    p = np.asarray([judged[row.id].confidence for row in known], dtype=float)
    right = np.asarray([judged[row.id].resolved == row.gold for row in known], dtype=float)
    groups = [row.instruction or row.id for row in known]
    return calibration(p, right, Resampler(groups, seed))


def _cascade(
    data: JudgeData,
    rows: Sequence[JudgeRow],
    judged: Mapping[str, Judged],
    teacher: str | None,
    cost: float | None,
    teacher_cost: float | None,
) -> dict[str, Any] | None:
    """This judge first, the teacher of a column (else people) where it is not sure."""
    dear = None
    if teacher is not None:
        said = {verdict.id: verdict.value for verdict in column_verdicts(teacher, data, teacher)}
        dear = [said.get(row.id) == row.gold for row in rows]
    return cascade_part(
        [judged[row.id].confidence for row in rows],
        [judged[row.id].resolved == row.gold for row in rows],
        dear,
        cost_small=cost,
        cost_teacher=teacher_cost,
    )


def _disagreements(rows: Sequence[JudgeRow], judged: Mapping[str, Judged]) -> list[JudgeRow]:
    """Rows read and judged otherwise than by people: the furthest and surest first."""

    def badness(row: JudgeRow) -> tuple[float, float, str]:
        found = judged[row.id]
        value, gold = found.resolved, row.gold
        if isinstance(value, float) and isinstance(gold, float):
            far = abs(value - gold)
        else:
            far = 1.0 if "tie" in (value, gold) else 2.0
        return (-far, -(found.confidence or 0.0), row.id)

    wrong = [row for row in rows if judged[row.id].resolved not in (None, row.gold)]
    return sorted(wrong, key=badness)


def _shown(row: JudgeRow, found: Judged) -> dict[str, Any]:
    names = ("a", "b") if len(row.answers) == 2 else ("response",)
    return {
        "id": row.id,
        "instruction": row.instruction[:SHOWN_CHARACTERS],
        **{
            name: str(answer)[:SHOWN_CHARACTERS]
            for name, answer in zip(names, row.answers, strict=True)
        },
        "gold": row.gold,
        "found": found.resolved,
        "by_order": {order: found.value(order) for order in found.by_order},
        "p": found.confidence,
    }
