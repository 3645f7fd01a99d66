"""What makes a row doubtful, from figures that a run has paid for already."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.rows.row import Verdict, canonical_json

RARE = 0.5
"""A label is rare below this share of what it would have if all were equally frequent."""
NEAR = 0.1
"""A score nearer to its threshold than this share of the scores' range is a near miss."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to look at a row."""

    why: str
    weight: float


@dataclass(frozen=True, slots=True)
class Doubtable:
    """A row with what filters said of it."""

    id: str
    fields: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()


def find_doubts(
    rows: Sequence[Doubtable],
    *,
    outputs: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, list[Doubt]]:
    """Row id -> reasons, the strongest first; rows without any are left out.

    Args:
        rows: All rows.
        outputs: Fields that hold answers; rare values of short ones are strata.
        thresholds: Filter -> the value that its score was compared with.
    """
    rare = _rare(rows, outputs)
    near = _Near(rows, thresholds or {})
    found = {}
    for row in rows:
        doubts = [
            *_votes(row.fields), *_judges(row), *_flips(row.fields), *near.of(row),
            *_noise(row), *rare.get(row.id, ()), *_tags(row),
        ]  # fmt: skip
        if doubts:
            found[row.id] = sorted(doubts, key=lambda doubt: (-doubt.weight, doubt.why))
    return found


def _votes(fields: Mapping[str, Any]) -> Iterable[Doubt]:
    """Votes that were split: FIELD_votes holds label -> count."""
    for name, votes in fields.items():
        if name.endswith("_votes") and isinstance(votes, Mapping) and votes:
            counts = [n for n in votes.values() if isinstance(n, int) and not isinstance(n, bool)]
            if sum(counts) > 0 and max(counts) < sum(counts):
                share = max(counts) / sum(counts)
                yield Doubt(f"vote_split:{name[: -len('_votes')]}", 1 - share)
    for name, value in fields.items():
        if name.endswith("_finish") and value == "length":
            yield Doubt(f"cut_off:{name[: -len('_finish')]}", 0.5)


def _judges(row: Doubtable) -> Iterable[Doubt]:
    """Judges whose scores differ: filters called judge, or fields judge_a, judge_b."""
    scores = [v.score for v in row.verdicts if v.by.startswith("judge") and v.score is not None]
    if len(scores) > 1 and max(scores) != min(scores):
        yield Doubt("judges_differ", min(1.0, (max(scores) - min(scores)) / 4))
    said = {
        canonical_json(value)
        for name, value in row.fields.items()
        if name.startswith(("judge_", "verdict_")) and isinstance(value, str | int | float)
    }
    if len(said) > 1:
        yield Doubt("judges_differ", 0.5)


def _flips(fields: Mapping[str, Any]) -> Iterable[Doubt]:
    """Verdicts that turn when the two answers change places."""
    both = [fields.get("order_ab"), fields.get("order_ba")]
    if (
        (None not in both and both[0] != both[1])
        or fields.get("consistent") is False
        or fields.get("flipped") is True
    ):
        yield Doubt("swap_flip", 1.0)


class _Near:
    """Scores just above the value that would have dropped the row."""

    def __init__(self, rows: Sequence[Doubtable], thresholds: Mapping[str, float]) -> None:
        self._thresholds = thresholds
        scores: dict[str, list[float]] = {}
        for row in rows:
            for verdict in row.verdicts:
                if verdict.by in thresholds and verdict.score is not None:
                    scores.setdefault(verdict.by, []).append(verdict.score)
        self._range = {name: max(given) - min(given) for name, given in scores.items()}

    def of(self, row: Doubtable) -> Iterable[Doubt]:
        for verdict in row.verdicts:
            spread = self._range.get(verdict.by, 0.0)
            if verdict.by not in self._thresholds or verdict.score is None or not spread:
                continue
            distance = abs(verdict.score - self._thresholds[verdict.by]) / spread
            if distance <= NEAR:
                yield Doubt(f"near_miss:{verdict.by}", 1 - distance / NEAR / 2)


def _noise(row: Doubtable) -> Iterable[Doubt]:
    """Label-noise scores, where low means that the label is unlikely to be right."""
    scores = [v.score for v in row.verdicts if v.by == "label_noise" and v.score is not None]
    field = row.fields.get("label_noise")
    if isinstance(field, int | float) and not isinstance(field, bool):
        scores.append(float(field))
    for score in scores:
        if 0 <= score < 0.5:
            yield Doubt("label_noise", 1 - score)


def _rare(rows: Sequence[Doubtable], outputs: Sequence[str]) -> dict[str, list[Doubt]]:
    found: dict[str, list[Doubt]] = {}
    for name in outputs:
        values = {
            row.id: canonical_json(row.fields[name])
            for row in rows
            if isinstance(row.fields.get(name), str | int)
        }
        counts = Counter(values.values())
        if not 2 <= len(counts) <= max(2, len(values) // 4):
            continue  # free text: every value is rare
        even = len(values) / len(counts)
        for id, value in values.items():
            if counts[value] < RARE * even:
                doubt = Doubt(f"rare:{name}", 0.3 * (1 - counts[value] / even))
                found.setdefault(id, []).append(doubt)
    return found


def _tags(row: Doubtable) -> Iterable[Doubt]:
    own = row.fields.get("failure_tags")
    for tag in dict.fromkeys(map(str, own if isinstance(own, list) else [])):
        yield Doubt(f"tag:{tag}", 0.5)
