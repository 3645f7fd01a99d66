"""lock.json: the resolved recipe and everything that a reader needs to tell two runs apart."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distill.recipe.bundled_rubrics import rubric_source
from distill.recipe.files import text_of
from distill.recipe.generation import AskField, RenderField
from distill.recipe.schema import Recipe
from distill.rows.row import digest
from distill.run.keys import data_digest, recipe_hash
from teachers.prices import price_of

PACKAGES = (
    "distill-kit", "accelerate", "datasets", "deepspeed", "openai", "peft", "pyarrow", "pydantic",
    "rensa", "scikit-learn", "statsmodels", "tokenizers", "torch", "transformers",
)  # fmt: skip


def lock(recipe: Recipe) -> dict[str, Any]:
    """The content of lock.json. Holds names of environment variables, never their values."""
    return {
        "recipe": recipe.as_dict(),
        "recipe_hash": recipe_hash(recipe),
        "source": recipe._source,
        "seed": recipe.seed,
        "prompts": prompt_hashes(recipe),
        "data": {
            name: data_digest(recipe, name) for name in ("seeds", "pool", "documents", "gold")
        },
        "prices": {
            name: price.model_dump() if (price := price_of(config)) else None
            for name, config in recipe.teachers.items()
        },
        "versions": {"python": platform.python_version(), **package_versions()},
    }


def prompt_hashes(recipe: Recipe) -> dict[str, str]:
    """Field -> hash of its prompt or template."""
    texts: dict[str, str] = {}
    for name, spec in (recipe.generate.fields if recipe.generate else {}).items():
        if isinstance(spec, AskField):
            texts[name] = digest(text_of(recipe, spec.prompt))
        elif isinstance(spec, RenderField):
            texts[name] = digest(text_of(recipe, spec.render))
    for judging in recipe.filter:
        if rubric := getattr(judging, "rubric", None):
            texts[f"filter.{judging.kind}"] = digest(rubric_source(recipe, rubric))
    return texts


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run does, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
