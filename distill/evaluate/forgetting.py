"""What a model could do before training and can do after: general text and general questions.

Texts and questions are our own (`general/`), so no student has met them in training data, and they
are short, so that a tiny model answers them too: a question counts as right when the right choice
is the likeliest one. Both are measured on the same items before and after, so that their
difference has an interval of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.evaluate.lm import token_figures
from distill.measure.intervals import Figure, bootstrap, nothing, over_seeds
from distill.rows.encode import Encoded
from distill.rows.readers import read_records
from teachers.chat_format import answer_ids
from teachers.protocol import user

if TYPE_CHECKING:
    from teachers.local_model import LocalModel

GENERAL = Path(__file__).parent / "general"
WINDOW = 512
"""Most tokens that a text is read with at once; longer ones are read in several windows."""
RESAMPLES = 1000
CHOICE = "Question: {}\nAnswer:"


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its choices, the right one first."""

    topic: str
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What one item adds to a measure: their total is sum(value) / sum(weight)."""

    value: float
    weight: float = 1.0


Measured = Mapping[str, Sequence[Score]]
"""Measure -> one score per item, in the order of the items; the same items for every model."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How a measure is read."""

    metric: str
    lower_is_better: bool = False
    chance: float | None = None


TEXT = "text"
QUESTIONS = "questions"


def read_questions() -> list[Question]:
    """The bundled questions: arithmetic, facts, grammar and instructions."""
    return [
        Question(record["topic"], record["question"], tuple(record["choices"]))
        for record in read_records(GENERAL / "questions.jsonl")
    ]


def read_texts(path: Path | None = None) -> list[str]:
    """Held-out texts of a file (its column `text`, else its first), or the bundled ones.

    Raises: DataError when the file cannot be read.
    """
    records = read_records(path or GENERAL / "passages.jsonl")
    texts = (record.get("text", next(iter(record.values()))) for record in records)
    return [str(text) for text in texts if text]


def score_texts(model: LocalModel, texts: Sequence[str]) -> list[Score] | None:
    """Bits and bytes of every text; None where the tokenizer names no token to start with.

    A text begins behind the model's own start (or end) token, so that its first token counts too.
    Units: bits, bytes of UTF-8; their ratio does not depend on the vocabulary.
    """
    start = next((t for t in (model.tokenizer.bos_token_id, *model.end_ids) if t is not None), None)
    if start is None:
        return None
    room = min(WINDOW, model.context or WINDOW) - 1
    windows: list[Encoded] = []
    owners: list[int] = []
    for place, text in enumerate(texts):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        for at in range(0, len(ids), room):
            part = [start, *ids[at : at + room]]
            windows.append(Encoded(part, [False] + [True] * (len(part) - 1), truncated=False))
            owners.append(place)
    nats = [0.0] * len(texts)
    for owner, row in zip(owners, token_figures(model, None, windows), strict=True):
        nats[owner] += row.nll_sum
    return [
        Score(total / math.log(2), len(text.encode()))
        for total, text in zip(nats, texts, strict=True)
    ]


def score_questions(model: LocalModel, questions: Sequence[Question]) -> list[Score]:
    """1 for each question whose first choice is the likeliest per token, else 0."""
    return [Score(float(_likeliest(model, question) == 0)) for question in questions]


def _likeliest(model: LocalModel, question: Question) -> int:
    # Without a chat template the answer goes on behind the colon.
    choices = [text if model.chat else f" {text}" for text in question.choices]
    prompt = model.prompt_ids(user(CHOICE.format(question.text)))
    if model.context is not None:  # a very small context keeps the end of the question
        longest = max(
            len(answer_ids(model.tokenizer, text, chat=model.chat, ends=model.end_ids))
            for text in choices
        )
        prompt = prompt[-max(1, model.context - longest) :]
    [logp] = model.choice_logp([prompt], choices)
    return max(range(len(choices)), key=lambda at: logp[choices[at]])


def forgetting_part(
    before: Sequence[Measured],
    after: Sequence[Measured],
    measures: Mapping[str, Measure],
    topics: Mapping[str, Sequence[str]],
    seed: int = 0,
) -> dict[str, Any]:
    """MEASURE -> {metric, lower_is_better, chance, student_before, student, difference, worse}.

    Args:
        before: One per seed.
        after: One per seed, in the same order.
        measures: How each is read.
        topics: Measure -> the topic of each item, where it has topics.
        seed: Of the bootstrap over items.

    `worse`: the whole interval of the difference (after minus before) lies on the bad side.
    """
    return {
        name: _compare([run[name] for run in before], [run[name] for run in after], measure, seed)
        | {"by_topic": _by_topic(name, before, after, measure, topics.get(name), seed)}
        for name, measure in measures.items()
    }


def _by_topic(
    name: str,
    before: Sequence[Measured],
    after: Sequence[Measured],
    measure: Measure,
    topics: Sequence[str] | None,
    seed: int,
) -> dict[str, Any] | None:
    if topics is None:
        return None
    places = {
        topic: [at for at, named in enumerate(topics) if named == topic]
        for topic in dict.fromkeys(topics)
    }
    return {
        topic: _compare(
            [[run[name][at] for at in chosen] for run in before],
            [[run[name][at] for at in chosen] for run in after],
            measure,
            seed,
        )
        for topic, chosen in places.items()
    }


def _compare(
    before: Sequence[Sequence[Score]],
    after: Sequence[Sequence[Score]],
    measure: Measure,
    seed: int,
) -> dict[str, Any]:
    pairs = list(zip(before, after, strict=True))
    difference = over_seeds([_difference(one, other, seed) for one, other in pairs])
    low, high = difference.low, difference.high
    worse = None
    if low is not None and high is not None:
        worse = low > 0 if measure.lower_is_better else high < 0
    return {
        "metric": measure.metric,
        "lower_is_better": measure.lower_is_better,
        "chance": measure.chance,
        "student_before": over_seeds([_figure(run, seed) for run in before]).as_dict(),
        "student": over_seeds([_figure(run, seed) for run in after]).as_dict(),
        "difference": difference.as_dict(),
        "worse": worse,
    }


def _figure(scores: Sequence[Score], seed: int) -> Figure:
    if not scores:
        return nothing("no items")
    return bootstrap(scores, seed, statistic=_ratio, resamples=RESAMPLES)


def _difference(before: Sequence[Score], after: Sequence[Score], seed: int) -> Figure:
    """After minus before, resampled over the items that both were measured on."""
    if not before:
        return nothing("no items")
    pairs = list(zip(before, after, strict=True))
    return bootstrap(
        pairs,
        seed,
        statistic=lambda drawn: _ratio([b for _, b in drawn]) - _ratio([a for a, _ in drawn]),
        resamples=RESAMPLES,
    )


def _ratio(scores: Sequence[Score]) -> float:
    return sum(score.value for score in scores) / sum(score.weight for score in scores)


def forgotten(part: Mapping[str, Any] | None) -> Iterator[str]:
    """A sentence for every measure that got worse."""
    for name, found in (part or {}).items():
        if found["worse"]:
            before, after = found["student_before"]["value"], found["student"]["value"]
            yield f"{name} ({found['metric']}) went from {before:.3f} to {after:.3f}"
