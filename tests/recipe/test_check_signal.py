"""`check` on captured signals: who can give them, how they are asked, what does not go together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.recipe.check import check
from distill.recipe.check_signal import CODEC_KINDS
from distill.recipe.expand import expand
from distill.recipe.load import load_recipe
from distill.recipe.signal_source import signal_source

Write = Callable[..., Path]
SPLIT = "split: {train: 0.8, val: 0.2}\n"
SERVER = "kind: openai, model: m, base_url: 'http://h:1/v1'"
TEACHERS = {
    "loc": "kind: local, model: a/b",
    "srv": SERVER,
    "api": "kind: openai, model: gpt-4.1",
    "big": "kind: scripted",
}


def written(write: Write, signal: str, teachers: tuple[str, ...], loss: str = "{}") -> Path:
    """A recipe with these teachers, `big` answering the task unless another one stands first."""
    student = "student: {init: scratch, config: {model_type: llama}, tokenizer: some}\n"
    if "loc" in teachers:
        student = student.replace("some", "loc")
    else:
        student = student.replace("tokenizer: some", "tokenizer: {bpe: 300}")
    lines = [f"  {name}: {{{TEACHERS[name]}}}" for name in (*teachers, "big")]
    train = f"train: {{steps: 2, signal: {{{signal}}}, loss: {loss}}}\n"
    return write(
        ("  big: {kind: scripted}", "\n".join(lines)),
        (SPLIT, f"{SPLIT}{student}{train}"),
    )


def problems(path: Path) -> list[tuple[str | None, str]]:
    """Key and sentence of what is wrong with signal or loss."""
    found = check(load_recipe(path), {}, lambda path: []).problems
    keys = ("train.", "student.")
    return [(one.key, str(one)) for one in found if (one.key or "").startswith(keys)]


@pytest.mark.parametrize(
    ("signal", "teachers", "key", "says"),
    [
        ("kind: topk", (), "train.signal", "needs a local teacher or a server"),
        ("kind: sampled", ("srv",), "train.signal", "needs a local teacher"),
        ("kind: topk", ("loc", "srv"), "train.signal.from", "several teachers could give"),
        ("kind: topk, from: big", ("loc",), "train.signal.from", "gives no topk signal"),
        ("kind: sampled, from: srv", ("srv",), "train.signal.from", "gives no sampled signal"),
        ("kind: topk, from: lok", ("loc",), "train.signal.from", "loc"),
        ("kind: topk, codec: sampled", ("loc",), "train.signal.codec", "raw, packed, set"),
        ("kind: topk, from: api", ("api",), "train.signal.from", "writes no answer"),
        ("kind: token, cross_tokenizer: true", ("loc",), "train.signal.cross_tokenizer", "topk"),
        ("kind: topk, cross_tokenizer: true", ("srv",), "train.signal.cross_tokenizer", "local"),
        ("kind: topk, via: answers, k: 30", ("srv",), "train.signal.k", "1 to 20"),
    ],
)
def test_signals_that_nobody_gives(
    write: Write, signal: str, teachers: tuple[str, ...], key: str, says: str
) -> None:
    """Each is told at its key, with who or what would do."""
    found = problems(written(write, signal, teachers))
    assert any(key == where and says in sentence for where, sentence in found), found


@pytest.mark.parametrize(
    ("signal", "teachers"),
    [
        ("kind: topk", ("loc",)),
        ("kind: sampled, from: loc", ("loc", "srv")),
        ("kind: topk, from: srv, k: 100", ("loc", "srv")),
        ("kind: topk, from: srv", ("srv",)),
    ],
)
def test_signals_that_somebody_gives(write: Write, signal: str, teachers: tuple[str, ...]) -> None:
    """Local weights, and a server that scores prompts."""
    assert problems(written(write, signal, teachers)) == []


def test_a_temperature_is_stored_by_local_teachers_only(write: Write) -> None:
    """Their cache keeps its normaliser; a remote tail is known at temperature 1."""
    assert problems(written(write, "kind: topk", ("loc",), "{temperature: 2}")) == []
    found = problems(written(write, "kind: topk", ("srv",), "{temperature: 2}"))
    assert any(key == "train.loss.temperature" for key, _ in found)


@pytest.mark.parametrize(
    ("teacher", "signal", "way", "k", "asked"),
    [
        (TEACHERS["loc"], "kind: topk, k: 64", "local", 64, 0),
        (TEACHERS["loc"], "kind: topk, cross_tokenizer: true", "aligned", 64, 0),
        (SERVER, "kind: topk", "prompt", 64, 0),
        (SERVER, "kind: topk, k: 20", "answers", 20, 20),
        (SERVER, "kind: topk, k: 20, via: prompt", "prompt", 20, 0),
        (TEACHERS["api"], "kind: topk", "answers", 20, 20),
        (TEACHERS["api"], "kind: topk, k: 5", "answers", 5, 5),
        (TEACHERS["api"], "kind: token", "answers", 20, 1),
    ],
)
def test_how_a_teacher_is_asked(
    write: Write, teacher: str, signal: str, way: str, k: int, asked: int
) -> None:
    """Probabilities of answers are asked for with the answers, and only where they are used."""
    student = "student: {init: scratch, config: {model_type: llama}, tokenizer: {bpe: 300}}\n"
    path = write(
        ("big: {kind: scripted}", f"big: {{{teacher}}}"),
        (SPLIT, f"{SPLIT}{student}train: {{steps: 2, signal: {{{signal}}}}}\n"),
    )
    recipe = load_recipe(path)
    for found in (recipe, expand(recipe)):
        source = signal_source(found)
        assert source is not None
        assert (source.teacher, source.way, source.k) == ("big", way, k)
    assert expand(recipe).teachers["big"].logprobs == asked
    assert expand(expand(recipe)) == expand(recipe)


def test_codecs_hold_what_check_says() -> None:
    """The table of `check`, which loads no codec, is that of the codecs."""
    from distill.signals.codecs import CODECS

    assert {name: set(kinds) for name, kinds in CODEC_KINDS.items()} == {
        name: set(codec.kinds) for name, codec in CODECS.items()
    }
