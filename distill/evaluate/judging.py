"""Judge tasks: pairs asked in both orders, read by the judges' one parser, measured against people.

A verdict that cannot be read is none: never a number, never a tie, and wrong wherever it counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from distill.errors import DataError
from distill.evaluate.answers import Answered
from distill.judge.columns import ANNOTATORS, SLICES, Kind
from distill.judge.form import JudgeForm
from distill.judge.judge import Judge
from distill.judge.labels import Unreadable, is_missing, read_score, read_winner
from distill.judge.lines import longer
from distill.judge.passport import Passport, judge_passport
from distill.judge.results import Comparison, Grade
from distill.judge.rows import JudgeData, JudgeRow, Value
from distill.judge.verdicts import ORDERS, Verdict
from distill.measure.intervals import Figure, nothing, proportion
from distill.recipe.prompts import OPTIONAL, TaskPrompt
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask, labels_of
from teachers.protocol import Teacher

JudgeTask = JudgeAbsoluteTask | JudgePairwiseTask
ANSWER_TOKENS = 512
SHOWN_RUBRIC = 80
"""Characters of a rubric that name its slice."""

PAIR_METRICS = ("order_ab", "order_ba", "both_right", "consistency", "tie_recall")
ALL_METRICS = ("accuracy", "accuracy_failures_wrong", "macro_f1", "kappa", "parsed")


async def judge_rows(
    teacher: Teacher,
    prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int | None = None,
    in_flight: int = 16,
    constrained: bool = False,
) -> list[Answered]:
    """One verdict per row, in order: a pair is asked twice, with its answers in either order.

    `text` of an answer is the verdict as the scale writes it; for a pair both orders as one. With
    `constrained` the scale is the only answer allowed, and no feedback is asked for.
    """
    form = JudgeForm(prompt, max_tokens or ANSWER_TOKENS)
    judge = Judge(teacher, form, in_flight=in_flight, constrained=constrained)
    rows = [{**dict.fromkeys(OPTIONAL), **record} for record in records]
    if isinstance(prompt.task, JudgePairwiseTask):
        return [_of_pair(found) for found in await judge.acompare_batch(rows)]
    return [_of_grade(prompt.task, found) for found in await judge.agrade_batch(rows)]


def gold_value(task: JudgeTask, value: Any) -> Value | None:
    """People's verdict as a, b, tie or a number; None where there is none.

    A scale of words that are neither numbers nor pass and fail counts from 0 in its order.
    Raises: DataError for a value that is no verdict.
    """
    if is_missing(value):
        return None
    found: Value | None = None
    try:
        found = read_winner(value) if isinstance(task, JudgePairwiseTask) else _score(task, value)
    except Unreadable as error:
        raise DataError(f"{task.output}: {error}; correct the gold file") from error
    if found is None:
        raise DataError(f"{task.output}: {value!r} is not on the scale; correct the gold file")
    return found


def verdict_text(task: JudgeTask, value: Value | None) -> str | None:
    """A verdict as the task's scale writes it."""
    if isinstance(value, float):
        known = {_score(task, word): word for word in labels_of(task) or ()}
        return known.get(value, f"{value:g}")
    return value


def passport_of(
    task: JudgeTask,
    answers: Sequence[Answered],
    records: Sequence[Mapping[str, Any]],
    *,
    names: Sequence[str] | None = None,
    seen: frozenset[str] = frozenset(),
    seed: int = 0,
) -> Passport:
    """How far verdicts agree with people, with everything of CONTRACT section 6.

    Args:
        task: What was judged.
        answers: One per row, in the order of the rows.
        records: Gold rows; those without a verdict are left out and counted.
        names: The rows' ids, all different; absent: their places.
        seen: `rubric_key` of the rubrics that the judge was trained on; rows under others get a
            slice of their own.
        seed: Of the bootstrap.
    """
    names = names or places(records)
    data = judge_data(task, records, names, seen)
    said = [
        replace(verdict, id=name)
        for name, answer in zip(names, answers, strict=True)
        for verdict in answer.verdicts
    ]
    return judge_passport(data, said, seed=seed)


def judge_data(
    task: JudgeTask,
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    seen: frozenset[str] = frozenset(),
) -> JudgeData:
    """Gold rows in the shape that judges are measured on."""
    pairs = isinstance(task, JudgePairwiseTask)
    rubrics = {rubric_key(record) for record in records}
    rows = []
    for name, record in zip(names, records, strict=True):
        gold = gold_value(task, record.get(task.output))
        slices = _slices(record)
        if len(rubrics) > 1:
            slices["rubric"] = _shown_rubric(record)
        if seen and rubric_key(record):
            slices["rubric_seen"] = "yes" if rubric_key(record) in seen else "no"
        rows.append(
            JudgeRow(
                id=name,
                instruction=str(record.get("instruction") or ""),
                answers=(record.get("a"), record.get("b")) if pairs else (record.get(task.input),),
                gold=gold,
                ratings=_ratings(task, record) or {task.output: gold},
                slices=slices,
                fields=record,
            )
        )
    allowed = [
        value for word in labels_of(task) or () if (value := gold_value(task, word)) is not None
    ]
    kind: Kind = "pairwise" if pairs else "absolute"
    return JudgeData(kind, rows, {}, [task.output], allowed=allowed)


