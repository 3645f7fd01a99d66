"""Students of shares of the training rows: trained beside the others, measured as they are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.evaluate.learning_curve import Point, learning_curve
from distill.evaluate.scores import row_scores
from distill.evaluate.stage import SystemResult, measure
from distill.measure.intervals import Figure
from distill.rows.atomic import atomic_file
from distill.rows.dataset import DatasetRow, read_dataset
from distill.rows.row import canonical_json, digest
from distill.run.context import Context
from distill.run.keys import learning_shares
from distill.run.train.arms import Arm

if TYPE_CHECKING:
    from distill.train.plan import TrainResult


def train_shares(
    context: Context, whole: Arm, steps: int, train: "Callable[[Arm], Sequence[TrainResult]]"
) -> dict[str, Any]:
    """Trains a student on every share under 1, with the steps and the rate of the whole one.

    Returns: share -> {rows, models}.
    """
    recipe = context.recipe
    if not (shares := learning_shares(recipe)):
        return {}
    rows = sorted(
        read_dataset(context.directory.dataset, "train"),
        key=lambda row: digest([recipe.seed, row.id]),
    )
    found = {}
    for share in shares:
        chosen = rows[: max(1, round(share * len(rows)))]
        name = f"share-{share:g}"
        path = _write(context.directory.stage("train") / f"{name}.jsonl", chosen)
        arm = replace(whole, name=name, rows=path, train={**whole.train, **_length(whole, steps)})
        models = [context.directory.relative(result.model_dir) for result in train(arm)]
        found[f"{share:g}"] = {"rows": len(chosen), "models": models}
    return found


def _length(whole: Arm, steps: int) -> dict[str, Any]:
    """Raw text is counted in windows, so that its steps are known once it was trained on."""
    return {"steps": steps, "epochs": None} if whole.train["steps"] is None else {}


def _write(path: Path, rows: Iterable[DatasetRow]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.writelines(
            canonical_json(row.as_dict()) + "\n" for row in sorted(rows, key=lambda row: row.id)
        )
    return path


def measure_curve(
    context: Context,
    records: Sequence[Mapping[str, Any]],
    expected: Sequence[Any],
    ask: Callable[[str, str], SystemResult],
    whole: Sequence[Mapping[str, Figure]],
    whole_results: Sequence[SystemResult],
    usd: float | None,
) -> dict[str, Any] | None:
    """`learning_curve` of report.json; None where the recipe does not ask.

    Args:
        context: Of the run.
        records: The rows of the leading set.
        expected: What the rows of the leading set should be answered with.
        ask: What a student (name, folder) says about that set.
        whole: Figures of the students of all rows, one per seed.
        whole_results: What they said.
        usd: What the run has spent on answers.
    """
    recipe, trained = context.recipe, context.directory.done("train")
    shares: Mapping[str, Any] = trained.details.get("shares") or {} if trained else {}
    if not shares:
        return None
    count = sum(1 for _ in read_dataset(context.directory.dataset, "train"))
    points = [_point(context, 1.0, count, whole, whole_results, expected)]
    for share, found in shares.items():
        results = [ask(f"share {share}", context.directory.model(ref)) for ref in found["models"]]
        figures = [measure(recipe.task, result, expected, records) for result in results]
        points.append(_point(context, float(share), found["rows"], figures, results, expected))
    split = context.directory.done("split")
    kept = split.counts["accepted"] if split else 0
    return learning_curve(points, usd / kept if usd and kept else None, recipe.seed)


def _point(
    context: Context,
    share: float,
    rows: int,
    figures: Sequence[Mapping[str, Figure]],
    results: Sequence[SystemResult],
    expected: Sequence[Any],
) -> Point:
    answered = [result.answers for result in results if result.answers is not None]
    scores = [
        row_scores(context.recipe.task, [answer.text for answer in answers], expected)
        for answers in answered
    ]
    return Point(share, rows, figures, scores if len(scores) == len(results) else ())
