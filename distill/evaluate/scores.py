"""How right each single answer is: what the figures of a whole set are made of."""

from collections.abc import Sequence
from typing import Any

from distill.evaluate.grounded import answer_score
from distill.evaluate.metrics import read_json, rouge_l
from distill.recipe.prompts import JUDGES
from distill.recipe.task import ClassifyTask, ExtractTask, GroundedTask, Task
from distill.rows.row import canonical_json


def row_scores(task: Task, answers: Sequence[str | None], expected: Sequence[Any]) -> list[float]:
    """From 0 (wrong, or no answer) to 1.

    Labels, verdicts and objects 0 or 1, texts by ROUGE-L, grounded answers by the words' F1.
    """
    return [
        0.0 if answer is None else _score(task, answer, truth)
        for answer, truth in zip(answers, expected, strict=True)
    ]


def _score(task: Task, answer: str, truth: Any) -> float:
    if isinstance(task, (ClassifyTask, *JUDGES)):
        return float(answer == str(truth))
    if isinstance(task, ExtractTask):
        value, read = read_json(answer)
        wanted = read_json(truth)[0] if isinstance(truth, str) else truth
        return float(read and canonical_json(value) == canonical_json(wanted))
    if isinstance(task, GroundedTask):
        return answer_score(task, answer, truth)[1]
    return rouge_l(answer, str(truth))