def passport_metrics(passport: Passport) -> dict[str, Figure]:
    """METRIC -> figure: CONTRACT section 6, its parts beside each other.

    `position` is the share of decided flips that lean to the answer shown first: 0.5 leans nowhere.
    """
    found = passport.figures
    pairs = found["kind"] == "pairwise"
    metrics = {name: found[name] for name in ALL_METRICS}
    if pairs:
        metrics |= {name: found[name] for name in PAIR_METRICS}
        lean = found["position"]
        first, second = lean["first"], lean["second"]
        flipped = first is not None and first + second > 0
        why = lean.get("why") or "no row was judged for the answer of one place in both orders"
        metrics["position"] = proportion(first, first + second) if flipped else nothing(why)
    for name, figure in (found["absolute"] or {}).items():
        if isinstance(figure, Figure) and name not in ("self_consistency", "implied_order"):
            metrics[name] = figure
    if found["calibration"]:
        metrics |= {name: found["calibration"][name] for name in ("ece", "brier")}
    return metrics


def constant_verdicts(
    task: JudgeTask, train: Sequence[Any], records: Sequence[Mapping[str, Any]]
) -> list[Answered]:
    """The commonest verdict of train for every row (of equals the first in order).

    Raises: DataError where train holds no verdict.
    """
    read = [gold_value(task, one) for one in train]
    values: list[Value] = [value for value in read if value is not None]
    if not values:
        raise DataError("the majority baseline needs at least one training row")
    counts = Counter(values)
    value = min(counts, key=lambda known: (-counts[known], str(known)))
    return [_given(task, value, counts[value] / len(values)) for _ in records]


def longer_verdicts(
    task: JudgePairwiseTask, records: Sequence[Mapping[str, Any]]
) -> list[Answered]:
    """The answer with more characters of every pair; equal length is a tie."""
    rows = judge_data(task, records, places(records)).rows
    return [_given(task, longer(row), None) for row in rows]


def places(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names for rows that have none: their places from 1."""
    return [str(place) for place in range(1, len(records) + 1)]


def rubric_key(record: Mapping[str, Any]) -> str:
    """What makes two rubrics one: their text, however it is laid out; empty without a rubric."""
    rubric = record.get("rubric")
    if isinstance(rubric, Mapping):
        rubric = rubric.get("criterion")
    return " ".join(str(rubric or "").split()).casefold()


def _of_grade(task: Any, found: Grade) -> Answered:
    value = None if found.score is None else _score(task, found.score)
    p = _p(found)
    return Answered(
        text=verdict_text(task, value),
        p=p,
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cost_usd=found.cost_usd,
        failed=None if found.parsed else found.error or "parse",
        stored=found.stored,
        wrote=found.raw,
        verdicts=(Verdict("", value, "ab", p, found.raw, found.truncated),),
    )


def _of_pair(found: Comparison) -> Answered:
    grades = found.grades
    known = [grade.cost_usd for grade in grades if grade.cost_usd is not None]
    error = next((grade.error for grade in grades if grade.error), None)
    winners = (found.order1, found.order2)
    return Answered(
        text=found.winner,
        p=_p_of(found),
        input_tokens=sum(grade.input_tokens for grade in grades),
        output_tokens=sum(grade.output_tokens for grade in grades),
        cost_usd=sum(known) if len(known) == len(grades) else None,
        failed=None if found.parsed else error or "parse",
        stored=all(grade.stored for grade in grades),
        wrote="\n\n".join(grade.raw for grade in grades),
        verdicts=tuple(
            Verdict("", winner, order, _p(grade), grade.raw, grade.truncated)
            for winner, order, grade in zip(winners, ORDERS, grades, strict=True)
        ),
    )


def _given(task: JudgeTask, value: Value, p: float | None) -> Answered:
    orders = ORDERS if isinstance(task, JudgePairwiseTask) else ORDERS[:1]
    said = tuple(Verdict("", value, order, p) for order in orders)
    return Answered(text=verdict_text(task, value), p=p, verdicts=said)


def _score(task: Any, value: Any) -> float | None:
    places = _places(tuple(labels_of(task) or ()))
    return places.get(str(value).strip().casefold()) if places else read_score(value)


@lru_cache(maxsize=8)
def _places(scale: tuple[str, ...]) -> Mapping[str, float] | None:
    """The numbers that a scale of words stands for; None where its words are numbers themselves."""
    try:
        for word in scale:
            read_score(word)
    except Unreadable:
        return {word.strip().casefold(): float(at) for at, word in enumerate(scale)}
    return None


def _p(grade: Grade) -> float | None:
    """The judge's probability of its own verdict."""
    if grade.probs is None or grade.score is None:
        return None
    told = {name.casefold(): p for name, p in grade.probs.items()}
    return told.get(str(grade.score).casefold())


def _p_of(found: Comparison) -> float | None:
    """Mean probability of the one verdict of both orders; none where they disagree."""
    told = [p for grade in found.grades if (p := _p(grade)) is not None]
    both = found.consistent is not False and len(told) == len(found.grades)
    return sum(told) / len(told) if both else None


def _ratings(task: JudgeTask, record: Mapping[str, Any]) -> dict[str, Value | None]:
    """What several people said, where the rows hold them as annotator1, annotator2 ..."""
    return {
        name: gold_value(task, value)
        for name, value in record.items()
        if ANNOTATORS.fullmatch(name)
    }


def _slices(record: Mapping[str, Any]) -> dict[str, str]:
    meta = record.get("meta")
    inside = meta if isinstance(meta, Mapping) else {}
    every = {**record, **inside}
    return {name: str(every[name]) for name in SLICES if every.get(name) is not None}


def _shown_rubric(record: Mapping[str, Any]) -> str:
    rubric = record.get("rubric")
    text = rubric.get("criterion") if isinstance(rubric, Mapping) else rubric
    short = " ".join(str(text or "none").split())
    return short if len(short) <= SHOWN_RUBRIC else f"{short[:SHOWN_RUBRIC]} ..."
