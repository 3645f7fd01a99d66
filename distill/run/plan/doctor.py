"""The pre-flight of a recipe: loads what the looks need, and hands it to them."""

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distill.errors import DistillError, PrerequisiteError, Problem
from distill.plan import doctor as looks
from distill.plan.doctor import Look
from distill.plan.memory import gib
from distill.recipe.expand import expand
from distill.recipe.files import locate
from distill.recipe.given import objective_of
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.student import BuildTokenizer
from distill.recipe.task import ClassifyTask
from distill.recipe.training import SparseSignal, TextSignal, Train
from distill.rows.dataset import read_dataset
from distill.rows.encode import Encoded, encode
from distill.rows.readers import read_records
from distill.run.models.local import signal_teacher
from distill.run.packages import local_or_hub
from distill.run.plan.forecast import (
    disk_forecast,
    free_disk,
    memory_forecast,
    model_config,
    setting_of,
    student_config,
)
from teachers import chat_format
from teachers.config import LocalTeacher
from teachers.errors import ConfigError
from teachers.protocol import Message

ROWS, SHOWN = 64, 3
Turns = tuple[Message, ...]


def examine(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """{ok, findings, checks, masks}: every look at a recipe before it is run.

    `folder` is the run's; where it holds a dataset its rows are looked at, else gold, else seeds.
    Raises: PrerequisiteError without the packages that read models.
    """
    if find_spec("transformers") is None or find_spec("torch") is None:
        problem = Problem(
            found="doctor reads tokenizers and models", fix="Type: pip install 'distill-kit[train]'"
        )
        raise PrerequisiteError(str(problem), [problem])
    recipe = expand(recipe)
    masks: list[dict[str, Any]] = []
    seen = list(_all(recipe, folder, masks))
    found = [look.as_dict() for look in seen if look.state == "finding"]
    checks = [look.as_dict() for look in seen]
    return {"ok": not found, "findings": found, "checks": checks, "masks": masks}


def _all(recipe: Recipe, folder: Path, masks: list[dict[str, Any]]) -> Iterator[Look]:
    rows = conversations(recipe, folder)
    if recipe.student is None:
        yield Look("student", "skipped", "the recipe trains nothing")
        return
    yield from _student(recipe, rows, masks)
    yield from _teacher(recipe, rows)
    yield from _machine(recipe, folder)


def conversations(recipe: Recipe, folder: Path) -> list[Turns]:
    """A few rows as the student is shown them, answers included."""
    path = folder / "dataset"
    if (path / "train.jsonl").is_file():
        dataset = read_dataset(path, "train")[:ROWS]
        return [tuple(row.messages) for row in dataset if row.messages]
    for name in ("gold", "seeds"):
        ref = getattr(recipe.data, name)
        if ref is None or objective_of(recipe) != "distill":
            continue
        prompt = TaskPrompt.from_recipe(recipe)
        records = read_records(locate(recipe, ref))[:ROWS]
        needs = prompt.needs | {recipe.task.output}
        return [prompt.conversation(row) for row in records if needs <= row.keys()]
    return []


def _student(recipe: Recipe, rows: Sequence[Turns], masks: list[dict[str, Any]]) -> Iterator[Look]:
    student, train = recipe.student, recipe.train or Train()
    assert student is not None
    config = student_config(recipe) or {}
    tied = bool(config.get("tie_word_embeddings", False))
    plain, stage = student.model_dump(mode="json"), setting_of(recipe, processes=1, gpu=True).stage
    yield looks.look_at_head(plain, tied=tied, stage=stage)
    source = _tokenizer_source(recipe)
    if source is None:
        told = "the tokenizer is made from the dataset"
        for name in ("tokenizer", "template", "eos", "masks"):
            yield Look(name, "skipped", told)
        return
    try:
        tokenizer, generation = _load(source, trust=student.trust_remote_code)
    except ConfigError as error:
        yield looks.unseen("tokenizer", error, "student.model")
        return
    yield looks.look_at_tokenizer(tokenizer, _written(recipe, rows))
    if student.kind == "classifier":
        yield Look("template", "skipped", "a classifier writes no answer")
        return
    yield looks.look_at_template(tokenizer)
    yield looks.look_at_ends(tokenizer, generation)
    if columns := config.get("vocab_size"):
        yield looks.look_at_padding(tokenizer, int(columns))
    yield from _masks(tokenizer, generation, rows, train, masks)
    if student.model is not None and rows:
        yield from _alignment(
            "the student", local_or_hub(recipe, student.model), rows, "student.model"
        )


def _masks(
    tokenizer: Any,
    generation: Any,
    rows: Sequence[Turns],
    train: Train,
    masks: list[dict[str, Any]],
) -> Iterator[Look]:
    chat = chat_format.has_chat_template(tokenizer)
    ends = chat_format.end_ids(tokenizer, generation)
    encoded: list[Encoded] = []
    try:
        end_id = chat_format.closing_id(tokenizer, chat=chat, ends=ends)
        for turns in rows:
            encoded.append(
                encode(tokenizer, turns, chat=chat, end_id=end_id, max_length=train.max_length)
            )
    except (DistillError, ConfigError) as error:
        yield looks.unseen("masks", error)
        return
    yield looks.look_at_masks(encoded, train.max_length)
    masks += [
        {"row": at, "runs": looks.show_mask(tokenizer, row)}
        for at, row in enumerate(encoded[:SHOWN])
    ]


def _teacher(recipe: Recipe, rows: Sequence[Turns]) -> Iterator[Look]:
    name, student = signal_teacher(recipe), recipe.student
    config = recipe.teachers.get(name) if name else None
    if not isinstance(config, LocalTeacher) or config.model is None:
        yield Look("vocabulary", "skipped", "no local teacher gives the signal")
        return
    source = local_or_hub(recipe, config.model)
    try:
        tokenizer, _ = _load(source, trust=config.trust_remote_code)
    except ConfigError as error:
        yield looks.unseen("vocabulary", error, f"teachers.{name}.model")
        return
    ours = _tokenizer_source(recipe)
    signal = recipe.train.signal if recipe.train else TextSignal()
    silent = signal.kind in ("text", "labels")
    if ours is None or silent or (student and student.kind == "classifier"):
        yield Look("vocabulary", "skipped", "the signal does not speak of the teacher's tokens")
    elif isinstance(signal, SparseSignal) and signal.cross_tokenizer:
        try:
            yield looks.look_at_pieces(_load(ours)[0], tokenizer)
        except ConfigError as error:
            yield looks.unseen("vocabulary", error, "student.tokenizer")
    else:
        try:
            yield looks.look_at_vocabularies(_load(ours)[0], tokenizer)
        except ConfigError as error:
            yield looks.unseen("vocabulary", error, "student.tokenizer")
    if columns := (model_config(recipe, config.model) or {}).get("vocab_size"):
        yield looks.look_at_padding(tokenizer, int(columns), f"teachers.{name}")
    if rows:
        yield from _alignment(f"teacher {name!r}", source, rows, f"teachers.{name}.model")


def _alignment(whose: str, source: str, rows: Sequence[Turns], key: str) -> Iterator[Look]:
    from distill.run.models.students import read_tokens
    from teachers.local_classifier import is_classifier

    if is_classifier(source):
        yield Look("alignment", "skipped", f"{whose} is a classifier")
        return
    try:
        figures = read_tokens(source, None, rows[:16], None)
        size = len(_load(source)[0])
    except (DistillError, ConfigError, ValueError, RuntimeError) as error:
        yield looks.unseen("alignment", error, key)
        return
    tokens = sum(row.tokens for row in figures)
    if tokens:
        loss = sum(row.nll_sum for row in figures) / tokens
        yield looks.look_at_alignment(whose, loss, size, key)


def _machine(recipe: Recipe, folder: Path) -> Iterator[Look]:
    import torch

    train = recipe.train or Train()
    devices = torch.cuda.device_count()
    processes = train.processes or max(1, devices)
    gpu = devices > 0
    found = memory_forecast(recipe, processes=processes, gpu=gpu)["student"]
    if found is None:
        yield Look("memory", "skipped", "the student's shape cannot be read here")
    else:
        have = torch.cuda.mem_get_info()[1] if gpu else _main_memory()
        need = found["total"] if gpu else processes * found["total"]
        where = "on each GPU" if gpu else "of main memory"
        yield looks.look_at_memory(need, have, where, (gib(need), gib(have)))
    if (need_disk := disk_forecast(recipe)) is not None:
        free = free_disk(folder)
        yield looks.look_at_disk(need_disk, free, (gib(need_disk), gib(free)))
    wanted = find_spec("deepspeed") is not None if train.deepspeed is not None else None
    yield looks.look_at_launcher(
        train.batch, train.micro_batch, processes, devices, deepspeed=wanted
    )


def _main_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _written(recipe: Recipe, rows: Sequence[Turns]) -> list[str]:
    """Texts that the student must be able to write."""
    labels = recipe.task.labels if isinstance(recipe.task, ClassifyTask) else []
    return [*labels, *(turns[-1].content for turns in rows[:SHOWN])]


def _tokenizer_source(recipe: Recipe) -> str | None:
    """Folder or hub id of the student's tokenizer; None where there is none before training."""
    student = recipe.student
    assert student is not None
    ref = student.tokenizer or student.model
    if ref is None or isinstance(ref, BuildTokenizer):
        return None
    teacher = recipe.teachers.get(ref)
    if isinstance(teacher, LocalTeacher):
        return local_or_hub(recipe, teacher.model) if teacher.model else None
    return local_or_hub(recipe, ref)


def _load(source: str, *, trust: bool = False) -> tuple[Any, Any]:
    from transformers import GenerationConfig

    from teachers.local_loading import load_tokenizer, quiet

    quiet()
    tokenizer = load_tokenizer(source, trust_remote_code=trust)
    try:
        return tokenizer, GenerationConfig.from_pretrained(source)
    except OSError:
        return tokenizer, None
