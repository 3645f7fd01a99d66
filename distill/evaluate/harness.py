"""Tasks of EleutherAI's evaluation harness by name, through its package (extra `lm-eval`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import DataError, PrerequisiteError, Problem
from distill.evaluate.forgetting import Measure, Score

if TYPE_CHECKING:
    from teachers.local_model import LocalModel

PREFERRED = ("acc_norm", "acc", "exact_match", "f1", "mc2", "word_perplexity")
"""Of a task's own metrics, the first that it has."""


@dataclass(frozen=True, slots=True)
class TaskScores:
    """One task on one model."""

    measure: Measure
    scores: Sequence[Score]
    """One per document, in the order of the documents."""


def harness_scores(
    model: LocalModel,
    tasks: Sequence[str],
    *,
    include: Path | None = None,
    limit: int | None = None,
) -> dict[str, TaskScores]:
    """Task -> what the model scores on each of its documents, zero-shot unless the task says so.

    Args:
        model: Loaded; the package scores it as it stands.
        tasks: Names of tasks or groups, as `lm_eval ls tasks` lists them.
        include: A folder of the user's own task files (YAML).
        limit: Most documents of each task.

    Raises: PrerequisiteError without the package, DataError for a task that it does not know or
    that gives no number per document.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as missing:
        raise missing_harness() from missing
    manager = TaskManager(include_path=str(include) if include else None)
    if unknown := [name for name in tasks if not manager.match_tasks([name])]:
        problem = Problem(
            f"lm-eval knows no task {', '.join(unknown)}",
            key="evaluate.forgetting.tasks",
            fix="`lm_eval ls tasks` lists them; own ones lie in evaluate.forgetting.task_folder.",
        )
        raise DataError(str(problem), [problem])
    found = simple_evaluate(
        model=HFLM(pretrained=model.model, tokenizer=model.tokenizer),
        tasks=list(tasks),
        task_manager=manager,
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
        random_seed=0,
        numpy_random_seed=0,
        torch_random_seed=0,
        fewshot_random_seed=0,
    )
    return {name: _task(name, found) for name in tasks}


def missing_harness() -> PrerequisiteError:
    """The error that says what to type."""
    line = "pip install 'distill-kit[lm-eval]'"
    problem = Problem(
        "the package lm-eval is missing", key="evaluate.forgetting.tasks", fix=f"Type: {line}"
    )
    return PrerequisiteError(f"lm-eval is not installed: {line}", [problem])


def _task(name: str, found: Mapping[str, Any]) -> TaskScores:
    samples = [
        sample
        for leaf in _leaves(name, found.get("group_subtasks") or {})
        for sample in sorted(found["samples"].get(leaf, ()), key=lambda item: int(item["doc_id"]))
    ]
    metric = next(
        (m for m in PREFERRED if samples and all(_number(s.get(m)) is not None for s in samples)),
        None,
    )
    if metric is None:
        problem = Problem(
            f"the task {name} gives no number for each document",
            key="evaluate.forgetting.tasks",
            allowed=f"tasks with one of {', '.join(PREFERRED)}",
        )
        raise DataError(str(problem), [problem])
    better = found.get("higher_is_better", {}).get(name, {}).get(metric, True)
    scores = [Score(_number(sample[metric]) or 0.0) for sample in samples]
    return TaskScores(Measure(metric, lower_is_better=not better), scores)


def _leaves(name: str, groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The tasks of a group, or the task itself."""
    inside = groups.get(name) or ()
    if not inside:
        yield name
    for part in inside:
        yield from _leaves(part, groups)


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    return None
