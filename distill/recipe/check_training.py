"""Checks student, training and evaluation."""

import json

from distill.errors import RecipeError
from distill.recipe.check_signal import check_signal, stored_temperatures
from distill.recipe.files import locate, missing_folder
from distill.recipe.findings import Findings
from distill.recipe.given import with_given_rows
from distill.recipe.loss_pairs import SIGNALS, refuse, warnings
from distill.recipe.prompts import teacher_prompt
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import signal_source
from distill.recipe.student import Student
from distill.recipe.suggest import did_you_mean
from distill.recipe.task import ClassifyTask
from distill.recipe.training import Train
from teachers.config import LocalTeacher

ZERO_STAGES = ("zero0", "zero1", "zero2", "zero3", "zero2_offload", "zero3_offload")


def check_train(recipe: Recipe, findings: Findings) -> None:
    """Notes training that lacks a part, or whose signal no teacher can give."""
    train, student = recipe.train, recipe.student
    if student is not None:
        _student(recipe, student, findings)
    if train is None:
        for key in ("evaluate", "export"):
            # Without a student the export's licence is that of the dataset's card.
            wanted = key == "evaluate" or student is not None
            if wanted and getattr(recipe, key) is not None:
                findings.add(key, f"{key} needs a trained student", None, "Give `train`.")
        return
    if student is None:
        findings.add("student", "there is nothing to train", None, "Give `student`.")
    if with_given_rows(recipe).generate is None:
        findings.add("generate", "there are no rows to train on", None, "Give `generate`.")
    _objective(recipe, train, findings)
    if isinstance(train.deepspeed, str) and train.deepspeed not in ZERO_STAGES:
        _file(recipe, "train.deepspeed", train.deepspeed, ZERO_STAGES, findings)
    _loss(recipe, train, findings)
    if student is not None and student.kind == "classifier":
        return  # its signal are the labels of the rows, whatever their tokens
    check_signal(recipe, findings)
    if train.signal.kind == "text" and "loss" in train.model_fields_set:
        _text_only(train, findings)


def check_evaluate(recipe: Recipe, findings: Findings) -> None:
    """Notes sets and comparisons that cannot be made."""
    evaluate = recipe.evaluate
    if evaluate is None:
        return
    said = "on" in evaluate.model_fields_set
    gold, val = recipe.data.gold is not None, recipe.split is not None and recipe.split.val > 0
    if said and "gold" in evaluate.on and not gold:
        findings.add("evaluate.on", "there is no gold", None, "Set data.gold, or measure on val.")
    if said and "val" in evaluate.on and not val:
        findings.add("evaluate.on", "there is no val split", None, "Give `split`.")
    if not said and not gold and not val:
        fix = "Set data.gold, or give `split`."
        findings.add("evaluate", "there is nothing to measure on", "gold, val", fix)
    for index, name in enumerate(evaluate.compare):
        if name == "hard_labels_confident":
            _confident(recipe, f"evaluate.compare.{index}", findings)


def _student(recipe: Recipe, student: Student, findings: Findings) -> None:
    if isinstance(student.config, str):
        _file(recipe, "student.config", student.config, (), findings)
    _quantised(recipe, student, findings)
    if missing_folder(recipe, student.model or ""):
        findings.add("student.model", f"no folder {student.model!r}")
    name = student.tokenizer
    if isinstance(name, str) and name not in recipe.teachers:
        locals_ = [n for n, config in recipe.teachers.items() if isinstance(config, LocalTeacher)]
        _file(recipe, "student.tokenizer", name, locals_, findings)
    elif isinstance(name, str) and not isinstance(recipe.teachers[name], LocalTeacher):
        findings.add("student.tokenizer", f"the teacher {name!r} is not local", "a local teacher")


def _quantised(recipe: Recipe, student: Student, findings: Findings) -> None:
    """Sharded 4-bit weights travel in their storage type, which has to be that of the others."""
    given, train = student.quantization, recipe.train
    if given and student.method != "qlora":
        fix = "Set student.method: qlora, or leave it out."
        findings.add("student.quantization", "nothing is quantised", None, fix)
    if student.method != "qlora" or train is None or not _shards(recipe, train):
        return
    compute = str(given.get("bnb_4bit_compute_dtype", "bfloat16"))
    storage = str(given.get("bnb_4bit_quant_storage", "bfloat16"))
    if compute.removeprefix("torch.") != storage.removeprefix("torch."):
        key = "student.quantization.bnb_4bit_quant_storage"
        found = f"under ZeRO-3 it must be bnb_4bit_compute_dtype ({compute}), not {storage}"
        findings.add(key, found, compute, "Leave both out: bfloat16 is the default.")


