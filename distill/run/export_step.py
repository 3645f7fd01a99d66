"""The step that writes the student to ship: the first seed's, merged, with its card."""

from pathlib import Path
from typing import Any

from distill.export.stage import export
from distill.recipe.prompts import student_prompt
from distill.recipe.schema import Export, Recipe
from distill.rows.row import digest
from distill.run.context import Context, Outcome
from distill.run.evaluate_step import answer_tokens
from distill.run.fingerprint import model_fingerprint
from distill.run.keys import FORMAT, Sources, recipe_hash
from distill.run.lock import package_versions


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
    lineage = {
        "name": recipe.name,
        "recipe_hash": recipe_hash(recipe),
        "seed": recipe.seed,
        "base": directory.model(trained.details["models"]["student_before"][0]),
        "model": student.model,
        "method": student.method,
        "kind": student.kind,
        "trust_remote_code": student.trust_remote_code,
        "teachers": [
            {"name": name, "model": config.model or getattr(config, "recipe", None)}
            for name, config in recipe.teachers.items()
        ],
        "versions": package_versions(),
        "max_tokens": answer_tokens(recipe),
        "report": build_report(context),
    }
    made = export(
        Path(directory.model(trained.details["models"]["student"][0])),
        directory.student,
        recipe.export or Export(),
        student_prompt(recipe).as_dict(),
        lineage,
    )
    return Outcome(
        digest(model_fingerprint(str(directory.student))),
        {},
        {"merged": made.merged is not None, "files": made.files},
    )
