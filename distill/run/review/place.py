"""What RUN means for review: a run, or any dataset file; its rows and how a new version is written.

Reviews of a run speak of the rows that its filters accepted, whatever was merged before: so the
same log and policy give the same version, and a second merge does not pile up on the first.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError, UsageError
from distill.recipe.bundled_rubrics import bundled_rubrics, rubric_source, told
from distill.recipe.prompts import TaskPrompt, teacher_prompt
from distill.recipe.schema import Recipe, Review
from distill.recipe.task import ClassifyTask, JudgeAbsoluteTask, JudgePairwiseTask, Scale
from distill.report.card import dataset_card
from distill.review.doubt import Doubtable
from distill.review.log import read_log
from distill.review.merge import Merged, Pair
from distill.review.pack import Kind, read_packs
from distill.review.schema import Schema, field_of
from distill.review.source import FileSource, Source, file_source
from distill.rows.atomic import atomic_file
from distill.rows.dataset import DatasetRow, read_dataset, write_dataset
from distill.rows.row import Row, canonical_json
from distill.rows.stages import read_stage
from distill.run.directory import RunDirectory, find_run
from distill.run.rows.card import facts_of
from distill.run.rows.finished import dataset_row, learnt_rows
from distill.run.rows.steps import shape_of
from teachers.budget import read_totals
from teachers.protocol import Message


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a dataset that was written."""

    number: int
    parent: int | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a review takes place."""

    source: Source
    write: Callable[[Merged], Version]
    """Writes the merged rows as the newest version."""
    defaults: Review
    """What the recipe says of review."""
    rows_of_pair: Callable[[Pair], DatasetRow]
    run: RunDirectory | None = None


def find_place(
    ref: str,
    *,
    outputs: Sequence[str] = (),
    labels: Sequence[str] = (),
    rubric: str | None = None,
    seed: int | None = None,
) -> Place:
    """The place that RUN names.

    Raises: UsageError when it is neither a run nor a file, DataError for an unreadable file.
    """
    text = text_of_file(rubric) if rubric else ""
    path = Path(ref)
    if path.is_file():
        found = file_source(path, outputs=outputs, labels=labels, rubric=text, seed=seed or 0)
        return file_place(found)
    return run_place(find_run(ref), outputs=outputs, rubric=text, seed=seed)


def reviewed_place(ref: str, *, outputs: Sequence[str] = (), kind: Kind = "correct") -> Place:
    """The place that RUN names, with the fields, labels and rubric that its reviewers were given.

    Args:
        ref: RUN.
        outputs: Fields to look at in place of those.
        kind: Of the packs whose questions count first.

    Raises: as `find_place`.
    """
    place = find_place(ref, outputs=outputs)
    packs = read_packs(place.source.folder)
    log = [r for r in read_log(place.source.folder) if r.pack_id in packs and not r.final]
    if outputs or not log:
        return place
    last = next((review for review in reversed(log) if review.kind == kind), log[-1])
    schema = packs[last.pack_id].schema
    if schema.hash != place.source.schema.hash:
        columns = {name for fields in place.source.rows.values() for name in fields}
        place = find_place(ref, outputs=[f.name for f in schema.fields if f.name in columns])
    return replace(place, source=replace(place.source, schema=schema))


def text_of_file(path: str) -> str:
    """The text of a bundled rubric, or of a file, that an option names, as people read it.

    Raises: UsageError when it cannot be read.
    """
    try:
        return _for_people(bundled_rubrics().get(path, Path(path)).read_text("utf-8"), path)
    except (OSError, UnicodeDecodeError) as exc:
        problem = Problem(f"cannot be read: {exc}", file=path)
        raise UsageError(str(problem), [problem]) from exc


def run_place(
    run: RunDirectory,
    *,
    outputs: Sequence[str] = (),
    rubric: str = "",
    seed: int | None = None,
) -> Place:
    """A run as the place of a review.

    Raises: UsageError when its filters have not finished.
    """
    recipe = locked_recipe(run)
    if run.done("filter") is None:
        problem = Problem(
            "no rows to review yet", file=str(run.root), fix="Run it first: distill run RECIPE"
        )
        raise UsageError(str(problem), [problem])
    rows = [row for row in read_stage(run.stage("filter")) if row.status == "accepted"]
    source = run_source(recipe, run, rows, outputs=outputs, rubric=rubric, seed=seed)
    prompt = TaskPrompt.from_recipe(recipe)

    def write(merged: Merged) -> Version:
        return _write_run_version(recipe, run, prompt, rows, merged)

    def pair(made: Pair) -> DatasetRow:
        fields = made.fields
        good = prompt.conversation({**fields, **made.chosen})
        bad = prompt.conversation({**fields, **made.rejected})
        return DatasetRow(
            id=made.id, prompt=good[:-1], chosen=good[-1:], rejected=bad[-1:], fields=fields
        )

    return Place(source, write, recipe.review or Review(), pair, run)


def locked_recipe(run: RunDirectory) -> Recipe:
    """The recipe that a run was made with."""
    lock = run.read_json("lock.json")
    recipe = Recipe.model_validate(lock["recipe"])
    recipe._source = lock.get("source") or ""
    return recipe


def run_source(
    recipe: Recipe,
    run: RunDirectory,
    rows: Sequence[Row],
    *,
    outputs: Sequence[str] = (),
    rubric: str = "",
    seed: int | None = None,
) -> Source:
    """The accepted rows of a run as rows under review."""
    task = recipe.task
    names = list(outputs) or [task.output]
    fields = []
    for name in names:
        values = [row.fields[name] for row in rows if row.fields.get(name) is not None]
        fields.append(field_of(name, values, _allowed(recipe) if name == task.output else None))
    needs = sorted(TaskPrompt.from_recipe(recipe).needs)
    first = tuple(dict.fromkeys([task.input, *needs, *names]))
    asked = teacher_prompt(recipe)
    teacher = recipe.teachers[asked[0]].model or asked[0] if asked else None
    return Source(
        name=recipe.name,
        folder=run.root / "review",
        rows={row.id: row.fields for row in rows},
        schema=Schema(tuple(fields), rubric or _rubrics(recipe)),
        first=first,
        blind=tuple(name for name in dict.fromkeys([task.input, *needs]) if name not in names),
        teacher=f"teacher:{teacher}" if teacher else None,
        verdicts={row.id: Doubtable(row.id, row.fields, row.verdicts) for row in rows},
        thresholds=_thresholds(recipe),
        seed=recipe.seed if seed is None else seed,
        input=task.input,
    )


def _allowed(recipe: Recipe) -> list[Any] | None:
    match recipe.task:
        case ClassifyTask(labels=labels):
            return list(labels)
        case JudgeAbsoluteTask(scale=Scale(min=low, max=high)) if high - low < 30:
            return list(range(low, high + 1))
        case JudgeAbsoluteTask(scale=list() as scale) | JudgePairwiseTask(scale=scale):
            return list(scale)
    return None


def _rubrics(recipe: Recipe) -> str:
    """The rubrics that the recipe's judges go by: people should go by the same."""
    found = []
    for spec in recipe.filter:
        rubric = getattr(spec, "rubric", None)
        if isinstance(rubric, str):
            try:
                found.append(_for_people(rubric_source(recipe, rubric), rubric))
            except RecipeError:
                continue  # the file went away after the run; the reviewers do without it
    return "\n\n".join(dict.fromkeys(found))


