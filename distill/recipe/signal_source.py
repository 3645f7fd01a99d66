"""Which teacher gives the training signal and how it is asked for it. No torch."""

from dataclasses import dataclass
from typing import Literal

from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask
from distill.recipe.training import SparseSignal
from teachers.config import LocalTeacher, OpenAITeacher, TeacherConfig

MOST_ALTERNATIVES = 20
"""Of one written token that an API tells, at most."""

Way = Literal["local", "aligned", "prompt", "answers"]
"""Weights in this process, the same with another tokenizer, a server that scores whole prompts, or
what was told of the answers."""


@dataclass(frozen=True, slots=True)
class SignalSource:
    """Where a signal that is captured comes from."""

    teacher: str
    way: Way
    k: int
    """Tokens per position, as many as this way can tell."""


def sparse_signal(recipe: Recipe) -> SparseSignal | None:
    """The signal that is captured into a cache, None where none is."""
    signal = recipe.train.signal if recipe.train else None
    return signal if isinstance(signal, SparseSignal) else None


def captured_in_run(recipe: Recipe) -> bool:
    """Whether a run captures signals: tokens that the student writes are scored as it trains."""
    signal, student = sparse_signal(recipe), recipe.student
    if signal is None or student is None or student.kind == "classifier":
        return False  # a classifier learns from the shares of its labels, which the rows hold
    return not (signal.kind == "token" and recipe.train is not None and recipe.train.on_policy)


def candidates(recipe: Recipe, signal: SparseSignal) -> list[str]:
    """Names of the teachers that could give this kind of signal."""
    kinds = (LocalTeacher,) if signal.kind == "sampled" else (LocalTeacher, OpenAITeacher)
    return [name for name, config in recipe.teachers.items() if isinstance(config, kinds)]


def signal_source(recipe: Recipe) -> SignalSource | None:
    """The source of the recipe's captured signal; None where it has none, or none can be told."""
    signal = sparse_signal(recipe)
    if signal is None:
        return None
    able = candidates(recipe, signal)
    name = signal.from_ or (able[0] if len(able) == 1 else None)
    if name not in able:
        return None
    way = _way(recipe, name, recipe.teachers[name], signal)
    most = MOST_ALTERNATIVES if way == "answers" and "k" not in signal.model_fields_set else None
    return SignalSource(name, way, min(signal.k, most or signal.k))


def answer_field(recipe: Recipe) -> tuple[str, AskField] | None:
    """The field of an expanded recipe in which a teacher answers the task, and its name."""
    fields = recipe.generate.fields if recipe.generate else {}
    asks = {name: field for name, field in fields.items() if isinstance(field, AskField)}
    if recipe.task.output in asks:
        return recipe.task.output, asks[recipe.task.output]
    labels = recipe.task.labels if isinstance(recipe.task, ClassifyTask) else None
    for name, field in asks.items():
        if labels and (field.choices in ("label", "labels") or field.choices == labels):
            return name, field
    return None


def asking_logprobs(recipe: Recipe) -> Recipe:
    """The expanded recipe with a teacher that tells probabilities where its answers give a signal.

    They exist for tokens that an API writes only, so they are asked for when it writes them.
    """
    source = signal_source(recipe)
    if source is None or source.way != "answers":
        return recipe
    config = recipe.teachers[source.teacher]
    wanted = 1 if recipe.train and recipe.train.signal.kind == "token" else source.k
    if config.logprobs >= wanted:
        return recipe
    asked = config.model_copy(update={"logprobs": wanted})
    return recipe.model_copy(update={"teachers": {**recipe.teachers, source.teacher: asked}})


def _way(recipe: Recipe, name: str, config: TeacherConfig, signal: SparseSignal) -> Way:
    """A server of the user's own is taken for one that scores prompts, unless its answers do."""
    if isinstance(config, LocalTeacher):
        return "aligned" if signal.cross_tokenizer else "local"
    if signal.via != "auto":
        return signal.via
    if getattr(config, "base_url", None) is None:
        return "answers"
    few = signal.k <= MOST_ALTERNATIVES and "k" in signal.model_fields_set
    return "answers" if few and writes_answers(recipe, name) else "prompt"


def writes_answers(recipe: Recipe, teacher: str) -> bool:
    """Whether this teacher answers the task, in a recipe that is expanded or not."""
    field = answer_field(recipe)
    if field is not None:
        return field[1].ask == teacher
    return recipe.generate is not None and recipe.generate.ask == teacher
