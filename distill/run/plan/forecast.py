"""How much memory and disk a recipe's training takes, from the shapes of its models alone."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.plan.memory import (
    STAGES,
    Setting,
    Stage,
    by_stage,
    gib,
    training_memory,
    weights_memory,
)
from distill.plan.shape import Shape, shape_of, shipped_config
from distill.recipe.files import locate
from distill.recipe.load import load_recipe
from distill.recipe.schema import Recipe
from distill.recipe.student import Student
from distill.recipe.training import Train
from distill.run.models.local import signal_teacher
from distill.run.packages import local_or_hub
from distill.train.defaults import rows_at_once
from teachers.config import LocalTeacher


def model_shape(recipe: Recipe, model: str) -> Shape | None:
    """The shape of a folder or hub id; None where its configuration cannot be read.

    A hub id is looked for among the models that ship as data, then in the hub's own cache.
    """
    config = model_config(recipe, model)
    return shape_of(config) if config else None


def model_config(recipe: Recipe, model: str) -> Mapping[str, Any] | None:
    """The configuration of a folder or hub id, without asking anybody."""
    source = local_or_hub(recipe, model)
    if (path := Path(source) / "config.json").is_file():
        return _json(path)
    if (found := shipped_config(model)) is not None:
        return found
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        cached = try_to_load_from_cache(model, "config.json")
    except ValueError:  # no name of the hub's
        return None
    return _json(Path(cached)) if isinstance(cached, str) else None


def student_config(recipe: Recipe) -> Mapping[str, Any] | None:
    """The configuration of the recipe's student; None where it cannot be read."""
    student = recipe.student
    if student is None:
        return None
    if student.model is not None:
        return model_config(recipe, student.model)
    if isinstance(student.config, str):
        return _json(locate(recipe, student.config))
    return with_vocabulary(recipe, student) if student.config else None


def with_vocabulary(recipe: Recipe, student: Student) -> dict[str, Any]:
    """The mapping of a fresh student, with the size of its tokenizer where it names none."""
    config: dict[str, Any] = dict(student.config) if isinstance(student.config, dict) else {}
    size = getattr(student.tokenizer, "bpe", None)
    if "vocab_size" not in config and isinstance(student.tokenizer, str):
        teacher = recipe.teachers.get(student.tokenizer)
        if isinstance(teacher, LocalTeacher) and teacher.recipe:
            made = load_recipe(locate(recipe, teacher.recipe)).student
            size = getattr(made.tokenizer, "bpe", None) if made else None
        else:
            model = teacher.model if isinstance(teacher, LocalTeacher) else student.tokenizer
            other = model_config(recipe, model) if model else None
            size = other.get("vocab_size") if other else None
    return {"vocab_size": size, **config} if size else config


