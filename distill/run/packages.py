"""Says before anything is paid which packages a run will need."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.export.gguf import find_converter
from distill.recipe.check_filter_files import embedding_models
from distill.recipe.files import locate
from distill.recipe.forgetting import suite_of
from distill.recipe.hosted import is_hosted
from distill.recipe.schema import Recipe
from distill.recipe.student import BuildTokenizer
from distill.run.context import Context
from teachers.config import LocalTeacher

EXTRAS = {
    "train": ("torch", "transformers", "accelerate"),
    "evaluate": ("numpy", "scipy", "sklearn", "statsmodels"),
    "lang": ("py3langid",),
    "semantic": ("model2vec", "numpy"),
    "lm-eval": ("lm_eval",),
    "ray": ("ray", "pandas"),
}
OF_FILTERS = {
    "language": "lang", "semantic_duplicate": "semantic", "outlier": "semantic",
    "quality": "evaluate", "label_noise": "evaluate", "classifier": "train",
}  # fmt: skip
"""Filter -> the extra that it needs."""


def needed_extras(recipe: Recipe, stages: Iterable[str]) -> list[str]:
    """Names of the extras that these stages of the recipe use."""
    wanted = set(stages)
    extras = set()
    local = any(isinstance(config, LocalTeacher) for config in recipe.teachers.values())
    if local and wanted & {"generate", "signals", "train", "evaluate"}:
        extras.add("train")
    if (
        recipe.student
        and not is_hosted(recipe)
        and wanted & {"signals", "train", "evaluate", "export"}
    ):
        extras.add("train")
    if "evaluate" in wanted:
        extras.add("evaluate")
        suite = suite_of(recipe.evaluate.forgetting) if recipe.evaluate else None
        if suite and suite.tasks:
            extras.add("lm-eval")
        if recipe.evaluate and recipe.evaluate.retrieval.model:
            extras.add("semantic")
    if wanted & {"generate", "filter"}:
        extras |= {OF_FILTERS[spec.kind] for spec in recipe.filter if spec.kind in OF_FILTERS}
        if any(embedding_models(spec) for spec in recipe.filter):
            extras.add("semantic")
    if recipe.run.engine == "ray" and wanted & {"generate", "filter", "signals"}:
        extras.add("ray")
    return sorted(extras, reverse=True)


def require_extras(recipe: Recipe, stages: Sequence[str]) -> None:
    """Checks that every package is there.

    Raises: PrerequisiteError with the exact line to type.
    """
    if recipe.export and "gguf" in recipe.export.formats and "export" in stages:
        find_converter()  # not after days of training
    extras = needed_extras(recipe, stages)
    missing = [name for extra in extras for name in EXTRAS[extra] if find_spec(name) is None]
    trains = bool(set(stages) & {"train", "evaluate", "export"})
    if trains and recipe.train and recipe.train.deepspeed and find_spec("deepspeed") is None:
        missing.append("deepspeed")
    method = recipe.student.method if recipe.student and trains else None
    if method in ("lora", "qlora") and find_spec("peft") is None:
        missing.append("peft")
    if method == "qlora":
        if find_spec("bitsandbytes") is None:
            missing.append("bitsandbytes")
            extras = [*extras, "quant"]
        elif not missing:
            _require_gpu(recipe)
    if not missing:
        return
    line = f"pip install 'distill-kit[{','.join(extras)}]'"
    problem = Problem(
        file=recipe._source,
        found=f"this run needs packages that are not installed: {', '.join(sorted(set(missing)))}",
        fix=f"Type: {line}",
    )
    raise PrerequisiteError(str(problem), [problem])


def _require_gpu(recipe: Recipe) -> None:
    import torch

    if torch.cuda.is_available():
        return
    problem = Problem(
        file=recipe._source,
        line=recipe._lines.get("student.method"),
        key="student.method",
        found="qlora needs a CUDA GPU, and torch sees none here",
        allowed="lora, full",
        fix="Set student.method: lora, or run where there is a GPU.",
    )
    raise PrerequisiteError(str(problem), [problem])


def require_launcher(hostfile: Path) -> None:
    """Checks that a hostfile can be read and that several machines can be reached.

    Raises: DataError, PrerequisiteError with the line to type.
    """
    from distill.train.launch import read_hostfile

    missing = None
    if find_spec("deepspeed") is None:
        missing = "the package deepspeed", "pip install 'distill-kit[train]'"
    elif len(read_hostfile(hostfile)) > 1 and which("pdsh") is None:
        missing = "the program pdsh", "apt-get install pdsh (on every machine)"
    if missing is not None:
        problem = Problem(
            found=f"training on several machines needs {missing[0]}",
            file=str(hostfile),
            key="--hostfile",
            fix=f"Type: {missing[1]}",
        )
        raise PrerequisiteError(str(problem), [problem])


def tokenizer_source(context: Context) -> str | None:
    """Folder or hub id of the student's tokenizer, None where it is trained on the dataset."""
    student = context.recipe.student
    assert student is not None
    match student.tokenizer:
        case BuildTokenizer():
            return None
        case str() as name if name in context.sources:
            return context.sources[name]
        case str() as ref:
            return str(locate(context.recipe, ref))
    return model_source(context)


def model_source(context: Context) -> str:
    """Folder or hub id of the student's weights."""
    student = context.recipe.student
    assert student is not None
    assert student.model is not None
    return local_or_hub(context.recipe, student.model)


def local_or_hub(recipe: Recipe, ref: str) -> str:
    """A folder relative to the recipe where there is one, else the reference itself (a hub id)."""
    folder = Path(recipe._source).parent / ref
    return str(folder.resolve()) if folder.is_dir() else ref


def student_tokenizer(context: Context) -> Any:
    """The student's tokenizer, for filters that count its tokens.

    Raises: PrerequisiteError where its package is missing or it does not exist before training.
    """
    source = tokenizer_source(context)
    if source is None:
        problem = Problem(
            file=context.recipe._source,
            key="filter",
            found="a filter counts tokens of a tokenizer that is only trained on the filtered rows",
            fix="Count words or characters, or give the student an existing tokenizer.",
        )
        raise PrerequisiteError(str(problem), [problem])
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source)