def _shards(recipe: Recipe, train: Train) -> bool:
    """Whether DeepSpeed shards the weights, as far as that can be read here."""
    given = train.deepspeed
    if isinstance(given, str):
        if given in ZERO_STAGES:
            return given.startswith("zero3")
        try:
            given = json.loads(locate(recipe, given).read_text("utf-8"))
        except (RecipeError, OSError, ValueError):
            return False  # told elsewhere
    zero = given.get("zero_optimization") if isinstance(given, dict) else None
    return isinstance(zero, dict) and zero.get("stage") == 3


def _file(
    recipe: Recipe, key: str, ref: str, names: tuple[str, ...] | list[str], findings: Findings
) -> None:
    """Notes a reference that is neither one of the names nor a file."""
    try:
        locate(recipe, ref)
    except RecipeError as error:
        if not names:
            findings.add_error(key, error)
            return
        allowed = f"{', '.join(names)}, or a path relative to the recipe"
        findings.add(key, f"no file {ref!r}", allowed, did_you_mean(ref, names))


def _objective(recipe: Recipe, train: Train, findings: Findings) -> None:
    """Notes what does not go with the objective, mixed-in data and early stopping."""
    for index, blend in enumerate(train.mix):
        _file(recipe, f"train.mix.{index}.data", blend.data, (), findings)
    held_out = recipe.split is not None and recipe.split.val > 0
    if train.early_stop and not held_out:
        fix = "Give `split` a share of val."
        findings.add("train.early_stop", "there is no val to stop by", None, fix)
    if train.on_policy and train.signal.kind not in ("dense", "token"):
        found = "nobody says what the student's own words are worth: the signal is "
        allowed = "dense (a local teacher) or token (a server that scores prompts)"
        fix = "Set train.signal.kind, or leave on_policy out."
        findings.add("train.on_policy", found + train.signal.kind, allowed, fix)
    source = signal_source(recipe)
    if train.on_policy and train.signal.kind == "token" and source and source.way != "prompt":
        local = source.way == "local"
        found = f"{source.teacher!r} cannot be asked about tokens that the student writes"
        fix = "Set train.signal.kind: dense." if local else "Take a vLLM server (base_url)."
        findings.add("train.signal", found, "a server that scores prompts", fix)
    if train.objective == "distill":
        return
    if train.signal.kind != "text":
        found = f"{train.objective} learns from the rows alone, not from the signal "
        fix = "Leave train.signal out, or set train.objective: distill."
        findings.add("train.signal", found + train.signal.kind, "text", fix)
    if recipe.evaluate and recipe.evaluate.compare:
        found = f"there are no other ways to compare {train.objective} with"
        findings.add("evaluate.compare", found, None, "Leave it out.")


def _loss(recipe: Recipe, train: Train, findings: Findings) -> None:
    """Notes a loss that its signal cannot give, and one that is probably not meant."""
    loss, signal = train.loss, train.signal.kind
    if reason := refuse(loss, signal, stored_temperatures(recipe)):
        allowed = ", ".join(kind for kind in SIGNALS if not refuse(loss, kind))
        found = f"{loss.kind} cannot be computed from the signal {signal}: {reason}"
        fix = "Take another signal or another loss."
        findings.add("train.loss", found, allowed or None, fix)
    elif loss.kind == "sampled_reverse_kl" and not train.on_policy:
        found = "sampled_reverse_kl is estimated on tokens that the student writes"
        findings.add("train.on_policy", found, "above 0, up to 1", "Set train.on_policy: 1.")
    findings.notes += warnings(loss)


def _text_only(train: Train, findings: Findings) -> None:
    """A loss beside a signal without probabilities would silently be cross-entropy only."""
    if train.loss.model_fields_set - {"ce", "kind"} and train.loss.weight > 0:
        findings.notes.append(
            "train.signal is text: rows get cross-entropy with weight + ce, whatever the loss"
        )


def _confident(recipe: Recipe, key: str, findings: Findings) -> None:
    """Confident rows are chosen by the teacher's probability of its label."""
    if not isinstance(recipe.task, ClassifyTask):
        findings.add(key, "hard_labels_confident needs a classify task")
        return
    try:
        found = teacher_prompt(recipe)
    except RecipeError:
        return  # told where the prompt stands
    if found is None:
        findings.add(key, "no teacher chooses among the labels, so there are no probabilities")
        return
    name, field = found
    config = recipe.teachers.get(name)
    if config is None:
        return  # told where the field names its teacher
    if field.votes == 1 and not isinstance(config, LocalTeacher) and not config.logprobs:
        fix = "Set votes: 3 or more on the field, or logprobs on the teacher."
        findings.add(key, f"teacher {name!r} gives no probability of its labels", None, fix)
