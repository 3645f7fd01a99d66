"""Checks what filters name outside the recipe: teachers, rubrics, files, models, functions."""

from distill.errors import RecipeError
from distill.recipe.bundled_rubrics import rubric_source
from distill.recipe.check_fields import known_teacher
from distill.recipe.files import locate, missing_folder, names_a_file
from distill.recipe.filtering import (
    ClassifierFilter,
    CompleteFilter,
    CustomFilter,
    FilterSpec,
    JudgeFilter,
    QualityFilter,
    VerifyFilter,
    asks,
)
from distill.recipe.findings import Findings
from distill.recipe.rubrics import read_rubric
from distill.recipe.schema import Recipe


def check_filter_files(recipe: Recipe, key: str, spec: FilterSpec, findings: Findings) -> None:
    """Notes what a filter names and there is not; no model is loaded and no function called."""
    if (teacher := asks(spec)) is not None:
        known_teacher(recipe, f"{key}.ask", teacher, findings)
    match spec:
        case JudgeFilter():
            _rubric(recipe, key, spec.rubric, spec.min, findings)
        case CompleteFilter(rubric=str() as rubric):
            _rubric(recipe, key, rubric, spec.min, findings)
        case QualityFilter(file=str() as file):
            _file(recipe, f"{key}.file", file, findings)
        case QualityFilter() if recipe.review is None:
            fix = "Give a file of rows that people looked at, or a review."
            findings.add(key, "nobody approves rows in this recipe", None, fix)
        case VerifyFilter(python=str() as function) | CustomFilter(python=function):
            _function(recipe, f"{key}.python", function, findings)
    for name, model in embedding_models(spec):
        if missing_folder(recipe, model):
            findings.add(f"{key}.{name}", f"no folder {model!r}")
    if isinstance(spec, ClassifierFilter) and missing_folder(recipe, spec.model):
        findings.add(f"{key}.model", f"no folder {spec.model!r}")


def embedding_models(spec: FilterSpec) -> list[tuple[str, str]]:
    """The options of a filter that name a static embedding model, with its folder or hub id."""
    if spec.kind in ("semantic_duplicate", "outlier", "quality", "label_noise"):
        model = getattr(spec, "model", None)
        return [("model", model)] if model else []
    semantic = getattr(spec, "semantic", None)
    return [("semantic", semantic)] if semantic else []


def _rubric(
    recipe: Recipe, key: str, ref: str, least: float | str | None, findings: Findings
) -> None:
    try:
        text = rubric_source(recipe, ref)
        name = str(locate(recipe, ref.strip())) if names_a_file(ref) else f"{key}.rubric"
        rubric = read_rubric(text, name)
    except RecipeError as error:
        findings.add_error(f"{key}.rubric", error)
        return
    try:
        if least is not None:
            rubric.score_of(least)
    except ValueError:
        findings.add(f"{key}.min", f"{least!r} is off the rubric's scale", ", ".join(rubric.steps))


def _file(recipe: Recipe, key: str, ref: str, findings: Findings) -> None:
    try:
        locate(recipe, ref)
    except RecipeError as error:
        findings.add_error(key, error)


def _function(recipe: Recipe, key: str, ref: str, findings: Findings) -> None:
    place, _, name = ref.rpartition(":")
    if not place or not name.isidentifier():
        allowed = "package.module:function or file.py:function"
        findings.add(key, f"{ref!r} names no function", allowed)
    elif place.endswith(".py"):
        _file(recipe, key, place, findings)
