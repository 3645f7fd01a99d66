"""Stage keys: what a stage depends on, as a hash. A stage whose key is unchanged is not done again.

Excluded on purpose: prices, concurrency, rate limits, addresses and keys of teachers, the budget,
and how a stage is carried out. Answers are never part of a key: they come from the store.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distill.generate.sources import run_folder
from distill.recipe.bundled_rubrics import rubric_source
from distill.recipe.check_filter_files import embedding_models
from distill.recipe.check_training import ZERO_STAGES
from distill.recipe.files import folder_of, locate, text_of
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
from distill.recipe.forgetting import suite_of
from distill.recipe.functions import load_function, source_of
from distill.recipe.generation import (
    OWN_SOURCES,
    TOOLS,
    ActField,
    AskField,
    PythonField,
    RenderField,
    SampleField,
)
from distill.recipe.hosted import is_hosted
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import signal_source
from distill.recipe.task import ClassifyTask
from distill.rows.answers import read_failures
from distill.rows.row import digest
from distill.run.fingerprint import model_fingerprint
from distill.run.packages import local_or_hub
from teachers.config import LocalTeacher
from teachers.prices import price_of

FORMAT = 1
"""Raise it when a stage's output for the same key would change."""

TRANSPORT = {
    "concurrency", "rpm", "tpm", "price", "timeout_s", "warm_up_s", "mode", "batch_tokens",
    "base_url", "api_key_env", "headers_env", "latency_s", "device_map",
}  # fmt: skip


SHOWN = {"prompt", "system", "completion", "answer_pattern", "augment"}
"""Of the task: how the student meets it. Generation does not depend on this."""

Sources = Mapping[str, str]
"""Local teacher -> the folder or hub id that it is loaded from."""


def teacher_settings(recipe: Recipe, name: str, sources: Sources) -> dict[str, Any]:
    """What decides a teacher's answers, without how it is reached."""
    config = recipe.teachers[name]
    settings = {
        key: value for key, value in config.model_dump(mode="json").items() if key not in TRANSPORT
    }
    if isinstance(config, LocalTeacher) and name in sources:
        # A teacher that was trained again is another one, though it lies in the same folder.
        settings["weights"] = model_fingerprint(sources[name])
    return settings


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder by relative name."""
    if path.is_dir():
        names = sorted(p for p in path.rglob("*") if p.is_file())
        return digest([[str(p.relative_to(path)), file_digest(p)] for p in names])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digest(recipe: Recipe, name: str) -> str | None:
    """Hash of one of the recipe's data files, None where it names none."""
    ref = getattr(recipe.data, name)
    return file_digest(locate(recipe, ref)) if ref else None


def _field(recipe: Recipe, spec: Any) -> dict[str, Any]:
    plain: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    match spec:
        case AskField():
            plain["prompt"] = text_of(recipe, spec.prompt)
        case RenderField():
            plain["render"] = text_of(recipe, spec.render)
        case SampleField(sample="failures", run=str() as run):
            plain["failures"] = digest(read_failures(run_folder(recipe, run)))
        case SampleField(sample=str() as source) if source not in OWN_SOURCES:
            plain["sample"] = file_digest(locate(recipe, source))
        case PythonField(python=ref):
            plain["source"] = digest(source_of(load_function(recipe, ref, "generate.fields")))
        case ActField(tools=tools):
            plain["sources"] = {
                name: digest(source_of(load_function(recipe, what, "generate.fields")))
                for name, what in tools.items()
                if what not in TOOLS
            }
    return plain


def asked_teachers(recipe: Recipe) -> list[str]:
    """Names of the teachers that generation asks, in order of first use."""
    fields = recipe.generate.fields.values() if recipe.generate else ()
    names = [spec.ask for spec in fields if isinstance(spec, AskField | PythonField) and spec.ask]
    return list(dict.fromkeys(names))


