"""Loads local teachers where training needs their hidden states."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from distill.recipe.schema import Recipe
from distill.recipe.signal_source import signal_source
from distill.run.models.served_scorer import Run, ServedScorer, prompt_server
from teachers.config import LocalTeacher, OpenAITeacher

if TYPE_CHECKING:
    from distill.capture.metering import Meter
    from teachers.local_model import LocalModel


def signal_teacher(recipe: Recipe) -> str | None:
    """The teacher that gives the training signal: the named one, else the only local one."""
    signal = recipe.train.signal if recipe.train else None
    named: str | None = getattr(signal, "from_", None)
    local = [name for name, config in recipe.teachers.items() if isinstance(config, LocalTeacher)]
    return named or (local[0] if len(local) == 1 else None)


def teacher_plan(recipe: Recipe, sources: Mapping[str, str]) -> dict[str, Any] | None:
    """How the training process loads its teacher, as plain data; None without a live one."""
    if recipe.train is not None and recipe.train.signal.kind == "token" and recipe.train.on_policy:
        source = signal_source(recipe)
        assert source is not None  # `check` refuses a recipe that names none
        config = recipe.teachers[source.teacher]
        return {"served": source.teacher, "config": config.model_dump(mode="json")}
    if recipe.train is None or recipe.train.signal.kind != "dense":
        return None
    if recipe.student is not None and recipe.student.kind == "classifier":
        return None  # what its teacher thinks of the labels stands in the rows
    name = signal_teacher(recipe)
    assert name is not None
    return load_plan(recipe, sources, name)


def load_plan(recipe: Recipe, sources: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """How a local teacher is loaded, as plain data; None for one that is not local."""
    config = recipe.teachers[name]
    if not isinstance(config, LocalTeacher):
        return None
    keys = {"dtype", "device_map", "revision", "trust_remote_code", "quantize"}
    return {"source": sources[name], **config.model_dump(mode="json", include=keys)}


def teacher_builder(
    plan: Mapping[str, Any] | None, run: Run = asyncio.run, meter: "Meter | None" = None
) -> "Callable[[], LocalModel | ServedScorer] | None":
    """A function that loads the teacher, which the trainer calls at the right moment.

    `run` and `meter` serve a teacher behind a server: how it is awaited, and what it may cost.
    """
    if plan is None:
        return None
    if "served" in plan:
        server = prompt_server(OpenAITeacher.model_validate(plan["config"]))
        return lambda: ServedScorer(server, run, meter)

    def build() -> "LocalModel":
        from teachers.local_model import LocalModel

        return LocalModel.load(**plan)

    return build
