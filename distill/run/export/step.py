"""The step that writes the student to ship: the first seed's, merged, with its card."""

from pathlib import Path
from typing import Any

from distill.export.stage import export
from distill.export.weights import CHECKED_ROWS
from distill.recipe.hosted import hosted_config
from distill.recipe.prompts import student_prompt
from distill.recipe.schema import Export, Recipe
from distill.rows.dataset import DatasetRow, read_dataset
from distill.rows.row import digest
from distill.run.context import Context, Outcome
from distill.run.directory import Done, RunDirectory
from distill.run.fingerprint import model_fingerprint
from distill.run.keys import FORMAT, Sources, recipe_hash
from distill.run.lock import package_versions
from distill.run.models.answering import answer_tokens
from distill.run.models.hosted import hosted_models
from distill.run.rows.finished import texts_of


def export_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the exported folder depends on beside the trained student."""
    spec = recipe.export or Export()
    return {
        "format": FORMAT,
        "export": spec.model_dump(mode="json"),
        "prompt": student_prompt(recipe).as_dict(),
    }


def export_step(context: Context) -> Outcome:
    """Writes the run's student/ folder."""
    from distill.run.report import build_report

    recipe, directory = context.recipe, context.directory
    trained = directory.done("train")
    assert trained is not None
    student = recipe.student
    assert student is not None
    models, hosted = trained.details["models"], _hosted(recipe, trained)
    lineage = {
        "name": recipe.name,
        "recipe_hash": recipe_hash(recipe),
        "seed": recipe.seed,
        "base": None if hosted else directory.model(models["student_before"][0]),
        "model": student.model,
        "method": student.method,
        "kind": student.kind,
        "signal": _signal(recipe),
        "trust_remote_code": student.trust_remote_code,
        "teachers": [
            {"name": name, "model": config.model or getattr(config, "recipe", None)}
            for name, config in recipe.teachers.items()
        ],
        "versions": package_versions(),
        "max_tokens": answer_tokens(recipe),
        "hosted": hosted,
        "report": build_report(context),
    }
    made = export(
        None if hosted else Path(directory.model(models["student"][0])),
        directory.student,
        recipe.export or Export(),
        student_prompt(recipe).as_dict(),
        lineage,
        ["\n\n".join(texts_of(row)) for row in _some_rows(directory)],
    )
    return Outcome(
        digest(hosted or model_fingerprint(str(directory.student))),
        {},
        {"merged": made.merged is not None, "files": made.files},
    )


def _hosted(recipe: Recipe, trained: Done) -> dict[str, Any] | None:
    """How the student is asked where a service serves it; None for one that was trained here."""
    names = hosted_models(trained)
    if not names or recipe.student is None:
        return None
    config = hosted_config(recipe.student, names["student"], answer_tokens(recipe))
    return config.model_dump(mode="json", exclude_unset=True)


def _some_rows(directory: RunDirectory) -> list[DatasetRow]:
    """Rows that the student was trained on: a merge is compared on what it will be used for."""
    return read_dataset(directory.dataset, "train")[:CHECKED_ROWS]


def _signal(recipe: Recipe) -> str | None:
    """What the student learnt from, in a few words."""
    train = recipe.train
    if train is None or train.objective != "distill":
        return train.objective if train else None
    if recipe.student is not None and recipe.student.kind == "classifier":
        return "labels, and the teacher's share of each where the rows tell it"
    words = {
        "text": "the teacher's texts",
        "dense": f"every token's probability ({train.loss.kind})",
    }
    return words.get(train.signal.kind, f"the signal {train.signal.kind} ({train.loss.kind})")