def generate_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What generation depends on; with a target, also on the filters that decide what counts."""
    assert recipe.generate is not None
    plain = recipe.generate.model_dump(mode="json", exclude={"fields", "max_failed", "ask"})
    plain["probed"] = data_digest(recipe, "gold") if recipe.generate.probe else None
    # Not a mapping: the order of fields decides which of them a prompt may name.
    plain["fields"] = [
        [name, _field(recipe, spec)] for name, spec in recipe.generate.fields.items()
    ]
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "task": recipe.task.model_dump(mode="json", by_alias=True, exclude=SHOWN),
        "generate": plain,
        "data": {name: data_digest(recipe, name) for name in ("seeds", "pool", "documents")},
        "teachers": {
            name: teacher_settings(recipe, name, sources) for name in asked_teachers(recipe)
        },
        "filter": filter_slice(recipe, sources) if recipe.generate.accept else None,
    }


def filter_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the verdicts depend on beside the candidates."""
    return {
        "format": FORMAT,
        "filter": [_filter(recipe, spec, sources) for spec in recipe.filter],
        "gold": data_digest(recipe, "gold"),
        "student": recipe.student.model_dump(mode="json")
        if recipe.student and _counts_tokens(recipe.filter)
        else None,
    }


def _filter(recipe: Recipe, spec: FilterSpec, sources: Sources) -> dict[str, Any]:
    """A filter's options with what the files, models and teachers that they name hold."""
    plain: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    match spec:
        case JudgeFilter() | CompleteFilter(rubric=str()):
            plain["rubric"] = rubric_source(recipe, str(spec.rubric))
        case QualityFilter(file=str() as file):
            plain["file"] = file_digest(locate(recipe, file))
        case VerifyFilter(python=str() as function) | CustomFilter(python=function):
            plain["python"] = [function, _source(recipe, function)]
        case ClassifierFilter():
            plain["model"] = model_fingerprint(local_or_hub(recipe, spec.model))
    for name, model in embedding_models(spec):
        plain[name] = model_fingerprint(local_or_hub(recipe, model))
    if (teacher := asks(spec)) is not None:
        plain["teacher"] = teacher_settings(recipe, teacher, sources)
    return plain


def _source(recipe: Recipe, function: str) -> str | None:
    """Hash of the file that holds a function, None for a module that is not beside the recipe."""
    place = function.rpartition(":")[0]
    name = place if place.endswith(".py") else f"{place.replace('.', '/')}.py"
    path = folder_of(recipe) / name
    return file_digest(path) if path.is_file() else None


def _counts_tokens(filters: Iterable[Any]) -> bool:
    return any(getattr(spec, "tokens", None) for spec in filters)


def split_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the dataset's files depend on."""
    split = recipe.split.model_dump(mode="json") if recipe.split else None
    return {"format": FORMAT, "seed": recipe.seed, "task": _task(recipe), "split": split}


def _task(recipe: Recipe) -> dict[str, Any]:
    task = recipe.task.model_dump(mode="json", by_alias=True)
    task["prompt"] = text_of(recipe, recipe.task.prompt) if recipe.task.prompt else None
    return task


def signals_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the captured signals depend on beside the dataset: teacher, settings, tokens."""
    student, train = recipe.student, recipe.train
    assert student is not None
    assert train is not None
    source = signal_source(recipe)
    assert source is not None
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "signal": train.signal.model_dump(mode="json", by_alias=True),
        "way": source.way,
        "temperature": train.loss.temperature,
        "teacher": teacher_settings(recipe, source.teacher, sources),
        "student": student.model_dump(mode="json", include={"model", "tokenizer"}),
        "weights": _student_weights(recipe),
        "labels": recipe.task.labels if isinstance(recipe.task, ClassifyTask) else None,
        "max_length": train.max_length,
        "own_tokenizer": sources.get(str(student.tokenizer))
        and model_fingerprint(sources[str(student.tokenizer)]),
    }


def train_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the students depend on beside the dataset."""
    assert recipe.student is not None
    assert recipe.train is not None
    evaluate = recipe.evaluate
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "student": recipe.student.model_dump(mode="json", exclude={"price", "hosted"}),
        "hosted": recipe.student.hosted.hyperparameters if is_hosted(recipe) else None,
        "weights": _student_weights(recipe),
        "labels": recipe.task.labels if isinstance(recipe.task, ClassifyTask) else None,
        "train": recipe.train.model_dump(
            mode="json", by_alias=True, exclude={"processes", "micro_batch"}
        ),
        "deepspeed": _deepspeed(recipe),
        "mix": [file_digest(locate(recipe, blend.data)) for blend in recipe.train.mix],
        # A classifier whose recipe names no signal takes what its rows hold.
        "signal_named": "signal" in recipe.train.model_fields_set
        if recipe.student.kind == "classifier"
        else None,
        "teachers": {
            name: teacher_settings(recipe, name, sources)
            for name in sources
            if name == recipe.student.tokenizer or recipe.train.signal.kind != "text"
        },
        "arms": sorted(evaluate.compare) if evaluate else [],
        "seeds": evaluate.seeds if evaluate else 1,
        "confident": evaluate.confident if evaluate else None,
        **({"shares": shares} if (shares := learning_shares(recipe)) else {}),
    }


