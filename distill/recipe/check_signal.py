"""Checks that a teacher can give the training signal, in the student's tokens."""

import json
from pathlib import Path
from typing import Any

from distill.recipe.check_fields import known_teacher
from distill.recipe.files import folder_of
from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import (
    MOST_ALTERNATIVES,
    SignalSource,
    candidates,
    signal_source,
    writes_answers,
)
from distill.recipe.student import BuildTokenizer
from distill.recipe.training import DenseSignal, SparseSignal
from teachers.config import LocalTeacher

CODEC_KINDS = {
    "raw": ("token", "topk", "sampled"),
    "packed": ("token", "topk"),
    "set": ("token", "topk"),
    "sampled": ("token", "sampled"),
}
"""Codec -> kinds of signal that it holds; `distill.signals.codecs` says the same (a test)."""

FROM = "train.signal.from"


def check_signal(recipe: Recipe, findings: Findings) -> None:
    """Notes a signal that no teacher can give, or that several could."""
    signal = recipe.train.signal if recipe.train else None
    if isinstance(signal, DenseSignal):
        _dense(recipe, signal, findings)
    elif isinstance(signal, SparseSignal):
        _sparse(recipe, signal, findings)


def stored_temperatures(recipe: Recipe) -> tuple[float, ...]:
    """Besides 1, the temperatures at which a captured signal is exact."""
    source = signal_source(recipe)
    if recipe.train is None or source is None or source.way != "local":
        return ()
    return (recipe.train.loss.temperature,) if recipe.train.signal.kind == "topk" else ()


def _dense(recipe: Recipe, signal: DenseSignal, findings: Findings) -> None:
    locals_ = [n for n, config in recipe.teachers.items() if isinstance(config, LocalTeacher)]
    name = signal.from_
    if name is None:
        if len(locals_) == 1:
            _vocabulary(recipe, locals_[0], findings)
        elif not locals_:
            fix = "Define a teacher with kind: local, or use the signal text."
            findings.add("train.signal", "a dense signal needs a local teacher", None, fix)
        else:
            findings.add(FROM, "several local teachers could give the signal", ", ".join(locals_))
        return
    if not known_teacher(recipe, FROM, name, findings):
        return
    if name not in locals_:
        kind = recipe.teachers[name].kind
        found = f"{name!r} is a teacher of kind {kind}; only a local one gives every probability"
        findings.add(FROM, found, ", ".join(locals_) or "none is defined", "Use the signal text.")
        return
    _vocabulary(recipe, name, findings)


def _sparse(recipe: Recipe, signal: SparseSignal, findings: Findings) -> None:
    able, named = candidates(recipe, signal), signal.from_
    if signal.codec and signal.kind not in CODEC_KINDS[signal.codec]:
        fitting = ", ".join(codec for codec, kinds in CODEC_KINDS.items() if signal.kind in kinds)
        found = f"the codec {signal.codec} does not hold {signal.kind} signals"
        findings.add("train.signal.codec", found, fitting)
    if named is not None and not known_teacher(recipe, FROM, named, findings):
        return
    if named is not None and named not in able:
        kind = recipe.teachers[named].kind
        found = f"{named!r} is a teacher of kind {kind}, which gives no {signal.kind} signal"
        findings.add(FROM, found, ", ".join(able) or None, "Use the signal text.")
    elif not able:
        wanted = "a local teacher" if signal.kind == "sampled" else "a local teacher or a server"
        found = f"a {signal.kind} signal needs {wanted}"
        findings.add("train.signal", found, None, "Define one, or use the signal text.")
    elif named is None and len(able) > 1:
        findings.add(FROM, "several teachers could give the signal", ", ".join(able))
    elif (source := signal_source(recipe)) is not None:
        _source(recipe, signal, source, findings)


def _source(recipe: Recipe, signal: SparseSignal, source: SignalSource, findings: Findings) -> None:
    if signal.cross_tokenizer and (source.way != "aligned" or signal.kind != "topk"):
        found = "other tokens are aligned for the topk signal of a local teacher only"
        findings.add("train.signal.cross_tokenizer", found, "false")
    if source.way == "local":
        _vocabulary(recipe, source.teacher, findings)
    elif recipe.train is not None and recipe.train.loss.temperature != 1:
        kind = "read in other tokens" if source.way == "aligned" else "remote"
        found = f"{source.teacher!r} is {kind}: its tail is known at temperature 1 only"
        findings.add("train.loss.temperature", found, "1.0")
    if source.way != "answers":
        return
    if source.k > MOST_ALTERNATIVES:
        found = f"k is {signal.k}; of each token that it writes an API tells that many at most"
        findings.add("train.signal.k", found, f"1 to {MOST_ALTERNATIVES}")
    if not writes_answers(recipe, source.teacher):
        found = f"{source.teacher!r} writes no answer of these rows, so it tells no probabilities"
        fix = "Let it answer the task, or set train.signal.via: prompt for a server that scores."
        findings.add(FROM, found, None, fix)


def _vocabulary(recipe: Recipe, teacher: str, findings: Findings) -> None:
    """The student must read the teacher's tokens; what cannot be read here is left to `doctor`."""
    student, config = recipe.student, recipe.teachers[teacher]
    if student is None or not isinstance(config, LocalTeacher):
        return
    fix = (
        f"Set student.tokenizer to {teacher!r}, use the signal text, or topk with cross_tokenizer."
    )
    if isinstance(student.tokenizer, BuildTokenizer):
        found = f"a tokenizer of its own does not share {teacher!r}'s vocabulary"
        findings.add("student.tokenizer", found, None, fix)
        return
    if student.tokenizer == teacher:
        return
    ref = student.tokenizer or student.model
    other = recipe.teachers.get(ref) if ref else None
    if isinstance(other, LocalTeacher):
        ref = other.model
    ours, theirs = _pieces(recipe, ref), _pieces(recipe, config.model)
    if ours is not None and theirs is not None and ours != theirs:
        key = "student.tokenizer" if student.tokenizer else "student.model"
        findings.add(key, f"its vocabulary is not that of teacher {teacher!r}", None, fix)


def _pieces(recipe: Recipe, ref: str | None) -> Any:
    """The token -> id table of a folder's tokenizer.json, None where there is none to read."""
    if ref is None:
        return None
    path = folder_of(recipe) / Path(ref).expanduser() / "tokenizer.json"
    try:
        model = json.loads(path.read_text("utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    pairs = model.items() if isinstance(model, dict) else enumerate(entry[0] for entry in model)
    return dict(pairs)
