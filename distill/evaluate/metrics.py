"""Answers and gold in, figures with intervals out: one function per task kind.

An answer that is missing or cannot be read is wrong; it is never left out and never a tie.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from rapidfuzz.distance import LCSseq

from distill.errors import DataError
from distill.evaluate.answers import Answered
from distill.evaluate.lm import RowFigures
from distill.measure.intervals import Figure, bootstrap, nothing, proportion
from distill.rows.row import canonical_json

RESAMPLES = 1000
"""Of a bootstrap; the ends of a 95 % interval then move by about 3 % of its width."""

WORDS = re.compile(r"\w+")
NO_LABEL = -1


class Price(NamedTuple):
    """What running a system costs; any part may be unknown."""

    input: float | None = None
    """USD per million input tokens."""
    output: float | None = None
    """USD per million output tokens."""
    gpu_hour: float | None = None
    """USD per hour of the machine, for a local model."""


def classify_figures(
    answers: Sequence[str | None], gold: Sequence[Any], labels: Sequence[str], seed: int = 0
) -> dict[str, Figure]:
    """Figures of labels: accuracy, macro_f1 and parsed (the share of answers that are a label)."""
    codes = {label: place for place, label in enumerate(labels)}
    pairs = [
        (codes.get(str(truth), NO_LABEL), codes.get(answer, NO_LABEL) if answer else NO_LABEL)
        for answer, truth in zip(answers, gold, strict=True)
    ]
    if any(truth == NO_LABEL for truth, _ in pairs):
        raise DataError("a gold label is not one of task.labels; correct the gold file")
    right = sum(truth == answer for truth, answer in pairs)
    parsed = sum(answer != NO_LABEL for _, answer in pairs)
    return {
        "accuracy": proportion(right, len(pairs)),
        "macro_f1": bootstrap(pairs, seed, statistic=macro_f1, resamples=RESAMPLES),
        "parsed": proportion(parsed, len(pairs)),
    }


def macro_f1(pairs: Sequence[tuple[Hashable, Hashable]]) -> float:
    """Mean F1 of the labels that occur as truth in (truth, answer) pairs.

    Equals scikit-learn's f1_score(labels=<labels in truth>, average="macro").
    """
    cells = Counter(pairs)
    truths: Counter[Hashable] = Counter()
    answers: Counter[Hashable] = Counter()
    for (truth, answer), count in cells.items():
        truths[truth] += count
        answers[answer] += count
    scores = [2 * cells[label, label] / (count + answers[label]) for label, count in truths.items()]
    return sum(scores) / len(scores)


def extract_figures(
    answers: Sequence[str | None], gold: Sequence[Any], schema: Mapping[str, Any], seed: int = 0
) -> dict[str, Figure]:
    """Figures of objects: valid (fits the schema), exact (equal as JSON), field_f1 (row mean)."""
    validator = Draft202012Validator(schema)
    read = [read_json(answer) for answer in answers]
    truths = [read_json(truth)[0] if isinstance(truth, str) else truth for truth in gold]
    valid = sum(ok and validator.is_valid(value) for value, ok in read)
    pairs = list(zip(read, truths, strict=True))
    exact = sum(
        ok and canonical_json(value) == canonical_json(truth) for (value, ok), truth in pairs
    )
    scores = [field_f1(value, truth) if ok else 0.0 for (value, ok), truth in pairs]
    return {
        "valid": proportion(valid, len(read)),
        "exact": proportion(exact, len(read)),
        "field_f1": bootstrap(scores, seed, resamples=RESAMPLES),
    }


def read_json(text: str | None) -> tuple[Any, bool]:
    """The value of a JSON text and whether it is one; NaN and words around the value are not."""
    if text is None:
        return None, False
    try:
        return json.loads(text, parse_constant=_refuse), True
    except ValueError:
        return None, False


def field_f1(answer: Any, truth: Any) -> float:
    """F1 over the leaves (path, value) of two JSON values; the order of a list does not count."""
    mine, theirs = Counter(_leaves(answer)), Counter(_leaves(truth))
    both, total = (mine & theirs).total(), mine.total() + theirs.total()
    return 2 * both / total if total else 1.0


def generate_figures(
    answers: Sequence[str | None], gold: Sequence[Any], seed: int = 0
) -> dict[str, Figure]:
    """Figures of free text: rouge_l, a missing answer counting 0."""
    scores = [
        0.0 if answer is None else rouge_l(answer, str(truth))
        for answer, truth in zip(answers, gold, strict=True)
    ]
    return {"rouge_l": bootstrap(scores, seed, resamples=RESAMPLES)}


def rouge_l(answer: str, truth: str) -> float:
    """F-measure of the longest common subsequence of lower-cased words (Lin 2004, no stems)."""
    mine, theirs = WORDS.findall(answer.lower()), WORDS.findall(truth.lower())
    if not mine or not theirs:
        return float(mine == theirs)
    return 2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs))


def token_means(rows: Sequence[RowFigures], seed: int = 0) -> dict[str, Figure]:
    """Nats per supervised token over all rows, bootstrapped over rows: loss and kl_to_teacher."""
    counted = [row for row in rows if row.tokens]
    loss = _per_token([(row.nll_sum, row.tokens) for row in counted], seed)
    kl = [(row.kl_sum, row.tokens) for row in counted if row.kl_sum is not None]
    if len(kl) < len(counted):
        missing = nothing("no local teacher that shares the student's vocabulary", len(counted))
        return {"loss": loss, "kl_to_teacher": missing}
    return {"loss": loss, "kl_to_teacher": _per_token(kl, seed)}


def running_figures(
    answers: Sequence[Answered], seconds: float | None, price: Price | None, seed: int = 0
) -> dict[str, Figure]:
    """Figures of running a system: cost_per_1000 (USD), rows_per_s and tokens_per_row.

    With a price, cost follows from the tokens, so that a full store does not make a system look
    free; without one, from what the answers of this time cost. Speed counts fresh answers only.
    """
    fresh = [answer for answer in answers if not answer.stored]
    tokens = [a.input_tokens + a.output_tokens for a in answers if a.input_tokens + a.output_tokens]
    speed = nothing("not timed" if seconds is None else "every answer came from the store")
    if seconds and fresh:
        speed = Figure(len(fresh) / seconds, None, None, len(fresh))
    return {
        "cost_per_1000": _cost(answers, seconds, price),
        "rows_per_s": speed,
        "tokens_per_row": bootstrap(tokens, seed, resamples=RESAMPLES),
    }


def majority_answers(train_labels: Sequence[str], count: int) -> list[Answered]:
    """The constant guess: the commonest label of train (of equals the first in order)."""
    if not train_labels:
        raise DataError("the majority baseline needs at least one training row")
    counts = Counter(train_labels)
    label = min(counts, key=lambda name: (-counts[name], name))
    share = counts[label] / len(train_labels)
    return [Answered(text=label, p=share) for _ in range(count)]


def _cost(answers: Sequence[Answered], seconds: float | None, price: Price | None) -> Figure:
    fresh = [answer for answer in answers if not answer.stored]
    if not answers:
        return nothing("no rows")
    if price is not None and price.gpu_hour is not None and seconds and fresh:
        per_row = seconds / len(fresh) / 3600 * price.gpu_hour
        return Figure(1000 * per_row, None, None, len(fresh))
    if price is not None and price.input is not None and price.output is not None:
        spent = [a.input_tokens * price.input + a.output_tokens * price.output for a in answers]
        return Figure(sum(spent) / len(spent) / 1000, None, None, len(spent))
    known = [answer.cost_usd for answer in fresh if answer.cost_usd is not None]
    if not known or len(known) < len(fresh):
        return nothing("no price is known", len(answers))
    return Figure(1000 * sum(known) / len(known), None, None, len(known))


def _per_token(sums: Sequence[tuple[float, int]], seed: int) -> Figure:
    return bootstrap(sums, seed, statistic=_ratio, resamples=RESAMPLES)


def _ratio(sums: Sequence[tuple[float, int]]) -> float:
    return sum(value for value, _ in sums) / sum(count for _, count in sums)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}")
    elif isinstance(value, list | tuple) and value:
        for part in value:
            yield from _leaves(part, f"{path}[]")
    else:
        yield path, canonical_json(value)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