def learning_shares(recipe: Recipe) -> list[float]:
    """Shares of the rows that students of their own are trained on."""
    return sorted(set(recipe.evaluate.learning_curve) - {1.0}) if recipe.evaluate else []


def _student_weights(recipe: Recipe) -> dict[str, str]:
    """Hashes of the folders and files that the student starts from."""
    student = recipe.student
    assert student is not None
    found = {}
    if student.model:
        found["model"] = model_fingerprint(local_or_hub(recipe, student.model))
    if isinstance(student.config, str):
        found["config"] = file_digest(locate(recipe, student.config))
    if isinstance(student.tokenizer, str) and student.tokenizer not in recipe.teachers:
        found["tokenizer"] = model_fingerprint(local_or_hub(recipe, student.tokenizer))
    return found


def _deepspeed(recipe: Recipe) -> str | None:
    """Hash of the file that holds DeepSpeed's settings, None where the recipe names none."""
    assert recipe.train is not None
    given = recipe.train.deepspeed
    if not isinstance(given, str) or given in ZERO_STAGES:
        return None
    return file_digest(locate(recipe, given))


def evaluate_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the figures depend on beside the students."""
    evaluate = recipe.evaluate
    asked = recipe.generate.fields.items() if recipe.generate else ()
    return {
        "format": FORMAT,
        "task": _task(recipe),
        "asked": {name: _field(recipe, spec) for name, spec in asked if isinstance(spec, AskField)},
        "evaluate": evaluate.model_dump(mode="json", exclude={"require"}) if evaluate else None,
        "gold": data_digest(recipe, "gold"),
        **_suite_files(recipe),
        **_shown_files(recipe),
        "price": recipe.student.model_dump(mode="json")["price"] if recipe.student else None,
        "prices": {
            name: price.model_dump() if (price := price_of(config)) else None
            for name, config in recipe.teachers.items()
        },
        "teachers": {name: teacher_settings(recipe, name, sources) for name in recipe.teachers},
    }


def _shown_files(recipe: Recipe) -> dict[str, str | None]:
    """Hashes of what baselines show, and of the other runs' students."""
    evaluate = recipe.evaluate
    found: dict[str, str | None] = {}
    if evaluate is None:
        return found
    if "few_shot" in evaluate.baselines:
        found["seeds"] = data_digest(recipe, "seeds")
    if {"retrieval", "react"} & set(evaluate.baselines):
        found["documents"] = data_digest(recipe, "documents")
        if (model := evaluate.retrieval.model) is not None:
            found["embeddings"] = model_fingerprint(local_or_hub(recipe, model))
    given = evaluate.against
    for name in [given] if isinstance(given, str) else given or ():
        for folder in (Path(name), Path(name) / "student", Path("runs") / name / "student"):
            if name not in recipe.teachers and (folder / "distill.json").is_file():
                found[f"against {name}"] = model_fingerprint(str(folder))
    return found


def _suite_files(recipe: Recipe) -> dict[str, str]:
    """Hashes of the files that the before/after suite reads."""
    suite = suite_of(recipe.evaluate.forgetting) if recipe.evaluate else None
    named = {"text": suite.text, "task_folder": suite.task_folder} if suite else {}
    return {
        f"forgetting_{name}": file_digest(locate(recipe, ref)) for name, ref in named.items() if ref
    }


def recipe_hash(recipe: Recipe) -> str:
    """Hash of the resolved recipe, as the report and the model card give it."""
    return digest(recipe.as_dict())
