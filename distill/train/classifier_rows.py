"""A dataset file to the rows of a classifier: tokens, a label, and a distribution where it is told.

Shapes: R rows, L labels. Log-probabilities in nats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.errors import DataError, Problem, RecipeError
from distill.losses.targets import FLOOR
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import ClassifyTask
from distill.recipe.training import Train
from distill.rows.readers import read_numbered
from distill.train.collate import EncodedRow
from distill.train.plan import TrainPlan
from distill.train.soft_labels import soft_labels
from teachers.local_classifier import classifier_ids, classifier_text

UNBOUNDED = ("reverse_kl", "adaptive_kl")
"""Losses that are endless where a label has no vote and the student believes in it."""


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The rows of one file; a row's label is its one target."""

    rows: Sequence[EncodedRow]
    soft: Mapping[int, Sequence[float]]
    """Key of a row -> log-probability of each label, for the rows that tell it."""
    truncated: int


class LabelledForm:
    """How a dataset's rows become tokens and labels."""

    def __init__(
        self, plan: TrainPlan, tokenizer: Any, places: Mapping[str, int], *, soft: bool
    ) -> None:
        if plan.prompt is None:
            raise RecipeError("a classifier's plan needs the task's prompt")
        self._prompt = TaskPrompt.from_dict(plan.prompt)
        assert isinstance(self._prompt.task, ClassifyTask)
        self._tokenizer = tokenizer
        self._places = {label: int(place) for label, place in places.items()}
        self._labels = sorted(self._places, key=self._places.__getitem__)
        self._soft_fields = plan.soft if soft else ()

    def read(self, path: Path, first_key: int) -> LabelledRows:
        """The rows of a dataset's JSONL file, in file order, numbered from `first_key`.

        Raises: DataError naming the row whose label is none of the task's.
        """
        rows: list[EncodedRow] = []
        soft: dict[int, Sequence[float]] = {}
        truncated = 0
        for number, record in read_numbered(path):
            fields = record["fields"]
            label = fields.get(self._prompt.task.output)
            if label not in self._places:
                raise self._unknown(path, number, record["id"], label)
            key = first_key + len(rows)
            ids = self._ids(fields)
            truncated += len(ids) >= self._tokenizer.model_max_length
            target = torch.tensor([self._places[label]])
            rows.append(EncodedRow(record["id"], key, torch.tensor(ids), target))
            if found := soft_labels(fields, self._soft_fields, self._labels, label):
                soft[key] = found
        return LabelledRows(rows, soft, truncated)

    def _ids(self, fields: Mapping[str, Any]) -> list[int]:
        text = classifier_text(self._prompt.ask_messages(fields))
        # An empty text in a tokenizer without special tokens is no row at all.
        return classifier_ids(self._tokenizer, text) or [self._tokenizer.pad_token_id or 0]

    def _unknown(self, path: Path, line: int | None, row: str, label: object) -> DataError:
        problem = Problem(
            file=str(path),
            line=line,
            key=row,
            found=f"the label {label!r} of row {row} is not one of the task's",
            allowed=", ".join(self._labels),
        )
        return DataError(str(problem), [problem])


def check_soft(settings: Train, rows: LabelledRows, path: Path) -> None:
    """Refuse a signal that no row holds, and votes of zero under a loss that they make endless."""
    if settings.signal.kind == "text":
        return
    if not rows.soft:
        problem = Problem(
            file=str(path),
            key="train.signal",
            found="no row tells a distribution over the labels",
            fix="Ask with votes: 3 or more, or a teacher with log-probabilities, or take the "
            "signal text.",
        )
        raise DataError(str(problem), [problem])
    floor = any(min(logp) <= FLOOR for logp in rows.soft.values())
    if floor and settings.loss.kind in UNBOUNDED:
        problem = Problem(
            key="train.loss.kind",
            found=f"{settings.loss.kind} is endless where a label got no vote",
            allowed="forward_kl, jsd, skew_kl, skew_reverse_kl, tvd",
        )
        raise RecipeError(str(problem), [problem])


def target_table(soft: Mapping[int, Sequence[float]], *, rows: int, labels: int) -> Tensor:
    """Log-probabilities (rows, L), not a number where a row tells none."""
    targets_RL = torch.full((rows, labels), torch.nan)
    for key, logp in soft.items():
        targets_RL[key] = torch.tensor(logp)
    return targets_RL