def setting_of(recipe: Recipe, *, processes: int, gpu: bool) -> Setting:
    """How the recipe's student is trained, as the forecast needs it."""
    student, train = recipe.student, recipe.train or Train()
    given = train.deepspeed
    zero: Mapping[str, Any] = given.get("zero_optimization", {}) if isinstance(given, dict) else {}
    if isinstance(given, str) and given.endswith(".json"):
        zero = (_json(locate(recipe, given)) or {}).get("zero_optimization", {})
    stage: Stage = "none"
    if given is not None:
        named = (
            given if isinstance(given, str) and given in STAGES else f"zero{zero.get('stage', 0)}"
        )
        stage = next((one for one in STAGES if one == named), "zero0")
    lora = student.lora if student else None
    share = max(1, train.batch // processes)
    targets = lora.target_modules if lora else "all-linear"
    method = student.method if student and student.method in ("lora", "qlora") else "full"
    return Setting(
        method="qlora" if method == "qlora" else "lora" if method == "lora" else "full",
        rank=lora.r if lora else 16,
        targets=targets if isinstance(targets, str) else tuple(targets),
        stage=stage,
        devices=processes,
        rows=train.micro_batch or rows_at_once(share, cpu=not gpu),
        length=train.max_length,
        checkpointing=bool(train.trainer.get("gradient_checkpointing")),
        signal=train.signal.kind,
        k=getattr(train.signal, "k", 64),
        offload_optimizer=bool(zero.get("offload_optimizer")),
        offload_weights=bool(zero.get("offload_param")),
        half=gpu,
    )


def memory_forecast(recipe: Recipe, *, processes: int = 1, gpu: bool = True) -> dict[str, Any]:
    """`gpu_memory` of `distill estimate`; sizes in bytes, on one device.

    A part that cannot be worked out is null, and `why` says so.
    """
    found: dict[str, Any] = {"student": None, "by_stage": None, "teachers": {}, "why": []}
    shapes = {
        name: model_shape(recipe, config.model)
        for name, config in recipe.teachers.items()
        if isinstance(config, LocalTeacher) and config.model
    }
    for name, shape in shapes.items():
        if shape is None:
            found["why"].append(f"teachers.{name}: its configuration cannot be read here")
            continue
        sizes = {"bf16": weights_memory(shape, 16), "4bit": weights_memory(shape, 4)}
        found["teachers"][name] = {"parameters": shape.parameters, **sizes}
    if recipe.student is None or recipe.train is None:
        return found
    config = student_config(recipe)
    shape = shape_of(config) if config else None
    if shape is None:
        found["why"].append("student: its configuration cannot be read here")
        return found
    setting = setting_of(recipe, processes=processes, gpu=gpu)
    live = signal_teacher(recipe) if setting.signal == "dense" else None
    beside = shapes.get(live) if live else None
    bits = 4 if live and getattr(recipe.teachers[live], "quantize", None) else 16
    memory = training_memory(shape, setting, beside, bits)
    found["student"] = {
        "parameters": shape.parameters,
        "setting": {name: getattr(setting, name) for name in SHOWN},
        **memory.as_dict(),
    }
    found["by_stage"] = by_stage(shape, setting, beside, bits)
    return found


SHOWN = ("method", "stage", "devices", "rows", "length", "checkpointing", "signal")


def disk_forecast(recipe: Recipe) -> int | None:
    """Bytes that two checkpoints and the student take; None where the shape is not known."""
    config = student_config(recipe)
    shape = shape_of(config) if config else None
    if shape is None or recipe.student is None:
        return None
    if recipe.student.method in ("lora", "qlora"):
        targets = recipe.student.lora.target_modules
        adapter = shape.lora(recipe.student.lora.r, targets)
        return 2 * 12 * adapter + 4 * adapter + 2 * shape.parameters
    # Weights and two moments in float32, twice, and the student beside its export.
    return (2 * 12 + 2 * 4) * shape.parameters


def free_disk(folder: Path) -> int:
    """Bytes free where a run's folder lies or will lie."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def forecast_text(found: Mapping[str, Any]) -> str:
    """The forecast for people."""
    lines = []
    if student := found["student"]:
        setting = student["setting"]
        lines.append(
            f"GPU memory: {gib(student['total'])} on each of {setting['devices']} for "
            f"{_count(student['parameters'])} parameters, {setting['method']}, "
            f"{setting['rows']} rows of {setting['length']} tokens at a time"
        )
        parts = ("weights", "gradients", "optimizer", "activations", "head", "teacher")
        lines.append("  " + ", ".join(f"{name} {gib(student[name])}" for name in parts))
        stages = ", ".join(f"{name} {gib(size)}" for name, size in found["by_stage"].items())
        lines.append(f"  by stage: {stages}")
    for name, teacher in found["teachers"].items():
        sizes = f"{gib(teacher['bf16'])} in bf16, {gib(teacher['4bit'])} in 4 bits"
        lines.append(f"teacher {name}: {_count(teacher['parameters'])} parameters, {sizes}")
    return "\n".join([*lines, *found["why"]]) or "nothing is trained and no teacher is local"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f}B" if parameters >= 1e8 else f"{parameters / 1e6:.2f}M"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