def _for_people(source: str, name: str) -> str:
    """A rubric without the lines for programs, where it is one; any other text as it is."""
    try:
        return told(source, name)
    except RecipeError:
        return source


def _thresholds(recipe: Recipe) -> dict[str, float]:
    """Filter -> the value that its scores are compared with."""
    found: dict[str, float] = {}
    for spec in recipe.filter:
        for key in ("min", "similarity", "max"):
            value = getattr(spec, key, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(spec.kind, float(value))
    return found


def _write_run_version(
    recipe: Recipe, run: RunDirectory, prompt: TaskPrompt, rows: Sequence[Row], merged: Merged
) -> Version:
    before = {
        row.id: name
        for name in ("train", "val")
        if (run.dataset / f"{name}.jsonl").is_file()
        for row in read_dataset(run.dataset, name)
    }
    parts: dict[str, list[Row]] = {"train": []}
    if "val" in before.values():
        parts["val"] = []
    verdicts = {row.id: row for row in rows}
    shape = shape_of(recipe)
    rejected = []
    for row in merged.rows:
        if row.kept:
            split = before.get(row.id, "train")
            parts[split].append(Row(row.id, row.after))
        else:
            why = f"review_{row.resolution.outcome}"
            old = verdicts[row.id]
            rejected.append(Row(row.id, row.before, "rejected", why, None, old.verdicts))
    counts = {name: len(part) for name, part in parts.items()}
    learnt = {**parts, "train": learnt_rows(recipe, parts["train"], prompt)}
    splits = {
        name: [dataset_row(shape, prompt, row) for row in part] for name, part in learnt.items()
    }
    copies = len(learnt["train"]) - counts["train"]
    totals = read_totals(run.ledger)
    facts = facts_of(recipe, run, totals, counts, rejected, reviewed=True, copies=copies)
    card = dataset_card(facts)
    parent = _newest(run.dataset)
    write_dataset(run.dataset, splits, rejected, card)
    return _version(run.dataset, parent, None)


def _version(folder: Path, before: int | None, made: int | None) -> Version:
    """The version that lies there now; one that was written again has the parent that it had."""
    number = _newest(folder) or 1
    return Version(number, before if number != before else number - 1 or made, folder)


def _newest(folder: Path) -> int | None:
    """The number of the version that lies in the folder itself, None where there is none."""
    if not (folder / "train.jsonl").is_file():
        return None
    numbers = [int(p.name) for p in (folder / "versions").glob("*") if p.name.isdigit()]
    return max(numbers, default=0) + 1


def file_place(found: FileSource) -> Place:
    """A dataset file as the place of a review; its versions lie in FILE.review/dataset/."""

    def write(merged: Merged) -> Version:
        return _write_file_version(found, merged)

    def pair(made: Pair) -> DatasetRow:
        names = sorted({*made.chosen, *made.rejected})
        show = {name: value for name, value in made.fields.items() if name not in names}
        asked = canonical_json(show) if len(show) != 1 else _text(next(iter(show.values())))
        return DatasetRow(
            id=made.id,
            prompt=(Message("user", asked),),
            chosen=(Message("assistant", _answer(made.chosen)),),
            rejected=(Message("assistant", _answer(made.rejected)),),
            fields=made.fields,
        )

    return Place(found.source, write, Review(rows=max(1, len(found.records))), pair)


def _write_file_version(found: FileSource, merged: Merged) -> Version:
    folder = found.source.folder / "dataset"
    records = [
        found.rebuild(found.records[row.id], row.resolution.edits)
        for row in merged.rows
        if row.kept
    ]
    gone = [
        {
            **found.records[row.id],
            "review": row.resolution.outcome,
            "tags": list(row.resolution.tags),
        }
        for row in merged.rows
        if not row.kept
    ]
    text = _jsonl(records)
    parent = _newest(folder) or 0
    current = folder / "train.jsonl"
    if parent and current.read_text("utf-8") != text:
        kept = folder / "versions" / str(parent) / "train.jsonl"
        if not kept.is_file():
            with atomic_file(kept) as file:
                file.write(current.read_text("utf-8"))
    for name, content in (("rejected.jsonl", _jsonl(gone)), ("train.jsonl", text)):
        with atomic_file(folder / name) as file:
            file.write(content)
    return _version(folder, parent, 0)


def _jsonl(records: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f"{json.dumps(dict(record), ensure_ascii=False, allow_nan=False)}\n" for record in records
    )


def _answer(values: Mapping[str, Any]) -> str:
    return _text(next(iter(values.values()))) if len(values) == 1 else canonical_json(dict(values))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
